//! How much noise a result has, how much smudging hides it, and what can still be seen.
//!
//! The estimates follow the evaluator's circuits with values at their largest, since smudging has to hide the noise of
//! whatever was encrypted.

use ckks::{Noise, Scale, Smudging};
use protocol::levelled::function::{Function, Member};

use super::setup::Setup;

/// `log2` of the scale of weights.
pub(super) const WEIGHTS: i32 = 45;

/// By how many bits the noise of a comparison exceeds what rounding leaves, at most: measured, with one to spare.
const COMPARISON: u32 = 1;

/// How many members and ciphertexts a subject has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Extent {
    /// Members.
    pub members: usize,
    /// Ciphertexts of all members.
    pub uploads: usize,
    /// Ciphertexts of the member that has most.
    pub most: usize,
}

impl Extent {
    /// Of a set as it stands in a cut.
    pub fn of(set: &[Member]) -> Self {
        let mut extent = Self::default();
        for member in set {
            extent.add(member.uploads.len());
        }
        extent
    }

    /// One more member.
    pub fn add(&mut self, uploads: usize) {
        self.members += 1;
        self.uploads += uploads;
        self.most = self.most.max(uploads);
    }
}

/// `⌈log2⌉` of the largest set: by so many halvings sums are at most one.
pub(super) fn halvings(extents: &[Extent]) -> i32 {
    let most = extents.iter().map(|extent| extent.members).max().unwrap_or(1).max(1);
    most.next_power_of_two().ilog2().cast_signed()
}

/// The weights in units of the largest, and the largest; nothing for functions without.
pub(super) fn unit_weights(function: &Function) -> Option<(Vec<f64>, f64)> {
    let (weights, unit): (Vec<f64>, f64) = match function {
        Function::Weighted(weights) => (weights.iter().map(|w| f64::from(*w)).collect(), 1.0),
        Function::Forecast(weights) => (weights.iter().map(|w| f64::from(*w)).collect(), 2f64.powi(-16)),
        _ => return None,
    };
    let largest = weights.iter().fold(0.0, |most: f64, w| most.max(w.abs()));
    (largest > 0.0).then(|| (weights.iter().map(|w| w / largest).collect(), largest * unit))
}

/// The noise of a result leaves no room for smudging, or for anything to be seen behind it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "with so many members the smudging would leave nothing to see; take a larger profile or fewer openings"
)]
pub struct NoRoom;

/// One ciphertext of a result.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether only the mean over all slots is opened.
    pub over_slots: bool,
    /// What each member of an active set adds.
    pub smudging: Smudging,
    /// What one means, in the result's units.
    pub unit: f64,
    /// The standard deviation of what is decoded, before rounding, where one means one.
    deviation: f64,
    /// The ciphertext's noise.
    sigma: f64,
}

impl Output {
    /// The standard deviation of a coefficient's noise before smudging, at most.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// To how many bits after the point values are rounded: to four deviations or more.
    pub fn bits(&self) -> u32 {
        let bits = -(4.0 * self.deviation).log2();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 to 50")]
        let bits = bits.floor().clamp(0.0, 50.0) as u32;
        bits
    }

    /// The standard deviation of a value, in the result's units, rounding included.
    pub fn error(&self) -> f64 {
        let rounding = 2f64.powi(-self.bits().cast_signed()) / 12f64.sqrt();
        self.deviation.hypot(rounding) * self.unit.abs()
    }
}

/// The noise and units of a result.
#[derive(Clone, Debug)]
pub struct Accuracy {
    outputs: Vec<Output>,
}

impl Accuracy {
    /// Of a function over sets of these extents, opened by any active set.
    ///
    /// # Errors
    ///
    /// [`NoRoom`].
    pub fn of(setup: &Setup, function: &Function, extents: &[Extent]) -> Result<Self, NoRoom> {
        let sketch =
            Sketch { setup, k: halvings(extents), extent: extents.first().copied().unwrap_or_default() };
        let full = f64::from(setup.plan().full_scale);
        let one = 2f64.powi(sketch.k) * full;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        let [n, slots, window] =
            [sketch.extent.members, setup.params().slots(), setup.window()].map(|number| number as f64);
        let outputs = match function {
            Function::Sum => vec![sketch.output(sketch.sum(), one, false)],
            Function::Mean => vec![sketch.output(sketch.sum(), one / n, false)],
            Function::Variance => vec![sketch.output(sketch.variance(), (one / n).powi(2), false)],
            Function::TimeVariance => {
                let (sum, square) = (sketch.sum(), sketch.square());
                let over = slots / window;
                vec![sketch.output(sum, over * one, true), sketch.output(square, over * one * one, true)]
            }
            Function::Weighted(_) | Function::Forecast(_) => {
                let largest = unit_weights(function).ok_or(NoRoom)?.1;
                vec![sketch.output(sketch.weighted(), slots * one * largest, true)]
            }
            Function::Max | Function::Min => vec![sketch.output(sketch.comparison(), one, false)],
        };
        Ok(Self { outputs: outputs.into_iter().collect::<Result<_, _>>()? })
    }

