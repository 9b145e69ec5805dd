//! Writing fields.

use super::bits;
use crate::params::Params;
use crate::poly::{Eval, Poly};
use crate::scale::Scale;

/// Where an object is being written.
#[derive(Debug)]
pub struct Writer<'a> {
    params: &'a Params,
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(params: &'a Params, out: &'a mut Vec<u8>) -> Self {
        Self { params, out }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
    }

    /// LEB128.
    pub(crate) fn count(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.out.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.out.push(v as u8);
    }

    /// Zigzagged.
    pub(crate) fn signed(&mut self, v: i32) {
        self.count(((v << 1) ^ (v >> 31)).cast_unsigned().into());
    }

    pub(crate) fn scale(&mut self, scale: &Scale) {
        let (log2, exponents) = scale.exponents();
        self.signed(log2);
        self.count(exponents.len() as u64);
        for &e in exponents {
            self.signed(e);
        }
    }

    pub(crate) fn poly(&mut self, poly: &Poly<Eval>) {
        for (index, row) in poly.rows() {
            bits::pack(row, self.params.modulus(index).bits, self.out);
        }
    }

    pub(crate) fn wide(&mut self, values: impl Iterator<Item = u128>, bits: u32) {
        bits::pack_wide(values, bits, self.out);
    }
}
