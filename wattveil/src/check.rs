//! `wattveil check`: what is wrong with a deployment's directory or one role's configuration, and what to type.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use self::findings::{Findings, Grade};
use crate::revoke;
use deployment::directory::{Directory, MetersFile, meters, or_init};

mod clock;
mod connection;
mod findings;
mod role;
mod validity;

/// Check keys, roster, certificates, clock and connection of a deployment or of one role
#[derive(Clone, Debug, Args)]
pub struct CheckArguments {
    /// The directory of a deployment or of one party, or a role's configuration
    path: PathBuf,
    /// Do not connect to the broker
    #[arg(long)]
    offline: bool,
}

/// What kind of configuration a file is.
enum Kind {
    Broker,
    Worker,
    Sink,
    Agent,
    Other,
}

impl CheckArguments {
    /// Checks.
    ///
    /// # Errors
    ///
    /// If there is nothing to check.
    pub async fn run(self) -> anyhow::Result<Findings> {
        let files = files_of(&self.path)?;
        let mut findings = Findings { unreachable: self.offline, ..Findings::default() };
        let whole = self.path.join("registrar/registrar.toml").is_file();
        if whole {
            "registrar".clone_into(&mut findings.place);
            check_directory(&self.path, &mut findings);
        }
        for file in files {
            let home = file.parent().unwrap_or_else(|| Path::new("."));
            let shown = file.strip_prefix(&self.path).ok().filter(|shown| !shown.as_os_str().is_empty());
            findings.place = shown.unwrap_or(&file).display().to_string();
            check_file(&file, home, &mut findings).await;
        }
        Ok(findings)
    }
}

/// The configurations that there may be in a directory.
const NAMES: [&str; 6] =
    ["broker.toml", "worker.toml", "sink.toml", "agent.toml", "registrar.toml", "observer.toml"];

/// The configurations below a path.
fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut files, mut homes) = (Vec::new(), vec![path.to_owned()]);
    for depth in 0..3 {
        let mut below = Vec::new();
        for home in homes {
            files.extend(NAMES.iter().map(|name| home.join(name)).filter(|file| file.is_file()));
            if depth < 2 && home.is_dir() {
                let entries =
                    fs::read_dir(&home).with_context(|| format!("cannot read {}", home.display()))?;
                below.extend(
                    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()),
                );
            }
        }
        below.sort();
        homes = below;
    }
    anyhow::ensure!(
        !files.is_empty(),
        "{} has no configuration of a role; name a directory that `wattveil init` made or a .toml of it{}",
        path.display(),
        or_init(path)
    );
    Ok(files)
}

/// What only the whole directory tells.
fn check_directory(path: &Path, findings: &mut Findings) {
    let Some(directory) = findings.expect(Directory::open(path)) else { return };
    if let Some(MetersFile(rows)) = findings.expect(directory.meters()) {
        let fewest = usize::from(directory.roster.policy().k);
        let mut groups: Vec<_> = rows.iter().map(|row| row.group.clone()).collect();
        groups.sort();
        for group in groups.chunk_by(|a, b| a == b).filter(|group| group.len() < fewest) {
            let name = &group[0];
            let text = format!(
                "{name} has {}; for its curve there are to be {fewest}: wattveil enrol {} NAME --group {name}",
                meters(group.len()),
                path.display()
            );
            findings.add(Grade::Note, text);
        }
        findings
            .add(Grade::Fine, format!("the registrar's key and roster; enrolled: {}", meters(rows.len())));
    }
    if let Some(revoked) = findings.expect(revoke::all(&directory)) {
        findings.revoked = revoked;
    }
    for party in ["authority", "registrar"].map(|name| path.join(name)) {
        findings.expect_closed(&party, "700");
    }
}

async fn check_file(file: &Path, home: &Path, findings: &mut Findings) {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
    let Some(text) = findings.expect(text) else { return };
    let has =
        |key: &str| text.lines().any(|line| line.split('=').next().is_some_and(|name| name.trim() == key));
    let kind = if has("aggregator") {
        Kind::Worker
    } else if has("meter") {
        Kind::Agent
    } else if has("box_key") {
        Kind::Sink
    } else if has("listen") || has("name") {
        Kind::Broker
    } else {
        Kind::Other
    };
    let party = match kind {
        Kind::Broker => return role::broker(file, findings),
        Kind::Worker => role::worker(file, home, findings),
        Kind::Sink => role::sink(file, home, findings),
        Kind::Agent => role::agent(file, home, findings),
        Kind::Other => role::other(file, home, findings),
    };
    if let Some(party) = party {
        connection::connect(&party, home, findings).await;
        // last: whoever was about to start has its store by now
        validity::rosters(&party, findings);
    }
}
