//! `meter-agent --config FILE`: measures, seals, delivers, until it is stopped.

use std::process::ExitCode;

use clap::Parser as _;
use meter_agent::command::Command;

fn main() -> ExitCode {
    runtime::exit::run(1, Command::parse().run())
}
