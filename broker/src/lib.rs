//! The MQTT broker that a deployment can start without installing one.
//!
//! It is [rumqttd](https://docs.rs/rumqttd)'s router, the fastest of those tried, behind sessions of our own. The
//! router is kept because it is fast, and kept away from clients because, exposed as it comes, a single client can
//! kill it for all of them. So nothing of rumqttd's network side runs here: this crate accepts, reads and checks, and
//! attaches each client to the router as a local link.
//!
//! It speaks MQTT 3.1.1 at QoS 0 and 1, over TLS 1.3, or in plain text on loopback. Whoever connects proves by a password
//! or a certificate who it is, may use its own client ids only, and may publish and read what its role allows: a table of
//! patterns, `assets/roles.toml`. Of this workspace it depends on `host` alone, for configuration, logs and counters.
//!
//! Read [`Config`] first, then [`Broker`]; [`command`] is the program; inside, `front` (what may pass, without I/O: `connect`, `permission`,
//! `topic`, `budget`, `pace`, `log_offsets`; what is `retained`, and its `retained_replay` to a client), `accounts` (who it is), `entry` (that and
//! certificates, as they are in force), `handshakes` (who has not said so yet), `session` (one client's bytes), `clients` (one seat per client id), `router` (the edge to rumqttd), `watchdog` and `router_failure` (when that dies).
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
//! | retained messages: 100 of them to a subscription, none again in a session that is kept; an empty message takes one back though it is not retained | kept here: all of them with each subscription, and the router sees none |
//! | a QoS 0 message: forwarded at the subscription's QoS, so longer by an identifier, over the limit that it came in under | counted with the identifier when it comes in |
//! | keep-alive 0: refused | accepted: never timed out |
//! | a silent connection on a TLS port blocks all others | each handshake is a task of its own, with a time-out, and makes room for others after a second |
//! | publish and read anything: it knows no permissions | each role has its patterns; a forbidden PUBLISH cuts the client off, a forbidden SUBSCRIBE is answered with failure |
//! | fill its memory: topics, filters, client ids and kept sessions are never given back | a user has few ids and so many topics and filters; logs, retained messages and ids are bounded in all; made-up ids are used again |
//! | be slow or away: acknowledged messages are dropped silently | still so beyond the log of its filter, but counted and logged: [`Counters::lost`] |
//! | a dead router: the process lives on and the port accepts | a panic of the router ends the process at once; a watchdog that publishes and subscribes ends it within 6 s |
//!
//! # What it can take
//!
//! All memory is bounded by the configuration:
//! * a connection: some 40 KiB when idle, 100 with TLS (as measured, a filter of its own included; nearly all of it is what
//!   rumqttd reserves), and when busy up to `max_packet_bytes` on its way in, and 64 KiB and one packet on its way out, however much is
//!   retained;
//! * a filter: its log, `segments` × (`segment_bytes` + `max_packet_bytes`) when full, which is never given back;
//! * a user: `topics` and `filters` of its role, some 300 bytes each in the router;
//! * in all: `max_connections` of the first, `max_queue_bytes` of the second, `max_retained_bytes`.
//!
//! What stays open:
//! * **Nothing survives a restart**, not even acknowledged messages: end-to-end receipts are what counts.
//! * **A subscriber that is away or slow loses the oldest messages** once the log of its filter is full: about `segment_bytes` ×
//!   (`segments` − 1), see [`QueueSize`], which is to be sized for the outage, and the burst, that shall cost nothing. Whoever
//!   publishes is not held back.
//! * A message that nobody has ever subscribed to is acknowledged and gone, unless it is a retained one.
//! * Of two clients that publish a retained message to one topic at the same moment, subscribers may see the other one last. A
//!   subscriber may get the newest message twice, as retained and live, with older live ones in between. A will for which there is no
//!   room any more is published, and not retained.
//! * Users, roles and certificates are read again when the program gets SIGHUP ([`Broker::reload`]); any other parameter wants a
//!   restart. What users that are gone have made it remember stays until then.
//! * Whoever may guess passwords is slowed by argon2 and by the places there are, not locked out.
//! * rumqttd's router has no end: [`Broker::stop`] closes every connection and the port, but one idle thread and what
//!   the logs hold remain until the process ends.

mod accounts;
mod broker;
mod clients;
pub mod command;
mod config;
mod counters;
mod credentials;
mod error;
mod handshakes;
mod internal;
mod packet_filter;
mod router;
mod router_failure;
mod session;
mod tls;
mod user;
mod watchdog;

pub use broker::{Broker, Reload};
pub use config::{Config, FilterQueue, QueueSize, Role, TlsConfig};
pub use counters::Counters;
pub use error::BrokerError;
pub use user::User;
