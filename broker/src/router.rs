//! The edge to rumqttd's router: a thread that holds topics, logs and sessions.
//!
//! What must stay true, since the router panics otherwise: a link sends `Detach` last and nothing after it, and a
//! client id is attached again only after that.

use std::fmt;

use rumqttd::local::{LinkBuilder, LinkError, LinkRx, LinkTx};
use rumqttd::protocol::{Disconnect, DisconnectReasonCode, LastWill, Packet, Publish};
use rumqttd::{Notification, RouterConfig, SegmentConfig};

use crate::internal;
use crate::{Config, QueueSize};

type Attached = (LinkTx, LinkRx, Notification);
type Attach = dyn Fn(&str, bool) -> Result<Attached, RouterGone> + Send + Sync;

/// The running router.
pub(crate) struct Router {
    /// A closure, since the type of the router's channel has no public name.
    attach: Box<Attach>,
}

impl Router {
    pub(crate) fn spawn(config: &Config) -> Self {
        let segments = |size: QueueSize| SegmentConfig {
            max_segment_size: size.segment_bytes,
            max_segment_count: size.segments,
        };
        let own = (internal::TOPIC.to_owned(), segments(config.queue_of(internal::TOPIC)));
        let others = config.filter_queues.iter().map(|queue| (queue.filter.clone(), segments(queue.size)));
        let sizes = others.chain([own]);
        let channel = rumqttd::Router::new(
            0,
            RouterConfig {
                // counted by the listener; the router's own way to refuse is to drop the link
                max_connections: config.max_connections + 16,
                // how many QoS 0 messages are read from a log at a time; the channel to a client holds 200
                max_outgoing_packet_count: 100,
                max_segment_size: config.queue.segment_bytes,
                max_segment_count: config.queue.segments,
                custom_segment: Some(sizes.collect()),
                ..RouterConfig::default()
            },
        )
        .spawn();
        Self {
            attach: Box::new(move |client, clean| {
                Ok(LinkBuilder::new(client, channel.clone()).clean_session(clean).build()?)
            }),
        }
    }

    /// Attaches a client, which must not be attached already. Blocks the thread until the router has answered, about
    /// 50 µs when it is idle. The notification is the CONNACK.
    ///
    /// # Errors
    ///
    /// [`RouterGone`]
    pub(crate) fn attach(&self, client: &str, clean: bool) -> Result<(RouterLink, Notification), RouterGone> {
        let (to, from, connack) = (self.attach)(client, clean)?;
        // room for 200 packets of the client, which is most of what an idle connection takes
        to.buffer().shrink_to_fit();
        Ok((RouterLink { to, from }, connack))
    }
}

/// The router's thread has died, which is a bug in it or in how it is used here.
#[derive(Debug, thiserror::Error)]
#[error("the router is gone")]
pub(crate) struct RouterGone;

impl From<LinkError> for RouterGone {
    fn from(_: LinkError) -> Self {
        Self
    }
}

/// One client's link to the router.
pub(crate) struct RouterLink {
    to: LinkTx,
    from: LinkRx,
}

impl RouterLink {
    /// The next thing for the client. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> Result<Option<Notification>, RouterGone> {
        Ok(self.from.next().await?)
    }

    /// Tells the router, which sent [`Notification::Unschedule`] since too much was waiting, that it was taken away.
    pub(crate) async fn caught_up(&self) -> Result<(), RouterGone> {
        Ok(self.from.wake().await?)
    }

    /// Sends packets of the client.
    pub(crate) async fn send(&mut self, packets: impl IntoIterator<Item = Packet>) -> Result<(), RouterGone> {
        let mut packets = packets.into_iter();
        let Some(mut last) = packets.next() else {
            return Ok(());
        };
        for packet in packets {
            self.to.buffer().push_back(std::mem::replace(&mut last, packet));
        }
        // wakes the router, once for all; waits on the thread while 1000 such calls are waiting for it
        self.to.send(last).await?;
        Ok(())
    }

    /// Ends the link, with the client's last will if that is to be published. What is retained is none of the router's business.
    pub(crate) async fn detach(mut self, will: Option<LastWill>) -> Result<(), RouterGone> {
        let will = will.map(|will| Packet::Publish(Publish::new(will.topic, will.message, false), None));
        let reason_code = DisconnectReasonCode::NormalDisconnection;
        let end = Packet::Disconnect(Disconnect { reason_code }, None);
        self.send(will.into_iter().chain([end])).await
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

impl fmt::Debug for RouterLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterLink").field("id", &self.from.id()).finish_non_exhaustive()
    }
}
