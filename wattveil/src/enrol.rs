//! `wattveil enrol`: adds a meter, and gives one line to paste on its device.
//!
//! The line has the meter's certificate, the roster, the broker's address and a login, and, unless the device made its own
//! key, the key: then it is a secret until the device has adopted it.

use protocol::unit::Timestamp;
use std::fmt;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use protocol::certificate::{MeterCertificate, deployment_context};
use protocol::id::{GroupId, Hash, MeterId};
use protocol::signature::{Signed, SigningKey, VerifyingKey};
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use tempfile::NamedTempFile;

use crate::line::{from_line, to_line};
use deployment::directory::{Directory, MeterRow, append};

/// What the line begins with.
pub(crate) const PREFIX: &str = "wv1-";

/// A terminal takes 4,095 bytes of a line; what is longer is folded into lines of so many.
const TERMINAL: usize = 4_000;
const FOLD: usize = 1_000;

/// How the broker gets to know a login.
const READ_AGAIN: &str = "have it read there (systemctl reload wattveil-broker, or kill -HUP)";

/// Add a meter: certify it, give it a login, and print one line to paste on its device
#[derive(Clone, Debug, Args)]
pub struct EnrolArguments {
    /// The deployment's directory, with the registrar's key
    directory: PathBuf,
    /// The home's name. Do not use an address: everybody at the broker can read it
    name: String,
    /// Its group [default: that of the meter enrolled last]
    #[arg(long)]
    group: Option<GroupId>,
    /// The public key that `wattveil key` printed on the device [default: the line holds a new secret key]
    #[arg(long, value_name = "HEX")]
    public_key: Option<Hash>,
    /// For how many days its certificate is valid. A meter that leaves earlier is revoked
    #[arg(long, default_value_t = MeterCertificate::DAYS, value_parser = clap::value_parser!(u64).range(1..=36_525))]
    days: u64,
    /// Write the line to this new file of mode 0600 instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What the line says.
#[derive(Clone, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Enrolment {
    /// The home's name.
    pub name: String,
    /// The registrar's public key.
    pub registrar: VerifyingKey,
    /// The roster.
    pub roster: ByteBuf,
    /// The meter's certificate.
    pub certificate: ByteBuf,
    /// Where the broker is.
    pub broker: String,
    /// User and password there.
    pub login: Option<(String, String)>,
    /// Who may say who the broker is, as PEM.
    pub authority: Option<String>,
    /// The meter's secret key, unless it was made on the device.
    pub key: Option<ByteBuf>,
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolment").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Enrolment {
    /// The enrolment of a line, which may be folded.
    ///
    /// # Errors
    ///
    /// A line of another kind, or not all of one.
    pub fn parse(line: &str) -> anyhow::Result<Self> {
        from_line(PREFIX, line)
    }
}

/// A line as a terminal takes it: in several if it is long, which [`Enrolment::parse`] reads as one.
fn folded(line: &str) -> String {
    let most = if line.len() > TERMINAL { FOLD } else { TERMINAL };
    let pieces = line.as_bytes().chunks(most).map(|piece| String::from_utf8_lossy(piece) + "\n");
    pieces.collect()
}

/// What enrolling gave.
#[derive(Debug)]
pub struct Enrolled {
    /// The line to paste, folded if it is long; nothing if it was written to a file.
    pub line: Option<String>,
    /// What to type next.
    pub next: String,
}

/// The line on disk, mode 0600, before anybody knows of the meter; it gets its name last.
fn kept(file: &Path, line: &str) -> anyhow::Result<NamedTempFile> {
    let shown = file.display();
    anyhow::ensure!(
        fs::symlink_metadata(file).is_err(),
        "{shown} is there already, and nothing is overwritten; type --out with another file"
    );
    let home = file.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let write = || {
        let mut new = NamedTempFile::new_in(home)?;
        new.write_all(line.as_bytes())?;
        new.as_file().sync_all().map(|()| new)
    };
    write().with_context(|| format!("cannot write {shown}"))
}

