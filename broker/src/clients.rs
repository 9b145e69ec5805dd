//! One seat per client id: whoever connects with an id that is in use takes the seat over, as MQTT wants it, but only
//! after the predecessor has left the router.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Who is connected.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<HashMap<String, Occupant>>);

/// How to ask whoever has a seat to leave it, and how to see that it did.
#[derive(Debug)]
struct Occupant {
    leave: watch::Sender<()>,
    left: watch::Receiver<()>,
}

impl Clients {
    /// Nothing panics while it is locked, so that a poisoned lock is as good as any.
    fn occupants(&self) -> MutexGuard<'_, HashMap<String, Occupant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the seat of a client, which its present holder is asked to leave first.
    pub(crate) async fn take(self: &Arc<Self>, client: &str) -> Seat {
        loop {
            let mut left = {
                let mut occupants = self.occupants();
                if let Some(occupant) = occupants.get(client) {
                    occupant.leave.send_replace(());
                    occupant.left.clone()
                } else {
                    let (leave, asked) = watch::channel(());
                    let (holder, left) = watch::channel(());
                    occupants.insert(client.to_owned(), Occupant { leave, left });
                    return Seat {
                        clients: Arc::clone(self),
                        client: client.to_owned(),
                        asked,
                        _holder: holder,
                    };
                }
            };
            // an error is the news: the holder is gone
            while left.changed().await.is_ok() {}
        }
    }
}

/// The right to be attached to the router under a client id; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    clients: Arc<Clients>,
    client: String,
    asked: watch::Receiver<()>,
    _holder: watch::Sender<()>,
}

impl Seat {
    /// Completes when somebody else wants the seat. Cancel-safe.
    pub(crate) async fn asked_to_leave(&mut self) {
        // an error cannot be: the sender lies in the map until this seat is dropped
        self.asked.changed().await.unwrap_or_default();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.clients.occupants().remove(&self.client);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_seat_changes_hands_only_when_it_is_left() {
        let clients = Arc::<Clients>::default();
        let mut first = clients.take("meter-1").await;
        let _other = clients.take("meter-2").await;
        let successor = tokio::spawn({
            let clients = Arc::clone(&clients);
            async move { clients.take("meter-1").await }
        });
        first.asked_to_leave().await;
        assert!(!successor.is_finished());
        drop(first);
        let mut second = successor.await.unwrap();
        let undisturbed = timeout(Duration::from_millis(10), second.asked_to_leave()).await;
        assert!(undisturbed.is_err());
        drop(second);
        assert_eq!(clients.occupants().len(), 1);
    }
}
