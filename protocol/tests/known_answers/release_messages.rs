//! The bytes of the messages of a release in hexadecimal, field by field; where from: see the other messages' bytes.

/// A query for two bills.
pub(crate) const QUERY_BILL: &str = concat!(
    "82",   // envelope: 2 fields
    "5873", //   body: 115 bytes
    "84",   //     query: 4 fields
    "50",   //       id: 16 bytes
    "51515151515151515151515151515151",
    "82",           //       period: 2 fields
    "1a000734e8",   //         first slot: 472,296
    "1a00073788",   //         slot after the last: 472,968
    "a16442696c6c", //       ask: Bill
    "82",           //         bill: 2 fields
    "81",           //           tariffs: 1 of them
    "5820",         //             tariff: 32 bytes
    "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a",
    "82", //           targets: 2 of them
    "82", //             target: 2 fields
    "50", //               meter: 16 bytes
    "01010101010101010101010101010101",
    "1a000734ec", //               opening: 472,300
    "82",         //             target: 2 fields
    "50",         //               meter: 16 bytes
    "02020202020202020202020202020202",
    "f6",   //               opening: none
    "80",   //       excluded: 0 of them
    "5840", //   signature: 64 bytes
    "6554caf3a5381e636cf498313a2f7cd9d6e2ed3709c8a921b814852334c76c06",
    "09a09dcdf56f71209addc4150e46d2d33342b0ad6f3e7bdbef614c64bae71a00",
);

