//! What was found, and what a party has that is still to be checked.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use protocol::id::MeterId;
use protocol::revocation::Revocation;
use protocol::roster::Roster;
use protocol::signature::{Signed, VerifyingKey};
use runtime::file;
use runtime::link::Endpoint;
use store::Table;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Grade {
    Fine,
    Note,
    Wrong,
}

/// What was found of one thing.
#[derive(Debug)]
pub(super) struct Finding {
    grade: Grade,
    place: String,
    text: String,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Findings {
    pub(super) found: Vec<Finding>,
    pub(super) place: String,
    /// The broker was tried, and there is no use in trying it again.
    pub(super) unreachable: bool,
    /// Meters that the registrar revoked, as far as that is known here.
    pub(super) revoked: BTreeMap<MeterId, Signed<Revocation>>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn are_well(&self) -> bool {
        self.found.iter().all(|finding| finding.grade != Grade::Wrong)
    }

    pub(super) fn add(&mut self, grade: Grade, text: impl Into<String>) {
        self.found.push(Finding { grade, place: self.place.clone(), text: text.into() });
    }

    /// That all this is well, unless something of it is wrong.
    pub(super) fn fine(&mut self, text: impl Into<String>) {
        let wrong = |found: &Finding| found.grade == Grade::Wrong && found.place == self.place;
        if !self.found.iter().any(wrong) {
            self.add(Grade::Fine, text);
        }
    }

    /// Notes an error; gives the value if there is one.
    pub(super) fn expect<T>(&mut self, result: anyhow::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(Grade::Wrong, format!("{error:#}"))).ok()
    }

    /// Notes a secret file or directory that is not its owner's alone, and the mode that it should have.
    pub(super) fn expect_closed(&mut self, path: &Path, wanted: &str) {
        if let Some(mode) = fs::metadata(path).ok().as_ref().and_then(file::open_to_others) {
            let path = path.display();
            let text = format!("other users may read {path} (mode {mode:o}); type: chmod {wanted} {path}");
            self.add(Grade::Wrong, text);
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { grade, place, text } in &self.found {
            let grade = match grade {
                Grade::Fine => "ok   ",
                Grade::Note => "note ",
                Grade::Wrong => "WRONG",
            };
            writeln!(f, "{grade}  {place}: {text}")?;
        }
        let wrong = self.found.iter().filter(|finding| finding.grade == Grade::Wrong).count();
        match wrong {
            0 => writeln!(f, "\nAll is well."),
            1 => writeln!(f, "\n1 thing is wrong."),
            wrong => writeln!(f, "\n{wrong} things are wrong."),
        }
    }
}

/// What is left to look at once a configuration is read.
pub(super) struct Party {
    pub(super) endpoint: Endpoint,
    pub(super) roster: Roster,
    pub(super) registrar: VerifyingKey,
    /// The store, and its table of rosters.
    pub(super) store: Option<(PathBuf, Table)>,
}
