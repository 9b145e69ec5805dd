//! One seat per client id: whoever connects with an id that is in use takes the seat over, as MQTT wants it, but only
//! after the predecessor has left the router.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::internal;
use crate::packet_filter::{Identity, LogOffsets, MADE_UP, Refusal};

/// Who is connected.
#[derive(Debug)]
pub(crate) struct Clients {
    limits: Limits,
    state: Mutex<State>,
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connected clients.
    pub(crate) all: usize,
    /// Connected clients of one user.
    pub(crate) of_a_user: usize,
    /// Client ids, ever, of nobody in particular: the router remembers each. Users have few.
    pub(crate) ids: usize,
}

#[derive(Debug, Default)]
struct State {
    connected: HashMap<Arc<str>, ConnectedClient>,
    /// How many seats each user has.
    users: HashMap<Arc<str>, usize>,
    /// Ids that somebody who is nobody in particular has chosen.
    chosen: HashSet<Arc<str>>,
    /// Numbers of made-up ids that were given back: ids are used again, since the router remembers each.
    free: BTreeSet<usize>,
    /// How many numbers were ever given out.
    numbers: usize,
    /// Of kept sessions whose clients are away.
    trails: HashMap<Arc<str>, LogOffsets>,
}

/// How to ask whoever has a seat to leave it, and how to see that it did.
#[derive(Debug)]
struct ConnectedClient {
    identity: Option<Arc<Identity>>,
    leave: watch::Sender<Leave>,
    left: watch::Receiver<()>,
}

/// Why somebody has to leave its seat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Leave {
    /// Somebody else has come with its id.
    ForSuccessor,
    /// It may not be connected any more, as who it is.
    Unwanted,
}

impl Clients {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// Nothing panics while it is locked, so that a poisoned lock is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the seat of a client, which its present holder is asked to leave first; without an id, one that is made up.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when there are too many.
    pub(crate) async fn take(
        self: &Arc<Self>,
        client: Option<&str>,
        identity: Option<&Arc<Identity>>,
    ) -> Result<ClientIdSlot, Refusal> {
        let user = identity.map(|identity| &identity.user);
        let number = if client.is_none() { Some(self.state().number()) } else { None };
        let client: Arc<str> = match (client, number) {
            (Some(client), _) => client.into(),
            (None, number) => format!("{MADE_UP}{}", number.unwrap_or_default()).into(),
        };
        let mut number = Number { clients: Arc::clone(self), number };
        loop {
            let mut left = {
                let mut state = self.state();
                if let Some(client) = state.connected.get(&client) {
                    client.leave.send_replace(Leave::ForSuccessor);
                    client.left.clone()
                } else {
                    state.admit(&client, user, number.number.is_some(), self.limits)?;
                    let (leave, asked) = watch::channel(Leave::ForSuccessor);
                    let (holder, left) = watch::channel(());
                    let identity = identity.cloned();
                    state.connected.insert(Arc::clone(&client), ConnectedClient { identity, leave, left });
                    return Ok(ClientIdSlot {
                        clients: Arc::clone(self),
                        client,
                        user: user.cloned(),
                        number: number.number.take(),
                        asked,
                        _holder: holder,
                    });
                }
            };
            // an error is the news: the holder is gone
            while left.changed().await.is_ok() {}
        }
    }

    /// Asks all to leave who may not stay; how many.
    pub(crate) fn clear(&self, may_stay: impl Fn(Option<&Arc<Identity>>) -> bool) -> usize {
        let state = self.state();
        let unwanted = state.connected.values().filter(|client| !may_stay(client.identity.as_ref()));
        unwanted.inspect(|client| client.leave.send_modify(|why| *why = Leave::Unwanted)).count()
    }
}

impl State {
    fn number(&mut self) -> usize {
        self.free.pop_first().unwrap_or_else(|| {
            self.numbers += 1;
            self.numbers
        })
    }

    /// Counts another one.
    fn admit(
        &mut self,
        client: &Arc<str>,
        user: Option<&Arc<str>>,
        made_up: bool,
        limits: Limits,
    ) -> Result<(), Refusal> {
        // the watchdog has a place of its own, which it may not have taken yet
        let is_watchdog = user.is_some_and(|user| **user == *internal::USER);
        let others = self.connected.len() - usize::from(self.users.contains_key(internal::USER));
        if !is_watchdog && others >= limits.all {
            return Err(Refusal::Full);
        }
        if let Some(user) = user {
            let seats = self.users.entry(Arc::clone(user)).or_default();
            if *seats >= limits.of_a_user {
                return Err(Refusal::UserFull);
            }
            *seats += 1;
        } else if !made_up && !self.chosen.contains(client) {
            if self.chosen.len() >= limits.ids {
                return Err(Refusal::Full);
            }
            self.chosen.insert(Arc::clone(client));
        }
        Ok(())
    }
}

/// The number of a made-up id, to be given back.
struct Number {
    clients: Arc<Clients>,
    number: Option<usize>,
}

impl Drop for Number {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.clients.state().free.insert(number);
        }
    }
}

/// The right to be attached to the router under a client id; given back when dropped.
#[derive(Debug)]
pub(crate) struct ClientIdSlot {
    clients: Arc<Clients>,
    client: Arc<str>,
    user: Option<Arc<str>>,
    number: Option<usize>,
    asked: watch::Receiver<Leave>,
    _holder: watch::Sender<()>,
}

