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

/// Groups that belong into one object or file. They are rendered when it is asked for: all at once would be a hundred MiB for
/// thousands of objectives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed<'a> {
    groups: Vec<&'a Group>,
    bytes: usize,
}

impl Packed<'_> {
    /// How large the groups are, as JSON; YAML is smaller.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A file of rules; also the spec of a PrometheusRule.
    #[must_use]
    pub fn file(&self) -> Value {
        let groups: Vec<Value> = self.groups.iter().map(|group| group.to_value()).collect();
        json!({ "groups": groups })
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
pub fn pack<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Vec<Packed<'a>> {
    // A comma for each, and the frame of the list once.
    let sized = groups.into_iter().map(|group| (group, group.to_value().to_string().len() + 1));
    split(sized, MOST_BYTES - FRAME)
        .into_iter()
        .map(|(groups, bytes)| Packed { groups, bytes: bytes + FRAME })
        .collect()
}

/// Splits items of these sizes before they are too large together; one alone may be.
fn split<T>(items: impl Iterator<Item = (T, usize)>, most: usize) -> Vec<(Vec<T>, usize)> {
    let mut pieces: Vec<(Vec<T>, usize)> = Vec::new();
    for (item, bytes) in items {
        match pieces.last_mut().filter(|(_, sum)| sum + bytes <= most) {
            Some((list, sum)) => {
                list.push(item);
                *sum += bytes;
            }
            None => pieces.push((vec![item], bytes)),
        }
    }
    pieces
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
        let lengths = |sizes: &[usize], most| -> Vec<(usize, usize)> {
            let items = sizes.iter().map(|size| ((), *size));
            split(items, most).into_iter().map(|(list, bytes)| (list.len(), bytes)).collect()
        };
        assert_eq!(lengths(&[5; 10], 20), [(4, 20), (4, 20), (2, 10)]);
        assert_eq!(lengths(&[5; 10], 50), [(10, 50)]);
        assert_eq!(lengths(&[5, 30, 5], 20), [(1, 5), (1, 30), (1, 5)], "one that is too large stands alone");
        assert_eq!(lengths(&[], 20), []);
        assert_eq!(pack(&[]), []);
    }
}
