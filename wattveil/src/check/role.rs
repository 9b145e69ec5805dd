//! What a role's configuration has: keys, certificates, a place for its store, a source of readings.

use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use meter_agent::config::SourceConfig;
use meter_agent::source::input::Input;
use protocol::certificate::MeterCertificate;
use protocol::signature::SigningKey;
use protocol::unit::Timestamp;
use runtime::file;
use utility_sink::agenda::not_allowed;

use super::findings::{Findings, Grade, Party};
use super::validity;
use deployment::directory::Config;

pub(super) fn broker(file: &Path, findings: &mut Findings) {
    let Some(config) = findings.expect(broker::Config::read(Some(file), &[]).map_err(Into::into)) else {
        return;
    };
    if let Some(tls) = &config.tls {
        let ends = findings.expect(tls.ends().map_err(Into::into)).unwrap_or_default();
        for (path, end) in ends {
            let end = end.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let what = format!("the certificate in {}", path.display());
            let next = if Some(&path) == tls.client_authority.as_ref() {
                "make a new deployment's authority, or name one of your own in [tls] and in every party's [broker.tls]"
            } else {
                "type at the registrar's: wattveil rotate broker DIR"
            };
            validity::of(&what, Timestamp(0), Timestamp(end), next, findings);
        }
    }
    findings.expect_closed(file, "600");
    if config.users.is_empty() {
        findings
            .add(Grade::Note, "there are no users: everybody on this machine may do anything at the broker");
    }
    let listen = config.listen;
    findings.fine(format!("the broker's settings: {} users, to listen on {listen}", config.users.len()));
}

pub(super) fn worker(file: &Path, home: &Path, findings: &mut Findings) -> Option<Party> {
    let config = findings.expect(aggregator_worker::config::Config::read(file).map_err(Into::into))?;
    let (identity, roster) = findings.expect(config.identity(home))?;
    validity::roster(&roster, findings);
    let row = roster.aggregator(identity.point)?.clone();
    if row.key != identity.key.verifying_key() {
        let text = format!(
            "the roster names another key for {}; bring the key and roster.wv back from one backup",
            row.id
        );
        findings.add(Grade::Wrong, text);
    }
    for key in &row.box_keys {
        if !identity.box_keys.iter().any(|own| own.sealing_key() == key.key) {
            let text = format!(
                "the roster has box key {} of {}, and `box_keys` not its secret: meters would seal what nobody opens; add its file \
                 to box_keys",
                key.key.key_id, row.id
            );
            findings.add(Grade::Wrong, text);
        }
    }
    let store = home.join(&config.store);
    store_place(&store, findings);
    findings.fine(format!("{} at point {}, {}", row.id, row.point, box_keys(identity.box_keys.len())));
    let store = Some((store, aggregator_worker::aggregator::ROSTER));
    Some(Party { endpoint: config.broker, roster, registrar: identity.registrar, store })
}

fn box_keys(number: usize) -> String {
    if number == 1 { "one box key".to_owned() } else { format!("{number} box keys") }
}

pub(super) fn sink(file: &Path, home: &Path, findings: &mut Findings) -> Option<Party> {
    let config = findings.expect(utility_sink::config::Config::read(file).map_err(Into::into))?;
    let (identity, roster) = findings.expect(config.identity(home))?;
    validity::roster(&roster, findings);
    if identity.key.verifying_key() != roster.document().utility.key {
        findings.add(
            Grade::Wrong,
            "the roster names another key for the utility; bring key and roster.wv back from one backup",
        );
    }
    let store = home.join(&config.store);
    store_place(&store, findings);
    if let Some(tariffs) = findings.expect(config.read_tariffs(home, roster.slot())) {
        for (release, refusal) in findings.expect(not_allowed(&config, home)).unwrap_or_default() {
            let text =
                format!("[[release]] `{release}` is not asked, by rule {}: {}", refusal.rule, refusal.detail);
            findings.add(Grade::Wrong, text);
        }
        findings.fine(format!("the utility's keys; {} tariffs", tariffs.len()));
    }
    let store = Some((store, utility_sink::sink::ROSTER));
    Some(Party { endpoint: config.broker, roster, registrar: identity.registrar, store })
}

