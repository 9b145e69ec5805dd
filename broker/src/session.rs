//! One client's connection, from its first byte to its last.

use std::future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use rumqttd::Notification;
use rumqttd::protocol::Packet;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::{debug, info, warn};

use crate::Config;
use crate::antechamber::Place;
use crate::clients::{Clients, Leave, Seat};
use crate::counters::Tally;
use crate::doom::Doom;
use crate::entry::{Entry, InForce};
use crate::front::{Budget, Connect, Flow, Front, Identity, Pace, Refusal, Retained, Trail, refused_connack};
use crate::router::{Router, RouterGone, RouterLink};

/// How long the last bytes to a client that is cut off may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// How much may wait for a client to read it before nothing more is taken from it or from the router.
const OUTPUT: usize = 64 << 10;
/// How much is read at a time, at least.
const INPUT: usize = 2 << 10;

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct Hall {
    pub(crate) config: Config,
    pub(crate) router: Router,
    pub(crate) entry: InForce,
    pub(crate) clients: Arc<Clients>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) retained: Arc<Retained>,
    pub(crate) tally: Arc<Tally>,
    /// How fast all together may send: packets, bytes.
    pub(crate) paces: Mutex<[Pace; 2]>,
    pub(crate) doom: Arc<Doom>,
    pub(crate) stopping: Stopping,
}

/// What is known of a client before it has said anything.
#[derive(Debug, Default)]
pub(crate) struct Guest {
    /// Its place among those who have not said who they are, if it needs one.
    pub(crate) place: Option<Place>,
    /// The name in the certificate it has shown.
    pub(crate) certificate: Option<String>,
    /// What was in force when it has shown that.
    pub(crate) entry: Option<Arc<Entry>>,
    /// Who it is, if that is known.
    pub(crate) identity: Option<Arc<Identity>>,
}

/// Set when the broker is to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(pub(crate) watch::Receiver<bool>);

impl Stopping {
    /// Completes when the broker is to stop, or was dropped. Cancel-safe.
    pub(crate) async fn asked(&mut self) {
        drop(self.0.wait_for(|stopping| *stopping).await);
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("it said goodbye")]
    Left,
    #[error("it closed the connection")]
    Closed,
    #[error("it was silent for too long")]
    Silent,
    #[error("it took too long to say who it is, and others waited")]
    Evicted,
    #[error("its connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error(
        "somebody else connected with its id: where that goes on, two run with one configuration, such as two agents of one meter; \
         stop one"
    )]
    TakenOver,
    #[error("its user is gone from the settings, or has changed there")]
    Unwanted,
    #[error("the broker stops")]
    Stopping,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    RouterGone(#[from] RouterGone),
}

/// Serves a connection until it ends. By `deadline` it is to have said who it is.
pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    guest: Guest,
    deadline: Instant,
    hall: Arc<Hall>,
) {
    let (reader, writer) = tokio::io::split(stream);
    let mut session = Session {
        reader,
        writer,
        input: BytesMut::with_capacity(INPUT),
        output: BytesMut::new(),
        unflushed: false,
        stopping: hall.stopping.clone(),
    };
    let (mut client, mut user) = (String::new(), String::new());
    let end = session.run(&hall, guest, deadline, (&mut client, &mut user)).await;
    let let_in = !client.is_empty();
    match &end {
        End::Left | End::Closed | End::Stopping => debug!(client, "left: {end}"),
        End::Silent | End::Broken(_) | End::TakenOver | End::Unwanted => info!(client, "gone: {end}"),
        End::Evicted => hall.tally.evicted(),
        End::Refused(refusal) => {
            hall.tally.refused(refusal, let_in);
            if hall.tally.may_log() {
                warn!(client, user, "cut off: {end}");
            }
        }
        End::RouterGone(_) => hall.doom.has_come("its channel is closed"),
    }
    if let End::Refused(refusal) = &end
        && !let_in
    {
        session.output.extend(refused_connack(refusal).into_iter().flatten());
    }
    session.farewell().await;
}

struct Session<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    input: BytesMut,
    output: BytesMut,
    /// Whether something was written that may lie in the TLS layer.
    unflushed: bool,
    stopping: Stopping,
}

