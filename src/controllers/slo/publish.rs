//! Where the rules of objectives are put, so that Prometheus records them: PrometheusRule objects where that kind exists, else
//! ConfigMaps, or files for a Prometheus beside us.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};

use crate::api::names::{SLO_MANAGER, SLO_RULES_CONFIG_MAP, SYSTEM_NAMESPACE};
use crate::slo::SloName;
use crate::slo::rules::{Group, Packed, WARN_BYTES, object_name, pack};
use crate::trust::{sha256, to_yaml};
use crate::units::Digest;

/// Most ConfigMaps or files that rules are split into: about two thousand objectives.
pub const MOST_PIECES: usize = 16;
/// API group and resource name of the objects that the Prometheus operator reads rules from.
pub const PROMETHEUS_RULES: (&str, &str) = ("monitoring.coreos.com", "prometheusrules");
/// What our files begin with; others in the directory are nobody's business.
const FILE_PREFIX: &str = "miax-slo-rules-";
/// The label on our PrometheusRules, and what their names begin with.
const MANAGED_BY_US: &str = "app.kubernetes.io/managed-by=miax";
const OBJECT_PREFIX: &str = "miax-slo-";

/// Where rules are put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulesPlace {
    /// Where this cluster's Prometheus most likely reads them: PrometheusRules if that kind exists, else ConfigMaps.
    Found,
    /// Files in this directory.
    Directory(PathBuf),
}

/// Why rules could not be put where they belong. They are tried again at the next round.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    /// A file could not be written or removed.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Kubernetes did not answer or refused.
    #[error("{0}")]
    Kube(#[from] kube::Error),
    /// They do not fit into as many pieces as there may be.
    #[error("the rules need {0} pieces of 512 KiB, more than {MOST_PIECES}")]
    TooMany(usize),
}

/// Keeps the rules where they belong, and writes only what changed.
pub(super) struct Publisher {
    client: Client,
    place: RulesPlace,
    /// Whether the kind PrometheusRule exists; asked once.
    operator: Option<bool>,
    /// Digest of what was written last, by place.
    written: HashMap<String, Digest>,
    /// Whether what an earlier process left over was taken away.
    swept: bool,
}

impl Publisher {
    pub(super) fn new(client: Client, place: RulesPlace) -> Self {
        Self { client, place, operator: None, written: HashMap::new(), swept: false }
    }

    /// Puts the groups where they belong, each with the objective that it is of, and takes away what was put there before and is
    /// not among them.
    pub(super) async fn publish(&mut self, groups: &BTreeMap<&SloName, &Group>) -> Result<(), PublishError> {
        match self.place.clone() {
            RulesPlace::Directory(directory) => self.files(&directory, groups),
            RulesPlace::Found if self.has_operator().await? => self.prometheus_rules(groups).await,
            RulesPlace::Found => self.config_maps(groups).await,
        }
    }

    async fn has_operator(&mut self) -> Result<bool, PublishError> {
        if let Some(known) = self.operator {
            return Ok(known);
        }
        let kinds = Api::<CustomResourceDefinition>::all(self.client.clone());
        let (group, plural) = PROMETHEUS_RULES;
        let found = kinds.get_metadata_opt(&format!("{plural}.{group}")).await?.is_some();
        self.operator = Some(found);
        Ok(found)
    }

