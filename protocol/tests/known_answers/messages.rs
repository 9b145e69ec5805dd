//! The messages' bytes in hexadecimal, field by field.
//!
//! Where from: made by this crate from fixed keys and ChaCha20 key streams, then taken apart by a second implementation
//! in Python that shares no code with it (`hashlib` and `cryptography` 48). That one found the same hashes, record name,
//! box hash and check value, made the same Ed25519 signatures, opened the sealed boxes [RFC 9180, section 5.1] and
//! interpolated 831, 12 and 4,711 from the shares in them.

/// A meter's certificate, signed by the registrar.
pub(crate) const CERTIFICATE: &str = concat!(
    "82",   // envelope: 2 fields
    "585a", //   body: 90 bytes
    "87",   //     certificate: 7 fields
    "50",   //       meter: 16 bytes
    "01010101010101010101010101010101",
    "5820", //       key: 32 bytes
    "af06a3e3291714e4f356c19c9b15cd1951ec6e6662aa77be07547f289383341d",
    "6473702d31",   //       service point: "sp-1"
    "656e6f727468", //       group: "north"
    "1a6553f100",   //       valid from: 1,700,000,000
    "1a6b49d200",   //       valid to: 1,800,000,000
    "50",           //       previous meter: 16 bytes
    "09090909090909090909090909090909",
    "5840", //   signature: 64 bytes
    "9b929486182de3d369b2b0cbd2507bedc02b43e11739ab2c6eefef3f3b477c67",
    "ecead0c76d05b571c6c87aa4628e133b2740a0dbdd0083abd0ca4dc26b65a108",
);

