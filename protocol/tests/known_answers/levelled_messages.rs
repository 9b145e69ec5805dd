//! The bytes of the messages of mode `levelled` in hexadecimal, field by field.
//!
//! Where from: as the other messages' bytes, and taken apart by a second implementation in Python that shares no code. It found the same
//! key's name, made the same Ed25519 signatures, and opened the sealed answer [RFC 9180, section 5.1].

/// A plan of a collective key.
pub(crate) const PLAN: &str = concat!(
    "82",   // envelope: 2 fields
    "581c", //   body: 28 bytes
    "87",   //     plan: 7 fields
    "50",   //       nonce: 16 bytes
    "9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a",
    "02",     //       profile: medium
    "192000", //       full scale, Wh: 8,192
    "1860",   //       slots a window: 96
    "0f",     //       k: 15
    "0a",     //       log2 of openings: 10
    "1828",   //       bits of smudging: 40
    "5840",   //   signature: 64 bytes
    "5f3b8fe44268c319b2e3dc7279d8c2f9bc5e04cc975f50a5febe23c805869b96",
    "2d4737d5a78a6e443d847016be95aab0015bf47b35459f252340c37de052910e",
);

/// Aggregator 2 commits to what it will reveal in round 1.
pub(crate) const COMMIT: &str = concat!(
    "82",   // envelope: 2 fields
    "5850", //   body: 80 bytes
    "83",   //     contribution: 3 fields
    "5820", //       key: 32 bytes
    "e6d9c007767012e3c0379ef565bf491db0629f02f8df5c9b20652e206380c615",
    "02",               //       point: 2
    "a166436f6d6d6974", //       step: Commit
    "82",               //         commit: 2 fields
    "01",               //           round: 1
    "5820",             //           commitment: 32 bytes
    "c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0",
    "5840", //   signature: 64 bytes
    "7dc50fe8aab9b8a8d99a2a994882194a059ae76a2059bb1a3d46a4199eba6820",
    "427fc5a1678b7aefc4403ffabbe7ad81034450e514c19862071cce5570936c01",
);

/// Aggregator 2 names what it reveals in round 2.
pub(crate) const REVEAL: &str = concat!(
    "82",   // envelope: 2 fields
    "5856", //   body: 86 bytes
    "83",   //     contribution: 3 fields
    "5820", //       key: 32 bytes
    "e6d9c007767012e3c0379ef565bf491db0629f02f8df5c9b20652e206380c615",
    "02",               //       point: 2
    "a16652657665616c", //       step: Reveal
    "82",               //         reveal: 2 fields
    "02",               //           round: 2
    "82",               //           blob: 2 fields
    "5820",             //             hash: 32 bytes
    "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1",
    "1a00023000", //             bytes: 143,360
    "5840",       //   signature: 64 bytes
    "2f334b71d9b8e9f1a7166c3b16f657cc89d737a6cf116ac54a15b42b9f55a14b",
    "11c5b54c4caa9f57a99af1f033c9e6905e88a776acbd060889d57d12823dbb06",
);

/// Aggregator 2 names what it deals to aggregator 3.
pub(crate) const DEAL: &str = concat!(
    "82",   // envelope: 2 fields
    "5854", //   body: 84 bytes
    "83",   //     contribution: 3 fields
    "5820", //       key: 32 bytes
    "e6d9c007767012e3c0379ef565bf491db0629f02f8df5c9b20652e206380c615",
    "02",           //       point: 2
    "a1644465616c", //       step: Deal
    "82",           //         deal: 2 fields
    "03",           //           to: 3
    "82",           //           sealed: 2 fields
    "5820",         //             hash: 32 bytes
    "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1",
    "1a00023000", //             bytes: 143,360
    "5840",       //   signature: 64 bytes
    "39a1dc395b97c3ead432e6899f0337624aaed6a0742449cf11c01e5ea220c2ec",
    "8c4c14065c1989973c62650f48be22b8030ead23849d658fa6af0a033d5bf10d",
);

