//! The messages' bytes in hexadecimal, field by field.
//!
//! Where from: made by this crate from fixed keys and ChaCha20 key streams, then taken apart by a second implementation
//! in Python that shares no code with it (`hashlib` and `cryptography` 48). That one found the same hashes, record name,
//! box and chunk hashes and check value, made the same Ed25519 signatures, opened the sealed boxes [RFC 9180, section 5.1]
//! and interpolated 831, 12 and 4,711 from the shares in them.

pub(crate) use super::release_messages::*;

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
