//! What can be asked for, and of what.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{GroupId, Hash, MeterId};
use crate::signature::hash;
use crate::wire;

/// A function of the energies x_m\[t\] of a set's members m in a window's slots t.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Function {
    /// Σ_m x_m\[t\], for each slot.
    Sum,
    /// The mean over members, for each slot.
    Mean,
    /// The population variance over members, for each slot.
    Variance,
    /// The mean and the population variance over slots of the group's curve Σ_m x_m\[t\].
    TimeVariance,
    /// The larger of two groups' curves, or of one group's curves in two windows, for each slot.
    Max,
    /// The smaller.
    Min,
    /// Σ_t w_t·Σ_m x_m\[t\]: a tariff's revenue. Weights are prices.
    Weighted(Vec<u32>),
    /// The same with a public linear model of signed weights, in units of 2^-16.
    Forecast(Vec<i32>),
}

impl Function {
    /// Its name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Variance => "variance",
            Self::TimeVariance => "variance over time",
            Self::Max => "max",
            Self::Min => "min",
            Self::Weighted(_) => "weighted sum",
            Self::Forecast(_) => "forecast",
        }
    }

    /// How many subjects it is a function of.
    pub fn subjects(&self) -> usize {
        match self {
            Self::Max | Self::Min => 2,
            _ => 1,
        }
    }

    /// How many weights it has, if it has any.
    pub fn weights(&self) -> Option<usize> {
        match self {
            Self::Weighted(weights) => Some(weights.len()),
            Self::Forecast(weights) => Some(weights.len()),
            _ => None,
        }
    }
}

/// A group in a window.
#[derive(Clone, Debug, Deserialize_tuple, Eq, Ord, PartialEq, PartialOrd, Serialize_tuple)]
pub struct Subject {
    /// The group.
    pub group: GroupId,
    /// The window.
    pub window: u32,
}

/// A member of a set: a meter with the uploads that cover the window, in the order of their slots.
#[derive(Clone, Debug, Deserialize_tuple, Eq, Ord, PartialEq, PartialOrd, Serialize_tuple)]
pub struct Member {
    /// The meter.
    pub meter: MeterId,
    /// Its uploads, by hash.
    pub uploads: Vec<Hash>,
}

/// The hash that stands for a function of subjects in a ledger: each is released once.
pub fn release_hash(function: &Function, subjects: &[Subject]) -> Hash {
    hash("levelled", &[&wire::encode(&(function, subjects))])
}