    /// One entry a ciphertext of the result.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }
}

/// Follows a circuit.
struct Sketch<'a> {
    setup: &'a Setup,
    k: i32,
    extent: Extent,
}

/// A noise with the scale that it is at, and the level.
type At = (Noise, Scale, usize);

impl Sketch<'_> {
    /// The root mean square of slots when a window is full of ones.
    fn rms(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        let [slots, window] = [self.setup.params().slots(), self.setup.window()].map(|number| number as f64);
        (window / slots).sqrt()
    }

    fn fresh(&self, count: usize) -> Noise {
        Noise::public(self.setup.params()).sum(count as u64)
    }

    /// Σ_m x_m/2^k, not settled.
    fn curve(&self) -> At {
        let scale = self.setup.scale().times(&Scale::power_of_two(self.k));
        (self.fresh(self.extent.uploads), scale, self.setup.working_level())
    }

    fn sum(&self) -> At {
        self.settled(self.curve())
    }

    fn square(&self) -> At {
        let (noise, scale, level) = self.curve();
        self.settled(self.rescaled(&self.squared(&noise, 1.0, &scale), &scale.times(&scale), level))
    }

    fn variance(&self) -> At {
        let (sum, scale, level) = self.curve();
        let n = self.extent.members as u64;
        let apart = self.squared(&self.fresh(self.extent.most), 1.0, self.setup.scale());
        #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
        let together = self.squared(&sum, n as f64, self.setup.scale());
        // n·Σy² - (Σy)²
        let noise = apart.sum(n * n * n).add(&together);
        self.settled(self.rescaled(&noise, &scale.times(&scale), level))
    }

    fn weighted(&self) -> At {
        let (noise, scale, level) = self.curve();
        let weights = Scale::power_of_two(WEIGHTS);
        let noise = noise.mul_plain((self.rms(), &scale), (self.rms(), &weights));
        let (params, product) = (self.setup.params(), scale.times(&weights));
        self.settled((noise.rescale(level), product.over(&params.level_scale(level)), level - 1))
    }

    /// What rounding leaves at the chain's scale, and how much more a sign has.
    fn comparison(&self) -> At {
        let params = self.setup.params();
        let mut noise = Noise::public(params).rescale(1);
        let raise = self.setup.result_scale().over(&params.scale()).log2(params);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few bits")]
        let raise = raise.ceil() as u32 + COMPARISON;
        for _ in 0..raise {
            noise = noise.sum(4);
        }
        (noise, self.setup.result_scale(), 0)
    }

    /// Of x·x with x of at most `most`: twice what independent factors would have, as both errors are the same.
    fn squared(&self, noise: &Noise, most: f64, scale: &Scale) -> Noise {
        let size = (most * self.rms(), scale);
        noise.multiply(size, noise, size).sum(2)
    }

    fn rescaled(&self, noise: &Noise, scale: &Scale, level: usize) -> At {
        let after = scale.over(&self.setup.params().level_scale(level));
        (noise.relinearise_rescale(level), after, level - 1)
    }

    fn settled(&self, (mut noise, scale, level): At) -> At {
        if !self.setup.multiplies() {
            return (noise, scale, level);
        }
        let raise = self.setup.raise(&scale);
        for _ in 0..raise {
            noise = noise.sum(4);
        }
        let after = scale.times(&Scale::power_of_two(raise)).over(&self.setup.params().level_scale(1));
        (noise.rescale(1), after, 0)
    }

    fn output(&self, (noise, scale, _): At, unit: f64, over_slots: bool) -> Result<Output, NoRoom> {
        let (params, plan) = (self.setup.params(), self.setup.plan());
        let sigma = 2f64.powf(noise.bits());
        let smudging =
            Smudging::new(sigma, plan.log_openings.into(), plan.smudging_bits.into()).ok_or(NoRoom)?;
        // As many members as any roster may ask to open it.
        #[expect(clippy::cast_precision_loss, reason = "at most ten members, a few thousand slots")]
        let [members, n] = [protocol::shamir::MAX_PARTIES, params.n()].map(|number| number as f64);
        let coefficient = (members * smudging.sigma().powi(2) + sigma * sigma).sqrt();
        let spread = if over_slots { 1.0 } else { (n / 2.0).sqrt() };
        let deviation = coefficient * spread / scale.value(params);
        // A quarter of the range at most, or there is nothing to see.
        if deviation < 1.0 / 16.0 {
            Ok(Output { over_slots, smudging, unit, deviation, sigma })
        } else {
            Err(NoRoom)
        }
    }
}
