//! The rules by which something is refused: one name each, for receipts, inventories, logs and people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines the rules: number on the wire, name for logs, sentence for people.
macro_rules! rules {
    ($($(#[doc = $doc:literal])* $rule:ident = $code:literal, $name:literal;)*) => {
        /// Why a message, a target or a release was refused.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "u8", into = "u8")]
        #[repr(u8)]
        pub enum Rule {
            $($(#[doc = $doc])* $rule = $code,)*
        }

        impl Rule {
            /// Every rule, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// Its name in logs, in kebab case.
            pub fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)* }
            }

            /// What it says, in a sentence for people.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$rule => concat!($($doc),*).trim_ascii(),)* }
            }
        }

        impl TryFrom<u8> for Rule {
            type Error = RuleError;

            fn try_from(code: u8) -> Result<Self, RuleError> {
                match code {
                    $($code => Ok(Self::$rule),)*
                    other => Err(RuleError(other)),
                }
            }
        }
    };
}

rules! {
    // intake
    /// The record's slots were released already, or lie beyond the late grace.
    Late = 1, "late";
    /// Another record of this meter covers these slots: two agents may run with its key, or one that was brought back from a copy.
    Equivocation = 2, "equivocation";
    /// The box does not open, or holds no shares of the stated length.
    BadShare = 3, "bad-share";
    /// No certificate by the registrar covers this meter now.
    UnknownMeter = 4, "unknown-meter";
    /// The record names another roster epoch than the one in force.
    RosterOld = 5, "roster-old";
    /// The record's slots lie in the future.
    TooEarly = 6, "too-early";
    /// The signature is not by the meter named.
    Forged = 7, "forged";
    /// The message is malformed.
    Malformed = 8, "malformed";
    /// The record is held already: a repeat is answered with a receipt and changes nothing.
    Replay = 9, "replay";
    /// The registrar revoked the meter, and the slots end after that.
    Revoked = 10, "revoked";
    /// The signature is not by the registrar.
    NotTheRegistrar = 11, "not-the-registrar";
    // queries
    /// The signature is not by the roster's utility.
    NotTheUtility = 20, "not-the-utility";
    /// The period is shorter than the policy's window, or too long, or its length is not whole days.
    Window = 21, "window";
    /// A tariff is not published and signed by the utility, or not valid for the whole period.
    TariffUnknown = 22, "tariff-unknown";
    /// More tariffs than functionals allowed for one period.
    Functionals = 23, "functionals";
    /// A cell, the slots that all tariffs price alike, is smaller than the policy's smallest cell.
    Cell = 24, "cell";
    /// The tariff is used for fewer meters than the policy wants.
    TariffMeters = 25, "tariff-meters";
    /// The group has fewer members than k.
    GroupSize = 26, "group-size";
    /// A meter's certificate names another group.
    ForeignGroup = 27, "foreign-group";
    /// A slot of this service point is in another release of the same kind.
    AlreadyReleased = 28, "already-released";
    /// The bill does not start where the meter's last bill ended.
    Continuity = 29, "continuity";
    /// No register anchors the start or the end of the window.
    Anchor = 30, "anchor";
    /// A target is named twice, or there are too many, or none.
    Targets = 31, "targets";
    /// Receipts do not prove that the meter of an excluded record dealt badly.
    Exclusion = 32, "exclusion";
    /// Bills of the group and its curve would give a part of one meter's use by subtraction.
    Differencing = 33, "differencing";
    // cuts
    /// The cut is not what a quorum of the cited inventories gives.
    CutNotDerived = 40, "cut-not-derived";
    /// A vote for another cut of this query was cast already.
    SplitView = 41, "split-view";
    /// The cut cites an inventory that has not arrived.
    InventoryMissing = 42, "inventory-missing";
    /// A peer holds a vote of ours that our ledger does not: we were restored from a backup.
    LedgerRollback = 43, "ledger-rollback";
    /// The query of this cut has not arrived, or was refused.
    QueryUnknown = 44, "query-unknown";
    /// The signature is not by the aggregator named.
    NotTheAggregator = 45, "not-the-aggregator";
    // grid path
    /// A load vector under other parameters, of another length, or for other slots than the roster's grid path has.
    LoadVector = 50, "load-vector";
    /// A key deal that is not of the roster's active sets, or one more than a meter may have.
    KeyDeal = 51, "key-deal";
    /// Another member set, or another window, than the group's other releases of this window have; or a member lacks a part.
    MemberSet = 52, "member-set";
    /// The roster has no grid path, or not this interval.
    Interval = 53, "interval";
    // mode `levelled`
    /// There is no such collective key, or it is not made yet.
    KeyUnknown = 60, "key-unknown";
    /// A contribution to a collective key is not what was committed to, or contradicts an earlier one.
    Making = 61, "making";
    /// The bytes are no fresh ciphertext of the key's parameters, level and scale.
    Ciphertext = 62, "ciphertext";
    /// The ciphertext came before, under another upload.
    Copied = 63, "copied";
    /// The key's parameters do not allow the function, or its weights or subjects are not as many as it takes.
    Function = 64, "function";
    /// The key has been used for as many openings as its smudging allows.
    Exhausted = 66, "exhausted";
    /// The aggregators asked are no active set, or no quorum voted for the cut.
    ActiveSet = 67, "active-set";
}

impl Rule {
    /// Whether time may heal it: what is refused by it now may be taken later as it is, once a document, a record or a release that
    /// is on its way has arrived.
    pub fn heals(self) -> bool {
        matches!(
            self,
            Self::UnknownMeter
                | Self::RosterOld
                | Self::TooEarly
                | Self::NotTheRegistrar
                | Self::NotTheUtility
                | Self::NotTheAggregator
                | Self::TariffUnknown
                | Self::Continuity
                | Self::InventoryMissing
                | Self::QueryUnknown
                | Self::MemberSet
                | Self::KeyUnknown
        )
    }
}

/// A number that names no rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} is not the number of a rule")]
pub struct RuleError(u8);

impl From<Rule> for u8 {
    fn from(rule: Rule) -> Self {
        rule as Self
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A refusal: the rule, and what was found, for the log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{rule}: {detail}")]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// What was found; never a reading or a share.
    pub detail: String,
}

impl Refusal {
    /// A refusal by `rule`.
    pub fn new(rule: Rule, detail: impl fmt::Display) -> Self {
        Self { rule, detail: detail.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers and names are unique, numbers round-trip, and every rule has its sentence.
    #[test]
    fn rules_have_one_number_and_one_name() {
        for (i, &rule) in Rule::ALL.iter().enumerate() {
            assert_eq!(Rule::try_from(u8::from(rule)), Ok(rule));
            assert!(Rule::ALL[..i].iter().all(|other| other.name() != rule.name()));
            assert!(rule.meaning().ends_with('.') && !rule.meaning().contains('['), "{rule}");
        }
        assert_eq!(Rule::try_from(0), Err(RuleError(0)));
    }
}
