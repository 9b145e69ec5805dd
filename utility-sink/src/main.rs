//! `utility-sink --config FILE`: publishes tariffs, asks for releases, decodes them, until it is stopped.

use std::process::ExitCode;

use clap::Parser as _;
use utility_sink::command::Command;

fn main() -> ExitCode {
    runtime::exit::run(1, Command::parse().run())
}
