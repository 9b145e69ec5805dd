//! Sources of readings: load data that is replayed, and meters that report live.

pub mod config;
pub mod csv;
mod file;
pub mod input;
pub mod lines;
mod live;
pub mod message;
mod replay;
mod series;
pub mod sml;
pub mod synthetic;
pub mod telegram;

pub use self::config::{Source, SourceConfig};
pub use self::live::{Live, SourceError, SourceResult};
pub use self::replay::{Base, Replay, ReplayError};
pub use self::series::Series;
