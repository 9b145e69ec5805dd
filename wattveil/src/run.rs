//! `wattveil run`: every role of a deployment's directory as a process of its own, on this machine, until it is stopped.
//!
//! For trying a deployment out: one owner has all parties' secrets then. A command that needs the sink's store pauses the
//! sink over a socket in the directory, for as long as it holds its connection.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use deployment::directory::or_init;
use meter_agent::config::SourceConfig;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long the broker may take to listen, and a role to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// The last lines of a role's log that an error shows.
const TAIL: usize = 3;

/// Where the sink can be paused, in the deployment's directory.
const SOCKET: &str = "run.sock";

/// Run every role of a directory on this machine, to try it out
///
/// Each role is a process of its own and writes a log beside its configuration. A meter with synthetic or replayed readings
/// ends once every aggregator has stored them. The other roles run until control-C.
#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    /// The directory that `wattveil init` made
    directory: PathBuf,
}

/// A role, which runs as a process.
#[derive(Clone, Debug)]
struct Role {
    command: &'static str,
    config: PathBuf,
    /// Whether its readings end, and it with them.
    ends: bool,
}

/// The processes that run.
struct Town {
    stop: watch::Sender<bool>,
    /// Whether every aggregator has all readings of the meters whose readings end.
    delivered: watch::Sender<bool>,
    running: JoinSet<anyhow::Result<End>>,
}

/// How a role's process ended: by itself with a status, or because it was stopped.
type End = (Role, Option<ExitStatus>);

impl RunArguments {
    /// Runs until `shutdown`, and writes for people what happens.
    ///
    /// # Errors
    ///
    /// A directory that is not whole, or a role that ends before its time.
    pub async fn run(self, out: &mut impl Write, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let root = &self.directory;
        let roles = roles(root)?;
        let socket = root.join(SOCKET);
        let pauses = listener(&socket).await?;
        let mut town = Town {
            stop: watch::Sender::new(false),
            delivered: watch::Sender::new(false),
            running: JoinSet::new(),
        };
        let result = tokio::select! {
            () = shutdown => Ok(()),
            result = town.run(roles, pauses, root, out) => result,
        };
        town.stop.send_replace(true);
        while town.running.join_next().await.is_some() {}
        fs::remove_file(&socket).with_context(|| format!("cannot remove {}", socket.display()))?;
        result
    }
}

impl Town {
    /// Starts the roles, the broker first, and waits until one ends that should not.
    async fn run(
        &mut self,
        roles: Vec<Role>,
        pauses: UnixListener,
        root: &Path,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let (count, mut replays) = (roles.len(), roles.iter().filter(|role| role.ends).count());
        let mut roles = roles.into_iter();
        let broker = roles.next().context("the first role is the broker")?;
        let listen = broker::Config::read(Some(&broker.config), &[])?.listen;
        self.running.spawn(broker.run(self.stop.subscribe()));
        tokio::select! {
            ready = listens(listen) => ready?,
            Some(ended) = self.running.join_next() => early(&ended??)?,
        }
        let mut pauses = Some(pauses);
        for role in roles {
            let stop = self.stop.subscribe();
            match pauses.take_if(|_| role.command == "utility-sink") {
                Some(pauses) => {
                    self.running.spawn(role.run_with_pauses(pauses, self.delivered.subscribe(), stop))
                }
                None => self.running.spawn(role.run(stop)),
            };
        }
        self.delivered.send_replace(replays == 0);
        writeln!(
            out,
            "{count} roles run. Each writes a log beside its configuration. Control-C stops them."
        )?;
        while let Some(ended) = self.running.join_next().await {
            early(&ended??)?;
            replays -= 1;
            if replays == 0 {
                self.delivered.send_replace(true);
                let sink = root.join("sink/sink.toml");
                writeln!(
                    out,
                    "All readings are with the aggregators. Type in another terminal:\n\n  \
                     wattveil bill --config {} --period 28d\n",
                    sink.display()
                )?;
            }
        }
        Ok(())
    }
}

/// Refuses the end of a role that should go on.
fn early((role, status): &End) -> anyhow::Result<()> {
    let Some(status) = status.filter(|status| !role.ends || !status.success()) else { return Ok(()) };
    let log = role.config.with_extension("log");
    let text = fs::read_to_string(&log).unwrap_or_default();
    let mut tail: Vec<&str> = text.lines().rev().take(TAIL).collect();
    tail.reverse();
    anyhow::bail!(
        "the {} of {} ended ({status}). Its log {} ends with:\n{}",
        role.command,
        role.config.display(),
        log.display(),
        tail.join("\n")
    )
}

