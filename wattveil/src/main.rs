//! `wattveil`: every role in one command, and a demonstration.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use lab::demo::{Demonstration, Options};
use wattveil::adopt::{AdoptArguments, KeyArguments};
use wattveil::ask::AskArguments;
use wattveil::bill::BillArguments;
use wattveil::check::CheckArguments;
use wattveil::enrol::EnrolArguments;
use wattveil::explain::ExplainArguments;
use wattveil::init::InitArguments;
use wattveil::revoke::RevokeArguments;
use wattveil::rotate::RotateArguments;
use wattveil::run::{RunArguments, pause_sink};
use wattveil::status::StatusArguments;

/// How a developer sees more of an error.
const BACKTRACES: &str = "WATTVEIL_BACKTRACE=1 in the environment prints a backtrace with a bug. With RUST_BACKTRACE=1 as well, \
     every error has one.";

/// Privacy-preserving smart metering: exact bills that nobody could have read
#[derive(Parser)]
#[command(version, after_help = BACKTRACES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show it all on this machine: real homes, real processes, crashes, lies and attacks
    Demo(DemoArguments),
    Init(InitArguments),
    Run(RunArguments),
    Enrol(EnrolArguments),
    Key(KeyArguments),
    Adopt(AdoptArguments),
    Revoke(RevokeArguments),
    Rotate(RotateArguments),
    Check(CheckArguments),
    Explain(ExplainArguments),
    Status(StatusArguments),
    Bill(BillArguments),
    Ask(AskArguments),
    Bench(lab::bench::command::Command),
    Statistics(wattveil::statistics::Command),
    Tap(wattveil::tap::Command),
    Broker(broker::command::Command),
    MeterAgent(meter_agent::command::Command),
    AggregatorWorker(aggregator_worker::command::Command),
    UtilitySink(utility_sink::command::Command),
    /// Print what makes a shell complete these commands
    ///
    /// For bash: wattveil completions bash > ~/.local/share/bash-completion/completions/wattveil
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual, a page for each command
    ///
    /// To read it: wattveil man --to DIR; man DIR/wattveil-meter-agent.1
    Man {
        /// The directory for the pages; it is made if it is not there
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

#[derive(Args)]
struct DemoArguments {
    /// A CSV file of load data instead of the shipped homes: `interval_start`, then one column of watt-hours a home
    #[arg(long, value_name = "FILE.csv")]
    data: Option<PathBuf>,
    /// How many synthetic homes; with --data, how many of the file's homes; 2 at least
    #[arg(long, value_name = "N", value_parser = meters)]
    meters: Option<usize>,
    /// How many aggregators, from 1 to 10
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = aggregators)]
    aggregators: usize,
    /// How many aggregators together give a value; at most as many as there are
    #[arg(long, value_name = "T", default_value_t = 2, value_parser = aggregators)]
    threshold: usize,
    /// Slots a second; 0 is as fast as possible
    #[arg(long, value_name = "SLOTS", default_value_t = 0.0, value_parser = speed, allow_negative_numbers = true)]
    speed: f64,
    /// Keep everything that is made in this new directory, with the commands that start it again
    #[arg(long, value_name = "DIR", value_parser = new_directory)]
    keep: Option<PathBuf>,
    /// Print the report as JSON, and nothing else
    #[arg(long)]
    json: bool,
}

fn meters(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (2..=10_000).contains(count));
    count.ok_or_else(|| {
        "expected a number from 2 to 10000, for example 20: bills by tariff and load curves of one home would show its readings"
            .to_owned()
    })
}

fn aggregators(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=10).contains(count));
    count.ok_or_else(|| "expected a number from 1 to 10, for example 4".to_owned())
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed| *speed == 0.0 || (1e-3..=1e9).contains(speed));
    speed.ok_or_else(|| "expected slots a second, for example 200; 0 is as fast as possible".to_owned())
}

