//! Many clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use broker::QueueSize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::peer::Peer;
use crate::server::{Door, Kind, Server};

/// As many as an agent each.
const CROWD: usize = 5_000;
/// How many attempts to connect are under way at a time, when it is not about that.
const AT_A_TIME: usize = 200;
/// How long anything may take.
const TIME: Duration = Duration::from_mins(2);

/// Idle subscribers, and what each takes.
pub(crate) async fn connections() -> anyhow::Result<()> {
    println!(
        "Memory of the broker's process for {CROWD} connected subscribers, each with a filter of its own\n"
    );
    for kind in Kind::all() {
        let server = Server::start(kind, CROWD, CROWD, QueueSize::default())?;
        let before = server.memory()?;
        let (peers, _) = everybody(&server.door(), CROWD, true).await?;
        anyhow::ensure!(peers.len() == CROWD, "{} of {CROWD} are connected", peers.len());
        let taken = server.memory()?.saturating_sub(before);
        println!("{:28} {:>6} bytes each", kind.name(), taken / CROWD as u64);
    }
    println!();
    Ok(())
}

/// Everybody's broker is killed and started again.
pub(crate) async fn storm() -> anyhow::Result<()> {
    println!(
        "Seconds from the start of a killed broker until {CROWD} agents are connected and subscribed again\n"
    );
    for kind in Kind::all() {
        let mut server = Server::start(kind, CROWD, CROWD, QueueSize::default())?;
        let up = Arc::new(AtomicUsize::new(0));
        let mut agents = JoinSet::new();
        for number in 0..CROWD {
            agents.spawn(agent(server.door(), number, Arc::clone(&up)));
        }
        until(&up, |up| up == CROWD).await.context("before the restart")?;
        server.kill()?;
        until(&up, |up| up == 0).await.context("at the kill")?;
        let start = Instant::now();
        server.restart()?;
        until(&up, |up| up == CROWD).await.context("after the restart")?;
        println!("{:28} {:>6.1} s", kind.name(), start.elapsed().as_secs_f64());
        agents.abort_all();
        while agents.join_next().await.is_some() {}
    }
    println!();
    Ok(())
}

/// 120 % of those that there may be, again and again.
pub(crate) async fn cap() -> anyhow::Result<()> {
    println!("{} clients come where {CROWD} may be, four times over\n", CROWD * 6 / 5);
    let server = Server::start(Kind::Open, CROWD, CROWD, QueueSize::default())?;
    for round in 1..=4 {
        let start = Instant::now();
        let (peers, refused) = everybody(&server.door(), CROWD * 6 / 5, false).await?;
        println!(
            "round {round}: {} connected, {refused} told that there is no room, {:.1} s",
            peers.len(),
            start.elapsed().as_secs_f64()
        );
        anyhow::ensure!((peers.len(), refused) == (CROWD, CROWD / 5), "not as many as there may be");
        drop(peers);
        // until all are seen to be gone
        sleep(Duration::from_secs(1)).await;
    }
    println!();
    Ok(())
}

/// Connects so many; those who got in, and how many were refused.
async fn everybody(door: &Door, count: usize, subscribe: bool) -> anyhow::Result<(Vec<Peer>, usize)> {
    let turns = Arc::new(Semaphore::new(AT_A_TIME));
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let (door, turns) = (door.clone(), Arc::clone(&turns));
        tasks.spawn(async move {
            let _turn = turns.acquire().await?;
            let (mut peer, code) = door.connect(&format!("m{number}")).await?;
            if subscribe && code == 0 {
                peer.subscribe(&format!("wv/1/bench/receipt/m{number}/+")).await?;
            }
            peer.shrink();
            anyhow::Ok((peer, code))
        });
    }
    let (mut peers, mut refused) = (Vec::new(), 0);
    while let Some(connected) = timeout(TIME, tasks.join_next()).await? {
        match connected?? {
            (peer, 0) => peers.push(peer),
            (_, 3) => refused += 1,
            (_, code) => anyhow::bail!("refused with {code}"),
        }
    }
    Ok((peers, refused))
}

/// Connects and subscribes, for ever, with pauses of 0.1 to 0.3 s.
#[expect(clippy::infinite_loop, reason = "it is aborted")]
async fn agent(door: Door, number: usize, up: Arc<AtomicUsize>) {
    let (user, filter) = (format!("m{number}"), format!("wv/1/bench/receipt/m{number}/+"));
    loop {
        if let Ok((mut peer, 0)) = door.connect(&user).await
            && peer.subscribe(&filter).await.is_ok()
        {
            peer.shrink();
            up.fetch_add(1, Ordering::Relaxed);
            peer.ended().await;
            up.fetch_sub(1, Ordering::Relaxed);
        }
        let spread = u64::try_from(number % 200).unwrap_or_default();
        sleep(Duration::from_millis(100 + spread)).await;
    }
}

async fn until(up: &AtomicUsize, reached: impl Fn(usize) -> bool) -> anyhow::Result<()> {
    let wait = async {
        while !reached(up.load(Ordering::Relaxed)) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIME, wait).await.with_context(|| format!("{} are connected", up.load(Ordering::Relaxed)))
}
