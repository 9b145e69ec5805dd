//! The broker as a program of its own.

use std::process::ExitCode;

use broker::command::Command;
use clap::Parser as _;

fn main() -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    runtime::exit::run(cores, Command::parse().run())
}
