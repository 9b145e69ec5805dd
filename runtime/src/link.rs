//! The one MQTT client: publishing and consuming over connections that come and go.
//!
//! It knows topics and bytes, and no message. A [`Publisher`] keeps what it was given until the broker has
//! acknowledged it, over any number of connections; a [`Subscriber`] acknowledges a delivery only when told to, which
//! is to be after it was stored durably. Both connect, and connect again, for ever and by themselves.
//!
//! What must stay true:
//! * a message leaves the publisher's memory only by the broker's PUBACK; it may arrive twice, and is never lost here;
//! * messages of one publisher arrive in the order in which they were queued, except for repetitions of some of them
//!   after a connection was lost;
//! * acknowledgements leave in the order in which deliveries came;
//! * no message that a broker hands over, of whatever length and topic, ends a connection or takes more memory than the longest
//!   packet and the longest topic.
//!
//! What it cannot do: a broker may lose what it has acknowledged, at a restart for instance. Whoever must not lose
//! anything keeps it until the other end has said that it has it.
//!
//! # What of rumqttc is used
//!
//! Its packets. [rumqttc](https://docs.rs/rumqttc) 0.25.1's own event loop drops what is queued when the broker has
//! forgotten the session, retries a message for ever that is over the limit, stalls for good when the broker forgets one
//! acknowledgement, loses a packet when it is cancelled at the wrong moment, and brings certificate parsers with open
//! advisories as soon as it is to speak TLS. So a connection here is `wire`, over TCP or over rustls with ring: it lives
//! for one connection, may be cancelled at any time, and holds nothing that is not held elsewhere too.

mod connection;
mod endpoint;
mod publisher;
mod settings;
mod subscriber;
mod tls;
mod wire;

pub use endpoint::{Endpoint, EndpointError};
pub use publisher::{LinkState, Message, PublishError, Publisher};
pub use settings::{Login, Settings, Will};
pub use subscriber::{Delivery, Subscriber};
pub use tls::{IdentityFiles, Tls, TlsError, TlsFiles};
