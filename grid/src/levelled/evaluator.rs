//! Evaluation on ciphertexts, without any key but the relinearisation key: anybody can do it, and everybody gets the same bytes.

use ckks::{Ciphertext, EncodeError, Mismatch, Plaintext, RelinKey, Scale, Sign, Wire, WireError};
use protocol::levelled::function::Function;
use protocol::wire;
use serde_bytes::ByteBuf;

use super::accuracy::{Extent, WEIGHTS, halvings, unit_weights};
use super::setup::{CiphertextError, MAX_MEMBERS, Setup};

/// Why a function is not evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvaluateError {
    /// The parameters don't allow it, or its weights are not a window's.
    #[error("the plan's parameters do not allow this function with these weights")]
    Function,
    /// A subject without members, or with more than fit.
    #[error("a set of {0} members is not within 1 to {MAX_MEMBERS}")]
    Members(usize),
    /// A ciphertext is none.
    #[error(transparent)]
    Ciphertext(#[from] CiphertextError),
    /// Operands that do not belong together: a defect.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// Weights that the lattice refuses.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Evaluates under one collective key.
#[derive(Clone, Debug)]
pub struct Evaluator {
    setup: Setup,
    relin: Option<RelinKey>,
}

impl Evaluator {
    /// Takes the relinearisation key's bytes, if the profile has one.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub fn new(setup: Setup, relin: Option<&[u8]>) -> Result<Self, WireError> {
        let relin = relin.map(|bytes| RelinKey::from_bytes(setup.params(), bytes)).transpose()?;
        Ok(Self { setup, relin })
    }

    /// Begins the evaluation of a function.
    ///
    /// # Errors
    ///
    /// [`EvaluateError::Function`].
    pub fn begin(&self, function: &Function) -> Result<Evaluation<'_>, EvaluateError> {
        if !self.setup.allows(function) || self.setup.multiplies() != self.relin.is_some() {
            return Err(EvaluateError::Function);
        }
        let folds = (0..function.subjects()).map(|_| Fold::default()).collect();
        Ok(Evaluation { evaluator: self, function: function.clone(), folds })
    }

    fn relin(&self) -> Result<&RelinKey, EvaluateError> {
        self.relin.as_ref().ok_or(EvaluateError::Function)
    }
}

/// What was added up of a subject.
#[derive(Debug, Default)]
struct Fold {
    extent: Extent,
    sum: Option<Ciphertext>,
    /// Σ y², of three parts.
    squares: Option<Ciphertext>,
}

/// An evaluation on the way: members are added one by one, in any order, and need not be kept.
#[derive(Debug)]
pub struct Evaluation<'a> {
    evaluator: &'a Evaluator,
    function: Function,
    folds: Vec<Fold>,
}

