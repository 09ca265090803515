//! Groups of rules in objects of Kubernetes and in files, none larger than what is taken.
//! Source: prometheus-operator refuses a PrometheusRule whose rules are larger than 512 KiB.

use serde_json::{Value, json};

use sha2::{Digest as _, Sha256};

use crate::slo::name::SloName;
use crate::units::Digest;

use super::Group;

/// Most bytes of the groups of one object.
pub const MOST_BYTES: usize = 512 * 1024;
/// From here on an object should be split.
pub const WARN_BYTES: usize = MOST_BYTES / 2;

/// Groups that belong into one object or file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    groups: Vec<Value>,
    bytes: usize,
}

impl Packed {
    /// How large the groups are, as JSON; YAML is smaller.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A file of rules; also the spec of a PrometheusRule.
    #[must_use]
    pub fn file(&self) -> Value {
        json!({ "groups": self.groups })
    }

    /// A PrometheusRule of the Prometheus operator.
    #[must_use]
    pub fn prometheus_rule(&self, namespace: &str, name: &str) -> Value {
        json!({
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": metadata(namespace, name),
            "spec": self.file(),
        })
    }

    /// A ConfigMap that holds a file of rules under `<name>.yaml`; `write` makes a text of a value.
    #[must_use]
    pub fn config_map(&self, namespace: &str, name: &str, write: impl Fn(&Value) -> String) -> Value {
        let key = format!("{name}.yaml");
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(namespace, name),
            "data": { key: write(&self.file()) },
        })
    }
}

/// Name of the object that holds the rules of one objective: `miax-slo-<name>`, and a digest where that is too long.
#[must_use]
pub fn object_name(slo: &SloName) -> String {
    let name = format!("miax-slo-{}", slo.name());
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let digest = Digest(Sha256::digest(&name).into()).hex();
    let keep = |text: &str, bytes: usize| text.chars().take(bytes).collect::<String>();
    format!("{}-{}", keep(&name, LONGEST_NAME - 17).trim_end_matches(['-', '.']), keep(&digest, 16))
}

/// Longest name of most objects of Kubernetes.
const LONGEST_NAME: usize = 253;

fn metadata(namespace: &str, name: &str) -> Value {
    json!({ "namespace": namespace, "name": name, "labels": { "app.kubernetes.io/managed-by": "miax" } })
}

/// Packs groups, in their order, into as few pieces as that order allows.
#[must_use]
pub fn pack(groups: &[Group]) -> Vec<Packed> {
    pack_values(groups.iter().map(Group::to_value), MOST_BYTES)
}

fn pack_values(groups: impl Iterator<Item = Value>, most: usize) -> Vec<Packed> {
    let mut packed: Vec<Packed> = Vec::new();
    for group in groups {
        // A comma for each, and the frame of the list once.
        let bytes = group.to_string().len() + 1;
        match packed.last_mut().filter(|p| p.bytes + bytes <= most) {
            Some(last) => {
                last.bytes += bytes;
                last.groups.push(group);
            }
            None => packed.push(Packed { bytes: bytes + FRAME, groups: vec![group] }),
        }
    }
    packed
}

/// `{"groups":[]}`.
const FRAME: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_of_an_objective_has_a_name_that_is_taken() {
        let of = |name: &str| object_name(&SloName::try_new("shop", name).expect("a name"));
        assert_eq!(of("checkout"), "miax-slo-checkout");
        let (a, b) = (of(&format!("{}a", "x".repeat(252))), of(&format!("{}b", "x".repeat(252))));
        assert!(a.len() <= 253 && b.len() <= 253 && a != b);
        let dots = of("x.".repeat(126).trim_end_matches('.'));
        assert!(SloName::try_new("shop", &dots).is_ok(), "{dots}");
    }

    #[test]
    fn groups_are_split_before_they_are_too_large() {
        let groups: Vec<Value> =
            (0..10).map(|i| json!({ "name": format!("group-{i}"), "rules": ["x".repeat(100)] })).collect();
        let size = groups.first().map(|g| g.to_string().len()).unwrap_or_default();
        let packed = pack_values(groups.clone().into_iter(), FRAME + 4 * (size + 1));
        assert_eq!(packed.iter().map(|p| p.groups.len()).collect::<Vec<_>>(), [4, 4, 2]);
        for piece in &packed {
            assert!(piece.file().to_string().len() <= piece.bytes());
        }
        assert_eq!(pack_values(groups.into_iter(), MOST_BYTES).len(), 1);
        assert_eq!(pack(&[]), []);
    }
}
