//! What the API server's own admission reads from files at its start: how it proves itself to webhooks, and policies that
//! nobody can change by the API.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::certificates::write;
use crate::error::ClusterError;

const API: &str = "apiserver.config.k8s.io/v1";

/// The settings; without any the API server gets no such file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    /// Certificate and key that webhooks are called with.
    pub(crate) webhook_client: Option<(PathBuf, PathBuf)>,
    /// Policies and their bindings, as YAML.
    pub(crate) static_policies: Option<String>,
}

impl Admission {
    /// Writes the files into a directory; gives the arguments of the API server that name them.
    pub(crate) fn write(&self, directory: &Path) -> Result<Vec<String>, ClusterError> {
        let Self { webhook_client, static_policies } = self;
        let mut plugins = Vec::new();
        let mut arguments = Vec::new();
        if let Some((certificate, key)) = webhook_client {
            let path = directory.join("webhook-client.conf");
            let user = json!({"client-certificate": certificate, "client-key": key});
            // The name of a user is the host of a webhook; the star is every host.
            let config = json!({"apiVersion": "v1", "kind": "Config", "users": [{"name": "*", "user": user}]});
            write(&path, &config.to_string())?;
            let more = json!({"kubeConfigFile": path});
            plugins.push(plugin("ValidatingAdmissionWebhook", "WebhookAdmissionConfiguration", more));
        }
        if let Some(policies) = static_policies {
            let path = directory.join("policies");
            std::fs::create_dir(&path).map_err(ClusterError::io("no directory for static policies"))?;
            write(&path.join("policies.yaml"), policies)?;
            let more = json!({"staticManifestsDir": path});
            plugins.push(plugin("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyConfiguration", more));
            arguments.push("--feature-gates=ManifestBasedAdmissionControlConfig=true".to_owned());
        }
        if !plugins.is_empty() {
            let path = directory.join("admission.yaml");
            let text = json!({"apiVersion": API, "kind": "AdmissionConfiguration", "plugins": plugins}).to_string();
            write(&path, &text)?;
            arguments.push(format!("--admission-control-config-file={}", path.display()));
        }
        Ok(arguments)
    }
}

fn plugin(name: &str, kind: &str, mut configuration: Value) -> Value {
    if let Some(map) = configuration.as_object_mut() {
        map.insert("apiVersion".to_owned(), API.into());
        map.insert("kind".to_owned(), kind.into());
    }
    json!({"name": name, "configuration": configuration})
}
