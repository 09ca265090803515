//! Signals: the rows of the routing table (section 4 of the constitution). A closed list: a signal that this version has no door
//! for can stand in a charter, but nothing can be sent as one.

use std::fmt;

/// What is sent from one organ to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// A signed, versioned document; its door is the kind Manifest.
    PolicyManifest,
    /// A release of schemas; no door yet.
    SchemaDeploy,
    /// Telemetry; no door yet.
    TelemetryStream,
    /// An alert or incident; its door is the action AcknowledgeIncident.
    AlertIncident,
    /// A command to operations; its door is the kind ControlCommand.
    ControlCommand,
    /// A request for an extension; no door yet.
    ExtensionRequest,
    /// A file from outside; no door yet.
    FileIngest,
    /// An entry of the ledger; its door is everything that is signed and recorded.
    AuditEntry,
}

impl Signal {
    /// Every row.
    pub const ALL: [Self; 8] = [
        Self::PolicyManifest,
        Self::SchemaDeploy,
        Self::TelemetryStream,
        Self::AlertIncident,
        Self::ControlCommand,
        Self::ExtensionRequest,
        Self::FileIngest,
        Self::AuditEntry,
    ];
    /// The rows that have a door; a charter without one of them shuts that door.
    pub const WITH_DOOR: [Self; 4] =
        [Self::PolicyManifest, Self::AlertIncident, Self::ControlCommand, Self::AuditEntry];
    /// The words, for messages.
    pub(super) const CHOICES: &'static str = "PolicyManifest, SchemaDeploy, TelemetryStream, AlertIncident, \
         ControlCommand, ExtensionRequest, FileIngest, AuditEntry";

    /// The word in the charter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PolicyManifest => "PolicyManifest",
            Self::SchemaDeploy => "SchemaDeploy",
            Self::TelemetryStream => "TelemetryStream",
            Self::AlertIncident => "AlertIncident",
            Self::ControlCommand => "ControlCommand",
            Self::ExtensionRequest => "ExtensionRequest",
            Self::FileIngest => "FileIngest",
            Self::AuditEntry => "AuditEntry",
        }
    }

    /// The signal with this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_reads_back_and_stands_in_the_message() {
        for signal in Signal::ALL {
            assert_eq!(Signal::parse(signal.as_str()), Some(signal));
        }
        assert_eq!(Signal::CHOICES.split(", ").collect::<Vec<_>>(), Signal::ALL.map(Signal::as_str));
    }
}