impl EnrolArguments {
    /// Enrols the meter.
    ///
    /// # Errors
    ///
    /// If the directory is none, the name is taken or none, or a file can't be written.
    pub fn run(self) -> anyhow::Result<Enrolled> {
        let directory = Directory::open(&self.directory)?;
        let (document, root) = (directory.roster.document(), self.directory.display());
        let meters = directory.meters()?;
        if let Some(known) = meters.find(&self.name) {
            anyhow::bail!(
                "`{}` is enrolled already, as meter {}; type another name, such as: wattveil enrol {root} {}-2",
                self.name,
                known.meter,
                self.name
            );
        }
        let service_point = self.name.parse().context("type another name")?;
        let mut rng = runtime::entropy()?;
        let (key, public) = self.keys(&mut rng)?;
        let last = || meters.0.last().map(|row| row.group.clone());
        let group = self.group.clone().or_else(last).map_or_else(|| "group-1".parse(), Ok)?;
        let now = runtime::now::<Timestamp>();
        anyhow::ensure!(
            document.valid_to > now,
            "the roster's validity is over; give the deployment its next roster: wattveil rotate draft {}",
            self.directory.display()
        );
        let meter = MeterId::random(&mut rng);
        let certificate = MeterCertificate {
            meter,
            key: public,
            service_point,
            group: group.clone(),
            valid_from: document.valid_from,
            valid_to: now.plus(self.days * 86_400),
            previous: None,
        };
        let certificate =
            Signed::sign(certificate, &directory.registrar, &deployment_context(&document.deployment));
        let home = self.directory.join("registrar");
        let broker = &directory.config.broker;
        let login = broker
            .user
            .is_some()
            .then(|| (meter.to_string(), format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64())));
        let authority = broker.tls.as_ref().map(|files| {
            let path = home.join(&files.authority);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        });
        let authority = authority.transpose()?;
        let enrolment = Enrolment {
            name: self.name.clone(),
            registrar: directory.registrar.verifying_key(),
            roster: ByteBuf::from(directory.roster.bytes()),
            certificate: ByteBuf::from(certificate.bytes()),
            broker: broker.address.clone(),
            login: login.clone(),
            authority,
            key: key.as_ref().map(|key| ByteBuf::from(&key.as_bytes()[..])),
        };
        let line = folded(&to_line(PREFIX, &enrolment));
        let kept = self.out.as_deref().map(|file| kept(file, &line)).transpose()?;
        let mut next = format!("Enrolled {} as meter {meter} in {group}.\n", self.name);
        if let Some((user, password)) = &login {
            next.push_str(&self.admit(user, password)?);
        }
        let row = MeterRow { name: self.name.clone(), meter, group };
        directory.note_meter(&row)?;
        if !self.directory.join("sink/meters.csv").is_file() {
            next.push_str("Give the utility this line for its meters.csv:\n\n  ");
            next.push_str(&row.to_line());
            next.push('\n');
        }
        next.push_str(match (key.is_some(), login.is_some()) {
            (true, _) => "The line holds the meter's secret key: it is for the device alone.\n",
            (false, true) => {
                "The line holds the meter's password at the broker: it is for the device alone.\n"
            }
            (false, false) => "",
        });
        let with_key = if key.is_some() { "" } else { ", where the directory with its key is" };
        let name = &self.name;
        let Some((file, line)) = self.out.as_deref().zip(kept) else {
            write!(
                next,
                "On the device{with_key}, type:\n\n  wattveil adopt {name} -\n\nand paste {} there, then control-D.\n",
                if line.lines().count() == 1 { "the line" } else { "all the lines" }
            )?;
            return Ok(Enrolled { line: Some(line), next });
        };
        line.persist_noclobber(file).with_context(|| format!("cannot write {}", file.display()))?;
        write!(
            next,
            "It is in {file}. Bring that to the device; there{with_key}, type:\n\n  wattveil adopt {name} - < {file}\n",
            file = file.display()
        )?;
        Ok(Enrolled { line: None, next })
    }

    /// The meter's keys: both new ones, or the public one that its device has made.
    fn keys(&self, rng: &mut StdRng) -> anyhow::Result<(Option<SigningKey>, VerifyingKey)> {
        let Some(bytes) = &self.public_key else {
            let key = SigningKey::generate(rng);
            let public = key.verifying_key();
            return Ok((Some(key), public));
        };
        let public = VerifyingKey::from_bytes(bytes.as_bytes());
        Ok((
            None,
            public
                .context("this is no public key; paste the one that `wattveil key` printed on the device")?,
        ))
    }

    /// Makes the meter a user of the broker, whose settings are here or elsewhere; says what is left to do.
    fn admit(&self, user: &str, password: &str) -> anyhow::Result<String> {
        let user = broker::User::with_random_password(user, "meter", password);
        let hash = user.password_hash.as_deref().unwrap_or_default();
        let block =
            format!("\n[[users]]\nname = \"{}\"\nrole = \"meter\"\npassword_hash = \"{hash}\"\n", user.name);
        let settings = self.directory.join("broker/broker.toml");
        if !settings.is_file() {
            return Ok(format!("Add this to the broker's broker.toml, and {READ_AGAIN}:\n{block}\n"));
        }
        append(&settings, &block)?;
        Ok(format!(
            "Its login is in broker/broker.toml; copy that to the broker's machine, and {READ_AGAIN}.\n"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal takes as one line stays one; no line of another is longer than a terminal takes.
    #[test]
    fn long_lines_are_folded() {
        for (letters, lines) in [(1, 1), (TERMINAL, 1), (TERMINAL + 1, 5), (10_284, 11)] {
            let line = "x".repeat(letters);
            let folded = folded(&line);
            assert_eq!(folded.lines().count(), lines);
            assert!(folded.lines().all(|line| line.len() <= TERMINAL) && folded.replace('\n', "") == line);
        }
    }
}
