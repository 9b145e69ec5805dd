//! What a plan means in the lattice: parameters, levels and scales.

use ckks::{Ciphertext, Literal, Params, Scale, Security, Wire, WireError};
use protocol::levelled::blob::Blob;
use protocol::levelled::function::Function;
use protocol::levelled::plan::{Plan, Profile};
use protocol::unit::MAX_SLOT_WH;

/// N = 32768 with twelve multiplications at scale 2^54, 858 bits in all: a level to bring sums to the scale, ten for a sign, one for
/// the product with it. The lattice's own largest set has thirteen at 2^50, which leaves too little behind the smudging.
fn comparing() -> Params {
    let levels = std::iter::once(vec![30, 30]).chain(std::iter::repeat_n(vec![26, 28], 12)).collect();
    let literal =
        Literal { log_n: 15, levels, special: vec![30; 5], log_scale: 54, security: Security::Classical2024 };
    Params::new(literal).expect("858 bits are within the table's 868")
}

/// The most members of a set: sums have room for as many.
pub const MAX_MEMBERS: usize = 4_096;

/// The level at which two multiplications are left.
const WORKING: usize = 2;

/// Bits that an encoded coefficient may have.
const ENCODED: i32 = 52;

/// Bits that a coefficient of a result may have at level 0: the base has 60, and smudging takes up to 50.
const RESULT: i32 = 57;

/// Why a plan is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SetupError {
    /// A window that does not fit the ring, or of no slots.
    #[error("a window of {found} slots is not within 1 to {max}; take a larger profile or a shorter window")]
    Window {
        /// The plan's.
        found: u16,
        /// The ring's slots.
        max: usize,
    },
    /// No full scale, or one beyond every meter's.
    #[error("a full scale of {0} Wh is not within 1 to {max} Wh", max = MAX_SLOT_WH + 1)]
    FullScale(u32),
    /// Fewer than two members, or more than fit.
    #[error("k = {0} is not within 2 to {MAX_MEMBERS}")]
    K(u16),
    /// Smudging that protects nothing, or that leaves no room for a result.
    #[error("2^{log_openings} openings at {bits} bits: openings are 2^0 to 2^20, bits 20 to 60")]
    Smudging {
        /// The plan's.
        log_openings: u8,
        /// The plan's.
        bits: u8,
    },
}

/// Why bytes are no ciphertext of a meter.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CiphertextError {
    /// Not a ciphertext of these parameters.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Not a fresh one.
    #[error(
        "the ciphertext has {parts} parts at level {level} and scale {scale}; fresh ones have two, at {wanted}"
    )]
    NotFresh {
        /// Its parts.
        parts: usize,
        /// Its level.
        level: usize,
        /// Its scale.
        scale: Scale,
        /// Level and scale of fresh ones.
        wanted: String,
    },
}

/// A plan and its lattice.
#[derive(Clone, Debug)]
pub struct Setup {
    plan: Plan,
    params: Params,
    scale: Scale,
}

