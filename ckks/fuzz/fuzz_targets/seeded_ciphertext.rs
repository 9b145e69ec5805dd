#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ckks_fuzz::wire::<ckks::SeededCiphertext>(data));