/// What the key came to at aggregator 2.
pub(crate) const MADE: &str = concat!(
    "82",   // envelope: 2 fields
    "5875", //   body: 117 bytes
    "83",   //     contribution: 3 fields
    "5820", //       key: 32 bytes
    "e6d9c007767012e3c0379ef565bf491db0629f02f8df5c9b20652e206380c615",
    "02",           //       point: 2
    "a1644d616465", //       step: Made
    "82",           //         made: 2 fields
    "82",           //           public key: 2 fields
    "5820",         //             hash: 32 bytes
    "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1",
    "1a00023000", //             bytes: 143,360
    "5820",       //           relinearisation key's hash: 32 bytes
    "4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e",
    "5840", //   signature: 64 bytes
    "a7b2770ae6a2c0ba57b5e5a1a59715f41e697b425f92504d0cf93f64b3e32659",
    "85cfa707845dc3dd256a0d55a3735e56570529be857ce83500e637c0f094e40e",
);

/// A collective key as meters take it: the plan, and the word of all three aggregators.
pub(crate) const BUNDLE: &str = concat!(
    "82",   // bundle: 2 fields
    "5861", //   signed plan: 97 bytes
    "82",   //     envelope: 2 fields
    "581c", //       body: 28 bytes
    "87",   //         plan: 7 fields
    "50",   //           nonce: 16 bytes
    "9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a",
    "02",     //           profile: medium
    "192000", //           full scale, Wh: 8,192
    "1860",   //           slots a window: 96
    "0f",     //           k: 15
    "0a",     //           log2 of openings: 10
    "1828",   //           bits of smudging: 40
    "5840",   //       signature: 64 bytes
    "5f3b8fe44268c319b2e3dc7279d8c2f9bc5e04cc975f50a5febe23c805869b96",
    "2d4737d5a78a6e443d847016be95aab0015bf47b35459f252340c37de052910e",
    "83",   //   contributions: 3 of them
    "58ba", //     signed contribution: 186 bytes
    "82",   //       envelope: 2 fields
    "5875", //         body: 117 bytes
    "83",   //           contribution: 3 fields
    "5820", //             key: 32 bytes
    "e6d9c007767012e3c0379ef565bf491db0629f02f8df5c9b20652e206380c615",
    "01",           //             point: 1
    "a1644d616465", //             step: Made
    "82",           //               made: 2 fields
    "82",           //                 public key: 2 fields
    "5820",         //                   hash: 32 bytes
    "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1",
    "1a00023000", //                   bytes: 143,360
    "5820",       //                 relinearisation key's hash: 32 bytes
    "4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e",
    "5840", //         signature: 64 bytes
    "46edca9b7673f0354d74c938177c3da2bfa13351f75407cb4430b2b543963a41",
    "ae5518743bd2897588bd59e65fe69d9b482cb48b954fd159cf4f4fb25d830408",
    "58ba", //     signed contribution: 186 bytes
    "82",   //       envelope: 2 fields
    "5875", //         body: 117 bytes
    "83",   //           contribution: 3 fields
    "5820", //             key: 32 bytes
    "e6d9c007767012e3c0379ef565bf491db0629f02f8df5c9b20652e206380c615",
    "02",           //             point: 2
    "a1644d616465", //             step: Made
    "82",           //               made: 2 fields
    "82",           //                 public key: 2 fields
    "5820",         //                   hash: 32 bytes
    "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1",
    "1a00023000", //                   bytes: 143,360
    "5820",       //                 relinearisation key's hash: 32 bytes
    "4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e",
    "5840", //         signature: 64 bytes
    "a7b2770ae6a2c0ba57b5e5a1a59715f41e697b425f92504d0cf93f64b3e32659",
    "85cfa707845dc3dd256a0d55a3735e56570529be857ce83500e637c0f094e40e",
    "58ba", //     signed contribution: 186 bytes
    "82",   //       envelope: 2 fields
    "5875", //         body: 117 bytes
    "83",   //           contribution: 3 fields
    "5820", //             key: 32 bytes
    "e6d9c007767012e3c0379ef565bf491db0629f02f8df5c9b20652e206380c615",
    "03",           //             point: 3
    "a1644d616465", //             step: Made
    "82",           //               made: 2 fields
    "82",           //                 public key: 2 fields
    "5820",         //                   hash: 32 bytes
    "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1",
    "1a00023000", //                   bytes: 143,360
    "5820",       //                 relinearisation key's hash: 32 bytes
    "4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e",
    "5840", //         signature: 64 bytes
    "ef9520acb396ffcdaa26f5f03d790cc9a0d391f46800a32a169ddcb4718ce18f",
    "cb3b1642b62c774e5eb5fd81693f1daae762b998a38432d47c73242a00a6d709",
);