impl<S: AsyncRead + AsyncWrite> Session<S> {
    /// Sets `client` as soon as it is known to be admitted, `user` as soon as it says who it is.
    async fn run(
        &mut self,
        hall: &Hall,
        mut guest: Guest,
        deadline: Instant,
        (client, user): (&mut String, &mut String),
    ) -> End {
        let place = guest.place.take();
        let entered = match place {
            None => self.enter(hall, guest, user).await,
            Some(mut place) => tokio::select! {
                biased;
                entered = timeout_at(deadline, self.enter(hall, guest, user)) => {
                    entered.unwrap_or(Err(End::Silent))
                }
                () = place.evicted() => Err(End::Evicted),
            },
        };
        let (connect, identity, mut seat) = match entered {
            Ok(entered) => entered,
            Err(end) => return end,
        };
        client.push_str(seat.client());
        hall.tally.connected();
        let kept = !connect.clean;
        let trail = seat.take_trail(kept);
        let (mut link, connack, trail) =
            match attach(hall, seat.client(), identity.as_deref(), trail, kept).await {
                Ok(attached) => attached,
                Err(gone) => return gone.into(),
            };
        let (budget, retained) = (Arc::clone(&hall.budget), Arc::clone(&hall.retained));
        let mut front = Front::new(hall.config.max_packet_bytes, identity, budget, retained, trail);
        let Err(end) = match front.outgoing(connack, &mut self.output) {
            Ok(_) => self.relay(hall, &mut front, &mut link, &mut seat, connect.patience).await,
            Err(refusal) => Err(refusal.into()),
        };
        if kept {
            seat.keep_trail(front.into_trail());
        }
        // whoever is unwanted has no right to a last word, or has another one by now
        let will = connect.will.filter(|_| !matches!(end, End::Left | End::Stopping | End::Unwanted));
        if let Some(will) = will.as_ref().filter(|will| will.retain)
            && let Err(refusal) = hall.retained.keep(&will.topic, will.message.clone(), will.qos)
        {
            hall.tally.refused(&refusal, true);
            if hall.tally.may_log() {
                warn!(client, "its will is not retained: {refusal}");
            }
        }
        // before the seat is left: see `router`
        match link.detach(will).await {
            Ok(()) => end,
            Err(gone) => gone.into(),
        }
    }

    /// Has the client say and prove who it is, and finds it a seat.
    async fn enter(
        &mut self,
        hall: &Hall,
        guest: Guest,
        user: &mut String,
    ) -> Result<(Connect, Option<Arc<Identity>>, Seat), End> {
        let connect = self.connect(&hall.config).await?;
        // what anybody may say, for a line of the log
        user.extend(connect.login.iter().flat_map(|login| login.username.chars().take(64)));
        if let Some(known) = guest.identity {
            let seat = hall.clients.take(connect.client.as_deref(), Some(&known)).await?;
            return Ok((connect, Some(known), seat));
        }
        let entry = guest.entry.unwrap_or_else(|| hall.entry.now());
        let login = connect.login.as_ref();
        let identity = entry.accounts.identify(guest.certificate.as_deref(), login).await?;
        connect.admit(identity.as_deref(), &hall.budget, &hall.retained)?;
        let seat = hall.clients.take(connect.client.as_deref(), identity.as_ref()).await?;
        // other users may be in force by now; whoever has a seat before that is asked to leave it
        if !hall.entry.now().accounts.know(identity.as_ref()) {
            return Err(Refusal::Credentials.into());
        }
        Ok((connect, identity, seat))
    }

    async fn connect(&mut self, config: &Config) -> Result<Connect, End> {
        loop {
            if let Some(connect) = Connect::read(&mut self.input, config.max_packet_bytes)? {
                return Ok(connect);
            }
            tokio::select! {
                read = self.reader.read_buf(&mut self.input) => if read? == 0 {
                    return Err(End::Closed);
                },
                () = self.stopping.asked() => return Err(End::Stopping),
            }
        }
    }