    async fn prometheus_rules(&mut self, groups: &BTreeMap<&SloName, &Group>) -> Result<(), PublishError> {
        let gvk = GroupVersionKind::gvk(PROMETHEUS_RULES.0, "v1", "PrometheusRule");
        let resource = ApiResource::from_gvk(&gvk);
        let api = |namespace: &str| Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource);
        let mut kept = BTreeSet::new();
        for (slo, group) in groups {
            let (namespace, name) = (slo.namespace(), object_name(slo));
            let key = format!("{namespace}/{name}");
            kept.insert(key.clone());
            // All else in the object is made of its name.
            let digest = group.digest();
            if self.written.get(&key) == Some(&digest) {
                continue;
            }
            for piece in pack([*group]) {
                let object = piece.prometheus_rule(namespace, &name);
                let params = PatchParams::apply(SLO_MANAGER).force();
                api(namespace).patch(&name, &params, &Patch::Apply(&object)).await?;
            }
            self.written.insert(key, digest);
        }
        let mut gone: BTreeSet<String> = self.written.keys().filter(|key| !kept.contains(*key)).cloned().collect();
        if !self.swept {
            let ours = ListParams::default().labels(MANAGED_BY_US);
            let all = Api::<DynamicObject>::all_with(self.client.clone(), &resource).list_metadata(&ours).await?;
            let keys = all.items.into_iter().filter_map(|o| Some((o.metadata.namespace?, o.metadata.name?)));
            let keys =
                keys.filter(|(_, name)| name.starts_with(OBJECT_PREFIX)).map(|(ns, name)| format!("{ns}/{name}"));
            gone.extend(keys.filter(|key| !kept.contains(key)));
        }
        for key in gone {
            if let Some((namespace, name)) = key.split_once('/') {
                absent(api(namespace).delete(name, &DeleteParams::default()).await.map(drop))?;
            }
            self.written.remove(&key);
        }
        self.swept = true;
        Ok(())
    }

    async fn config_maps(&mut self, groups: &BTreeMap<&SloName, &Group>) -> Result<(), PublishError> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), SYSTEM_NAMESPACE);
        let pieces = pieces(groups)?;
        for (number, piece) in pieces.iter().enumerate() {
            let name = config_map_name(number);
            let object = piece.config_map(SYSTEM_NAMESPACE, &name, to_yaml);
            let digest = sha256(object.to_string().as_bytes());
            if self.written.get(&name) != Some(&digest) {
                api.patch(&name, &PatchParams::apply(SLO_MANAGER).force(), &Patch::Apply(&object)).await?;
                self.written.insert(name, digest);
            }
        }
        let over = (pieces.len()..MOST_PIECES).map(config_map_name);
        for name in over.filter(|name| !self.swept || self.written.contains_key(name)).collect::<Vec<_>>() {
            absent(api.delete(&name, &DeleteParams::default()).await.map(drop))?;
            self.written.remove(&name);
        }
        self.swept = true;
        Ok(())
    }

    /// Beside their place first, then renamed: Prometheus never reads half of a file.
    fn files(&mut self, directory: &Path, groups: &BTreeMap<&SloName, &Group>) -> Result<(), PublishError> {
        let mut kept = BTreeSet::new();
        for (number, piece) in pieces(groups)?.iter().enumerate() {
            let name = format!("{FILE_PREFIX}{number}.yaml");
            let text = to_yaml(&piece.file());
            let digest = sha256(text.as_bytes());
            let path = directory.join(&name);
            if self.written.get(&name) != Some(&digest) || !path.exists() {
                let part = directory.join(format!(".{name}.part"));
                let write = std::fs::write(&part, &text).and_then(|()| std::fs::rename(&part, &path));
                write.map_err(|source| PublishError::File { path, source })?;
                self.written.insert(name.clone(), digest);
            }
            kept.insert(name);
        }
        let failed = |source| PublishError::File { path: directory.to_owned(), source };
        for file in std::fs::read_dir(directory).map_err(failed)? {
            let file = file.map_err(failed)?;
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with(FILE_PREFIX) && !kept.contains(&name) {
                std::fs::remove_file(file.path()).map_err(failed)?;
                self.written.remove(&name);
            }
        }
        Ok(())
    }
}

/// Name of the ConfigMap with this piece of the rules.
#[must_use]
pub fn config_map_name(number: usize) -> String {
    format!("{SLO_RULES_CONFIG_MAP}-{number}")
}

fn pieces<'a>(groups: &BTreeMap<&SloName, &'a Group>) -> Result<Vec<Packed<'a>>, PublishError> {
    let pieces = pack(groups.values().copied());
    if pieces.len() > MOST_PIECES {
        return Err(PublishError::TooMany(pieces.len()));
    }
    if let Some(large) = pieces.iter().map(|piece| piece.bytes()).max().filter(|bytes| *bytes >= WARN_BYTES) {
        tracing::debug!(bytes = large, "a piece of the rules is more than half full");
    }
    Ok(pieces)
}

/// What is not there need not be taken away.
fn absent(result: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}
