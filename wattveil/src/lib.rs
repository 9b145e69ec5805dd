//! wattveil: the command, and the only place that knows all parties.
//!
//! [`deployment`] makes a whole deployment at once, [`demo`] runs one before your eyes, [`mod@bench`] says what it costs;
//! [`analytics`] shows what was released, [`tap`] what the broker carries, [`levelled`] plays mode `levelled` in
//! memory, [`account`] counts what roles do.
//!
//! For people who run one: [`init`] makes its [`directory`], [`enrol`] and [`adopt`] add a meter, [`revoke`] ends one, [`rotate`] gives
//! everybody the next roster, [`check`] says what is wrong and what to type, [`explain`] who can learn what, [`bill`] closes a period,
//! [`ask`] has functions computed under encryption, [`status`] shows who is well.

pub mod adopt;
pub mod ask;
pub mod bill;
pub mod check;
pub mod enrol;
pub mod explain;
mod export;
pub mod init;
mod line;
mod release;
pub mod revoke;
pub mod rotate;
pub mod run;
pub mod statistics;
pub mod status;
pub mod tap;
