//! A client that subscribes and publishes all the time, to see that the broker still does what it is for.
//!
//! It has a thread of its own and talks through a socket pair to a session like any other, so that it sees a dead router, a
//! stuck one, and a runtime that does not run any more.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::config::Role;
use crate::internal;
use crate::packet_filter::{Grant, Identity};
use crate::router_failure::RouterFailure;

/// How long the watchdog rests between two messages, and how long it waits for one: together less than 6 s.
const REST: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(4);

/// A running watchdog; dropping it calls it off.
#[derive(Debug)]
pub(crate) struct Watchdog(#[expect(dead_code, reason = "it is there to be dropped")] mpsc::Sender<()>);

impl Watchdog {
    /// Starts to watch what is at the other end of `stream`.
    pub(crate) fn start(stream: UnixStream, router_failure: Arc<RouterFailure>) -> io::Result<Self> {
        let (off, called_off) = mpsc::channel();
        let watch = move || watch(stream, &called_off, REST, PATIENCE, &router_failure);
        thread::Builder::new().name("watchdog".to_owned()).spawn(watch)?;
        Ok(Self(off))
    }
}

/// Who the watchdog is.
pub(crate) fn identity() -> Arc<Identity> {
    let topics = vec![internal::TOPIC.to_owned()];
    let role = Role {
        name: "watchdog".to_owned(),
        ids: Vec::new(),
        publish: topics.clone(),
        subscribe: topics,
        topics: 1,
        filters: 1,
    };
    let grant = Grant::new(&role, None).expect("its topic is a pattern");
    Arc::new(Identity::new(internal::USER.into(), Arc::new(grant)))
}

fn watch(
    mut stream: UnixStream,
    called_off: &mpsc::Receiver<()>,
    rest: Duration,
    patience: Duration,
    router_failure: &RouterFailure,
) {
    let Err(end) = keep_watch(&mut stream, called_off, rest, patience) else {
        return;
    };
    // a broker that stops cuts its watchdog off too
    if called_off.recv_timeout(Duration::ZERO) != Err(RecvTimeoutError::Disconnected) {
        router_failure.has_come(&format!("its watchdog got no answer: {end}"));
    }
}

/// Goes round until it is called off.
fn keep_watch(
    stream: &mut UnixStream,
    called_off: &mpsc::Receiver<()>,
    rest: Duration,
    patience: Duration,
) -> io::Result<()> {
    stream.set_read_timeout(Some(patience))?;
    enter(stream)?;
    let mut round = 0_u16;
    while called_off.recv_timeout(if round == 0 { Duration::ZERO } else { rest })
        == Err(RecvTimeoutError::Timeout)
    {
        round = round.checked_add(1).unwrap_or(1);
        go(stream, round)?;
    }
    Ok(())
}

/// Connects and subscribes.
fn enter(stream: &mut UnixStream) -> io::Result<()> {
    // CONNECT of MQTT 3.1.1, clean session, no keep alive, the id left to the broker
    stream.write_all(&[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0])?;
    expect(stream, 0x20)?;
    let body = [&[0, 1][..], &text(internal::TOPIC), &[0]].concat();
    stream.write_all(&packet(0x82, &body))?;
    expect(stream, 0x90).map(drop)
}

/// Publishes, and waits for the acknowledgement and the message itself, in any order.
fn go(stream: &mut UnixStream, round: u16) -> io::Result<()> {
    let body = [&text(internal::TOPIC)[..], &round.to_be_bytes(), &round.to_be_bytes()].concat();
    stream.write_all(&packet(0x32, &body))?;
    let (mut acknowledged, mut received) = (false, false);
    while !(acknowledged && received) {
        let (first, body) = read(stream)?;
        acknowledged |= first == 0x40 && body == round.to_be_bytes();
        received |= first == 0x30 && body.ends_with(&round.to_be_bytes());
    }
    Ok(())
}

fn expect(stream: &mut UnixStream, wanted: u8) -> io::Result<()> {
    let (first, _) = read(stream)?;
    if first == wanted { Ok(()) } else { Err(io::Error::other(format!("packet {first:#x} for {wanted:#x}"))) }
}

/// A packet; those that come here are short.
fn read(stream: &mut UnixStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let mut body = vec![0; usize::from(head[1] & 0x7f)];
    stream.read_exact(&mut body)?;
    Ok((head[0], body))
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).expect("it is short");
    [&[first, length][..], body].concat()
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("it is short");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    /// Somebody who takes everything and never answers, as a router that is stuck.
    #[test]
    fn silence_is_noticed_in_time() {
        assert!(REST + PATIENCE < Duration::from_secs(6));
        let (near, far) = UnixStream::pair().unwrap();
        let (off, called_off) = mpsc::channel::<()>();
        let router_failure = RouterFailure::default();
        let start = Instant::now();
        watch(near, &called_off, SHORT, SHORT, &router_failure);
        assert!(*router_failure.watch().borrow());
        assert!(start.elapsed() >= SHORT);
        drop((off, far));
    }

    #[test]
    fn a_broker_that_stops_is_not_dead() {
        let (near, far) = UnixStream::pair().unwrap();
        let (off, called_off) = mpsc::channel::<()>();
        drop((off, far));
        let router_failure = RouterFailure::default();
        watch(near, &called_off, SHORT, SHORT, &router_failure);
        assert!(!*router_failure.watch().borrow());
    }
}
