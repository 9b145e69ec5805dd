//! The wattveil protocol `wv/1`, pure: no socket, no clock, no randomness of its own.
//!
//! A meter splits what it measured into Shamir shares, one polynomial an element, seals each aggregator's
//! shares to that aggregator and signs the whole once. Aggregators store shares and answer only *certified
//! releases*: linear functions of whole periods that a quorum voted for. The utility's sink decodes the
//! answers as a Reed–Solomon word, so that a lying aggregator is corrected and named.
//!
//! # Glossary: one word per thing
//!
//! | word | is |
//! |---|---|
//! | reading | a cumulative register of a meter at the end of a slot, in watt-hours |
//! | slot | an interval of 900, 1800 or 3600 s, counted from the Unix epoch in UTC |
//! | batch | consecutive slots that a meter seals together |
//! | record | what a meter signs for a batch: its head and the hashes of its sealed boxes |
//! | rid | the record's hash: name, dedupe key and evidence in one |
//! | share | one aggregator's points on the polynomials of a batch |
//! | receipt | an aggregator's signed word that it has stored shares durably |
//! | roster | who the aggregators and the utility are, and the policy, signed and counter-signed |
//! | revocation | the registrar's word that a meter measures no more from some time on |
//! | query | what the utility asks for: bills of meters, or the load curve of a group, over a period |
//! | inventory | which records an aggregator holds for a query |
//! | cut | the exact records a release is computed from |
//! | vote | an aggregator's final word for one cut |
//! | certificate | a quorum of votes for one cut |
//! | result | an aggregator's sealed share of the released values |
//! | load vector | what a meter encrypts for an interval: energies, squares, one-hot bins |
//! | key deal | a meter's shares of its grid key, an independent sharing for every active set |
//! | active set | t aggregators that open a sum together |
//! | piece | an aggregator's part of an opening: the encrypted sum, and partial decryptions of it |
//! | outcome | the utility's signed note that a release has ended, and who answered wrongly |
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
