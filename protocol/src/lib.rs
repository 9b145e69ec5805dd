//! The wattveil protocol `wv/1`, pure: no socket, no clock, no randomness of its own.
//!
//! A meter splits its readings into Shamir shares, with one polynomial for each element. It seals each aggregator's shares
//! to that aggregator and signs all of them once. Aggregators store shares and answer only *certified releases*: linear
//! functions of whole periods that a quorum voted for. The utility's sink decodes the answers as a Reed–Solomon word.
//! So it corrects the answer of a lying aggregator and names the aggregator.
//!
//! # Glossary: one word per thing
//!
//! | word | is |
//! |---|---|
//! | meter | the device of one home; its name is a random pseudonym |
//! | aggregator | one of n independent organisations that store shares and answer certified releases |
//! | utility, sink | the party that receives bills and curves; the sink is its program |
//! | registrar | the authority that signs rosters, certificates and revocations |
//! | deployment | one set of these parties, with its own name |
//! | slot | an interval of 900, 1800 or 3600 s, counted from the Unix epoch in UTC |
//! | register | the meter's counter of all energy so far, in watt-hours |
//! | reading | the register's value at the end of a slot |
//! | energy | the difference of two consecutive readings: what one slot used |
//! | batch | consecutive slots that a meter seals together |
//! | record | the signed summary of a batch: its head, and the hashes of its sealed boxes |
//! | rid | the record's hash, which names the record |
//! | share | one aggregator's points on the polynomials of a batch; fewer than t shares reveal nothing |
//! | threshold t | how many aggregators' shares reconstruct a value |
//! | sealed box | bytes that are encrypted to one party's key |
//! | receipt | an aggregator's signed confirmation that it has stored records durably |
//! | check value | a masked sum over a share; inconsistent check values show that a share is wrong |
//! | roster | the signed list of the aggregators, the utility and their keys, with the policy |
//! | policy | the limits on what may be released, for example the smallest group k |
//! | certificate of a meter | the registrar's signature that a key belongs to a meter, at a service point, in a group |
//! | service point | the connection that meters are installed at, one after another |
//! | group | the meters that share one load curve; a certificate states the meter's group |
//! | revocation | the registrar's signed statement that a meter measures no more, and from when |
//! | tariff | prices of bands, and the local times at which each band applies |
//! | period | the slots of one bill |
//! | window | the fixed, aligned slots of one release of a group |
//! | interval | the slots of one load vector |
//! | query | the utility's signed request: bills of meters, or the load curve of a group |
//! | inventory | the list of records that an aggregator stores for a query |
//! | cut | the exact list of records that a release is computed from |
//! | vote | an aggregator's final agreement to one cut |
//! | objection | the rule by which an aggregator does not vote for a cut now |
//! | quorum Q | how many votes certify a cut |
//! | certificate of a cut | the votes of a quorum for it |
//! | result | an aggregator's sealed share of the released values |
//! | outcome | the utility's signed note that a release has ended, and which aggregators answered wrongly |
//! | release | one query, from its inventories to its outcome |
//! | load vector | the encrypted values of one meter and interval: energies, their squares, a histogram |
//! | key deal | a meter's shares of its grid key, an independent sharing for every active set |
//! | active set | t aggregators that decrypt a sum together |
//! | piece | an aggregator's part of an opening: the encrypted sum, and its partial decryptions |
//! | rule | the numbered reason for a refusal |
//! | levelled | the mode that computes more than sums under encryption, for meters that are trusted |
//! | plan | the utility's signed parameters of a collective key in mode `levelled` |
//! | upload | a meter's signed ciphertext in mode `levelled` |
//!
//! # Order of reading
//!
//! [`field`] → [`shamir`] → [`decode`] (the mathematics); [`wire`] → [`signature`] → [`hpke_box`], [`hedge`] (the envelope);
//! [`roster`], [`certificate`], [`revocation`] (who is who); [`record`] → [`share`] → [`receipt`] (intake);
//! [`grid`] (load vectors and key deals);
//! [`release`] (query, inventory, cut, vote, result, outcome) and [`policy`], [`tariff`] (what may be released);
//! [`levelled`] (what is computed under encryption).

pub mod certificate;
pub mod codeword;
pub mod decode;
pub mod field;
pub mod grid;
pub mod hedge;
pub mod hpke_box;
pub mod id;
pub mod key_text;
pub mod levelled;
pub mod part;
pub mod policy;
pub mod receipt;
pub mod record;
pub mod release;
pub mod revocation;
pub mod roster;
pub mod rule;
pub mod shamir;
pub mod share;
pub mod signature;
pub mod status;
pub mod tariff;
pub mod topic;
pub mod unit;
pub mod wire;

/// The protocol's name and version, in every signature, seal and topic.
pub const PROTOCOL: &str = "wv/1";
