//! Keeps the webhook's certificates: the controller makes and rotates the authority and tells the API server; each webhook
//! reads it again from time to time and signs its own leaf.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::admission::{Authority, AuthorityError, AuthorityStep, Leaf, Server};
use crate::api::names::{
    CA_SECRET, CERTS_MANAGER, GATED_WEBHOOK, GATED_WEBHOOK_NAME, GOVERNED_WEBHOOK, GOVERNED_WEBHOOK_NAME,
    SYSTEM_NAMESPACE,
};
use crate::store::Clock;
use crate::telemetry::Metrics;
use crate::units::UnixSeconds;

/// How often the authority is looked at.
const PERIOD: Duration = Duration::from_secs(30);
/// How often a webhook looks whether the controller has made the authority.
const LOOK: Duration = Duration::from_millis(500);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The authority cannot be made or read.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Kubernetes did not answer or refused.
    #[error("{0}")]
    Kube(#[from] kube::Error),
}

/// Makes the authority, rotates it, and keeps the API server's `caBundle`, for ever. For the leading controller.
pub(super) async fn keep_authority(client: Client, clock: Clock) {
    loop {
        if let Err(error) = keep_once(&client, clock().into()).await {
            tracing::warn!(%error, "the webhook's certificate authority cannot be kept");
            tokio::time::sleep(LOOK).await;
            continue;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn keep_once(client: &Client, now: UnixSeconds) -> Result<(), CertificateError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let authority = match secrets.get_opt(CA_SECRET).await? {
        None => {
            let authority = Authority::make(now)?;
            let mut secret = Secret::default();
            secret.metadata.name = Some(CA_SECRET.to_owned());
            secret.data = Some(authority.data());
            secrets.create(&PostParams::default(), &secret).await?;
            authority
        }
        Some(mut secret) => {
            let authority = Authority::read(&secret.data.clone().unwrap_or_default())?;
            match authority.plan(now)? {
                AuthorityStep::Keep => authority,
                AuthorityStep::Store(next) => {
                    secret.data = Some(next.data());
                    // With the resourceVersion that was read: a second controller loses and looks again.
                    secrets.replace(CA_SECRET, &PostParams::default(), &secret).await?;
                    tracing::info!("the webhook's certificate authority was rotated");
                    *next
                }
            }
        }
    };
    publish(client, &authority.bundle()).await
}

/// Owns `caBundle` of both configurations by server-side apply, and nothing else of them.
async fn publish(client: &Client, bundle: &str) -> Result<(), CertificateError> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    for (configuration, webhook) in [(GOVERNED_WEBHOOK, GOVERNED_WEBHOOK_NAME), (GATED_WEBHOOK, GATED_WEBHOOK_NAME)] {
        let Some(present) = api.get_opt(configuration).await? else {
            tracing::warn!(configuration, "the webhook configuration is missing; install the chart again");
            continue;
        };
        let present = present.webhooks.iter().flatten().find(|w| w.name == webhook);
        if present.and_then(|w| w.client_config.ca_bundle.as_ref()).is_some_and(|b| b.0 == bundle.as_bytes()) {
            continue;
        }
        let patch = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": configuration},
            "webhooks": [{"name": webhook, "clientConfig": {"caBundle": STANDARD.encode(bundle)}}],
        });
        api.patch(configuration, &PatchParams::apply(CERTS_MANAGER).force(), &Patch::Apply(&patch)).await?;
    }
    Ok(())
}

/// The authority, when there is one.
pub(super) async fn read(client: &Client) -> Result<Option<Authority>, CertificateError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let secret = secrets.get_opt(CA_SECRET).await?;
    Ok(secret.map(|s| Authority::read(&s.data.unwrap_or_default())).transpose()?)
}

/// Waits for the authority and signs the first leaf. For webhooks.
pub(super) async fn first_leaf(client: &Client, names: &[String], clock: &Clock) -> Result<Leaf, CertificateError> {
    loop {
        if let Some(authority) = read(client).await? {
            return Ok(authority.sign_leaf(names, clock().into())?);
        }
        tracing::info!("waiting for a controller to make the certificate authority");
        tokio::time::sleep(LOOK).await;
    }
}

/// Serves a new leaf in time, for ever. `ends` always tells when the one that is served ends.
pub(super) async fn keep_leaf(
    client: Client,
    names: Vec<String>,
    clock: Clock,
    mut leaf: Leaf,
    server: Arc<Server>,
    metrics: Arc<Metrics>,
    ends: tokio::sync::watch::Sender<UnixSeconds>,
) {
    loop {
        metrics.certificate_ends(leaf.ends);
        ends.send_replace(leaf.ends);
        tokio::time::sleep(PERIOD).await;
        let now = clock().into();
        let next = match read(&client).await {
            Ok(Some(authority)) if authority.replaces(&leaf, now) => authority.sign_leaf(&names, now),
            Ok(Some(_) | None) => continue,
            Err(error) => {
                tracing::warn!(%error, "the certificate authority cannot be read");
                continue;
            }
        };
        match next {
            Ok(next) => {
                server.replace(&next);
                leaf = next;
                tracing::info!(ends = %leaf.ends, "the webhook serves a new certificate");
            }
            Err(error) => tracing::error!(%error, "no new certificate can be signed"),
        }
    }
}
