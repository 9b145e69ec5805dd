//! `wattveil enrol`: adds a meter, and gives one line to paste on its device.
//!
//! The line has the meter's certificate, the roster, the broker's address and a login, and, unless the device made its own
//! key, the key: then it is a secret until the device has adopted it.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use protocol::certificate::{MeterCertificate, deployment_context};
use protocol::id::{GroupId, Hash, MeterId};
use protocol::signature::{Signed, SigningKey, VerifyingKey, hash};
use protocol::wire;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::directory::{Directory, MeterRow, append};

/// What the line begins with.
const PREFIX: &str = "wv1-";

/// Bytes of the line that say whether all of it was pasted.
const CHECK: usize = 4;

/// How the broker gets to know a login.
const READ_AGAIN: &str = "have it read there (systemctl reload wattveil-broker, or kill -HUP)";

/// Add a meter: certify it, give it a login, and print one line to paste on its device
#[derive(Clone, Debug, Args)]
pub struct EnrolArguments {
    /// The deployment's directory, with the registrar's key
    directory: PathBuf,
    /// The home's name, which is no address: it travels in the clear
    name: String,
    /// Its group [default: that of the meter enrolled last]
    #[arg(long)]
    group: Option<GroupId>,
    /// The public key that the device made with `wattveil key`; without it the line holds a new secret key
    #[arg(long, value_name = "HEX")]
    public_key: Option<Hash>,
    /// For how many days its certificate is valid; by default longer than a meter lasts, since who leaves is revoked
    #[arg(long, default_value_t = MeterCertificate::DAYS, value_parser = clap::value_parser!(u64).range(1..=36_525))]
    days: u64,
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
    /// The line.
    pub fn to_line(&self) -> String {
        let mut bytes = wire::encode(self);
        let check = hash("enrolment", &[&bytes]);
        bytes.extend_from_slice(&check.as_bytes()[..CHECK]);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Takes a line apart.
    ///
    /// # Errors
    ///
    /// A line that is none, or not all of one.
    pub fn parse(line: &str) -> anyhow::Result<Self> {
        let text: String = line.chars().filter(|letter| !letter.is_whitespace()).collect();
        let text = text.strip_prefix(PREFIX).context(
            "this is no enrolment: paste the line beginning with wv1- that `wattveil enrol` printed",
        )?;
        let whole =
            || "a part of the enrolment is missing: paste all of the line that `wattveil enrol` printed";
        let bytes =
            URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() > CHECK).with_context(whole)?;
        let (body, check) = bytes.split_at(bytes.len() - CHECK);
        anyhow::ensure!(hash("enrolment", &[body]).as_bytes()[..CHECK] == *check, whole());
        wire::decode(body).context(
            "this enrolment is of another version of wattveil; install the registrar's on this device",
        )
    }
}

/// What enrolling gave.
#[derive(Debug)]
pub struct Enrolled {
    /// The line to paste.
    pub line: String,
    /// What to type next.
    pub next: String,
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
        let mut rng = host::entropy()?;
        let (key, public) = self.keys(&mut rng)?;
        let last = || meters.0.last().map(|row| row.group.clone());
        let group = self.group.clone().or_else(last).map_or_else(|| "group-1".parse(), Ok)?;
        let now = host::now().timestamp();
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
        let mut next = format!("Enrolled {} as meter {meter} in {group}.\n", self.name);
        if let Some((user, password)) = &login {
            next.push_str(&self.admit(user, password)?);
        }
        let row = MeterRow { name: self.name.clone(), meter, group };
        directory.note_meter(&row)?;
        if !self.directory.join("sink/meters.csv").is_file() {
            next.push_str("Give the utility this line for its meters.csv:\n\n  ");
            next.push_str(&crate::directory::MetersFile::line(&row.name, &row.meter, &row.group));
            next.push('\n');
        }
        next.push_str(if key.is_some() {
            "The line holds the meter's secret key: it is for the device alone. On the device, type:\n"
        } else {
            "On the device, in the directory with its key, type:\n"
        });
        next.extend(["\n  wattveil adopt ", &self.name, " -\n\nand paste the line there, then control-D.\n"]);
        Ok(Enrolled { line: enrolment.to_line(), next })
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