/// The roster with three acceptances.
pub(crate) const ROSTER: &str = concat!(
    "82",         // bundle: 2 fields
    "5901eb",     //   signed roster: 491 bytes
    "82",         //     envelope: 2 fields
    "5901a5",     //       body: 421 bytes
    "8b",         //         roster: 11 fields
    "6464656d6f", //           deployment: "demo"
    "03",         //           epoch: 3
    "5820",       //           previous roster: 32 bytes
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "1a6553f100",   //           valid from: 1,700,000,000
    "1a6b49d200",   //           valid to: 1,800,000,000
    "02",           //           threshold t: 2
    "03",           //           quorum Q: 3
    "190e10",       //           slot length, s: 3,600
    "83",           //           aggregators: 3 of them
    "85",           //             aggregator: 5 fields
    "656167672d31", //               id: "agg-1"
    "01",           //               point: 1
    "654f72672031", //               organisation: "Org 1"
    "5820",         //               key: 32 bytes
    "48075a597e721a156e2e0799de5cc0c5324dc6e7eaf1cdd46250868ec53215dd",
    "81",   //               box keys: 1 of them
    "82",   //                 box key: 2 fields
    "83",   //                   key: 3 fields
    "01",   //                     key id: 1
    "01",   //                     suite: 1
    "5820", //                     public key: 32 bytes
    "7a1a4e709bf085ac494aba0469b9b1eda0ab1f78b16aabb79ffeda90623e8522",
    "1a684ee180",   //                   not after: 1,750,000,000
    "85",           //             aggregator: 5 fields
    "656167672d32", //               id: "agg-2"
    "02",           //               point: 2
    "654f72672032", //               organisation: "Org 2"
    "5820",         //               key: 32 bytes
    "5e212c0980e4b39fc09721134aa02109374edfd260c0d3d03cb501c8d65457a9",
    "81",   //               box keys: 1 of them
    "82",   //                 box key: 2 fields
    "83",   //                   key: 3 fields
    "01",   //                     key id: 1
    "01",   //                     suite: 1
    "5820", //                     public key: 32 bytes
    "132c442be010fbd57e72603328aa76e71fccc1503aae219327d14d9c9993f472",
    "1a684ee180",   //                   not after: 1,750,000,000
    "85",           //             aggregator: 5 fields
    "656167672d33", //               id: "agg-3"
    "03",           //               point: 3
    "654f72672033", //               organisation: "Org 3"
    "5820",         //               key: 32 bytes
    "17cb79fb2b4120f2b1ec65e4198d6e08b28e813feb01e4a400839b85e18080ce",
    "81",   //               box keys: 1 of them
    "82",   //                 box key: 2 fields
    "83",   //                   key: 3 fields
    "01",   //                     key id: 1
    "01",   //                     suite: 1
    "5820", //                     public key: 32 bytes
    "cdefd8783a91b446640e2e1f95599db35e484a0071bd2182b3b60d0812c10c70",
    "1a684ee180", //                   not after: 1,750,000,000
    "82",         //           utility: 2 fields
    "5820",       //             key: 32 bytes
    "4ed32f63bf35f0eeefcb25f28a2e1fbdc873ae2835671b0c9460f5f12e4556a8",
    "83",   //             box key: 3 fields
    "01",   //               key id: 1
    "01",   //               suite: 1
    "5820", //               public key: 32 bytes
    "7d34a4815fa6b982535e60af3bd9b49556816080f1641ff81d2b7c8ae8268a44",
    "87",         //           policy: 7 fields
    "0f",         //             k: 15
    "181c",       //             shortest bill, days: 28
    "1903b6",     //             coverage, thousandths: 950
    "04",         //             functionals: 4
    "1819",       //             smallest cell: 25
    "0f",         //             meters a tariff: 15
    "1a00794a00", //             late grace, s: 7,948,800
    "5840",       //       signature: 64 bytes
    "5453ac7bdb63381cf10b2f375e266798a05e8c518dcf5da15c7df10eb0fc4009",
    "cb63229ffa622f2239b3685641deb6cd9e2b3f94dac39106f9f9a5d8971fd408",
    "83",   //   acceptances: 3 of them
    "82",   //     acceptance: 2 fields
    "01",   //       point: 1
    "5840", //       signature: 64 bytes
    "8a30684ae3d371a6c148ee1fc25b9f7e8a5bd79fa602c598b4a8e61286547ae0",
    "94a95a7ee0263f21475230dab64be76b89cc729ea0de56d6bc9cd817c23a8f04",
    "82",   //     acceptance: 2 fields
    "02",   //       point: 2
    "5840", //       signature: 64 bytes
    "d95f345333997500dccd5d4b2eb9c8e7e4bab5d4f8eb3166f7fbbcf390505246",
    "5340ebd66e80390b09996c6005e22656aab13577beaa9adad91a93de7b044804",
    "82",   //     acceptance: 2 fields
    "03",   //       point: 3
    "5840", //       signature: 64 bytes
    "0fc8a3a65a7752e3cd84b7482d35980a7254b16b6ea2c999c9559bd4bb993b16",
    "fc4bcceee3be1d2fbb2fea46b5c8509c3769134b7a8adc0fd543da1aba0fea0f",
);

/// Aggregator 2's share message of a batch of two slots.
pub(crate) const SHARE: &str = concat!(
    "84",   // share message: 4 fields
    "588f", //   record: 143 bytes
    "83",   //     record: 3 fields
    "89",   //       head: 9 fields
    "01",   //         protocol version: 1
    "01",   //         kind: import
    "03",   //         roster epoch: 3
    "50",   //         meter: 16 bytes
    "01010101010101010101010101010101",
    "1b0000000700000005", //         seq: 7·2^32 + 5
    "00",                 //         version: 0
    "1a000734ec",         //         first slot: 472,300
    "02",                 //         slots: 2
    "00",                 //         flags: 0
    "83",                 //       boxes: 3 of them
    "5820",               //         box hash: 32 bytes
    "bbaf7ef7cb0bc30b04f56680c18de5d1a525e74f0411744e84fe8a1469180ee5",
    "5820", //         box hash: 32 bytes
    "43bb8af50abf583e51da6e93ffbe33d3077a60c45a30cc0131947d4b8c19b037",
    "5820", //         box hash: 32 bytes
    "d979a793a9b61e2f161c9aa40f7dab359aa82f6b95718e209ace1e373fc5ae88",
    "f6",   //       grid: none
    "5840", //   signature: 64 bytes
    "3795fbe0018d6335968e8f7367b40ba0c71fdc1aeaed665b4d2d6dc9eab1b0a3",
    "e486f236c487d8754c6eb78a730b40df6629a2f77a896eb4e2d664b9015d810b",
    "02",   //   point: 2
    "83",   //   sealed box: 3 fields
    "01",   //     key id: 1
    "5820", //     encapsulated key: 32 bytes
    "41d73a101279b51665155e7a33a22c1c4f413124d262bd3426a6684cfb13145b",
    "5830", //     ciphertext and tag: 48 bytes
    "aaf27622b0b0a7d45cd1b9a0f465abfa6c758fd7c879ba2bea3bbff5bd9abcb2",
    "029c217a2f2e229089eeb6083b8f31ca",
);

