//! Durations in a configuration are text such as `"5s"`, `"250ms"` or `"1h"`; a role counts milliseconds.
//!
//! For fields: `#[serde(with = "runtime::millis")]`.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserializer, Serializer};

/// Writes milliseconds as text.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(millis: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    humantime_serde::serialize(&Duration::from_millis(*millis), serializer)
}

/// Reads text as milliseconds.
///
/// # Errors
///
/// Text that is not a duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let duration: Duration = humantime_serde::deserialize(deserializer)?;
    u64::try_from(duration.as_millis()).map_err(D::Error::custom)
}