/// A meter's upload.
pub(crate) const UPLOAD: &str = concat!(
    "82",   // envelope: 2 fields
    "5867", //   body: 103 bytes
    "84",   //     upload: 4 fields
    "5820", //       key: 32 bytes
    "9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e",
    "50", //       meter: 16 bytes
    "01010101010101010101010101010101",
    "82",         //       slots: 2 fields
    "1a00073500", //         first slot: 472,320
    "1a00073514", //         slot after the last: 472,340
    "82",         //       ciphertext: 2 fields
    "5820",       //         hash: 32 bytes
    "b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1",
    "1a00023000", //         bytes: 143,360
    "5840",       //   signature: 64 bytes
    "d1c05a0de91970e54be8fd742c395b0ab3db760316407e140d6783b567d4bcbc",
    "eb5986a75158680d38898aeec2ba885cb74337bb4af0fc56e3b4d080e571810b",
);

/// Aggregator 1 holds one upload and refuses another.
pub(crate) const WORD: &str = concat!(
    "82",   // envelope: 2 fields
    "5861", //   body: 97 bytes
    "85",   //     word: 5 fields
    "01",   //       point: 1
    "50",   //       meter: 16 bytes
    "01010101010101010101010101010101",
    "81",   //       held: 1 of them
    "5820", //         upload: 32 bytes
    "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
    "81",   //       refused: 1 of them
    "82",   //         refusal: 2 fields
    "5820", //           upload: 32 bytes
    "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
    "183f",       //           rule: copied
    "1a655884e0", //       at: 1,700,300,000
    "5840",       //   signature: 64 bytes
    "4f4425adf6b177eefd1c263df6a4c0ee21962d14d8a79009630b53f9e9d129b3",
    "c95f152bd7845f77dfe46d44cf4acfeb422fa6f5099d47629e0af0a741f96d0f",
);

/// The utility asks for a forecast.
pub(crate) const ASK: &str = concat!(
    "82",   // envelope: 2 fields
    "5856", //   body: 86 bytes
    "82",   //     direction: 2 fields
    "50",   //       request: 16 bytes
    "53535353535353535353535353535353",
    "a16341736b", //       step: Ask
    "83",         //         ask: 3 fields
    "5820",       //           key: 32 bytes
    "9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e9e",
    "a168466f726563617374", //           function: Forecast
    "82",                   //             coefficients: 2 of them
    "1a00010000",           //               coefficient, 2^-16: 65,536
    "20",                   //               coefficient, 2^-16: -1
    "81",                   //           subjects: 1 of them
    "82",                   //             subject: 2 fields
    "656e6f727468",         //               group: "north"
    "191338",               //               window: 4,920
    "5840",                 //   signature: 64 bytes
    "cfd71e6f7ca9978402e728bd3f3b01fa7c0377642b7c19d4454b21944b7fb440",
    "d6e4c58c157868246945f2e4773fb7aa6eb9e0b8f60efb1623ecb8158c546100",
);

/// The utility names the sets.
pub(crate) const CUT: &str = concat!(
    "82",   // envelope: 2 fields
    "584e", //   body: 78 bytes
    "82",   //     direction: 2 fields
    "50",   //       request: 16 bytes
    "53535353535353535353535353535353",
    "a163437574", //       step: Cut
    "81",         //         sets: 1 of them
    "81",         //           set: 1 of them
    "82",         //             member: 2 fields
    "50",         //               meter: 16 bytes
    "01010101010101010101010101010101",
    "81",   //               uploads: 1 of them
    "5820", //                 upload: 32 bytes
    "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
    "5840", //   signature: 64 bytes
    "1f979cc731da4a5a579596232eeff1ba3e71428d6d683af00105ef64de8f16bf",
    "ea186f5f6030ac06eb3a6470f343e894eb7c952fe938136bf2bdc6a6a151d90b",
);

