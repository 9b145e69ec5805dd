//! The messages' bytes in hexadecimal, field by field.
//!
//! Where from: made by this crate from fixed keys and ChaCha20 key streams, then taken apart by a second implementation
//! in Python that shares no code with it (`hashlib` and `cryptography` 48). That one found the same hashes, record name,
//! box and chunk hashes and check value, made the same Ed25519 signatures, opened the sealed boxes [RFC 9180, section 5.1]
//! and interpolated 831, 12 and 4,711 from the shares in them.

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

/// A meter's revocation, signed by the registrar.
pub(crate) const REVOCATION: &str = concat!(
    "82",   // envelope: 2 fields
    "5821", //   body: 33 bytes
    "83",   //     revocation: 3 fields
    "50",   //       meter: 16 bytes
    "01010101010101010101010101010101",
    "1a65588670",           //       from: 1,700,300,400
    "696d6f766564206f7574", //       reason: "moved out"
    "5840",                 //   signature: 64 bytes
    "12b5fec9fb46a79b025342d90a0c385d7c216fffa52b0ff95730a34343fbd170",
    "93d14f951b367e74cb3daa31c01495df05f6ef5a93be9075bfc49d3d1df6bc06",
);

/// The roster with three acceptances.
pub(crate) const ROSTER: &str = concat!(
    "82",         // bundle: 2 fields
    "5901ec",     //   signed roster: 492 bytes
    "82",         //     envelope: 2 fields
    "5901a6",     //       body: 422 bytes
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
    "88",         //           policy: 8 fields
    "0f",         //             k: 15
    "181c",       //             shortest bill, days: 28
    "1903b6",     //             coverage, thousandths: 950
    "04",         //             functionals: 4
    "1819",       //             smallest cell: 25
    "0f",         //             meters a tariff: 15
    "1a00794a00", //             late grace, s: 7,948,800
    "00",         //             grid interval, s: 0
    "5840",       //       signature: 64 bytes
    "5468e8dd28efecc629c32e81eba67ba3c350e6251c04b490ba7dea704abe20cf",
    "2beb6152c6efa7a2fee711393985e12346e9fa49e136e1aa325e61a51f195f0a",
    "83",   //   acceptances: 3 of them
    "82",   //     acceptance: 2 fields
    "01",   //       point: 1
    "5840", //       signature: 64 bytes
    "fdfb48eb7e5a7bf1b5a59eabead9f136f6e7821e5911e3e56c32e70d648e78cb",
    "9daed422317b0f5c7f7fc26fffa2a1e9c51439efa3d50f67d86b701597bc5a0c",
    "82",   //     acceptance: 2 fields
    "02",   //       point: 2
    "5840", //       signature: 64 bytes
    "6dfdc1e766c948d8be7959c70422145f0ddf65e72052612698af9d0cf9ac7df7",
    "275d9775145d8b68218ae8209963eba2ac2867585bb70100783b2058d9721a04",
    "82",   //     acceptance: 2 fields
    "03",   //       point: 3
    "5840", //       signature: 64 bytes
    "9345f3a09cd0c3b027ec77de4d8035ccb9067104652d295b2991fb547fff076a",
    "54dc97a0b24b042e6f284de2350a3a93179f498f65e61e29a78455a3fdd61c0c",
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
    "8867a75dc538a60c69a14d37bf1acf3306fd1e3c8c8a06aa7e37c754d85e3ef4",
    "5820", //         box hash: 32 bytes
    "969f06227f7d3eb130f2794ccdb9336df8123bf94b90ae9f256d266cf669fb12",
    "5820", //         box hash: 32 bytes
    "b64e0c6adc2a00340ad13f7c9613df1695e13f7d6c1033618d991e6aff4ce534",
    "f6",   //       grid: none
    "5840", //   signature: 64 bytes
    "adaa62bb02c6e40cc9dfc6bd04283f2d06c45dd172c60201079e09c74b845e0a",
    "ea97dfc5678324064036e28fe42e6aa9aaeae58ab6cf8702a61277cf0fc0dd01",
    "02",   //   point: 2
    "83",   //   sealed box: 3 fields
    "01",   //     key id: 1
    "5820", //     encapsulated key: 32 bytes
    "41d73a101279b51665155e7a33a22c1c4f413124d262bd3426a6684cfb13145b",
    "5830", //     ciphertext and tag: 48 bytes
    "aaf27622b0b0a7d45cd1b9a0f465abfa6c758fd7c879ba2bea3bbff5bd9abcb2",
    "904bd41a2c2e30bc2b3830a187ea0a94",
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
    "63d6c5a0f2374043c896062ded4f847a0b18c7eca0ab9bdd7888b5d15009241a",
    "1be66dfce69f05f2de", //           c_i: 16,604,205,468,625,531,614
    "81",                 //       refused: 1 of them
    "82",                 //         record: 2 fields
    "1b0000000700000004", //           seq: 7·2^32 + 4
    "03",                 //           rule: bad-share
    "1a655884e0",         //       at: 1,700,300,000
    "5840",               //   signature: 64 bytes
    "45093589131683e0f959262bc932aad25eeb5dd46c6962a207d2559328eae4f4",
    "55f54e6c0543dfa5a645f97285726d77985639f8153b8c9518bcf1831c588307",
);