impl ClientIdSlot {
    /// The client's id.
    pub(crate) fn client(&self) -> &str {
        &self.client
    }

    /// Completes when the seat is to be left. Cancel-safe.
    pub(crate) async fn asked_to_leave(&mut self) -> Leave {
        // an error cannot be: the sender lies in the map until this seat is dropped
        self.asked.changed().await.unwrap_or_default();
        *self.asked.borrow()
    }

    /// What is known of this client's last connection, if its session was kept.
    pub(crate) fn take_trail(&self, kept: bool) -> LogOffsets {
        self.clients.state().trails.remove(&self.client).filter(|_| kept).unwrap_or_default()
    }

    /// Keeps what is to be known on its next one.
    pub(crate) fn keep_offsets(&self, log_offsets: LogOffsets) {
        self.clients.state().trails.insert(Arc::clone(&self.client), log_offsets);
    }
}

impl Drop for ClientIdSlot {
    fn drop(&mut self) {
        let mut state = self.clients.state();
        state.connected.remove(&self.client);
        state.free.extend(self.number);
        if let Some(user) = &self.user
            && let Some(seats) = state.users.get_mut(user)
        {
            *seats -= 1;
            if *seats == 0 {
                state.users.remove(user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::Role;
    use crate::packet_filter::Grant;

    fn clients(all: usize, of_a_user: usize, ids: usize) -> Arc<Clients> {
        Arc::new(Clients::new(Limits { all, of_a_user, ids }))
    }

    fn identity(user: &str) -> Arc<Identity> {
        let grant = Grant::new(&Role::default(), None).unwrap();
        Arc::new(Identity::new(user.into(), Arc::new(grant)))
    }

    #[tokio::test]
    async fn a_seat_changes_hands_only_when_it_is_left() {
        let clients = clients(2, 9, 9);
        let mut first = clients.take(Some("meter-1"), None).await.unwrap();
        let _other = clients.take(Some("meter-2"), None).await.unwrap();
        // also when there is no room for another one
        let successor = tokio::spawn({
            let clients = Arc::clone(&clients);
            async move { clients.take(Some("meter-1"), None).await }
        });
        assert_eq!(first.asked_to_leave().await, Leave::ForSuccessor);
        assert!(!successor.is_finished());
        drop(first);
        let mut second = successor.await.unwrap().unwrap();
        let undisturbed = timeout(Duration::from_millis(10), second.asked_to_leave()).await;
        assert!(undisturbed.is_err());
        assert!(matches!(clients.take(Some("meter-3"), None).await, Err(Refusal::Full)));
        drop(second);
        assert_eq!(clients.state().connected.len(), 1);
        clients.take(Some("meter-3"), None).await.unwrap();
    }

    /// Also when everybody else was faster.
    #[tokio::test]
    async fn the_watchdog_has_a_seat_of_its_own() {
        let clients = clients(1, 9, 9);
        let watchdog = identity(internal::USER);
        let _meter = clients.take(Some("meter-1"), None).await.unwrap();
        assert!(matches!(clients.take(Some("meter-2"), None).await, Err(Refusal::Full)));
        let _seat = clients.take(None, Some(&watchdog)).await.unwrap();
        assert!(matches!(clients.take(Some("meter-2"), None).await, Err(Refusal::Full)));
    }

    #[tokio::test]
    async fn a_user_has_so_many_seats() {
        let clients = clients(9, 2, 0);
        let user = identity("m");
        let seats = [clients.take(Some("m"), Some(&user)).await, clients.take(None, Some(&user)).await];
        assert!(seats.iter().all(Result::is_ok));
        assert!(matches!(clients.take(Some("m-pub"), Some(&user)).await, Err(Refusal::UserFull)));
        let other = identity("n");
        clients.take(Some("n"), Some(&other)).await.unwrap();
        drop(seats);
        clients.take(Some("m-pub"), Some(&user)).await.unwrap();
        assert!(clients.state().users.is_empty());
    }

    #[tokio::test]
    async fn who_may_not_stay_is_asked_to_leave() {
        let clients = clients(9, 9, 9);
        let user = identity("m");
        let mut gone = clients.take(Some("m"), Some(&user)).await.unwrap();
        let mut nobody = clients.take(Some("n"), None).await.unwrap();
        assert_eq!(clients.clear(|identity| identity.is_none()), 1);
        assert_eq!(gone.asked_to_leave().await, Leave::Unwanted);
        assert!(timeout(Duration::from_millis(10), nobody.asked_to_leave()).await.is_err());
    }

    #[tokio::test]
    async fn ids_are_few_or_used_again() {
        let clients = clients(9, 9, 2);
        for id in ["a", "b", "a"] {
            drop(clients.take(Some(id), None).await.unwrap());
        }
        assert!(matches!(clients.take(Some("c"), None).await, Err(Refusal::Full)));
        let first = clients.take(None, None).await.unwrap();
        let second = clients.take(None, None).await.unwrap();
        assert_eq!((first.client(), second.client()), ("broker:1", "broker:2"));
        drop(first);
        assert_eq!(clients.take(None, None).await.unwrap().client(), "broker:1");
    }
}