fn new_directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if text.is_empty() || path.symlink_metadata().is_ok() {
        return Err("expected a directory that does not exist yet; type another name".to_owned());
    }
    Ok(path)
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let threads = match command {
        Command::Demo(_) | Command::Broker(_) | Command::Bench(_) => 4,
        _ => 1,
    };
    runtime::exit::run(threads, run(command))
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(arguments) => return demo(arguments).await,
        Command::Bench(command) => command.run(&mut std::io::stdout().lock()).await?,
        Command::Init(arguments) => print(&arguments.run()?)?,
        Command::Run(arguments) => arguments.run(&mut std::io::stdout().lock(), runtime::stopped()).await?,
        Command::Enrol(arguments) => {
            let enrolled = arguments.run()?;
            // the line alone on standard output, so that it can go on through a pipe
            std::io::stderr().lock().write_all(enrolled.next.as_bytes()).context("cannot print")?;
            print(&enrolled.line.unwrap_or_default())?;
        }
        Command::Key(arguments) => {
            let key = arguments.run()?;
            std::io::stderr().lock().write_all(key.note.as_bytes()).context("cannot print")?;
            print(&format!("{}\n", key.public))?;
        }
        Command::Adopt(arguments) => print(&arguments.run()?)?,
        Command::Revoke(arguments) => {
            let revoked = arguments.run().await?;
            print(&revoked.text)?;
            if let Some(unpublished) = revoked.unpublished {
                anyhow::bail!(unpublished);
            }
        }
        Command::Rotate(arguments) => {
            let rotated = arguments.run()?;
            // the line alone on standard output, so that it can go on through a pipe
            std::io::stderr().lock().write_all(rotated.next.as_bytes()).context("cannot print")?;
            if let Some(line) = rotated.line {
                print(&format!("{line}\n"))?;
            }
        }
        Command::Check(arguments) => {
            let findings = arguments.run().await?;
            print(&findings.to_string())?;
            return Ok(if findings.are_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Explain(arguments) => print(&arguments.run()?)?,
        Command::Status(arguments) => {
            let (table, well) = arguments.run().await?;
            print(&table)?;
            return Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Bill(arguments) => return bill(arguments).await,
        Command::Ask(arguments) => {
            let _paused = pause_sink(&arguments.config).await;
            print(&arguments.run().await?)?;
        }
        Command::Tap(command) => command.run(&mut std::io::stdout().lock(), runtime::stopped()).await?,
        Command::Statistics(command) => {
            let _paused = pause_sink(&command.config).await;
            command.run(&mut std::io::stdout().lock())?;
        }
        Command::Broker(command) => command.run().await?,
        Command::MeterAgent(command) => command.run().await?,
        Command::AggregatorWorker(command) => command.run().await?,
        Command::UtilitySink(command) => command.run().await?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "wattveil", &mut script);
            std::io::stdout().write_all(&script).context("cannot print the completions")?;
        }
        Command::Man { to } => {
            std::fs::create_dir_all(&to)
                .and_then(|()| clap_mangen::generate_to(Arguments::command(), &to))
                .with_context(|| format!("cannot write the manual to {}", to.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn bill(arguments: BillArguments) -> anyhow::Result<ExitCode> {
    let _paused = pause_sink(&arguments.config).await;
    let closed = arguments.run().await?;
    print(&closed.csv)?;
    std::io::stderr().lock().write_all(closed.summary.as_bytes()).context("cannot print")?;
    if let Some(unwritten) = closed.unwritten {
        anyhow::bail!("{}; the same line prints the same bills again", unwritten.trim_end());
    }
    Ok(if closed.complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what was asked for.
fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot print")
}

async fn demo(arguments: DemoArguments) -> anyhow::Result<ExitCode> {
    let DemoArguments { data, meters, aggregators, threshold, speed, keep, json } = arguments;
    let options = Options { data, meters, aggregators, threshold, speed, keep, quiet: json };
    let keep = options.keep.clone();
    let demonstration = Demonstration::new(options)?;
    let temporary = tempfile::tempdir().context("cannot make a directory for the demonstration")?;
    let directory = match &keep {
        Some(directory) => runtime::file::new_directory(directory)?,
        None => temporary.path().to_owned(),
    };
    let log = std::fs::File::create(directory.join("demo.log"))?;
    tracing_subscriber::fmt().with_ansi(false).with_writer(log).init();
    let report = demonstration.run(&directory).await?;
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{:#}", report.to_json())?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(if report.held() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