pub(super) fn agent(file: &Path, home: &Path, findings: &mut Findings) -> Option<Party> {
    let config = findings.expect(meter_agent::config::Config::read(file).map_err(Into::into))?;
    let (identity, roster) = findings.expect(config.identity(home))?;
    let now = runtime::now::<Timestamp>();
    validity::roster(&roster, findings);
    if let Err(error) = config.floor.admits(&roster, now) {
        findings.add(
            Grade::Wrong,
            format!("{error}; ask the registrar for a roster that keeps what this meter was promised"),
        );
    }
    let certificate =
        MeterCertificate::open(&identity.certificate, &identity.registrar, &roster.document().deployment)
            .context(
                "the certificate was refused; ask the registrar to enrol this meter: wattveil enrol DIR NAME",
            );
    let certificate = findings.expect(certificate)?;
    if certificate.meter != identity.meter || certificate.key != identity.key.verifying_key() {
        let wanted = &certificate.meter;
        findings.add(
            Grade::Wrong,
            format!("the certificate is of meter {wanted} and its key, not of this one; adopt the enrolment of this device"),
        );
    }
    let again = "ask the registrar to enrol this home anew, under another name: wattveil enrol DIR NAME";
    validity::of("the certificate", certificate.valid_from, certificate.valid_to, again, findings);
    findings.expect(config.registers.to_limits(roster.slot()));
    store_place(&home.join(&config.store), findings);
    if let Some(revocation) = findings.revoked.get(&identity.meter).cloned() {
        validity::revocation(&revocation, findings);
    }
    input(&config.source, findings);
    let (place, group) = (&certificate.service_point, &certificate.group);
    match config.source.open(home, roster.slot(), &identity.meter) {
        Ok(_) => findings.fine(format!("meter {} at {place}, in {group}", identity.meter)),
        Err(error) => findings.add(Grade::Wrong, format!("[source]: {error:#}")),
    }
    Some(Party { endpoint: config.broker, roster, registrar: identity.registrar, store: None })
}

pub(super) fn other(file: &Path, home: &Path, findings: &mut Findings) -> Option<Party> {
    let config: Config = findings.expect(runtime::config::read(file, &[]).map_err(Into::into))?;
    let (public, roster) = findings.expect(config.membership(home))?;
    validity::roster(&roster, findings);
    let key = config
        .key
        .as_ref()
        .map(|key| file::read_secret(&home.join(key), str::parse::<SigningKey>).map_err(Into::into));
    if let Some(key) = key.and_then(|key| findings.expect(key)) {
        if key.verifying_key() != public {
            findings.add(
                Grade::Wrong,
                "sign.key and registrar.pub do not belong together; bring both back from one backup",
            );
        }
        findings.fine("the registrar's key and roster");
    }
    Some(Party { endpoint: config.broker, roster, registrar: public, store: None })
}

/// Where readings come from: a port, which opens only once the agent runs, is to be there.
fn input(source: &SourceConfig, findings: &mut Findings) {
    let (SourceConfig::Lines { input } | SourceConfig::P1 { input, .. } | SourceConfig::Sml { input, .. }) =
        source
    else {
        return;
    };
    match input {
        Input::File(path) if path.as_os_str() == "-" => findings.add(
            Grade::Note,
            "readings are to come on the agent's standard input, as init and adopt have it; if they come from elsewhere, put another \
             [source.KIND] in the place of this one",
        ),
        Input::Serial(path) if !path.exists() => findings.add(
            Grade::Wrong,
            format!(
                "[source]: there is no serial port {}; is it plugged in? Type: ls /dev/serial/by-id /dev/tty*",
                path.display()
            ),
        ),
        _ => (),
    }
}

/// A store can be written where it is to be.
fn store_place(store: &Path, findings: &mut Findings) {
    let home = store.parent().unwrap_or_else(|| Path::new("."));
    if let Err(error) = tempfile::tempfile_in(home) {
        let home = home.display();
        findings.add(
            Grade::Wrong,
            format!("nothing can be written in {home}: {error}; the role's user is to own it"),
        );
    }
}
