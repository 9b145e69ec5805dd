//! How a deployment that a demonstration left behind is started again: the ordinary commands, in a file and on the screen.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// The file that has the commands.
const FILE: &str = "START-AGAIN.md";

/// Writes the commands that start the deployment in `directory` again; gives what a person types first.
pub(super) fn write(
    directory: &Path,
    aggregators: usize,
    homes: &[String],
    grid: bool,
) -> anyhow::Result<String> {
    let directory = std::path::absolute(directory)?;
    let (place, home) = (directory.display(), homes.first().map_or("HOME", String::as_str));
    let mut text = format!(
        "# Start this deployment again\n\n\
         Each party has a directory here: its configuration, its keys and its store.\n\
         Start each role in a terminal of its own, the broker first:\n\n```console\n\
         $ wattveil broker --config {place}/broker/broker.toml\n"
    );
    for index in 1..=aggregators {
        writeln!(text, "$ wattveil aggregator-worker --config {place}/agg-{index}/worker.toml")?;
    }
    write!(
        text,
        "$ wattveil utility-sink --config {place}/sink/sink.toml\n\
         $ wattveil meter-agent --config {place}/meters/{home}/agent.toml\n```\n\n\
         The other {} meters start in the same way. Each home's readings are in its meter's `readings.csv`.\n\
         The roles continue where they stopped: nothing is sent twice.\n\n\
         While they run, look at them:\n\n```console\n\
         $ wattveil check --offline {place}\n$ wattveil status {place}\n$ wattveil explain {place}\n```\n",
        homes.len().saturating_sub(1)
    )?;
    if grid {
        write!(
            text,
            "\nThe directory `grid` is a second deployment: 48 homes whose days were opened from ciphertexts.\n\
             It starts in the same way. Its statistics are in the sink's store; they are shown while no sink runs:\n\n```console\n\
             $ wattveil statistics --config {place}/grid/sink/sink.toml\n```\n"
        )?;
    }
    let file = directory.join(FILE);
    runtime::file::write_public(&file, text.as_bytes()).context("cannot write how to start again")?;
    Ok(format!("Everything it made is in {place}\nHow to start it again: {}", file.display()))
}
