//! The section of the configuration that turns on mode `levelled`.

use anyhow::Context as _;
use protocol::id::QueryId;
use protocol::levelled::function::{Function, Subject};
use protocol::levelled::plan::{Plan, Profile};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::sink::levelled::LevelledPace;

/// Mode `levelled`: its pace, the keys to plan, the questions to ask.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LevelledConfig {
    /// Milliseconds until an unanswered message is sent again.
    #[serde(with = "runtime::millis")]
    pub resend: u64,
    /// The most milliseconds between repeats; the time doubles with each.
    #[serde(with = "runtime::millis")]
    pub resend_last: u64,
    /// Milliseconds to wait for aggregators that have not answered, once a quorum has.
    #[serde(with = "runtime::millis")]
    pub settle: u64,
    /// Milliseconds to wait for an active set; then another one is asked.
    #[serde(with = "runtime::millis")]
    pub patience: u64,
    /// Whether several active sets open each result, so that one aggregator's wrong decryption is noticed.
    pub confirm: bool,
    /// The collective keys to plan, each once.
    #[serde(rename = "key", skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyConfig>,
    /// The questions to ask, each once.
    #[serde(rename = "question", skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<QuestionConfig>,
}

/// A collective key. It is planned once, by its name.
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
    /// The slots of a window.
    pub window_slots: u16,
    /// The fewest members of a set. The roster's k applies too.
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

/// A question. It is asked once, by its name.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionConfig {
    /// Its name, unique in the file.
    pub name: String,
    /// The key's name.
    pub key: String,
    /// `sum`, `mean`, `variance`, `time-variance`, `max`, `min`, `weighted` or `forecast`.
    pub function: String,
    /// One weight for each slot of the window, for `weighted` (prices) and `forecast` (in units of 2^-16).
    #[serde(default)]
    pub weights: Vec<i64>,
    /// How many members of each subject to wait for. A late member is never added to a set. The roster's and the key's k apply
    /// too.
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
        Self { resend, resend_last, settle, patience, confirm, keys: Vec::new(), questions: Vec::new() }
    }
}

impl LevelledConfig {
    /// The role's pace.
    pub fn to_pace(&self) -> LevelledPace {
        LevelledPace {
            resend: self.resend,
            settle: self.settle,
            patience: self.patience,
            resend_last: self.resend_last,
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
            format!(
                "question `{name}`: expected the name of a [[levelled.key]], one of {}; found `{wanted}`",
                known()
            )
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
            format!("key `{name}`: expected profile light, medium, strong or largest; found `{found}`")
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
                "question `{name}`: expected function sum, mean, variance, time-variance, max, min, weighted or forecast; found \
                 `{other}`"
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