/// Aggregator 1's receipt for that batch.
pub(crate) const RECEIPT: &str = concat!(
    "82",   // envelope: 2 fields
    "5882", //   body: 130 bytes
    "87",   //     receipt: 7 fields
    "01",   //       point: 1
    "50",   //       meter: 16 bytes
    "01010101010101010101010101010101",
    "03",                 //       roster epoch: 3
    "82",                 //       stored: 2 of them
    "82",                 //         range: 2 fields
    "1b0000000700000000", //           from: 7·2^32 + 0
    "1b0000000700000002", //           to: 7·2^32 + 2
    "82",                 //         range: 2 fields
    "1b0000000700000005", //           from: 7·2^32 + 5
    "1b0000000700000005", //           to: 7·2^32 + 5
    "81",                 //       checks: 1 of them
    "83",                 //         check: 3 fields
    "1b0000000700000005", //           seq: 7·2^32 + 5
    "5820",               //           rid: 32 bytes
    "bf2083b69fdf4feff1f335f29e67e3c649d1b01eb0d37bf4c49d2cb6574ec28e",
    "1b5c68d0e33a739706", //           c_i: 6,658,801,723,424,085,766
    "81",                 //       refused: 1 of them
    "82",                 //         record: 2 fields
    "1b0000000700000004", //           seq: 7·2^32 + 4
    "03",                 //           rule: bad-share
    "1a655884e0",         //       at: 1,700,300,000
    "5840",               //   signature: 64 bytes
    "168eef055ff87a68a76c538b28627164401493b3e8dcff56f46e44f4baf66a87",
    "0c6d03d1524705da701f48aab8290a894c71514f8271c10ba455fd93929cc307",
);

