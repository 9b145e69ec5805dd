//! The section of the configuration that turns on mode `levelled`.

use anyhow::Context as _;
use protocol::id::QueryId;
use protocol::levelled::function::{Function, Subject};
use protocol::levelled::plan::{Plan, Profile};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::sink::levelled::LevelledPace;

/// Mode `levelled`: its pace, which keys to plan, what to ask.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LevelledConfig {
    /// Milliseconds until a message that waits for answers is sent again.
    pub resend_ms: u64,
    /// Milliseconds between repeats at most; they double.
    pub resend_last_ms: u64,
    /// Milliseconds to wait for aggregators that have not answered, once a quorum has.
    pub settle_ms: u64,
    /// Milliseconds to wait for an active set; then another one is asked.
    pub patience_ms: u64,
    /// Whether several active sets open each result, so that one aggregator's wrong decryption is noticed.
    pub confirm: bool,
    /// Collective keys to plan, once each.
    #[serde(rename = "key", skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyConfig>,
    /// What to ask, once each.
    #[serde(rename = "question", skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<QuestionConfig>,
}

/// A collective key; its name is remembered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Its name, unique in the file.
    pub name: String,
    /// `light`, `medium`, `strong` or `largest`.
    pub profile: String,
    /// The most energy that a slot counts as, in watt-hours.
    #[serde(default = "full_scale")]
    pub full_scale_wh: u32,
    /// Slots a window.
    pub window_slots: u16,
    /// The fewest members of a set; the roster's k holds too.
    #[serde(default = "least")]
    pub k: u16,
    /// `log2` of how many results an aggregator opens under the key.
    #[serde(default = "log_openings")]
    pub log_openings: u8,
    /// Bits of statistical security of the smudging.
    #[serde(default = "smudging_bits")]
    pub smudging_bits: u8,
}

fn full_scale() -> u32 {
    8_192
}

fn least() -> u16 {
    15
}

fn log_openings() -> u8 {
    10
}

fn smudging_bits() -> u8 {
    40
}

/// A function to ask for, once: its name is remembered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionConfig {
    /// Its name, unique in the file.
    pub name: String,
    /// The key's name.
    pub key: String,
    /// `sum`, `mean`, `variance`, `time-variance`, `max`, `min`, `weighted` or `forecast`.
    pub function: String,
    /// One weight a slot of the window, for `weighted` (prices) and `forecast` (in units of 2^-16).
    #[serde(default)]
    pub weights: Vec<i64>,
    /// How many members of each subject to wait for: a set is fixed for ever, and who is late is in none. The roster's and the
    /// key's k hold too.
    #[serde(default)]
    pub members: u32,
    /// One (group, window), or two for `max` and `min`.
    pub subjects: Vec<SubjectConfig>,
}

/// A group in a window.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectConfig {
    /// The group.
    pub group: String,
    /// The window: its first slot divided by the slots of a window.
    pub window: u32,
}

impl Default for LevelledConfig {
    fn default() -> Self {
        let LevelledPace { resend, resend_last, settle, patience, confirm } = LevelledPace::default();
        Self {
            resend_ms: resend,
            resend_last_ms: resend_last,
            settle_ms: settle,
            patience_ms: patience,
            confirm,
            keys: Vec::new(),
            questions: Vec::new(),
        }
    }
}

impl LevelledConfig {
    /// The role's pace.
    pub fn to_pace(&self) -> LevelledPace {
        LevelledPace {
            resend: self.resend_ms,
            settle: self.settle_ms,
            patience: self.patience_ms,
            resend_last: self.resend_last_ms,
            confirm: self.confirm,
        }
    }

    /// The key that a question names.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub fn key_of(&self, question: &QuestionConfig) -> anyhow::Result<&KeyConfig> {
        let QuestionConfig { name, key: wanted, .. } = question;
        let known = || self.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ");
        self.keys.iter().find(|key| key.name == *wanted).with_context(|| {
            format!("question `{name}` names key `{wanted}`; the [[levelled.key]]s are: {}", known())
        })
    }
}

impl KeyConfig {
    /// A key of a profile for windows of so many slots, with the usual numbers.
    pub fn of_days(name: &str, profile: &str, window_slots: u16, k: u16) -> Self {
        Self {
            name: name.to_owned(),
            profile: profile.to_owned(),
            full_scale_wh: full_scale(),
            window_slots,
            k,
            log_openings: log_openings(),
            smudging_bits: smudging_bits(),
        }
    }

    /// The plan, with a fresh nonce.
    ///
    /// # Errors
    ///
    /// For a profile that there is not.
    pub fn plan<R: CryptoRng>(&self, rng: &mut R) -> anyhow::Result<Plan> {
        let profile = Profile::ALL.into_iter().find(|profile| profile.name() == self.profile);
        let profile = profile.with_context(|| {
            let (name, found) = (&self.name, &self.profile);
            format!("key `{name}` has profile `{found}`; there are light, medium, strong and largest")
        })?;
        Ok(Plan {
            nonce: QueryId::random(rng),
            profile,
            full_scale: self.full_scale_wh,
            window: self.window_slots,
            k: self.k,
            log_openings: self.log_openings,
            smudging_bits: self.smudging_bits,
        })
    }
}

impl QuestionConfig {
    /// The function.
    ///
    /// # Errors
    ///
    /// For one that there is not, or a weight out of range.
    pub fn function(&self) -> anyhow::Result<Function> {
        let name = &self.name;
        let range = || format!("question `{name}` has a weight out of range");
        Ok(match self.function.as_str() {
            "sum" => Function::Sum,
            "mean" => Function::Mean,
            "variance" => Function::Variance,
            "time-variance" => Function::TimeVariance,
            "max" => Function::Max,
            "min" => Function::Min,
            "weighted" => {
                let weights = self.weights.iter().map(|weight| u32::try_from(*weight));
                Function::Weighted(weights.collect::<Result<_, _>>().with_context(range)?)
            }
            "forecast" => {
                let weights = self.weights.iter().map(|weight| i32::try_from(*weight));
                Function::Forecast(weights.collect::<Result<_, _>>().with_context(range)?)
            }
            other => anyhow::bail!(
                "question `{name}` asks for `{other}`; there are sum, mean, variance, time-variance, max, min, \
                 weighted and forecast"
            ),
        })
    }

    /// What it is asked of.
    ///
    /// # Errors
    ///
    /// For a group's name that is none.
    pub fn subjects(&self) -> anyhow::Result<Vec<Subject>> {
        let subject =
            |subject: &SubjectConfig| Ok(Subject { group: subject.group.parse()?, window: subject.window });
        self.subjects.iter().map(subject).collect()
    }
}
