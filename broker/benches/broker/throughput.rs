//! Messages a second from four meters to one aggregator, at QoS 1 on both sides.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::BytesMut;
use tokio::task::JoinSet;

use crate::peer::{acknowledge, publish};
use crate::server::{Door, Kind, Server};

const METERS: usize = 4;
/// Messages on their way from each meter.
const WINDOW: usize = 100;
/// Rounds, of which the median counts; the brokers take turns.
const ROUNDS: usize = 5;

pub(crate) async fn run(sizes: &[usize]) -> anyhow::Result<()> {
    println!(
        "Messages a second, {METERS} meters to one aggregator, QoS 1, median of {ROUNDS} rounds in turns\n"
    );
    println!(
        "{:>8}  {:>12}  {:>26}  {:>9}  {:>16}",
        "bytes", "ours, open", "ours, TLS and permissions", "guarded", "mosquitto, open"
    );
    for size in sizes {
        // a second or so each
        let count = (300_000_000 / (size + 1500)).min(120_000) / METERS * METERS;
        let kinds = Kind::all();
        let mut rates = vec![Vec::new(); kinds.len()];
        for _ in 0..ROUNDS {
            for (kind, rates) in kinds.iter().zip(&mut rates) {
                let server = Server::start(*kind, METERS, 100)?;
                let time = measure(&server.door(), *size, count).await.context(kind.name())?;
                #[expect(clippy::cast_precision_loss, reason = "the counts are small")]
                rates.push(count as f64 / time.as_secs_f64());
            }
        }
        let median = |kind: Kind| {
            let mut rates = rates[kinds.iter().position(|known| *known == kind)?].clone();
            rates.sort_by(f64::total_cmp);
            Some(rates[ROUNDS / 2])
        };
        let (open, guarded) =
            (median(Kind::Open).unwrap_or_default(), median(Kind::Guarded).unwrap_or_default());
        let mosquitto = median(Kind::Mosquitto).map_or("-".to_owned(), |rate| format!("{rate:.0}"));
        println!(
            "{size:>8}  {open:>12.0}  {guarded:>26.0}  {:>7.0} %  {mosquitto:>16}",
            100.0 * guarded / open
        );
    }
    println!();
    Ok(())
}

/// How long so many messages take, to the last one's arrival.
async fn measure(door: &Door, size: usize, count: usize) -> anyhow::Result<Duration> {
    let (mut reader, _) = door.connect("a").await?;
    reader.subscribe("wv/1/bench/agg/a/#").await?;
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for meter in 0..METERS {
        tasks.spawn(send(door.clone(), meter, size, count / METERS));
    }
    let mut output = BytesMut::new();
    let mut received = 0;
    while received < count {
        reader.fill().await?;
        while let Some((first, body)) = reader.take() {
            if first >> 4 == 3 {
                received += 1;
                acknowledge(&body, &mut output);
            }
        }
        reader.write(&output.split()).await?;
    }
    let time = start.elapsed();
    while let Some(sent) = tasks.join_next().await {
        sent??;
    }
    Ok(time)
}

async fn send(door: Door, meter: usize, size: usize, count: usize) -> anyhow::Result<()> {
    let (mut peer, _) = door.connect(&format!("m{meter}")).await?;
    let topic = format!("wv/1/bench/agg/a/share/m{meter}");
    let payload = vec![7; size];
    let (mut sent, mut acknowledged) = (0, 0);
    let mut output = BytesMut::new();
    while acknowledged < count {
        while sent < count && sent - acknowledged < WINDOW {
            let identifier = u16::try_from(sent % 60_000 + 1)?;
            publish(identifier, &topic, &payload, &mut output);
            sent += 1;
        }
        if !output.is_empty() {
            peer.write(&output.split()).await?;
        }
        peer.fill().await?;
        while let Some((first, _)) = peer.take() {
            acknowledged += usize::from(first == 0x40);
        }
    }
    Ok(())
}