/// The only part of the document "a document".
pub(crate) const PART: &str = concat!(
    "84",   // part: 4 fields
    "5820", //   document: 32 bytes
    "5a273de62feb9d02a5f89892561f12b7cfadfe9aaabce68ed0e2544e35bc727c",
    "00", //   index: 0
    "01", //   total: 1
    "4a", //   bytes: 10 bytes
    "6120646f63756d656e74",
);

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
    "1cae9781e7eefa830ab35cb29db7d7c7f2d3f09b489924586d470a6fb59b377f",
    "cc7afc0530865cee77456a7f5166f6b608d1e56ee42028791d8090c462b82e0d",
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
    "a1dfac8e4fb4599f71d0356b47e098847367edb6309d9e59f37e01da9002800d",
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
    "a1dfac8e4fb4599f71d0356b47e098847367edb6309d9e59f37e01da9002800d",
    "1bf5a3a73d7a36dd6f", //                         c_i: 17,700,174,842,981,440,879
    "81",                 //                     refused: 1 of them
    "82",                 //                       record: 2 fields
    "1b0000000700000004", //                         seq: 7·2^32 + 4
    "03",                 //                         rule: bad-share
    "1a655884e0",         //                     at: 1,700,300,000
    "5840",               //                 signature: 64 bytes
    "4e6b0cf161faa39631db7e27eb71ebc1265abae876cf0f30818d079762b3aabc",
    "b7a3d6122ad6d501a3ca417d6e575f63aab469369a3c077a0c469ad8a7cc9505",
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
    "a1dfac8e4fb4599f71d0356b47e098847367edb6309d9e59f37e01da9002800d",
    "1be7ddd547f31bb4f0", //                         c_i: 16,707,744,697,612,481,776
    "81",                 //                     refused: 1 of them
    "82",                 //                       record: 2 fields
    "1b0000000700000004", //                         seq: 7·2^32 + 4
    "03",                 //                         rule: bad-share
    "1a655884e0",         //                     at: 1,700,300,000
    "5840",               //                 signature: 64 bytes
    "81d871154afca88afe06a3a8030b449234afb0632bc46a1e2f054f0aa7e39ea4",
    "bfd9ee313cef0b0ffba81e9a9fa4b2703dbf7c7e781fe5e53cb084eb1c1a6f0d",
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
    "a1dfac8e4fb4599f71d0356b47e098847367edb6309d9e59f37e01da9002800d",
    "1b994f8e02813fa44f", //                         c_i: 11,047,204,552,372,626,511
    "81",                 //                     refused: 1 of them
    "82",                 //                       record: 2 fields
    "1b0000000700000004", //                         seq: 7·2^32 + 4
    "03",                 //                         rule: bad-share
    "1a655884e0",         //                     at: 1,700,300,000
    "5840",               //                 signature: 64 bytes
    "a93bdd8209292efeb9f29ee09967bb676ecf4a2ed4e75c6b972521d47e75a0a2",
    "3e09eb49110b9c9f536922c6b3c09bf21c2af24c6cbe7fc97a957207453cf00a",
    "5840", //   signature: 64 bytes
    "c7926e98346aa19a05ebf707d300ea1842d524deff1323a301044afe7d6f5eac",
    "46f4f7354c268749befda14999397a7d83461ab94f56535b1ff32d0d6327cb05",
);

/// Aggregator 1's inventory: one record of the first target; the second is refused.
pub(crate) const INVENTORY: &str = concat!(
    "82",     // envelope: 2 fields
    "590101", //   body: 257 bytes
    "84",     //     inventory: 4 fields
    "50",     //       query: 16 bytes
    "51515151515151515151515151515151",
    "01",                   //       point: 1
    "a168486f6c64696e6773", //       answer: Holdings
    "82",                   //         holdings: 2 of them
    "a1675265636f726473",   //           holding: Records
    "81",                   //             records: 1 of them
    "82",                   //               record: 2 fields
    "82",                   //                 slots: 2 fields
    "1a000734ec",           //                   first slot: 472,300
    "1a000734ee",           //                   slot after the last: 472,302
    "5820",                 //                 rid: 32 bytes
    "bf2083b69fdf4feff1f335f29e67e3c649d1b01eb0d37bf4c49d2cb6574ec28e",
    "a16752656675736564", //           holding: Refused
    "181c",               //             rule: already-released
    "81",                 //       seen: 1 of them
    "589d",               //         signed vote: 157 bytes
    "82",                 //           envelope: 2 fields
    "5858",               //             body: 88 bytes
    "85",                 //               vote: 5 fields
    "50",                 //                 query: 16 bytes
    "51515151515151515151515151515151",
    "5820", //                 cut: 32 bytes
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
    "02",   //                 point: 2
    "11",   //                 height: 17
    "5820", //                 previous vote: 32 bytes
    "1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e",
    "5840", //             signature: 64 bytes
    "89a726887e1e08b927c0f26d84ee48a3c9a110836ab4865b9655e3f535757ed2",
    "884a9620aff3067948baea9acd10e9f53fc599c7778abab9106fb5a20cee9004",
    "5840", //   signature: 64 bytes
    "cd6a44ce2771ae5f9f2cf4c6fcf25f588db21c66db67f13c57d9ffad420d14e2",
    "5fd8ae812d0a361db094973a6aa2f4a1aab2a19590322b37e77fe709611a2802",
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
    "76cd90816ee0af70953e10340f723f5085eba505df79cc77b5ffc1a84e153c58",
    "7e7888c60e9168187de846ebad0fce25b3e2948fe1b81d53ac5350f471694505",
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
    "0743139da99c85ae582dd96f08eab95cd13e8077d79afda5376ab29d32d4bf9b",
    "82148292a3e856ff68f606e5b769c64cd85e5c9e98d7e2a3d9a31de2ebe31809",
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
    "89a726887e1e08b927c0f26d84ee48a3c9a110836ab4865b9655e3f535757ed2",
    "884a9620aff3067948baea9acd10e9f53fc599c7778abab9106fb5a20cee9004",
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
    "89a726887e1e08b927c0f26d84ee48a3c9a110836ab4865b9655e3f535757ed2",
    "884a9620aff3067948baea9acd10e9f53fc599c7778abab9106fb5a20cee9004",
);

