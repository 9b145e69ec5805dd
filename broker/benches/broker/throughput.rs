//! Messages a second from four meters to one aggregator, at QoS 1 on both sides.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use broker::QueueSize;
use bytes::BytesMut;
use tokio::task::JoinSet;

use crate::peer::{acknowledge, publish};
use crate::server::{Door, Kind, Server};

const METERS: usize = 4;
/// Messages on their way from each meter.
const WINDOW: usize = 100;
/// Rounds, of which the median counts; the brokers take turns.
const ROUNDS: usize = 5;

/// What a broker did in a round.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// Messages a second.
    rate: f64,
    /// Microseconds of the processor's that the broker took for a message: other work on the machine does not show in it.
    cost: f64,
}

pub(crate) async fn run(sizes: &[usize]) -> anyhow::Result<()> {
    println!(
        "{METERS} meters to one aggregator, QoS 1, median of {ROUNDS} rounds in turns: messages a second, and"
    );
    println!("microseconds of the processor's that the broker took for each\n");
    let kinds = Kind::all();
    print!("{:>8}", "bytes");
    for kind in &kinds {
        print!("  {:>26}", kind.name());
    }
    println!("  guarded/open");
    for size in sizes {
        // a second or so each
        let count = (300_000_000 / (size + 1500)).min(120_000) / METERS * METERS;
        let mut rounds = vec![Vec::new(); kinds.len()];
        for _ in 0..ROUNDS {
            for (kind, rounds) in kinds.iter().zip(&mut rounds) {
                // the aggregator may be slower than the meters together
                let server =
                    Server::start(*kind, METERS, 100, QueueSize { segment_bytes: 1 << 20, segments: 1024 })?;
                let before = server.processor_time()?;
                let time = measure(&server.door(), *size, count).await.context(kind.name())?;
                let taken = server.processor_time()? - before;
                #[expect(clippy::cast_precision_loss, reason = "the counts are small")]
                let count = count as f64;
                rounds.push(Round { rate: count / time.as_secs_f64(), cost: 1e6 * taken / count });
            }
        }
        print!("{size:>8}");
        let medians: Vec<Round> = rounds.iter().map(|rounds| median(rounds)).collect();
        for Round { rate, cost } in &medians {
            print!("  {rate:>14.0} {cost:>8.1} µs");
        }
        println!("  {:>9.0} %", 100.0 * medians[1].rate / medians[0].rate);
    }
    println!();
    Ok(())
}

fn median(rounds: &[Round]) -> Round {
    let middle = |of: fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Round { rate: middle(|round| round.rate), cost: middle(|round| round.cost) }
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
