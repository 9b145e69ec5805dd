//! What the broker bears, beside mosquitto where that is installed.
//!
//! ```text
//! cargo bench -p broker                             # all of it, some five minutes
//! cargo bench -p broker -- throughput 256           # or some: throughput, connections, storm, cap
//! ```
//!
//! Brokers are processes of their own; the clients are in this one, and take their share of the processor.

#![expect(clippy::print_stdout, reason = "it is for people to read")]

mod crowd;
mod peer;
mod server;
mod throughput;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|word| word == name);
    let files = rlimit::increase_nofile_limit(40_000).context("cannot tell how many files may be open")?;
    let cores = std::thread::available_parallelism()?;
    println!("{cores} cores, {files} files; other work on the machine shows in the numbers\n");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        if is_asked("throughput") {
            let sizes = asked.iter().filter_map(|word| word.parse().ok()).collect::<Vec<usize>>();
            let sizes = if sizes.is_empty() { vec![256, 8 << 10, 64 << 10] } else { sizes };
            throughput::run(&sizes).await?;
        }
        if is_asked("connections") {
            crowd::connections().await?;
        }
        if is_asked("storm") {
            crowd::storm().await?;
        }
        if is_asked("cap") {
            crowd::cap().await?;
        }
        Ok(())
    })
}
