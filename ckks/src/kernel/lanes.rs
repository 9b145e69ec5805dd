//! The few vector operations that the kernels are made of, for each width.
//!
//! Processors multiply 32-bit lanes into 64-bit ones two by two, so a vector here is pairs of an
//! even and an odd 32-bit lane that share one 64-bit lane.

/// A vector of 32-bit words, seen as 32-bit or as 64-bit lanes.
pub(crate) trait Lanes: Copy {
    /// The vector.
    type V: bytemuck::Pod;

    /// All 32-bit lanes the same.
    fn splat(self, x: u32) -> Self::V;
    /// All 64-bit lanes the same.
    fn splat_wide(self, x: u64) -> Self::V;
    /// `a + b` by 32-bit lanes, wrapping.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b` by 32-bit lanes, wrapping.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller by 32-bit lanes.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a·b` by 32-bit lanes, the low word.
    fn mul_low(self, a: Self::V, b: Self::V) -> Self::V;
    /// The 64-bit products of the even lanes.
    fn mul_even(self, a: Self::V, b: Self::V) -> Self::V;
    /// The odd lanes moved to the even ones, zeros above.
    fn odd(self, a: Self::V) -> Self::V;
    /// The even lanes moved to the odd ones, zeros below.
    fn raise(self, a: Self::V) -> Self::V;
    /// Even lanes of one, odd lanes of the other.
    fn blend(self, even: Self::V, odd: Self::V) -> Self::V;
    /// `a + b` by 64-bit lanes.
    fn add_wide(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b` by 64-bit lanes where `a ≥ b` (both below `2^63`), else `a`.
    fn sub_wide_if(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a >> count` by 64-bit lanes.
    fn shift_right(self, a: Self::V, count: u32) -> Self::V;
}

/// One pair of lanes in plain integers: the fallback, and the oracle of the wide ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair;

fn wide(a: [u32; 2]) -> u64 {
    u64::from(a[0]) | u64::from(a[1]) << 32
}

fn narrow(a: u64) -> [u32; 2] {
    [a as u32, (a >> 32) as u32]
}

impl Lanes for Pair {
    type V = [u32; 2];

    #[inline(always)]
    fn splat(self, x: u32) -> [u32; 2] {
        [x; 2]
    }

    #[inline(always)]
    fn splat_wide(self, x: u64) -> [u32; 2] {
        narrow(x)
    }

    #[inline(always)]
    fn add(self, a: [u32; 2], b: [u32; 2]) -> [u32; 2] {
        [a[0].wrapping_add(b[0]), a[1].wrapping_add(b[1])]
    }

    #[inline(always)]
    fn sub(self, a: [u32; 2], b: [u32; 2]) -> [u32; 2] {
        [a[0].wrapping_sub(b[0]), a[1].wrapping_sub(b[1])]
    }

    #[inline(always)]
    fn min(self, a: [u32; 2], b: [u32; 2]) -> [u32; 2] {
        [a[0].min(b[0]), a[1].min(b[1])]
    }

    #[inline(always)]
    fn mul_low(self, a: [u32; 2], b: [u32; 2]) -> [u32; 2] {
        [a[0].wrapping_mul(b[0]), a[1].wrapping_mul(b[1])]
    }

    #[inline(always)]
    fn mul_even(self, a: [u32; 2], b: [u32; 2]) -> [u32; 2] {
        narrow(u64::from(a[0]) * u64::from(b[0]))
    }

    #[inline(always)]
    fn odd(self, a: [u32; 2]) -> [u32; 2] {
        [a[1], 0]
    }

    #[inline(always)]
    fn raise(self, a: [u32; 2]) -> [u32; 2] {
        [0, a[0]]
    }

    #[inline(always)]
    fn blend(self, even: [u32; 2], odd: [u32; 2]) -> [u32; 2] {
        [even[0], odd[1]]
    }

    #[inline(always)]
    fn add_wide(self, a: [u32; 2], b: [u32; 2]) -> [u32; 2] {
        narrow(wide(a).wrapping_add(wide(b)))
    }

    #[inline(always)]
    fn sub_wide_if(self, a: [u32; 2], b: [u32; 2]) -> [u32; 2] {
        let (a, b) = (wide(a), wide(b));
        narrow(if a >= b { a - b } else { a })
    }

    #[inline(always)]
    fn shift_right(self, a: [u32; 2], count: u32) -> [u32; 2] {
        narrow(wide(a) >> count)
    }
}
