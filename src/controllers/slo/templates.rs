//! Which pod template every workload runs, by its digest: what may be gone back to is measured against this.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};

use crate::api::GatedKind;
use crate::trust::{canonical_json, sha256};
use crate::units::Digest;

/// First pause before an interrupted watch is begun anew; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Kinds whose pods are replaced when their template changes: only these can go back to one.
const KINDS: [GatedKind; 3] = [GatedKind::Deployment, GatedKind::StatefulSet, GatedKind::DaemonSet];

/// The templates of one namespace, by kind and name.
pub(super) type OfNamespace = BTreeMap<(GatedKind, String), Digest>;

/// The templates of all workloads that keep running.
#[derive(Clone, Default)]
pub(super) struct Templates(Arc<RwLock<HashMap<String, OfNamespace>>>);

impl Templates {
    /// Starts the watches.
    pub(super) fn start(client: &Client) -> Self {
        let templates = Self::default();
        for kind in KINDS {
            tokio::spawn(keep(client.clone(), kind, templates.clone()));
        }
        templates
    }

    /// What runs in a namespace.
    pub(super) fn of(&self, namespace: &str) -> OfNamespace {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(namespace).cloned().unwrap_or_default()
    }

    fn put(&self, kind: GatedKind, object: &DynamicObject) {
        let (Some(namespace), Some(name)) = (&object.metadata.namespace, &object.metadata.name) else { return };
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let names = all.entry(namespace.clone()).or_default();
        match digest(object) {
            Some(template) => names.insert((kind, name.clone()), template),
            None => names.remove(&(kind, name.clone())),
        };
    }

    fn forget(&self, kind: GatedKind, object: &DynamicObject) {
        let (Some(namespace), Some(name)) = (&object.metadata.namespace, &object.metadata.name) else { return };
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = all.get_mut(namespace) {
            names.remove(&(kind, name.clone()));
        }
    }

    fn forget_kind(&self, kind: GatedKind) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.values_mut().for_each(|names| names.retain(|(k, _), _| *k != kind));
    }
}

/// The digest that the gate computes of the same template. It is of the bytes as the API server writes them: our types would lose
/// what they do not know.
fn digest(object: &DynamicObject) -> Option<Digest> {
    let template = object.data.pointer("/spec/template")?;
    canonical_json(template).ok().map(|bytes| sha256(bytes.as_slice()))
}

async fn keep(client: Client, kind: GatedKind, templates: Templates) {
    let gvk = GroupVersionKind::gvk(kind.group(), "v1", kind.as_str());
    let resource = ApiResource::from_gvk(&gvk);
    let api = Api::<DynamicObject>::all_with(client, &resource);
    let mut pause = FIRST_PAUSE;
    loop {
        let mut events = watcher::watcher(api.clone(), watcher::Config::default()).boxed();
        let interrupted = loop {
            match events.next().await {
                Some(Ok(Event::Init)) => templates.forget_kind(kind),
                Some(Ok(Event::InitApply(object) | Event::Apply(object))) => templates.put(kind, &object),
                Some(Ok(Event::InitDone)) => pause = FIRST_PAUSE,
                Some(Ok(Event::Delete(object))) => templates.forget(kind, &object),
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        let error = interrupted.map(|e| e.to_string());
        tracing::warn!(kind = kind.as_str(), error, "the watch of a workload kind was interrupted");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