/// The utility asks aggregators 1 and 2 to open the result.
pub(crate) const OPEN: &str = concat!(
    "82",   // envelope: 2 fields
    "58c1", //   body: 193 bytes
    "82",   //     direction: 2 fields
    "50",   //       request: 16 bytes
    "53535353535353535353535353535353",
    "a1644f70656e", //       step: Open
    "83",           //         opening: 3 fields
    "5820",         //           cut: 32 bytes
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
    "82",   //           members: 2 of them
    "01",   //             point: 1
    "02",   //             point: 2
    "81",   //           votes: 1 of them
    "5880", //             signed reply: 128 bytes
    "82",   //               envelope: 2 fields
    "583b", //                 body: 59 bytes
    "83",   //                   reply: 3 fields
    "50",   //                     request: 16 bytes
    "53535353535353535353535353535353",
    "02",           //                     point: 2
    "a164566f7465", //                     step: Vote
    "5820",         //                       cut: 32 bytes
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
    "5840", //                 signature: 64 bytes
    "f6eff232cab0ec0487c7a2a08c97db59eb5d0f16757c3ca57958f57e3cc33c01",
    "09dfca6d946d640f7b99af58efda741ad08844d01dc2657507e8821bdac62c01",
    "5840", //   signature: 64 bytes
    "b072fe224493d1b39d27c8655815bc03964f307107153a91aa1f0628b33bb497",
    "46ac206dc2a640fc6a90d90688d8f6b273aa7d66d3c7ff1e41671f4a2e730603",
);

/// Aggregator 2 says what it holds.
pub(crate) const HOLDINGS: &str = concat!(
    "82",   // envelope: 2 fields
    "5854", //   body: 84 bytes
    "83",   //     reply: 3 fields
    "50",   //       request: 16 bytes
    "53535353535353535353535353535353",
    "02",                   //       point: 2
    "a168486f6c64696e6773", //       step: Holdings
    "81",                   //         sets: 1 of them
    "81",                   //           set: 1 of them
    "82",                   //             member: 2 fields
    "50",                   //               meter: 16 bytes
    "01010101010101010101010101010101",
    "81",   //               uploads: 1 of them
    "5820", //                 upload: 32 bytes
    "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
    "5840", //   signature: 64 bytes
    "581bb8451ba5bfb70f749b5e1993fc95ede382b0ea3c7eab132a5e7365117453",
    "b19d5992b459617c1eba92ae9e8474cfe672582fd9d8cf1c514dcf134fe97a02",
);

/// Aggregator 2 refuses.
pub(crate) const REFUSED: &str = concat!(
    "82",   // envelope: 2 fields
    "581e", //   body: 30 bytes
    "83",   //     reply: 3 fields
    "50",   //       request: 16 bytes
    "53535353535353535353535353535353",
    "02",                 //       point: 2
    "a16752656675736564", //       step: Refused
    "1834",               //         rule: member set
    "5840",               //   signature: 64 bytes
    "bc7c143eaf7b142c7fc1ed9c87fa796a36a4adf0dd7f1d1ccbc4a62a32a11392",
    "90d629d51842cc2729469ff1a67952e535fba27b18cfbaa7c47f51916761450a",
);

/// Aggregator 2 votes.
pub(crate) const VOTE: &str = concat!(
    "82",   // envelope: 2 fields
    "583b", //   body: 59 bytes
    "83",   //     reply: 3 fields
    "50",   //       request: 16 bytes
    "53535353535353535353535353535353",
    "02",           //       point: 2
    "a164566f7465", //       step: Vote
    "5820",         //         cut: 32 bytes
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
    "5840", //   signature: 64 bytes
    "f6eff232cab0ec0487c7a2a08c97db59eb5d0f16757c3ca57958f57e3cc33c01",
    "09dfca6d946d640f7b99af58efda741ad08844d01dc2657507e8821bdac62c01",
);

/// Aggregator 2's answer, sealed to the utility.
pub(crate) const ANSWER: &str = concat!(
    "82",   // envelope: 2 fields
    "5888", //   body: 136 bytes
    "83",   //     reply: 3 fields
    "50",   //       request: 16 bytes
    "53535353535353535353535353535353",
    "02",               //       point: 2
    "a166416e73776572", //       step: Answer
    "83",               //         answer: 3 fields
    "5820",             //           cut: 32 bytes
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
    "82",   //           members: 2 of them
    "01",   //             point: 1
    "02",   //             point: 2
    "83",   //           sealed box: 3 fields
    "01",   //             key id: 1
    "5820", //             encapsulated key: 32 bytes
    "10714b0bc3648787101d0904c0f44becc0d771c1b7691d76cd04b183be6c3003",
    "5821", //             ciphertext and tag: 33 bytes
    "eb2c80eb2f0a4a0ae19072cb617619939ee09fcc352e898a6886808a253a7d57",
    "ff",
    "5840", //   signature: 64 bytes
    "231e2efef1753c1c20a494c65974034cd0cdbba97f8d4919888ce23e09e944a0",
    "8e650b187bb08976b8279ed25f716568dc9b6aedf7ab110474d795186ff64904",
);