impl Setup {
    /// Builds what a plan says.
    ///
    /// # Errors
    ///
    /// [`SetupError`].
    pub fn new(plan: &Plan) -> Result<Self, SetupError> {
        let params = match plan.profile {
            Profile::Light => Params::light(),
            Profile::Medium => Params::medium(),
            Profile::Strong => Params::strong(),
            Profile::Largest => comparing(),
        };
        let max = params.slots();
        if plan.window == 0 || usize::from(plan.window) > max {
            return Err(SetupError::Window { found: plan.window, max });
        }
        if plan.full_scale == 0 || i64::from(plan.full_scale) > MAX_SLOT_WH + 1 {
            return Err(SetupError::FullScale(plan.full_scale));
        }
        if plan.k < 2 || usize::from(plan.k) > MAX_MEMBERS {
            return Err(SetupError::K(plan.k));
        }
        let Plan { log_openings, smudging_bits: bits, .. } = *plan;
        if log_openings > 20 || !(20..=60).contains(&bits) {
            return Err(SetupError::Smudging { log_openings, bits });
        }
        let mut setup = Self { plan: plan.clone(), params, scale: Scale::default() };
        setup.scale = Scale::power_of_two((ENCODED + setup.sparsity()).min(58));
        Ok(setup)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The scale of fresh ciphertexts: the largest that an encoding of a window takes without losing bits.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// The level of fresh ciphertexts: what the deepest function takes.
    pub fn level(&self) -> usize {
        match self.plan.profile {
            Profile::Light => 1,
            Profile::Medium | Profile::Strong => WORKING,
            Profile::Largest => self.params.max_level(),
        }
    }

    /// The level at which everything but comparisons begins.
    pub fn working_level(&self) -> usize {
        self.level().min(WORKING)
    }

    /// Whether there is a relinearisation key.
    pub fn multiplies(&self) -> bool {
        self.plan.profile != Profile::Light
    }

    /// Slots of a window.
    pub fn window(&self) -> usize {
        self.plan.window.into()
    }

    /// `⌊log2(N/2W)⌋`: W values of at most 1 in N/2 slots make coefficients of at most 2W/N.
    fn sparsity(&self) -> i32 {
        (self.params.slots() / self.window()).ilog2().cast_signed()
    }

    /// The largest scale of a result at level 0.
    pub(super) fn result_scale(&self) -> Scale {
        Scale::power_of_two((RESULT + self.sparsity()).min(62))
    }

    /// By which power of two a ciphertext at level 1 is raised before its last rescaling, so that its result has the largest
    /// scale that fits.
    pub(super) fn raise(&self, scale: &Scale) -> i32 {
        let after = scale.over(&self.params.level_scale(1)).log2(&self.params);
        let room = self.result_scale().log2(&self.params) - after;
        #[expect(clippy::cast_possible_truncation, reason = "scales have a few hundred bits at most")]
        let room = room.floor() as i32;
        room.max(0)
    }

    /// Whether the parameters allow a function, and its weights are as many as it takes.
    pub fn allows(&self, function: &Function) -> bool {
        let fits = function.weights().is_none_or(|weights| weights == self.window());
        let deep = match function {
            Function::Sum | Function::Mean => true,
            Function::Max | Function::Min => self.plan.profile == Profile::Largest,
            _ => self.multiplies(),
        };
        let flat = match function {
            Function::Weighted(weights) => weights.iter().all(|weight| *weight == 0),
            Function::Forecast(weights) => weights.iter().all(|weight| *weight == 0),
            _ => false,
        };
        fits && deep && !flat
    }

    /// How many ciphertexts a result has: each is opened once.
    pub fn outputs(function: &Function) -> usize {
        if *function == Function::TimeVariance { 2 } else { 1 }
    }

    /// Whether a blob may be a fresh ciphertext, by its length.
    pub fn fits(&self, blob: &Blob) -> bool {
        let bits: usize = (0..self.params.primes_at(self.level()))
            .map(|index| (u32::BITS - self.params.prime(index).leading_zeros()) as usize)
            .sum();
        let len = 2 * self.params.n() * bits / 8;
        (len..len + 128).contains(&(blob.len as usize))
    }

    /// Takes a meter's ciphertext.
    ///
    /// # Errors
    ///
    /// [`CiphertextError`]: foreign parameters, a second part that is zero, another level or scale.
    pub fn read_ciphertext(&self, bytes: &[u8]) -> Result<Ciphertext, CiphertextError> {
        let ciphertext = Ciphertext::from_bytes(&self.params, bytes)?;
        let (parts, level) = (ciphertext.parts(), ciphertext.level());
        if parts == 2 && level == self.level() && *ciphertext.scale() == self.scale {
            return Ok(ciphertext);
        }
        let wanted = format!("level {} and scale {}", self.level(), self.scale);
        Err(CiphertextError::NotFresh { parts, level, scale: ciphertext.scale().clone(), wanted })
    }
}