impl Evaluation<'_> {
    /// Adds a member's uploads to a subject.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn add(&mut self, subject: usize, uploads: &[Vec<u8>]) -> Result<(), EvaluateError> {
        let setup = &self.evaluator.setup;
        let compares = matches!(self.function, Function::Max | Function::Min);
        let level = if compares { setup.level() } else { setup.working_level() };
        let mut window: Option<Ciphertext> = None;
        for bytes in uploads {
            let mut ciphertext = setup.read_ciphertext(bytes)?;
            ciphertext.drop_to(level)?;
            add_to(&mut window, ciphertext)?;
        }
        let fold = self.folds.get_mut(subject).ok_or(EvaluateError::Function)?;
        let window = window.ok_or(EvaluateError::Members(0))?;
        fold.extent.add(uploads.len());
        if fold.extent.members > MAX_MEMBERS {
            return Err(EvaluateError::Members(fold.extent.members));
        }
        if self.function == Function::Variance {
            add_to(&mut fold.squares, window.square()?)?;
        }
        add_to(&mut fold.sum, window)?;
        Ok(())
    }

    /// The result: one or two ciphertexts.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`].
    pub fn finish(mut self) -> Result<Vec<u8>, EvaluateError> {
        let extents: Vec<Extent> = self.folds.iter().map(|fold| fold.extent).collect();
        let k = halvings(&extents);
        let mut sums = Vec::new();
        for fold in &mut self.folds {
            let sum = fold.sum.take().ok_or(EvaluateError::Members(0))?;
            // Σ_m x_m/2^k is at most 1.
            let scale = sum.scale().times(&Scale::power_of_two(k));
            sums.push(sum.with_scale(&scale));
        }
        let outputs = match (&self.function, &sums[..]) {
            (Function::Sum | Function::Mean, [sum]) => vec![self.settled(sum.clone())?],
            (Function::Variance, [sum]) => {
                let squares = self.folds[0].squares.take().ok_or(EvaluateError::Members(0))?;
                vec![self.variance(sum, squares, extents[0].members, k)?]
            }
            (Function::TimeVariance, [sum]) => {
                let square = sum.square()?.relinearise_rescale(self.evaluator.relin()?)?;
                vec![self.settled(sum.clone())?, self.settled(square)?]
            }
            (Function::Weighted(_) | Function::Forecast(_), [sum]) => vec![self.weighted(sum)?],
            (Function::Max | Function::Min, [one, other]) => vec![self.extreme(one, other)?],
            _ => return Err(EvaluateError::Function),
        };
        let outputs: Vec<ByteBuf> = outputs.iter().map(|output| ByteBuf::from(output.to_bytes())).collect();
        debug_assert_eq!(outputs.len(), Setup::outputs(&self.function));
        Ok(wire::encode(&outputs))
    }

    /// At level 0, and at the largest scale that fits; the light profile stays where it is.
    fn settled(&self, mut ciphertext: Ciphertext) -> Result<Ciphertext, EvaluateError> {
        let setup = &self.evaluator.setup;
        if !setup.multiplies() {
            return Ok(ciphertext);
        }
        ciphertext.drop_to(1)?;
        let raise = Scale::power_of_two(setup.raise(ciphertext.scale()));
        ciphertext.mul_constant(1.0, &raise)?;
        ciphertext.rescale()?;
        Ok(ciphertext)
    }

    /// (n·Σy² - (Σy)²)/4^k, which is the variance times (n/2^k)².
    fn variance(
        &self,
        sum: &Ciphertext,
        squares: Ciphertext,
        members: usize,
        k: i32,
    ) -> Result<Ciphertext, EvaluateError> {
        #[expect(clippy::cast_precision_loss, reason = "sets have a few thousand members at most")]
        let n = members as f64;
        let scale = squares.scale().times(&Scale::power_of_two(2 * k));
        let mut out = squares.with_scale(&scale);
        out.mul_constant(n, &Scale::default())?;
        out.sub_assign(&sum.square()?)?;
        self.settled(out.relinearise_rescale(self.evaluator.relin()?)?)
    }

    /// The slots of Σ_m x_m times the weights, which are read in units of the largest.
    fn weighted(&self, sum: &Ciphertext) -> Result<Ciphertext, EvaluateError> {
        let setup = &self.evaluator.setup;
        let (weights, _) = unit_weights(&self.function).ok_or(EvaluateError::Function)?;
        let weights = Plaintext::from_slots(setup.params(), &weights, &Scale::power_of_two(WEIGHTS))?;
        let mut out = sum.clone();
        out.mul_plain(&weights.prepare(out.level()))?;
        out.rescale()?;
        self.settled(out)
    }

    /// (a + b)/2 ± (a - b)/2·sign(a - b), at the largest scale that fits level 0.
    fn extreme(&self, one: &Ciphertext, other: &Ciphertext) -> Result<Ciphertext, EvaluateError> {
        let (setup, key) = (&self.evaluator.setup, self.evaluator.relin()?);
        let (params, scale) = (setup.params(), setup.params().scale());
        let half = if self.function == Function::Max { 0.5 } else { -0.5 };
        let level = one.level() - 1;
        let (one, other) = (one.bring_to(level, &scale, 1.0)?, other.bring_to(level, &scale, 1.0)?);
        let difference = one.sub(&other)?;
        let signs = difference.sign(&Sign::medium(), &scale, key)?;
        let out = setup.result_scale();
        let wanted = out.times(&params.level_scale(1)).over(signs.scale());
        let difference = difference.bring_to(1, &wanted, half)?;
        let mut result = difference.multiply_rescale(&signs, key)?;
        result.add_assign(&one.add(&other)?.bring_to(0, &out, 0.5)?)?;
        Ok(result)
    }
}

fn add_to(sum: &mut Option<Ciphertext>, ciphertext: Ciphertext) -> Result<(), Mismatch> {
    if let Some(sum) = sum {
        return sum.add_assign(&ciphertext);
    }
    *sum = Some(ciphertext);
    Ok(())
}