/// A query for a group's curve that leaves one record out, with the proof.
pub(crate) const QUERY_GROUP: &str = concat!(
    "82",     // envelope: 2 fields
    "5902ce", //   body: 718 bytes
    "84",     //     query: 4 fields
    "50",     //       id: 16 bytes
    "52525252525252525252525252525252",
    "82",             //       period: 2 fields
    "1a000734e8",     //         first slot: 472,296
    "1a00073500",     //         slot after the last: 472,320
    "a16547726f7570", //       ask: Group
    "82",             //         group: 2 fields
    "656e6f727468",   //           group: "north"
    "82",             //           members: 2 of them
    "50",             //             meter: 16 bytes
    "01010101010101010101010101010101",
    "50", //             meter: 16 bytes
    "02020202020202020202020202020202",
    "81",   //       excluded: 1 of them
    "82",   //         exclusion: 2 fields
    "5820", //           rid: 32 bytes
    "bd1d1740bccf3dcb67aab264eb66a899a5b405dbbd8cc097d67d94d4e7da7ee0",
    "83",   //           receipts: 3 of them
    "58c7", //             signed receipt: 199 bytes
    "82",   //               envelope: 2 fields
    "5882", //                 body: 130 bytes
    "87",   //                   receipt: 7 fields
    "01",   //                     point: 1
    "50",   //                     meter: 16 bytes
    "01010101010101010101010101010101",
    "03",                 //                     roster epoch: 3
    "82",                 //                     stored: 2 of them
    "82",                 //                       range: 2 fields
    "1b0000000700000000", //                         from: 7·2^32 + 0
    "1b0000000700000002", //                         to: 7·2^32 + 2
    "82",                 //                       range: 2 fields
    "1b0000000700000005", //                         from: 7·2^32 + 5
    "1b0000000700000005", //                         to: 7·2^32 + 5
    "81",                 //                     checks: 1 of them
    "83",                 //                       check: 3 fields
    "1b0000000700000005", //                         seq: 7·2^32 + 5
    "5820",               //                         rid: 32 bytes
    "bd1d1740bccf3dcb67aab264eb66a899a5b405dbbd8cc097d67d94d4e7da7ee0",
    "1b1986ad4fca5704d8", //                         c_i: 1,839,348,056,036,148,440
    "81",                 //                     refused: 1 of them
    "82",                 //                       record: 2 fields
    "1b0000000700000004", //                         seq: 7·2^32 + 4
    "03",                 //                         rule: bad-share
    "1a655884e0",         //                     at: 1,700,300,000
    "5840",               //                 signature: 64 bytes
    "f48454aed7ff2bea387187ae100ced0c7ed21a4f21f8755ca058aa41774fd9f7",
    "eb8e1dd3b79df26b8b1290da600552de1addcb670aabc96958223b5aac0c050e",
    "58c7", //             signed receipt: 199 bytes
    "82",   //               envelope: 2 fields
    "5882", //                 body: 130 bytes
    "87",   //                   receipt: 7 fields
    "02",   //                     point: 2
    "50",   //                     meter: 16 bytes
    "01010101010101010101010101010101",
    "03",                 //                     roster epoch: 3
    "82",                 //                     stored: 2 of them
    "82",                 //                       range: 2 fields
    "1b0000000700000000", //                         from: 7·2^32 + 0
    "1b0000000700000002", //                         to: 7·2^32 + 2
    "82",                 //                       range: 2 fields
    "1b0000000700000005", //                         from: 7·2^32 + 5
    "1b0000000700000005", //                         to: 7·2^32 + 5
    "81",                 //                     checks: 1 of them
    "83",                 //                       check: 3 fields
    "1b0000000700000005", //                         seq: 7·2^32 + 5
    "5820",               //                         rid: 32 bytes
    "bd1d1740bccf3dcb67aab264eb66a899a5b405dbbd8cc097d67d94d4e7da7ee0",
    "1bd378fe091f20b6b9", //                         c_i: 15,238,208,654,338,471,609
    "81",                 //                     refused: 1 of them
    "82",                 //                       record: 2 fields
    "1b0000000700000004", //                         seq: 7·2^32 + 4
    "03",                 //                         rule: bad-share
    "1a655884e0",         //                     at: 1,700,300,000
    "5840",               //                 signature: 64 bytes
    "28086f6103f140da6be61c0e950965f2af3527d5285c6e26fdf80ce33cf351f4",
    "7915a72eb56d0d96d6fde4f7df7a02b36a6f18f74f290d772c9b049f0fda6a00",
    "58c7", //             signed receipt: 199 bytes
    "82",   //               envelope: 2 fields
    "5882", //                 body: 130 bytes
    "87",   //                   receipt: 7 fields
    "03",   //                     point: 3
    "50",   //                     meter: 16 bytes
    "01010101010101010101010101010101",
    "03",                 //                     roster epoch: 3
    "82",                 //                     stored: 2 of them
    "82",                 //                       range: 2 fields
    "1b0000000700000000", //                         from: 7·2^32 + 0
    "1b0000000700000002", //                         to: 7·2^32 + 2
    "82",                 //                       range: 2 fields
    "1b0000000700000005", //                         from: 7·2^32 + 5
    "1b0000000700000005", //                         to: 7·2^32 + 5
    "81",                 //                     checks: 1 of them
    "83",                 //                       check: 3 fields
    "1b0000000700000005", //                         seq: 7·2^32 + 5
    "5820",               //                         rid: 32 bytes
    "bd1d1740bccf3dcb67aab264eb66a899a5b405dbbd8cc097d67d94d4e7da7ee0",
    "1b4dfef692ebccece6", //                         c_i: 5,620,200,495,886,691,558
    "81",                 //                     refused: 1 of them
    "82",                 //                       record: 2 fields
    "1b0000000700000004", //                         seq: 7·2^32 + 4
    "03",                 //                         rule: bad-share
    "1a655884e0",         //                     at: 1,700,300,000
    "5840",               //                 signature: 64 bytes
    "37fc8518cde9ae8455b27c83b505b71c49215ad262c085799221f89d11e43f12",
    "50ee428ca166ca9d8a838041419c26d117d2a06dce2cacc756fbff93d55d5b0d",
    "5840", //   signature: 64 bytes
    "d4061744086286116b03323fb31b27841abcdcbf95c11df2d15eb1f07938aaa9",
    "f5d2abbd73fc192975c0b78cfc113d6a71dc712b74155e10887af10ab541020c",
);

/// A query for an interval of the grid path, within its window.
pub(crate) const QUERY_GRID: &str = concat!(
    "82",   // envelope: 2 fields
    "5859", //   body: 89 bytes
    "84",   //     query: 4 fields
    "50",   //       id: 16 bytes
    "53535353535353535353535353535353",
    "82",           //       period: 2 fields
    "1a000734e8",   //         first slot: 472,296
    "1a00073500",   //         slot after the last: 472,320
    "a16447726964", //       ask: Grid
    "83",           //         grid: 3 fields
    "656e6f727468", //           group: "north"
    "82",           //           members: 2 of them
    "50",           //             meter: 16 bytes
    "01010101010101010101010101010101",
    "50", //             meter: 16 bytes
    "02020202020202020202020202020202",
    "82",         //           window: 2 fields
    "1a000734e8", //             first slot: 472,296
    "1a00073788", //             slot after the last: 472,968
    "80",         //       excluded: 0 of them
    "5840",       //   signature: 64 bytes
    "fe7cfec65fcab38eb1e850a789dd7d3b300c8a3687fc3cedbfe58485b6bd1e6a",
    "2b8508630e6a45d0e38114a3571256fc59654e0c967a79b55e1b56c2fff8550c",
);