    async fn relay(
        &mut self,
        hall: &Hall,
        front: &mut Front,
        link: &mut RouterLink,
        seat: &mut Seat,
        patience: Option<Duration>,
    ) -> Result<std::convert::Infallible, End> {
        let mut packets = Vec::new();
        let mut heard = Instant::now();
        let config = &hall.config;
        let mut paces = [config.packets_per_second, config.bytes_per_second]
            .map(|per_second| Pace::new(per_second, heard.into_std()));
        loop {
            let waiting = self.input.len();
            let flow = front.incoming(&mut self.input, &mut packets, &mut self.output);
            let refused = front.take_refused();
            let taken = [packets.len() + refused.len(), waiting - self.input.len()];
            let messages = packets.iter().filter(|packet| matches!(packet, Packet::Publish(..))).count();
            hall.tally.messages(messages, 0);
            link.send(packets.drain(..)).await?;
            for refusal in refused {
                hall.tally.subscription_refused();
                if hall.tally.may_log() {
                    warn!(client = seat.client(), "subscription refused: {refusal}");
                }
            }
            match flow? {
                Flow::Leave => return Err(End::Left),
                Flow::Read(bytes) => self.input.reserve(bytes.max(INPUT)),
            }
            let now = Instant::now();
            let pause = charge(&mut paces, taken, now).max(hall.charge(taken, now));
            let resume = now + pause;
            let mut resting = !pause.is_zero();
            // until the client was heard again
            loop {
                let room = self.output.len() < OUTPUT;
                tokio::select! {
                    read = self.reader.read_buf(&mut self.input), if room && !resting => {
                        if read? == 0 {
                            return Err(End::Closed);
                        }
                        heard = Instant::now();
                        break;
                    }
                    () = sleep_until(resume), if resting => resting = false,
                    notification = link.recv(), if room => {
                        self.forward(hall, front, link, seat.client(), notification?).await?;
                    }
                    // beside what is live: whichever is chosen, of those that are ready
                    () = consume_budget(), if room && front.can_recite() => {
                        hall.tally.messages(0, front.recite(&mut self.output, OUTPUT));
                    }
                    unflushed = write(&mut self.writer, &mut self.output),
                        if self.unflushed || !self.output.is_empty() =>
                    {
                        self.unflushed = unflushed?;
                        // a large burst's room is given back
                        if self.output.is_empty() && self.output.capacity() > OUTPUT {
                            self.output = BytesMut::new();
                        }
                    }
                    () = sleep_until(heard.max(resume) + patience.unwrap_or_default()), if patience.is_some() => {
                        return Err(End::Silent);
                    }
                    why = seat.asked_to_leave() => return Err(match why {
                        Leave::ForSuccessor => End::TakenOver,
                        Leave::Unwanted => End::Unwanted,
                    }),
                    () = self.stopping.asked() => return Err(End::Stopping),
                }
            }
        }
    }

    /// Takes from the router what there is, beginning with this, until enough waits for the client.
    async fn forward(
        &mut self,
        hall: &Hall,
        front: &mut Front,
        link: &mut RouterLink,
        client: &str,
        notification: Option<Notification>,
    ) -> Result<(), End> {
        let mut next = Some(notification);
        let mut messages = 0;
        while let Some(notification) = next {
            if let Some(notification) = notification {
                messages += usize::from(matches!(notification, Notification::Forward(_)));
                if !front.outgoing(notification, &mut self.output)? {
                    link.caught_up().await?;
                }
            }
            if self.output.len() >= OUTPUT {
                break;
            }
            next = tokio::select! {
                biased;
                more = link.recv() => Some(more?),
                () = future::ready(()) => None,
            };
        }
        hall.tally.messages(0, messages);
        link.send(front.take_hidden()).await?;
        let lost = front.take_lost();
        if lost > 0 {
            hall.tally.lost(lost);
            if hall.tally.may_log() {
                warn!(
                    client,
                    messages = lost,
                    "was slow or away for longer than its filter's log lasts: what was dropped comes only from whoever \
                     sent it"
                );
            }
        }
        Ok(())
    }

    /// Writes what is left for the client, and closes.
    async fn farewell(mut self) {
        let last = async {
            self.writer.write_all_buf(&mut self.output).await?;
            self.writer.shutdown().await
        };
        if let Ok(Err(error)) | Err(error) = timeout(FAREWELL, last).await.map_err(io::Error::from) {
            debug!(%error, "closed without a farewell");
        }
    }
}

/// Attaches a client to the router, and to its earlier session if that is to be kept; also what is known of that.
async fn attach(
    hall: &Hall,
    client: &str,
    identity: Option<&Identity>,
    mut trail: Trail,
    kept: bool,
) -> Result<(RouterLink, Notification, Trail), RouterGone> {
    // what its user might subscribe to and may no longer is forgotten, with the rest
    if !trail.is_allowed(identity) {
        hall.router.attach(client, true)?.0.detach(None).await?;
        trail = Trail::default();
    }
    let (link, connack) = hall.router.attach(client, !kept)?;
    Ok((link, connack, trail))
}

/// Writes some of what waits, or flushes when nothing does; whether something remains to be flushed. Cancel-safe.
async fn write(writer: &mut (impl AsyncWrite + Unpin), output: &mut BytesMut) -> io::Result<bool> {
    if output.is_empty() {
        writer.flush().await?;
        return Ok(false);
    }
    writer.write_buf(output).await?;
    Ok(true)
}

impl Hall {
    /// Charges what all may send together.
    fn charge(&self, taken: [usize; 2], now: Instant) -> Duration {
        charge(&mut self.paces.lock().unwrap_or_else(PoisonError::into_inner), taken, now)
    }
}

/// Charges packets and bytes; the longer of the pauses.
fn charge(paces: &mut [Pace; 2], taken: [usize; 2], now: Instant) -> Duration {
    let pauses = paces.iter_mut().zip(taken).map(|(pace, taken)| pace.charge(taken, now.into_std()));
    pauses.max().unwrap_or_default()
}
