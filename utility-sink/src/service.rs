//! The service around the sink role, which also does what whoever runs it requests.

use std::future::Future;
use std::time::Duration;

use protocol::status::Beat;
use protocol::topic::Outgoing;
use rand::rngs::StdRng;
use runtime::link::Settings;
use runtime::service::{self, Outcome, Refusal, Role};
use runtime::{entropy, now};
use store::Store;
use tokio::sync::mpsc;
use tracing::Level;

use crate::sink::Sink;

/// Milliseconds until a changed backlog is reported in the status, and until the same status is reported again.
const STATUS_PAUSE: u64 = 10_000;
const STATUS_EVERY: u64 = 60_000;

/// What somebody wants of a running sink; what it returns is published after the commit.
pub type Request =
    Box<dyn FnOnce(&mut Sink, &mut dyn Store, &mut StdRng) -> anyhow::Result<Vec<Outgoing>> + Send>;

/// Runs a sink until `shutdown`, doing what `requests` ask for.
///
/// # Errors
///
/// If the store fails, or there is no entropy: the process is to stop and to be started again.
pub async fn run<S: Store + Send>(
    sink: Sink,
    store: S,
    link: Settings,
    requests: mpsc::Receiver<Request>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let beat = Beat::new(STATUS_PAUSE, STATUS_EVERY);
    let mut desk = Desk { sink, store, requests, rng: entropy()?, beat };
    service::run(&mut desk, link, shutdown).await
}

/// The role with its store and what is requested of it.
struct Desk<S> {
    sink: Sink,
    store: S,
    requests: mpsc::Receiver<Request>,
    rng: StdRng,
    beat: Beat,
}

impl<S: Store + Send> Role for Desk<S> {
    type Input = Request;
    type Outgoing = Outgoing;

    const TICK: Duration = Duration::from_millis(100);
    const QUEUE: usize = 8_192;
    const READY_AT_ONCE: bool = false;

    fn filters(&self) -> Vec<String> {
        self.sink.filters()
    }

    fn goodbye(&self) -> Outgoing {
        self.sink.status("down", now()).outgoing()
    }

    fn status(&mut self, connection: u64) -> Option<Outgoing> {
        let now = now();
        self.beat.say(&self.sink.status("up", now), connection, now)
    }

    fn greeting(&mut self) -> Vec<Outgoing> {
        self.sink.announcements()
    }

    fn receive(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<Outcome<Outgoing>> {
        let outcome = self.sink.handle(topic, payload, now(), &mut self.store)?;
        let refusal = outcome.refusal.map(|refusal| Refusal {
            rule: refusal.rule.name(),
            detail: refusal.detail,
            level: Level::WARN,
        });
        Ok(Outcome { sends: outcome.sends, refusal })
    }

    fn tick(&mut self) -> anyhow::Result<Vec<Outgoing>> {
        Ok(self.sink.tick(now(), &mut self.store)?)
    }

    async fn input(&mut self) -> Request {
        match self.requests.recv().await {
            Some(request) => request,
            // nobody is left who could request anything
            None => std::future::pending().await,
        }
    }

    fn process(&mut self, request: Request) -> anyhow::Result<Vec<Outgoing>> {
        request(&mut self.sink, &mut self.store, &mut self.rng)
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        Ok(self.store.commit()?)
    }
}