/// Aggregator 1's result, sealed to the sink.
pub(crate) const RESULT: &str = concat!(
    "82",   // envelope: 2 fields
    "587e", //   body: 126 bytes
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
    "5823", //         ciphertext and tag: 35 bytes
    "c030950ba38b061aba0f2fd08f0bb5b411a50be668a22998f9896b78dc96a3da",
    "d0cdd9",
    "5840", //   signature: 64 bytes
    "af7cac8f15b7603ee4440b412c4e14d155953a20107630ec075be5aa0cbf3d9d",
    "6d59f9bfa5b1ed9424b916316c58f7f230f88691dc7cc77a76647e570d592006",
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
    "3ec2f77a7a108cead6695b6d849e6ff6156696017da10fcaa9d0e9fec1531249",
    "7102a794b62f1fb275f5849bd4b730193295798fcfffab5a83311c2d6a84b30d",
);

/// A time-of-use tariff.
pub(crate) const TARIFF: &str = concat!(
    "82",                                       // envelope: 2 fields
    "5855",                                     //   body: 85 bytes
    "8a",                                       //     tariff: 10 fields
    "63746f75",                                 //       id: "tou"
    "63555344",                                 //       currency: "USD"
    "73416d65726963612f4c6f735f416e67656c6573", //       zone: "America/Los_Angeles"
    "1a000734e8",                               //       valid from, slot: 472,296
    "1a00075720",                               //       valid to, slot: 481,056
    "82",                                       //       bands: 2 of them
    "82",                                       //         band: 2 fields
    "686f66662d7065616b",                       //           name: "off-peak"
    "197530",                                   //           price: 30,000
    "82",                                       //         band: 2 fields
    "647065616b",                               //           name: "peak"
    "19c350",                                   //           price: 50,000
    "81",                                       //       windows: 1 of them
    "84",                                       //         window: 4 fields
    "181f",                                     //           days, from Monday: 31
    "1903c0",                                   //           from minute: 960
    "1904ec",                                   //           to minute: 1,260
    "01",                                       //           band: 1
    "00",                                       //       otherwise: 0
    "00",                                       //       substitute: 0
    "81",                                       //       offsets: 1 of them
    "82",                                       //         offset: 2 fields
    "1a65475990",                               //           from: 1,699,174,800
    "39707f",                                   //           seconds east: -28,800
    "5840",                                     //   signature: 64 bytes
    "17cc479cdbf5641c72ec686b2a0bd37d3f1cedfdcdae6fa072d55eea72787aa1",
    "608a29e454fd25b49ee14c2b2572dd29aabbdb12ddb5b2726c21ba9854aa5609",
);

/// A status.
pub(crate) const STATUS: &str = concat!(
    "84",           // status: 4 fields
    "627570",       //   state: "up"
    "65302e312e30", //   version: "0.1.0"
    "03",           //   roster epoch: 3
    "19012c",       //   backlog: 300
);