/// Aggregator 1's inventory: a record of one target; one that is refused; a member with its load vector, and one without.
pub(crate) const INVENTORY: &str = concat!(
    "82",     // envelope: 2 fields
    "59015b", //   body: 347 bytes
    "84",     //     inventory: 4 fields
    "50",     //       query: 16 bytes
    "51515151515151515151515151515151",
    "01",                   //       point: 1
    "a168486f6c64696e6773", //       answer: Holdings
    "84",                   //         holdings: 4 of them
    "a1675265636f726473",   //           holding: Records
    "81",                   //             records: 1 of them
    "82",                   //               record: 2 fields
    "82",                   //                 slots: 2 fields
    "1a000734ec",           //                   first slot: 472,300
    "1a000734ee",           //                   slot after the last: 472,302
    "5820",                 //                 rid: 32 bytes
    "63d6c5a0f2374043c896062ded4f847a0b18c7eca0ab9bdd7888b5d15009241a",
    "a16752656675736564", //           holding: Refused
    "181c",               //             rule: already-released
    "a166566563746f72",   //           holding: Vector
    "82",                 //             member: 2 fields
    "80",                 //               records: 0 of them
    "82",                 //               load vector: 2 fields
    "5820",               //                 vector: 32 bytes
    "4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c",
    "5820", //                 deal: 32 bytes
    "dededededededededededededededededededededededededededededededede",
    "a166566563746f72", //           holding: Vector
    "82",               //             member: 2 fields
    "80",               //               records: 0 of them
    "f6",               //               load vector: none
    "81",               //       seen: 1 of them
    "589d",             //         signed vote: 157 bytes
    "82",               //           envelope: 2 fields
    "5858",             //             body: 88 bytes
    "85",               //               vote: 5 fields
    "50",               //                 query: 16 bytes
    "51515151515151515151515151515151",
    "5820", //                 cut: 32 bytes
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
    "02",   //                 point: 2
    "11",   //                 height: 17
    "5820", //                 previous vote: 32 bytes
    "1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e",
    "5840", //             signature: 64 bytes
    "61b8a3317604710199a050645d1e8b792d488c51669a4fc839f7d42987e889d8",
    "3defc792a6e9a53924a6aa39c6fdb8041ba2efe8928baa39025776390ceda300",
    "5840", //   signature: 64 bytes
    "f62dac3cfb9f6142a2de3e6d94a203ec5efe88b87e210ee67a2c99e7631f83b1",
    "a058069cf5103744795128213bb358c4b6d622d67dd8c6001604937fc0583701",
);

/// Aggregator 3 refuses the query.
pub(crate) const INVENTORY_REFUSED: &str = concat!(
    "82",   // envelope: 2 fields
    "581f", //   body: 31 bytes
    "84",   //     inventory: 4 fields
    "50",   //       query: 16 bytes
    "51515151515151515151515151515151",
    "03",                 //       point: 3
    "a16752656675736564", //       answer: Refused
    "1818",               //         rule: cell
    "80",                 //       seen: 0 of them
    "5840",               //   signature: 64 bytes
    "27ec317752bf67e54d2e70293c65450f13437c38107ca6fc3df68e4219296c0b",
    "2875fbc16f68f16ac47982ccd484e243ddf0ebd4fca08b2ee6951ea1a7aeba00",
);

/// A cut.
pub(crate) const CUT: &str = concat!(
    "82",   // envelope: 2 fields
    "587d", //   body: 125 bytes
    "83",   //     cut: 3 fields
    "50",   //       query: 16 bytes
    "51515151515151515151515151515151",
    "82",   //       cited: 2 of them
    "82",   //         inventory: 2 fields
    "01",   //           point: 1
    "5820", //           hash: 32 bytes
    "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1",
    "82",   //         inventory: 2 fields
    "03",   //           point: 3
    "5820", //           hash: 32 bytes
    "c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3",
    "5820", //       selection: 32 bytes
    "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e",
    "5840", //   signature: 64 bytes
    "bf0fcdfd93b530fa490ec299110fa042ab9d15ee60675362892fcfdab6d0a39f",
    "c4a3b2276336ab60e2134060597cc5aa387c6afe84f95c165acba8929dc2e009",
);

