//! [`Lanes`] on AVX2 and AVX-512, through `pulp`'s safe intrinsics.

use super::lanes::Lanes;
use pulp::x86::{V3, V4};
use pulp::{cast, u32x8, u32x16};

impl Lanes for V3 {
    type V = u32x8;

    #[inline(always)]
    fn splat(self, x: u32) -> u32x8 {
        cast([x; 8])
    }

    #[inline(always)]
    fn splat_wide(self, x: u64) -> u32x8 {
        cast([x; 4])
    }

    #[inline(always)]
    fn add(self, a: u32x8, b: u32x8) -> u32x8 {
        cast(self.avx2._mm256_add_epi32(cast(a), cast(b)))
    }

    #[inline(always)]
    fn sub(self, a: u32x8, b: u32x8) -> u32x8 {
        cast(self.avx2._mm256_sub_epi32(cast(a), cast(b)))
    }

    #[inline(always)]
    fn min(self, a: u32x8, b: u32x8) -> u32x8 {
        cast(self.avx2._mm256_min_epu32(cast(a), cast(b)))
    }

    #[inline(always)]
    fn mul_low(self, a: u32x8, b: u32x8) -> u32x8 {
        cast(self.avx2._mm256_mullo_epi32(cast(a), cast(b)))
    }

    #[inline(always)]
    fn mul_even(self, a: u32x8, b: u32x8) -> u32x8 {
        cast(self.avx2._mm256_mul_epu32(cast(a), cast(b)))
    }

    #[inline(always)]
    fn odd(self, a: u32x8) -> u32x8 {
        cast(self.avx2._mm256_srli_epi64::<32>(cast(a)))
    }

    #[inline(always)]
    fn raise(self, a: u32x8) -> u32x8 {
        cast(self.avx2._mm256_slli_epi64::<32>(cast(a)))
    }

    #[inline(always)]
    fn blend(self, even: u32x8, odd: u32x8) -> u32x8 {
        cast(self.avx2._mm256_blend_epi32::<0b1010_1010>(cast(even), cast(odd)))
    }

    #[inline(always)]
    fn add_wide(self, a: u32x8, b: u32x8) -> u32x8 {
        cast(self.avx2._mm256_add_epi64(cast(a), cast(b)))
    }

    #[inline(always)]
    fn sub_wide_if(self, a: u32x8, b: u32x8) -> u32x8 {
        let less = self.avx2._mm256_cmpgt_epi64(cast(b), cast(a));
        let off = self.avx2._mm256_andnot_si256(less, cast(b));
        cast(self.avx2._mm256_sub_epi64(cast(a), off))
    }

    #[inline(always)]
    fn shift_right(self, a: u32x8, count: u32) -> u32x8 {
        let count = self.sse2._mm_cvtsi32_si128(count.cast_signed());
        cast(self.avx2._mm256_srl_epi64(cast(a), count))
    }
}

impl Lanes for V4 {
    type V = u32x16;

    #[inline(always)]
    fn splat(self, x: u32) -> u32x16 {
        cast([x; 16])
    }

    #[inline(always)]
    fn splat_wide(self, x: u64) -> u32x16 {
        cast([x; 8])
    }

    #[inline(always)]
    fn add(self, a: u32x16, b: u32x16) -> u32x16 {
        cast(self.avx512f._mm512_add_epi32(cast(a), cast(b)))
    }

    #[inline(always)]
    fn sub(self, a: u32x16, b: u32x16) -> u32x16 {
        cast(self.avx512f._mm512_sub_epi32(cast(a), cast(b)))
    }

    #[inline(always)]
    fn min(self, a: u32x16, b: u32x16) -> u32x16 {
        cast(self.avx512f._mm512_min_epu32(cast(a), cast(b)))
    }

    #[inline(always)]
    fn mul_low(self, a: u32x16, b: u32x16) -> u32x16 {
        cast(self.avx512f._mm512_mullo_epi32(cast(a), cast(b)))
    }

    #[inline(always)]
    fn mul_even(self, a: u32x16, b: u32x16) -> u32x16 {
        cast(self.avx512f._mm512_mul_epu32(cast(a), cast(b)))
    }

    #[inline(always)]
    fn odd(self, a: u32x16) -> u32x16 {
        cast(self.avx512f._mm512_srli_epi64::<32>(cast(a)))
    }

    #[inline(always)]
    fn raise(self, a: u32x16) -> u32x16 {
        cast(self.avx512f._mm512_slli_epi64::<32>(cast(a)))
    }

    #[inline(always)]
    fn blend(self, even: u32x16, odd: u32x16) -> u32x16 {
        cast(self.avx512f._mm512_mask_blend_epi32(0b1010_1010_1010_1010, cast(even), cast(odd)))
    }

    #[inline(always)]
    fn add_wide(self, a: u32x16, b: u32x16) -> u32x16 {
        cast(self.avx512f._mm512_add_epi64(cast(a), cast(b)))
    }

    #[inline(always)]
    fn sub_wide_if(self, a: u32x16, b: u32x16) -> u32x16 {
        let off = self.avx512f._mm512_sub_epi64(cast(a), cast(b));
        cast(self.avx512f._mm512_min_epu64(cast(a), off))
    }

    #[inline(always)]
    fn shift_right(self, a: u32x16, count: u32) -> u32x16 {
        let count = self.sse2._mm_cvtsi32_si128(count.cast_signed());
        cast(self.avx512f._mm512_srl_epi64(cast(a), count))
    }
}
