//! `aggregator-worker --config FILE`: stores shares and answers certified releases, until it is stopped.

use std::process::ExitCode;

use aggregator_worker::command::Command;
use clap::Parser as _;

fn main() -> ExitCode {
    runtime::exit::run(1, Command::parse().run())
}
