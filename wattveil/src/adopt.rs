//! `wattveil key` and `wattveil adopt`: what is typed on a meter's device.

use runtime::file;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use meter_agent::config::SourceConfig;
use meter_agent::meter::Pace;
use meter_agent::source::input::Input;
use protocol::certificate::MeterCertificate;
use protocol::roster::Roster;
use protocol::signature::SigningKey;

use crate::enrol::{Enrolment, PREFIX};
use deployment::{Access, MeterFiles};

/// Make a meter's key on its device, and print the public half for `wattveil enrol --public-key`
#[derive(Clone, Debug, Args)]
pub struct KeyArguments {
    /// The meter's directory, made if it is not there
    directory: PathBuf,
}

/// A meter's key.
#[derive(Debug)]
pub struct Key {
    /// The public half, in hexadecimal.
    pub public: String,
    /// What is to be said of it, if it was there before.
    pub note: String,
}

impl KeyArguments {
    /// Makes the key, unless there is one; gives the public half.
    ///
    /// # Errors
    ///
    /// If there is something else in its place, or it can't be written.
    pub fn run(self) -> anyhow::Result<Key> {
        let file = self.directory.join("sign.key");
        let mut note = String::new();
        let key = if file.exists() {
            note = format!("{} is there already and stays; this is its public half:\n", file.display());
            file::read_secret(&file, str::parse::<SigningKey>)?
        } else {
            let key = SigningKey::generate(&mut runtime::entropy()?);
            file::new_directory(&self.directory)?;
            file::write_secret(&file, key.to_text().as_bytes())?;
            key
        };
        Ok(Key { public: protocol::id::Hash::from(key.verifying_key().to_bytes()).to_string(), note })
    }
}

/// Make a meter's directory from the line that `wattveil enrol` printed
#[derive(Clone, Debug, Args)]
pub struct AdoptArguments {
    /// The meter's directory; the one of `wattveil key`, if the device made its own key
    directory: PathBuf,
    /// The line, or - to paste it on standard input, so that the shell's history does not keep it
    #[arg(default_value = "-")]
    line: String,
}

impl AdoptArguments {
    /// Writes the directory; gives what to type next.
    ///
    /// # Errors
    ///
    /// If the line is none, is for another key, or something is there already.
    pub fn run(self) -> anyhow::Result<String> {
        let named = (self.line != "-" && !self.line.starts_with(PREFIX)).then(|| self.line.clone());
        let line = if self.line == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            text
        } else {
            self.line
        };
        let enrolment = Enrolment::parse(&line).with_context(|| match &named {
            Some(file) => format!(
                "`{file}` is {}; to take the line of a file, type: wattveil adopt {} - < {file}",
                if Path::new(file).exists() {
                    "a file's name"
                } else {
                    "neither an enrolment nor a file here"
                },
                self.directory.display()
            ),
            None => "nothing was adopted".to_owned(),
        })?;
        let roster = Roster::accept(&enrolment.roster, &enrolment.registrar)
            .context("the enrolment's roster was refused")?;
        let deployment = &roster.document().deployment;
        let certificate = MeterCertificate::open(&enrolment.certificate, &enrolment.registrar, deployment)
            .context("the enrolment's certificate was refused")?;
        let home = file::new_directory(&self.directory)?;
        let file = home.join("sign.key");
        let config = home.join("agent.toml");
        anyhow::ensure!(
            !config.exists(),
            "{} is there already, and nothing is overwritten; name another directory",
            config.display()
        );
        let key = match &enrolment.key {
            Some(bytes) => {
                SigningKey::from_bytes(bytes[..].try_into().ok().context("the enrolment's key is none")?)
            }
            None => own_key(&file)?,
        };
        anyhow::ensure!(
            key.verifying_key() == certificate.key,
            "this enrolment is for another device's key than {}; enrol this one: wattveil enrol DIR NAME --public-key {}",
            file.display(),
            protocol::id::Hash::from(key.verifying_key().to_bytes())
        );
        if enrolment.key.is_some() {
            file::write_secret(&file, key.to_text().as_bytes())?;
        }
        let files = MeterFiles {
            meter: certificate.meter,
            registrar: enrolment.registrar,
            roster: roster.clone(),
            certificate: enrolment.certificate.to_vec(),
            access: Access {
                address: enrolment.broker,
                login: enrolment.login,
                authority: enrolment.authority,
            },
            pace: Pace::default(),
            source: SourceConfig::Lines { input: Input::File("-".into()) },
            levelled: false,
        };
        let config = files.write(&home)?;
        let config = config.display();
        Ok(format!(
            "This is meter {} at {} of {deployment}.\n\nSay in {config} where readings come from, by one section [source.KIND] of those there, and \
             take out [source.lines] if it is another one; then type:\n\n  \
             wattveil check {config}\n  wattveil meter-agent --config {config} --dry-run\n  wattveil meter-agent --config {config}\n",
            certificate.meter, certificate.service_point,
        ))
    }
}

fn own_key(file: &Path) -> anyhow::Result<SigningKey> {
    file::read_secret(file, str::parse::<SigningKey>).with_context(|| {
        format!(
            "the enrolment has no key, so {} is to be the one that `wattveil key` made; name its directory",
            file.display()
        )
    })
}
