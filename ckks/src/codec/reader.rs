//! Reading fields, each checked before it is used.

use super::{WireError, bits};
use crate::params::Params;
use crate::poly::{Basis, Eval, Poly};
use crate::scale::Scale;
use crate::seed::Seed;

/// What is left to read.
#[derive(Debug)]
pub struct Reader<'a> {
    params: &'a Params,
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(params: &'a Params, bytes: &'a [u8]) -> Self {
        Self { params, bytes }
    }

    fn take(&mut self, wanted: usize) -> Result<&'a [u8], WireError> {
        let found = self.bytes.len();
        let (out, rest) = self.bytes.split_at_checked(wanted).ok_or(WireError::Length { found, wanted })?;
        self.bytes = rest;
        Ok(out)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    /// A number that may not exceed `max`.
    pub(crate) fn count(&mut self, what: &'static str, max: u64) -> Result<usize, WireError> {
        let found = self.varint(what)?;
        if found > max {
            return Err(WireError::Range { what, found, max });
        }
        Ok(found as usize)
    }

    /// LEB128, in its shortest form.
    fn varint(&mut self, what: &'static str) -> Result<u64, WireError> {
        let mut out = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            out |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    break;
                }
                return Ok(out);
            }
        }
        Err(WireError::NotCanonical(what))
    }

    /// A zigzagged number.
    pub(crate) fn signed(&mut self, what: &'static str) -> Result<i32, WireError> {
        let v = self.count(what, u32::MAX.into())? as u32;
        Ok((v >> 1).cast_signed() ^ -(v & 1).cast_signed())
    }

    pub(crate) fn level(&mut self) -> Result<usize, WireError> {
        let max = self.params.max_level() as u64;
        self.count("the level", max)
    }

    pub(crate) fn scale(&mut self) -> Result<Scale, WireError> {
        /// Beyond anything a chain of 64 primes can hold.
        const LIMIT: i32 = 1 << 24;
        let log2 = self.signed("the scale")?;
        let primes = self.params.q_len() as u64;
        let count = self.count("the number of exponents", primes)?;
        let exponents: Vec<i32> = (0..count).map(|_| self.signed("an exponent")).collect::<Result<_, _>>()?;
        if exponents.last() == Some(&0) {
            return Err(WireError::NotCanonical("the scale"));
        }
        if let Some(e) = exponents.iter().chain([&log2]).find(|e| e.unsigned_abs() > LIMIT.unsigned_abs()) {
            let (found, max) = (u64::from(e.unsigned_abs()), LIMIT as u64);
            return Err(WireError::Range { what: "an exponent", found, max });
        }
        Ok(Scale::from_exponents(log2, exponents))
    }

    pub(crate) fn seed(&mut self) -> Result<Seed, WireError> {
        self.array().map(Seed)
    }

    /// A polynomial over a basis: its length is checked before it is allocated.
    pub(crate) fn poly(&mut self, basis: Basis) -> Result<Poly<Eval>, WireError> {
        let params = self.params;
        let n = params.n();
        let bits_of = |index| params.modulus(index).bits;
        let wanted = basis.indexes().map(|i| bits::packed_len(n, bits_of(i))).sum();
        let mut bytes = self.take(wanted)?;
        let mut out = Poly::unwritten(params, basis);
        for (index, row) in out.rows_mut() {
            let m = params.modulus(index);
            let (packed, rest) = bytes.split_at(bits::packed_len(n, m.bits));
            bytes = rest;
            if !bits::unpack(packed, m.bits, row) {
                return Err(WireError::NotCanonical("the padding"));
            }
            let largest = row.iter().copied().max().unwrap_or(0);
            if largest >= m.q {
                return Err(WireError::Residue { found: largest, prime: m.q });
            }
        }
        Ok(out)
    }

    /// Wide values of `bits` bits.
    pub(crate) fn wide(&mut self, count: usize, bits: u32) -> Result<Vec<u128>, WireError> {
        let bytes = self.take(bits::packed_len(count, bits))?;
        bits::unpack_wide(bytes, bits, count).ok_or(WireError::NotCanonical("the padding"))
    }

    pub(crate) fn finish(self) -> Result<(), WireError> {
        match self.bytes.len() {
            0 => Ok(()),
            found => Err(WireError::Length { found, wanted: 0 }),
        }
    }
}
