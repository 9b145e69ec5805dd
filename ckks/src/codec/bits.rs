//! Exact bit packing of residues.

/// How many bytes `count` values of `bits` bits take.
pub(crate) fn packed_len(count: usize, bits: u32) -> usize {
    (count * bits as usize).div_ceil(8)
}

/// Appends values of `bits` bits each (at most 32), lowest bit first.
pub(crate) fn pack(values: &[u32], bits: u32, out: &mut Vec<u8>) {
    out.reserve(packed_len(values.len(), bits) + 8);
    let (mut acc, mut held) = (0u64, 0);
    for &value in values {
        acc |= u64::from(value) << held;
        held += bits;
        if held >= 32 {
            out.extend((acc as u32).to_le_bytes());
            acc >>= 32;
            held -= 32;
        }
    }
    out.extend(&acc.to_le_bytes()[..held.div_ceil(8) as usize]);
}

/// Reads as many values of `bits` bits as `out` holds from exactly as many bytes as that takes;
/// `false` if the padding bits are not zero.
pub(crate) fn unpack(bytes: &[u8], bits: u32, out: &mut [u32]) -> bool {
    assert_eq!(bytes.len(), packed_len(out.len(), bits));
    let mask = (1u64 << bits) - 1;
    let (mut acc, mut held) = (0u64, 0);
    let (words, rest) = bytes.as_chunks::<4>();
    let mut words = words.iter();
    let mut rest = rest.iter();
    for out in out {
        if held < bits {
            if let Some(word) = words.next() {
                acc |= u64::from(u32::from_le_bytes(*word)) << held;
                held += 32;
            } else {
                for &byte in rest.by_ref() {
                    acc |= u64::from(byte) << held;
                    held += 8;
                }
            }
        }
        *out = (acc & mask) as u32;
        acc >>= bits;
        held -= bits;
    }
    acc == 0
}

/// Appends 128-bit values of `bits` bits each.
pub(crate) fn pack_wide(values: impl Iterator<Item = u128>, bits: u32, out: &mut Vec<u8>) {
    let (mut acc, mut held) = (0u8, 0);
    for value in values {
        let mut left = bits;
        let mut value = value;
        while left > 0 {
            let take = (8 - held).min(left);
            acc |= ((value & ((1 << take) - 1)) as u8) << held;
            value >>= take;
            held += take;
            left -= take;
            if held == 8 {
                out.push(acc);
                (acc, held) = (0, 0);
            }
        }
    }
    if held > 0 {
        out.push(acc);
    }
}

/// Reads `count` values of `bits` bits, as [`pack_wide`] wrote them; `None` if the padding is not
/// zero.
pub(crate) fn unpack_wide(bytes: &[u8], bits: u32, count: usize) -> Option<Vec<u128>> {
    assert_eq!(bytes.len(), packed_len(count, bits));
    let bit = |i: usize| u128::from(bytes[i / 8] >> (i % 8) & 1);
    let value = |k: usize| {
        let start = k * bits as usize;
        let mut out = 0;
        let mut done = 0;
        while done < bits as usize {
            let at = start + done;
            if at.is_multiple_of(8) && bits as usize - done >= 8 {
                out |= u128::from(bytes[at / 8]) << done;
                done += 8;
            } else {
                out |= bit(at) << done;
                done += 1;
            }
        }
        out
    };
    let mut padding = count * bits as usize..bytes.len() * 8;
    let clean = padding.all(|i| bit(i) == 0);
    clean.then(|| (0..count).map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packing_is_exact_and_undone(bits in 1u32..=32, values in proptest::collection::vec(any::<u32>(), 0..100)) {
            let values: Vec<u32> = values.iter().map(|v| v >> (32 - bits)).collect();
            let mut bytes = Vec::new();
            pack(&values, bits, &mut bytes);
            prop_assert_eq!(bytes.len(), (values.len() * bits as usize).div_ceil(8));
            for (i, v) in values.iter().enumerate() {
                for b in 0..bits as usize {
                    let at = i * bits as usize + b;
                    prop_assert_eq!(bytes[at / 8] >> (at % 8) & 1, (v >> b & 1) as u8);
                }
            }
            let mut back = vec![0; values.len()];
            prop_assert!(unpack(&bytes, bits, &mut back));
            prop_assert_eq!(back, values);
        }

        #[test]
        fn wide_packing_is_exact_and_undone(bits in 1u32..=127, values in proptest::collection::vec(any::<u128>(), 0..50)) {
            let values: Vec<u128> = values.iter().map(|v| v >> (128 - bits)).collect();
            let mut bytes = Vec::new();
            pack_wide(values.iter().copied(), bits, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_len(values.len(), bits));
            prop_assert_eq!(unpack_wide(&bytes, bits, values.len()), Some(values));
        }
    }
}
