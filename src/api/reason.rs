//! Reasons: one closed list. The same word stands in the denial, the condition, the Event, the metric label, the ledger
//! entry, the documents and the tests.

use serde::{Deserialize, Serialize};

/// What a reason says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonClass {
    /// The request is fine; HTTP 200.
    Allowed,
    /// A rule of the constitution refuses it; HTTP 403.
    Refused,
    /// The object is not a document that can be judged; HTTP 422.
    Malformed,
    /// Miax cannot judge now; HTTP 500. Still a refusal, never an allow.
    Unable,
}

impl ReasonClass {
    /// HTTP status code of the answer to the API server.
    #[must_use]
    pub fn http_code(self) -> u16 {
        match self {
            Self::Allowed => 200,
            Self::Refused => 403,
            Self::Malformed => 422,
            Self::Unable => 500,
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $class:ident,)*) => {
        /// Why, in one word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Reason {
            /// Every reason, in the order of the reference page.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word itself.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What it says about a request.
            #[must_use]
            pub fn class(self) -> ReasonClass {
                match self { $(Self::$name => ReasonClass::$class,)* }
            }

            /// What it means, for the reference page and `miax explain`.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)* }
            }
        }
    };
}

reasons! {
    // Allowed
    /// Every rule that matches is satisfied: all seats are filled by different people.
    QuorumComplete: Allowed,
    /// The command is stored without effect until the people who are missing have signed it in the cluster.
    Held: Allowed,
    /// Nothing stands against the change of a workload; not recorded.
    Passed: Allowed,
    /// Nothing that is signed changed; not recorded again.
    Unchanged: Allowed,
    /// The object may be deleted; what happened stays in the ledger.
    DeletionAllowed: Allowed,
    /// The charter is in force.
    Adopted: Allowed,
    /// A later version of the charter is in force; this one is history.
    Superseded: Allowed,
    /// The approved action was carried out.
    EffectDone: Allowed,
    /// The approved action is being carried out.
    EffectRunning: Allowed,
    /// The command left something to be done (a post-mortem, an acknowledgement), and there is time for it.
    ObligationDue: Allowed,
    /// What the command left to be done is done.
    ObligationMet: Allowed,
    /// The ledger was broken, and every byte of it is there again; what was wrong stands in the entry `recover`.
    LedgerWhole: Allowed,
    /// The pod template ran on this workload while the error budget was not spent; back to it is always allowed.
    RolledBack: Allowed,
    /// A mitigation plan covers this change of a workload whose error budget is spent.
    PlanUsed: Allowed,
    /// Something is left of the error budget.
    BudgetMet: Allowed,
    /// Enough of the window is known to tell how much budget is left.
    DataAvailable: Allowed,
    /// Prometheus runs exactly the rules of this version, and did so of late.
    RulesLoaded: Allowed,
    /// Every rule that matches decides, and what was decided is enforced.
    Enforced: Allowed,

    // Refused: signatures and people
    /// The object carries no signature at all.
    Unsigned: Refused,
    /// No principal signed as the author.
    AuthorMissing: Refused,
    /// More than one principal signed as the author.
    AuthorNotUnique: Refused,
    /// The author signed for an organ that may not originate this.
    AuthorNotEligible: Refused,
    /// The author also approved; nobody approves what they wrote.
    AuthorApproves: Refused,
    /// One principal signed the same thing twice or for two seats; one person fills one seat.
    DuplicatePrincipal: Refused,
    /// A signer does not hold the seat that the signature names.
    SeatNotHeld: Refused,
    /// Seats are still empty; the message names who may fill them and the next command.
    SeatsMissing: Refused,
    /// A floor of the charter asks for more different persons than have signed, whatever the rules say.
    FloorNotMet: Refused,
    /// A holder of a required seat objects, and has not withdrawn.
    ObjectionPresent: Refused,
    /// A signature names a principal that the charter does not know.
    PrincipalUnknown: Refused,
    /// A signature was made with a key that the charter does not know.
    KeyUnknown: Refused,
    /// A signature was made with a key of another principal.
    KeyOfAnotherPrincipal: Refused,
    /// A signature does not verify over this object; it may have changed after it was signed.
    SignatureInvalid: Refused,
    /// A signature was made with a key that is revoked, or a charter lists such a key.
    KeyRevoked: Refused,
    /// A signature was made with a key whose time, by the charter, is over.
    KeyExpired: Refused,
    /// An SSH signature was made for another purpose than `miax.dev`.
    SignatureNamespaceWrong: Refused,
    /// A hardware key signed without a touch.
    PresenceMissing: Refused,
    /// A signature was made after the object expires, or later than the clock's tolerance allows.
    SignedAtImplausible: Refused,

    // Refused: time, place, version
    /// No cluster name in the audience is this cluster.
    AudienceForeign: Refused,
    /// The document has expired.
    Expired: Refused,
    /// The document is not valid yet.
    NotYetValid: Refused,
    /// The document is valid for longer than its rule allows.
    ValidityTooLong: Refused,
    /// The version is not the next one.
    VersionNotNext: Refused,
    /// The version exists with other content.
    VersionReused: Refused,
    /// The command was used already; a command works once.
    CommandConsumed: Refused,
    /// The command was vetoed by a higher organ.
    Vetoed: Refused,
    /// What the command asks for is so already, or can no longer be done.
    NothingToDo: Refused,
    /// The signed part of a stored object cannot change.
    SpecImmutable: Refused,
    /// A signature of a stored object was changed or removed.
    SignatureRemoved: Refused,

    // Refused: charter and rules
    /// No charter is in force yet; only the one with the genesis digest can be submitted.
    NoCharter: Refused,
    /// The first charter does not have the digest that the operator was started with.
    GenesisMismatch: Refused,
    /// The charter has findings that nobody waived.
    CharterLint: Refused,
    /// The charter in force ends soon; its next version must be adopted before.
    CharterExpiring: Refused,
    /// The charter in force has expired.
    CharterExpired: Refused,
    /// The charter in force cannot be deleted.
    CharterInForce: Refused,
    /// No rule of the charter covers this; what no rule covers is refused.
    NoRuleMatches: Refused,
    /// An emergency charter was not ratified in time; the one before it is in force again.
    CharterLapsed: Refused,
    /// An emergency charter is in force; before another charter it must be ratified or lapse.
    RatificationPending: Refused,
    /// A veto comes from an organ that does not rank above the command's author.
    RankTooLow: Refused,
    /// Somebody who signed a command reviews it.
    ReviewerInvolved: Refused,
    /// Something that is owed is overdue (a post-mortem, the acknowledgement of an override, the ratification of an
    /// emergency charter); until then its rule allows nothing more.
    ObligationOverdue: Refused,
    /// The routing table does not let this organ send this signal, or nobody who receives it has signed.
    RouteForbidden: Refused,
    /// The namespace is frozen: no pod template in it changes but by commands.
    NamespaceFrozen: Refused,
    /// The error budget of an objective is spent: the pod templates that it binds change only back to what ran well, or by a plan.
    BudgetExhausted: Refused,
    /// Nobody can tell how much of the error budget is left: no data, too little of it, too old, or a Prometheus that does not run the
    /// rules. It counts as spent unless the objective says otherwise.
    BudgetUnknown: Refused,
    /// What Prometheus recorded is missing, too little, too old, or no count of events; the message says which.
    DataMissing: Refused,
    /// Prometheus does not run exactly the rules of this version, or they fail; without them nothing is observed.
    RulesNotLoaded: Refused,
    /// No such objective holds, or another version of it does.
    ObjectiveUnknown: Refused,
    /// A rule that matches is in the mode Warn or Observe: it only tells what it would refuse.
    RuleNotEnforced: Refused,
    /// The namespace has not opted in to the gate, so that its freeze stops nothing.
    GateNotEnabled: Refused,
    /// The document stands under another organ's authority than its rule demands.
    AuthorityWrong: Refused,

    // Refused: target
    /// The target does not exist.
    TargetMissing: Refused,
    /// A command acts in its own namespace only.
    TargetInOtherNamespace: Refused,
    /// The target is no longer in the state that the command was made for.
    PreconditionFailed: Refused,
    /// The action does not exist for this kind of target.
    ActionNotForKind: Refused,
    /// Objects of Kubernetes itself and of Miax are out of reach of commands.
    TargetProtected: Refused,
    /// Kubernetes refused the action or it failed; the message tells why.
    EffectFailed: Refused,
    /// It cannot be told whether the action happened before a crash; it is not tried again.
    EffectUnknown: Refused,

    // Malformed
    /// The object is not of a kind and version that Miax knows.
    KindUnknown: Malformed,
    /// A field is missing or has the wrong type.
    FieldInvalid: Malformed,
    /// A field is not part of the schema; nothing is ever pruned from a signed object.
    FieldUnknown: Malformed,
    /// The same key stands twice in one object.
    DuplicateKey: Malformed,
    /// A number has a fraction or an exponent; signed documents hold integers.
    FloatFound: Malformed,
    /// The audience is empty.
    AudienceMissing: Malformed,
    /// The action is not one of the known ones, or not exactly one is set.
    ActionUnknown: Malformed,
    /// The number of replicas is negative or too large.
    ReplicasInvalid: Malformed,
    /// A signature is not valid base64 or not a signature.
    SignatureMalformed: Malformed,
    /// The object is larger than a signed document may be.
    TooLarge: Malformed,
    /// The object is nested deeper than a signed document may be.
    TooDeep: Malformed,
    /// The name is not `<id>-v<version>`, or `generateName` was used.
    NameInvalid: Malformed,
    /// The admission review itself cannot be read.
    ReviewInvalid: Malformed,

    // Unable
    /// The ledger could not be written in time; without an entry nothing is allowed.
    LedgerUnavailable: Unable,
    /// The ledger was deleted from or changed; nothing is allowed until it is whole again.
    LedgerBroken: Unable,
    /// Too few witnesses vouch for the ledger, for longer than the policy allows; it is allowed again when they answer.
    Unwitnessed: Unable,
    /// The ledger in the cluster has no room for another entry of this kind; the message names the limit.
    LedgerFull: Unable,
    /// The operator's view of the cluster is too old or not complete yet.
    FactsStale: Unable,
    /// The clock of this replica is behind the newest entry of the ledger; what has expired must not come back to life.
    ClockBehind: Unable,
    /// Prometheus does not answer, or not in a way that can be believed.
    PrometheusUnavailable: Unable,
    /// More requests are waiting than can be answered in time.
    Overloaded: Unable,
    /// A rule could not be evaluated; a rule that fails refuses.
    RuleFailed: Unable,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_pascal_case_and_has_a_meaning() {
        for reason in Reason::ALL {
            let word = reason.as_str();
            assert!(
                word.starts_with(|c: char| c.is_ascii_uppercase()) && word.bytes().all(|c| c.is_ascii_alphabetic())
            );
            assert!(reason.meaning().ends_with('.'), "{word}: {}", reason.meaning());
        }
    }
}
