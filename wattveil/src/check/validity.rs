//! From when and until when rosters, certificates and meters are valid, by this machine's clock.

use anyhow::Context as _;
use protocol::revocation::Revocation;
use protocol::roster::Roster;
use protocol::roster::chain::Chain;
use protocol::unit::Timestamp;
use store::{FileStore, StoreError};

use super::findings::{Findings, Grade, Party};

/// What ends within so many seconds is worth a note.
const SOON: u64 = 30 * 86_400;

/// The cache of a store that is read once.
const CACHE: usize = 4 << 20;

/// A meter that measures no more, or will not.
pub(super) fn revocation(revocation: &Revocation, findings: &mut Findings) {
    let Revocation { meter, from, reason } = revocation;
    let now = runtime::now::<Timestamp>();
    let (grade, text) = if *from > now {
        (Grade::Note, format!("meter {meter} is revoked from {from} on ({reason})"))
    } else {
        let text = format!(
            "meter {meter} is revoked as of {from} ({reason}): what it measures since is refused; stop its agent once nothing of it waits \
             (wattveil status), and enrol the home anew, if it is to go on, under another name: wattveil enrol DIR NAME"
        );
        (Grade::Wrong, text)
    };
    findings.add(grade, text);
}

/// The role starts under this roster: it refuses an older one than its store has.
pub(super) fn rosters(party: &Party, findings: &mut Findings) {
    let Some((store, table)) = party.store.as_ref().filter(|(store, _)| store.exists()) else { return };
    let stored = match FileStore::open(store, CACHE) {
        Ok(opened) => store::entries(*table, &opened),
        // the role runs
        Err(StoreError::InUse { .. }) => return,
        Err(error) => Err(error),
    };
    let Some(stored) = findings.expect(stored.map_err(Into::into)) else { return };
    let stored: Vec<Vec<u8>> = stored.into_iter().map(|(_, row)| row).collect();
    let followed = Chain::resume(&stored, party.roster.clone(), &party.registrar);
    findings.expect(followed.map(drop).context("the role would refuse to start"));
}

pub(super) fn roster(roster: &Roster, findings: &mut Findings) {
    let document = roster.document();
    let now = runtime::now::<Timestamp>();
    let next = "the registrar gives everybody the next roster: wattveil rotate draft DIR";
    of(&format!("roster {}", document.epoch), document.valid_from, document.valid_to, next, findings);
    for aggregator in &document.aggregators {
        if aggregator.box_key_at(now).is_none() {
            let id = &aggregator.id;
            findings.add(Grade::Wrong, format!("every box key of {id} has ended; {next}"));
        }
    }
}

pub(super) fn of(what: &str, from: Timestamp, to: Timestamp, next: &str, findings: &mut Findings) {
    let now = runtime::now::<Timestamp>();
    if now < from {
        let text = format!(
            "{what} begins in {} s: this machine's clock is slow; type: timedatectl set-ntp true",
            from.since(now)
        );
        findings.add(Grade::Wrong, text);
    } else if now >= to {
        let days = now.since(to) / 86_400;
        findings.add(
            Grade::Wrong,
            format!("{what} ended {days} days ago, if this machine's clock is right (type: date); {next}"),
        );
    } else if to.since(now) < SOON {
        findings.add(Grade::Note, format!("{what} ends in {} days; {next}", to.since(now) / 86_400));
    }
}