/// A meter's load vector, its ciphertext of twenty bytes.
pub(crate) const VECTOR: &str = concat!(
    "82",   // envelope: 2 fields
    "585e", //   body: 94 bytes
    "86",   //     load vector: 6 fields
    "03",   //       roster epoch: 3
    "50",   //       meter: 16 bytes
    "01010101010101010101010101010101",
    "1b0000000700000006", //       seq: 7·2^32 + 6
    "82",                 //       slots: 2 fields
    "1a000734e8",         //         first slot: 472,296
    "1a00073500",         //         slot after the last: 472,320
    "5820",               //       deal: 32 bytes
    "dededededededededededededededededededededededededededededededede",
    "54", //       ciphertext: 20 bytes
    "c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7",
    "5840", //   signature: 64 bytes
    "5ec1ae632dc783ab6114b1dfd8559cb9464af25d3574d5b99c4268bfd57ea81e",
    "dad6b387e0491d2a5daf726085bdc525d9d12dbbed0aa599ebf641d57ae6ea0c",
);

/// Aggregator 2's only chunk of a key deal among three aggregators.
pub(crate) const DEAL: &str = concat!(
    "85",   // deal message: 5 fields
    "58c8", //   signed deal: 200 bytes
    "82",   //     envelope: 2 fields
    "5883", //       body: 131 bytes
    "84",   //         deal: 4 fields
    "03",   //           roster epoch: 3
    "50",   //           meter: 16 bytes
    "01010101010101010101010101010101",
    "1b0000000700000007", //           seq: 7·2^32 + 7
    "83",                 //           chunks: 3 of them
    "5820",               //             hash of an aggregator's chunks: 32 bytes
    "9c781cd5e285de3b3c388f8582c286eb77d83041e8bb014ff05731616c24abed",
    "5820", //             hash of an aggregator's chunks: 32 bytes
    "8aa9323b59d2980dc1aecb01b4ce9b9da5cd07588064997edc630aa41ffb4713",
    "5820", //             hash of an aggregator's chunks: 32 bytes
    "0b94ceb8b18b19bd0dbf4e9145a0bffda7be3c36f4bee005a0cf70cd3ce2f18d",
    "5840", //       signature: 64 bytes
    "b791f5f2c6429e584ae1efa84e6b3a2e51518fec3b9e2f4583a2e071b4dc2c67",
    "8671adabcfb47f9dc0ae1ad84b8c60680b4f02606252619cfebad03700fa9708",
    "02",   //   point: 2
    "81",   //   chunks: 1 of them
    "5820", //     hash of a chunk: 32 bytes
    "a210154232b08464210a58d70c6b88ce31cbe80adced346e8ef867d220caa081",
    "00",   //   index: 0
    "83",   //   sealed box: 3 fields
    "01",   //     key id: 1
    "5820", //     encapsulated key: 32 bytes
    "2e1e196e9142629c1f22ac377f06fefa1668ace5e3b4cc8db303f86bbbd09776",
    "52", //     ciphertext and tag: 18 bytes
    "7a9a42800890ecf7d63298d478670c75b917",
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
    "536eae02718f3d35c5c57af08e01ddc0f22b9b99e4241a502e60f6a6b13ac5b4",
    "447e1d6d36e38ba8bc66485207b1baa067e8068ce7d3f540fc95b3fbdc930502",
);

/// A status.
pub(crate) const STATUS: &str = concat!(
    "85",           // status: 5 fields
    "627570",       //   state: "up"
    "65302e312e30", //   version: "0.1.0"
    "03",           //   roster epoch: 3
    "19012c",       //   backlog: 300
    "1a6553f100",   //   at: 1,700,000,000
);
