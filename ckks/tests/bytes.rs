//! The bodies of the fuzz targets as plain property tests: bad bytes are refused, never a panic, and what is
//! read has one form and can be used.

#[expect(unreachable_pub, reason = "the fuzz targets' library, which is public to them")]
#[path = "../fuzz/bodies.rs"]
mod bodies;

use proptest::prelude::*;

/// Short inputs with many small numbers, so that edits, modes and lengths are all met often.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![2 => any::<u8>(), 1 => 0u8..4];
    let few = proptest::collection::vec(byte.clone(), 0..12);
    let many = proptest::collection::vec(byte, 0..400);
    prop_oneof![3 => few, 1 => many]
}

macro_rules! bodies {
    ($($name:ident: $body:expr;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(1024))]
            $(
                #[test]
                fn $name(input in input()) {
                    $body(&input);
                }
            )*
        }
    };
}

bodies! {
    ciphertexts: bodies::wire::<ckks::Ciphertext>;
    seeded_ciphertexts: bodies::wire::<ckks::SeededCiphertext>;
    public_keys: bodies::wire::<ckks::PublicKey>;
    relin_keys: bodies::wire::<ckks::RelinKey>;
    galois_keys: bodies::wire::<ckks::GaloisKey>;
    live_ciphertexts: bodies::wire::<ckks::LiveCiphertext>;
    dealt_shares: bodies::wire::<ckks::DealtShare>;
    partial_decryptions: bodies::wire::<ckks::PartialDecryption>;
    live_partials: bodies::wire::<ckks::LivePartial>;
    key_shares: bodies::wire::<ckks::KeyShare>;
    byte_strings_in_cbor: bodies::encoded;
}