/// A vote.
pub(crate) const VOTE: &str = concat!(
    "82",   // envelope: 2 fields
    "5858", //   body: 88 bytes
    "85",   //     vote: 5 fields
    "50",   //       query: 16 bytes
    "51515151515151515151515151515151",
    "5820", //       cut: 32 bytes
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
    "02",   //       point: 2
    "11",   //       height: 17
    "5820", //       previous vote: 32 bytes
    "1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e",
    "5840", //   signature: 64 bytes
    "61b8a3317604710199a050645d1e8b792d488c51669a4fc839f7d42987e889d8",
    "3defc792a6e9a53924a6aa39c6fdb8041ba2efe8928baa39025776390ceda300",
);

/// A bundle of one vote.
pub(crate) const VOTES: &str = concat!(
    "81",   // votes: 1 of them
    "589d", //   signed vote: 157 bytes
    "82",   //     envelope: 2 fields
    "5858", //       body: 88 bytes
    "85",   //         vote: 5 fields
    "50",   //           query: 16 bytes
    "51515151515151515151515151515151",
    "5820", //           cut: 32 bytes
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
    "02",   //           point: 2
    "11",   //           height: 17
    "5820", //           previous vote: 32 bytes
    "1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e",
    "5840", //       signature: 64 bytes
    "61b8a3317604710199a050645d1e8b792d488c51669a4fc839f7d42987e889d8",
    "3defc792a6e9a53924a6aa39c6fdb8041ba2efe8928baa39025776390ceda300",
);

/// Aggregator 1's result, sealed to the sink.
pub(crate) const RESULT: &str = concat!(
    "82",   // envelope: 2 fields
    "5888", //   body: 136 bytes
    "84",   //     result: 4 fields
    "50",   //       query: 16 bytes
    "51515151515151515151515151515151",
    "5820", //       cut: 32 bytes
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
    "01",   //       point: 1
    "83",   //       sealed box: 3 fields
    "01",   //         key id: 1
    "5820", //         encapsulated key: 32 bytes
    "8af5c685661698555c9bb50efdd121eb7372c5f3936030a9655580303320f21b",
    "582d", //         ciphertext and tag: 45 bytes
    "c0e2fa37a08b061aba0f2fd08f0b4ab411a5027557e1db59c5e2835ca0bc190d",
    "195d9a6cbb0357c559f4f6feba",
    "5840", //   signature: 64 bytes
    "670c04e53b6e25f640fd2b1da3561f486b9dafecefbe4d27d5e766f2218dc29d",
    "8f50bb5c3712e208bc5c136d1126f2dfacdc73531a6474471ea569aee31d4408",
);

/// Aggregator 3 does not vote for the cut.
pub(crate) const OBJECTION: &str = concat!(
    "82",   // envelope: 2 fields
    "5837", //   body: 55 bytes
    "84",   //     objection: 4 fields
    "50",   //       query: 16 bytes
    "51515151515151515151515151515151",
    "5820", //       cut: 32 bytes
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
    "03",   //       point: 3
    "1821", //       rule: differencing
    "5840", //   signature: 64 bytes
    "8792e25900afc665cc15eafb82afb5f8b15c0ad54d275b9286f3fe387afcc0bd",
    "c81cef014cfc49a16327a5f06d0b9080378099718eb7389626a84f03166dfc05",
);

/// An outcome.
pub(crate) const OUTCOME: &str = concat!(
    "82",   // envelope: 2 fields
    "5883", //   body: 131 bytes
    "88",   //     outcome: 8 fields
    "50",   //       query: 16 bytes
    "51515151515151515151515151515151",
    "5820", //       cut: 32 bytes
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
    "6442696c6c", //       path: "Bill"
    "81",         //       taken: 1 of them
    "82",         //         meter: 2 fields
    "50",         //           meter: 16 bytes
    "01010101010101010101010101010101",
    "82",         //           slots: 2 fields
    "1a000734ec", //             first slot: 472,300
    "1a00073788", //             slot after the last: 472,968
    "82",         //       used: 2 of them
    "01",         //         point: 1
    "03",         //         point: 3
    "81",         //       faulty: 1 of them
    "02",         //         point: 2
    "5820",       //       result: 32 bytes
    "4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e4e",
    "1a655884e0", //       at: 1,700,300,000
    "5840",       //   signature: 64 bytes
    "de7d03bc1d364aea790a78b63abbf48aa004314423388d6525be30a3d5911214",
    "6f15e4e80344d4af44d38562f87eeb300b10d1593f5ae0d43d4805cfc692c908",
);
