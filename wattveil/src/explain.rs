//! `wattveil explain`: who can learn what under a roster, in plain words.

use protocol::signature::VerifyingKey;
use runtime::file;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use protocol::decode::correctable;
use protocol::hpke_box::Suite;
use protocol::levelled::CAUTION;
use protocol::policy::Policy;
use protocol::roster::Roster;

/// Say who can learn what under a roster, in plain words
#[derive(Clone, Debug, Args)]
pub struct ExplainArguments {
    /// A roster (roster.wv, with registrar.pub beside it), or a directory that has one
    roster: PathBuf,
    /// Say what holds with mode `levelled` (mode levelled) on
    #[arg(long)]
    levelled: bool,
}

impl ExplainArguments {
    /// The explanation.
    ///
    /// # Errors
    ///
    /// If there is no roster, or the registrar did not sign it.
    pub fn run(self) -> anyhow::Result<String> {
        let file = find(&self.roster).with_context(|| {
            format!(
                "{} has no roster.wv; name a party's directory, or the one that `wattveil init` made",
                self.roster.display()
            )
        })?;
        let registrar = file::read_text(&file.with_file_name("registrar.pub"), str::parse::<VerifyingKey>)?;
        let roster = file::read(&file, |bytes| Roster::accept(bytes, &registrar))?;
        Ok(explain(&roster, self.levelled))
    }
}

fn find(path: &Path) -> Option<PathBuf> {
    let places = ["roster.wv", "registrar/roster.wv"].map(|name| path.join(name));
    if path.is_file() { Some(path.to_owned()) } else { places.into_iter().find(|place| place.is_file()) }
}

/// Who can learn what.
pub fn explain(roster: &Roster, levelled: bool) -> String {
    let (document, policy) = (roster.document(), roster.policy());
    let (n, t, q) = (roster.n(), roster.t(), roster.q());
    let mut text = String::new();
    let mut say = |line: String| writeln!(text, "{line}").expect("a String takes every text");
    say(format!("Deployment {}, roster {} ({}).", document.deployment, document.epoch, roster.hash()));
    say(String::new());
    say(format!("WHO  {n} aggregators; any {t} of them give a value together, {q} must vote for a release:"));
    for aggregator in &document.aggregators {
        let suites: Vec<&str> = aggregator.box_keys.iter().map(|key| suite(key.key.suite)).collect();
        say(format!(
            "     {}, run by {}, sealed to with {}",
            aggregator.id,
            aggregator.organisation,
            suites.join(", then ")
        ));
    }
    say(String::new());
    say("THE UTILITY learns".to_owned());
    say(format!(
        "  - of each meter: its energy and its bill over {} days or more, once; under at most {} tariffs, each used for at least \
         {} meters, and no price may single out fewer than {} slots of {} minutes;",
        policy.bill_days,
        policy.functionals,
        policy.tariff_meters,
        policy.smallest_cell,
        roster.slot().seconds() / 60
    ));
    say(format!(
        "    with records for less than {}.{} % of the slots, the register's difference only;",
        policy.coverage / 10,
        policy.coverage % 10
    ));
    of_groups(policy, levelled).into_iter().for_each(&mut say);
    say("  It never learns what one home used in one slot, nor who is at home.".to_owned());
    say(String::new());
    say("AN AGGREGATOR learns which meter sent when, and nothing of what it measured.".to_owned());
    match t {
        1 => say("  With t = 1 this is NOT so: each single aggregator reads everything.".to_owned()),
        2 => say("  Nor does it with the help of the utility and the broker.".to_owned()),
        _ => say(format!("  Nor do {} of them together, also with the utility and the broker.", t - 1)),
    }
    say(format!(
        "  {} that collude read EVERY reading they hold: what protects homes is that {t} of these organisations do not.",
        count(t, "aggregator")
    ));
    say(
        "THE BROKER, and whoever may subscribe, learns who sends when and how much: traffic, never readings."
            .to_owned(),
    );
    say("THE REGISTRAR says which meters there are. Invented ones could fill a group: k is as good as its word.".to_owned());
    say(String::new());
    say("WRONG ANSWERS AND CRASHES".to_owned());
    say(format!("  {} may be away, and bills still come.", count(n - q, "aggregator")));
    say(match correctable(n, t) {
        0 => format!(
            "  No wrong answer can be corrected; up to {} are noticed, and nothing is billed until it is settled.",
            n - t
        ),
        e => format!(
            "  {} may answer wrongly, and is named and corrected; up to {} are noticed.",
            count(e, "aggregator"),
            n - t
        ),
    });
    say(String::new());
    if document.aggregators.iter().flat_map(|a| &a.box_keys).any(|key| key.key.suite == Suite::X25519) {
        say("LATER  X25519 does not withstand quantum computers: who records messages today could read them then (--post-quantum).".to_owned());
        say(String::new());
    }
    if levelled {
        say(format!("LEVELLED  {CAUTION}."));
        say(format!(
            "  Any {t} aggregators open a result to the utility. One that computes another result is named. {}",
            if n > t {
                "One that decrypts its part wrongly is noticed, as several sets open each result (`confirm`); two that do so \
                 together may not be."
            } else {
                "One that decrypts its part wrongly is NOT noticed, and makes the values wrong: all are needed, so no others can be asked."
            }
        ));
        say("  Whatever is asked, a group's window has one set of homes, and each function of it is released once. A levelled group".to_owned());
        say("  has no other curves, and one that has curves is not levelled.".to_owned());
        say(String::new());
    }
    say("NOT PROTECTED".to_owned());
    for line in NOT_PROTECTED {
        say(format!("  - {line}"));
    }
    text
}

/// What the utility learns of groups.
fn of_groups(policy: &Policy, levelled: bool) -> Vec<String> {
    let (group, k) = (if levelled { "group that is not levelled, " } else { "group " }, policy.k);
    let when = match policy.grid_interval {
        0 => "after the period".to_owned(),
        seconds => format!("every {} h of it as soon as they are over (grid path)", seconds / 3_600),
    };
    let link = if policy.grid_interval == 0 { ", once, " } else { ", once; " };
    let mut lines = vec![format!("  - of each {group}of {k} homes or more: its load curve{link}{when}.")];
    if levelled {
        lines.push(format!(
            "  - of each levelled group, of {k} homes or more: the functions that it asks for, each once, and no other curve."
        ));
    }
    lines
}

const NOT_PROTECTED: [&str; 6] = [
    "against aggregators of one owner: n processes of one organisation protect against bugs only;",
    "against a meter that lies about its own energy;",
    "against traffic levelled: when a meter sends, under which pseudonym, service point and group, is visible;",
    "against denial of service: bills wait, they are never wrong;",
    "a home whose record one aggregator and the utility have left out: its slots are priced at the substitute band;",
    "curves and bills in the wrong order: ask for bills first, or a home with a gap gets none.",
];

fn suite(suite: Suite) -> &'static str {
    match suite {
        Suite::X25519 => "X25519",
        Suite::XWing => "X-Wing (quantum-safe)",
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
