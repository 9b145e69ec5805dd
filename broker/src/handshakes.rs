//! Where connections wait that have not said who they are.
//!
//! There are so many places. When all are taken, whoever has been there longest leaves, if that was long enough for
//! anybody honest; so those who say nothing cannot keep others out, and a storm of those who do waits in the listen
//! queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};

/// How long a connection is safe from having to leave for another one.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// The places, and who has them.
#[derive(Debug)]
pub(crate) struct Handshakes {
    places: Arc<Semaphore>,
    /// Since when each is taken, and how to have it left; those that were left are among them for a while.
    taken: VecDeque<(Instant, oneshot::Sender<()>)>,
    size: usize,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    evicted: oneshot::Receiver<()>,
}

impl Place {
    /// Completes when it is to be left. Cancel-safe.
    pub(crate) async fn evicted(&mut self) {
        // an error cannot be, but by the end of the listener, which ends this too
        if (&mut self.evicted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Handshakes {
    pub(crate) fn new(size: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(size)), taken: VecDeque::new(), size }
    }

    /// A place, as soon as there is one. Cancel-safe, but that one too many may have to leave.
    pub(crate) async fn enter(&mut self) -> Place {
        loop {
            if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
                if self.taken.len() > 2 * self.size {
                    self.taken.retain(|(_, evict)| !evict.is_closed());
                }
                let (evict, evicted) = oneshot::channel();
                self.taken.push_back((Instant::now(), evict));
                return Place { _permit: permit, evicted };
            }
            while self.taken.front().is_some_and(|(_, evict)| evict.is_closed()) {
                self.taken.pop_front();
            }
            let oldest = self.taken.front().map(|(since, _)| *since + GRACE);
            tokio::select! {
                // it is taken anew above
                permit = self.places.acquire() => drop(permit),
                () = sleep_until(oldest.unwrap_or_else(Instant::now)), if oldest.is_some() => {
                    if let Some((_, evict)) = self.taken.pop_front() {
                        // an error is that it has just left
                        evict.send(()).unwrap_or_default();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_has_been_there_longest_makes_room() {
        let mut handshakes = Handshakes::new(2);
        let mut silent = handshakes.enter().await;
        tokio::time::advance(GRACE / 2).await;
        let mut late = handshakes.enter().await;
        let start = Instant::now();
        let (third, ()) = tokio::join!(handshakes.enter(), async {
            silent.evicted().await;
            assert_eq!(start.elapsed(), GRACE / 2);
            drop(silent);
        });
        // whoever leaves in time makes room at once
        drop(third);
        let _fourth = handshakes.enter().await;
        assert_eq!(start.elapsed(), GRACE / 2);
        assert!(tokio::time::timeout(GRACE / 10, late.evicted()).await.is_err());
    }
}