/// Waits until the broker listens.
async fn listens(address: SocketAddr) -> anyhow::Result<()> {
    let connected = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, connected).await.with_context(|| format!("the broker does not listen on {address}"))
}

/// Listens for who wants the sink paused.
async fn listener(socket: &Path) -> anyhow::Result<UnixListener> {
    anyhow::ensure!(
        UnixStream::connect(socket).await.is_err(),
        "this directory's roles run already; stop them with control-C in the other terminal first"
    );
    if socket.exists() {
        fs::remove_file(socket).with_context(|| format!("cannot remove {}", socket.display()))?;
    }
    UnixListener::bind(socket).with_context(|| format!("cannot make {}", socket.display()))
}

/// The roles of a directory, the broker first.
fn roles(root: &Path) -> anyhow::Result<Vec<Role>> {
    let role = |command, config: PathBuf| Role { command, config, ends: false };
    let mut roles = vec![
        role("broker", root.join("broker/broker.toml")),
        role("utility-sink", root.join("sink/sink.toml")),
    ];
    roles.extend(below(root, "worker.toml")?.into_iter().map(|config| role("aggregator-worker", config)));
    if let Some(missing) = roles.iter().find(|role| !role.config.is_file()) {
        anyhow::bail!(
            "expected all roles of a deployment in {}, for example {}; that file is not there. Name the directory that `wattveil init` \
             made{}",
            root.display(),
            missing.config.display(),
            or_init(root)
        );
    }
    let homes = root.join("meters");
    let agents = if homes.is_dir() { below(&homes, "agent.toml")? } else { Vec::new() };
    for config in agents {
        let source = meter_agent::config::Config::read(&config)?.source;
        let ends = matches!(source, SourceConfig::Synthetic { .. } | SourceConfig::Csv { .. });
        roles.push(Role { command: "meter-agent", config, ends });
    }
    Ok(roles)
}

/// The files of this name in the directories of a directory.
fn below(home: &Path, name: &str) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(home).with_context(|| format!("cannot read {}", home.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path().join(name))).collect();
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

impl Role {
    /// Runs the role until it ends, or until it is to stop.
    async fn run(self, mut stop: watch::Receiver<bool>) -> anyhow::Result<End> {
        let status = self.run_until(async { drop(stop.wait_for(|stop| *stop).await) }).await?;
        Ok((self, status))
    }

    /// The same. A connection pauses the role until it ends, but not before all readings are delivered: a period is closed once.
    async fn run_with_pauses(
        self,
        pauses: UnixListener,
        mut delivered: watch::Receiver<bool>,
        mut stop: watch::Receiver<bool>,
    ) -> anyhow::Result<End> {
        loop {
            let mut guest = None;
            let asked = async {
                let accept = async {
                    let (stream, _) = pauses.accept().await.ok()?;
                    delivered.wait_for(|delivered| *delivered).await.is_ok().then_some(stream)
                };
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => (),
                    Some(stream) = accept => guest = Some(stream),
                }
            };
            let status = self.run_until(asked).await?;
            let Some(mut guest) = guest.filter(|_| status.is_none()) else { return Ok((self, status)) };
            if guest.write_all(b"\n").await.is_ok() {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return Ok((self, None)),
                    _ = guest.read_u8() => (),
                }
            }
        }
    }

    /// Runs the role's process. Gives its status if it ends by itself, and nothing if `stop` ended it.
    async fn run_until(&self, stop: impl Future<Output = ()>) -> anyhow::Result<Option<ExitStatus>> {
        let log = self.config.with_extension("log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.arg(self.command).arg("--config").arg(&self.config);
        if self.ends {
            command.arg("--until-done");
        }
        // control-C in a terminal is for all its processes: in a group of their own they are stopped by this one alone
        command.env("NO_COLOR", "1").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().with_context(|| format!("cannot start the {}", self.command))?;
        tokio::select! {
            status = child.wait() => return Ok(Some(status?)),
            () = stop => (),
        }
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(pid, Signal::TERM).with_context(|| format!("cannot stop the {}", self.command))?;
        }
        if timeout(PATIENCE, child.wait()).await.is_err() {
            child.kill().await.with_context(|| format!("cannot stop the {}", self.command))?;
        }
        Ok(None)
    }
}

/// Pauses the sink of this configuration if [`RunArguments::run`] runs it, until the answer is dropped.
pub async fn pause_sink(config: &Path) -> Option<UnixStream> {
    let socket = config.parent()?.join("..").join(SOCKET);
    let mut stream = UnixStream::connect(socket).await.ok()?;
    drop(writeln!(
        io::stderr().lock(),
        "waiting until the aggregators have all readings and the sink is paused"
    ));
    stream.read_u8().await.ok().map(|_| stream)
}
