//! Every name that Miax gives to something in a cluster: one place, so that code, chart and documents can be compared.

use crate::units::Digest;

/// Namespace of the operator and of governance commands.
pub const SYSTEM_NAMESPACE: &str = "miax-system";
/// Namespace of the ledger blocks, used by nothing else.
pub const LEDGER_NAMESPACE: &str = "miax-ledger";

/// Service account of the admission webhook.
pub const WEBHOOK_ACCOUNT: &str = "miax-webhook";
/// Service account of the controllers.
pub const CONTROLLER_ACCOUNT: &str = "miax-controller";
/// Prefix of the service accounts that the executor impersonates: `seat-sre` acts for the organ SRE.
pub const SEAT_ACCOUNT_PREFIX: &str = "seat-";

/// The `ValidatingWebhookConfiguration` of the governed kinds.
pub const GOVERNED_WEBHOOK: &str = "miax-governed";
/// The webhook inside of it.
pub const GOVERNED_WEBHOOK_NAME: &str = "governed.miax.dev";
/// The guard of the ledger's blocks: a ValidatingAdmissionPolicy and its binding.
pub const LEDGER_GUARD: &str = "miax-ledger";
/// The guard of the status of our objects.
pub const STATUS_GUARD: &str = "miax-status";
/// The guard of the webhook configuration, the kinds and the namespaces.
pub const INSTALLATION_GUARD: &str = "miax-installation";
/// The guard of the guards; only an API server that loads it from a file asks it.
pub const GUARDS_GUARD: &str = "miax-guards";
/// The `ValidatingWebhookConfiguration` of gated workloads.
pub const GATED_WEBHOOK: &str = "miax-gated";
/// The webhook inside of it.
pub const GATED_WEBHOOK_NAME: &str = "gated.miax.dev";
/// Path that the API server posts reviews of gated workloads to.
pub const GATED_PATH: &str = "/gated";
/// Label by which a namespace opts in to the gate, and its value.
pub const GATE_LABEL: &str = "miax.dev/gate";
/// The value.
pub const GATE_ENABLED: &str = "enabled";
/// The guard of that label.
pub const GATE_GUARD: &str = "miax-gate";
/// Path that the API server posts reviews of governed kinds to.
pub const GOVERNED_PATH: &str = "/governed";
/// The service in front of the webhook replicas.
pub const WEBHOOK_SERVICE: &str = "miax-webhook";

/// Secret with the webhook's certificate authority.
pub const CA_SECRET: &str = "miax-webhook-ca";
/// Secret with the ledger's log key.
pub const LOG_KEY_SECRET: &str = "miax-ledger-key";
/// ConfigMap with the newest checkpoint and the log's public key.
pub const CHECKPOINT_CONFIG_MAP: &str = "miax-checkpoint";
/// ConfigMaps with the rules of objectives begin with this.
pub const SLO_RULES_CONFIG_MAP: &str = "miax-slo-rules";
/// Lease of the controllers' leader.
pub const CONTROLLER_LEASE: &str = "miax-controller";
/// Lease of the webhook that appends for all replicas.
pub const SEQUENCER_LEASE: &str = "miax-sequencer";
/// Annotation on that Lease: where its holder takes proposals, as IP address and port.
pub const SEQUENCER_ADDRESS_ANNOTATION: &str = "miax.dev/sequencer-address";

/// Label on every ledger object.
pub const LEDGER_LABEL: &str = "miax.dev/ledger";
/// Annotation on a pod template: the digest of the command that restarted it. Also tells an executor after a crash that
/// the restart happened.
pub const RESTARTED_BY_ANNOTATION: &str = "miax.dev/restarted-by";

/// Annotation on a workload: the digest of the command that changed its pod template. Tells an executor after a crash that
/// the change happened.
pub const CHANGED_BY_ANNOTATION: &str = "miax.dev/changed-by";

/// Field manager of the status that the Manifest controller writes.
pub const MANIFEST_MANAGER: &str = "miax-manifest-controller";
/// Field manager of the status that the ControlCommand controller writes.
pub const COMMAND_MANAGER: &str = "miax-command-controller";
/// Field manager of the status that the SLO controller writes.
pub const SLO_MANAGER: &str = "miax-slo-controller";
/// Field manager of the changes that the executor makes.
pub const EXECUTOR_MANAGER: &str = "miax-executor";
/// Field manager of the webhook's `caBundle`.
pub const CERTS_MANAGER: &str = "miax-certs";

/// Namespace of an SSHSIG signature made for Miax; a signature for another purpose never counts.
pub const SSHSIG_NAMESPACE: &str = "miax.dev";

/// Field manager of the signatures that a principal adds to a stored object; each signer owns their own.
#[must_use]
pub fn signer_manager(principal: &str) -> String {
    format!("miax-{principal}")
}

/// Name of the NetworkPolicy that a command isolates a workload with.
#[must_use]
pub fn isolation_policy(command: &Digest) -> String {
    let hex = command.hex();
    format!("miax-isolate-{}", hex.get(..16).unwrap_or_default())
}

/// The user that the API server knows as the service account that acts for an organ.
#[must_use]
pub fn executor_account(organ: &str) -> String {
    format!("system:serviceaccount:{SYSTEM_NAMESPACE}:{}", seat_account(organ))
}

/// The service account that acts for an organ: lower case, with the prefix.
#[must_use]
pub fn seat_account(organ: &str) -> String {
    format!("{SEAT_ACCOUNT_PREFIX}{}", organ.to_ascii_lowercase())
}
