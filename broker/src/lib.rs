//! The MQTT broker that a deployment can start without installing one.
//!
//! It is [rumqttd](https://docs.rs/rumqttd)'s router, the fastest of those tried, behind sessions of our own. The
//! router is kept because it is fast, and kept away from clients because, exposed as it comes, a single client can
//! kill it for all of them. So nothing of rumqttd's network side runs here: this crate accepts, reads and checks, and
//! attaches each client to the router as a local link.
//!
//! It speaks MQTT 3.1.1 at QoS 0 and 1, in plain text, on loopback unless users with passwords are named. It depends
//! on nothing else of this workspace, so that no device ever compiles a broker.
//!
//! Read [`Config`] first, then [`Broker`]; [`command`] is the program; inside, `front` (what may pass, without I/O), `session` (one client's
//! bytes), `clients` (one seat per client id), `router` (the edge to rumqttd).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), broker::BrokerError> {
//! use broker::{Broker, Config};
//!
//! let broker = Broker::start(Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() }).await?;
//! println!("listening on {}", broker.address());
//! broker.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is wrong with rumqttd 0.20, and how it is contained
//!
//! | what a client could do to it | what happens here |
//! |---|---|
//! | a topic that starts with a multi-byte character: router panic, every client cut off for ever | topics and filters are printable ASCII, else the client is cut off |
//! | a client id with `/ + # $` that connects twice, or CONNECT, reset and CONNECT again: poisoned lock, no client ever again | the code that holds the lock does not run; such ids are refused, and each id has one seat |
//! | leave, or have its session taken over, while the router waits for it to catch up: router panic | a client leaves the router by one last message after which nothing more is sent for it; a successor waits for that |
//! | acknowledge out of order: cut off | acknowledgements are put in order here; unknown ones are ignored |
//! | any MQTT 5 property towards a 3.1.1 subscriber: panic | MQTT 5 is answered with "unacceptable protocol version" |
//! | `$share`, QoS 2: unsound, panics, duplicates and losses | `$` topics are refused, QoS 2 messages are refused, QoS 2 subscriptions get QoS 1 |
//! | packets that only a server may send: router panic | refused |
//! | more clients than `max_connections`: no client ever again after retries | counted here; one too many is told "server unavailable" |
//! | UNSUBSCRIBE from what it never subscribed to: no answer | answered here |
//! | keep-alive 0: refused | accepted: never timed out |
//! | a silent connection on a TLS port blocks all others | there is no TLS yet; a silent connection is closed after 10 s |
//!
//! What it costs, on two cores of a Zen 3: 5,000 clients that come back at once are connected and subscribed again in
//! 1.3 s, at about 45 KiB each; 150,000 messages a second of 256 bytes, 100,000 of 2 KiB, 33,000 of 8 KiB go from one
//! publisher to one subscriber at QoS 1.
//!
//! What stays open:
//! * **Nothing survives a restart**, not even acknowledged messages: end-to-end receipts are what counts.
//! * **A subscriber that is away or slow loses the oldest messages**, silently and without back-pressure on whoever
//!   publishes, once the log of its filter is full: about `segment_bytes` × (`segments` − 1), see [`LogSize`], which is
//!   to be sized for the outage, and the burst, that shall cost nothing.
//! * A message that nobody has ever subscribed to is acknowledged and gone, unless it is a retained one.
//! * A subscription gets at most 100 retained messages, and none of them again after its first time in a session.
//!   An empty message removes a retained one also when it is not itself marked as retained.
//! * There are no topic permissions: who may connect may read and write all. Payloads are to be sealed.
//! * Memory per topic, filter, client id and kept session is never given back, and not bounded: a client that is let
//!   in can exhaust it.
//! * rumqttd's router has no end: [`Broker::stop`] closes every connection and the port, but one idle thread and what
//!   the logs hold remain until the process ends.

mod accounts;
mod antechamber;
mod broker;
mod clients;
pub mod command;
mod config;
mod counters;
mod doom;
mod error;
mod front;
mod router;
mod session;
mod tls;
mod user;
mod watchdog;

pub use broker::Broker;
pub use config::{Config, FilterLog, LogSize, Role, TlsConfig};
pub use counters::Counters;
pub use error::{BrokerError, ConfigError};
pub use user::User;
