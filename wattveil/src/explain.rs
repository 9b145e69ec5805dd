//! `wattveil explain`: who can learn what under a roster, in plain words.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use protocol::decode::correctable;
use protocol::hpke_box::Suite;
use protocol::levelled::CAUTION;
use protocol::policy::Policy;
use protocol::roster::Roster;

use deployment::directory::membership;

/// Print who can learn what under a roster
#[derive(Clone, Debug, Args)]
pub struct ExplainArguments {
    /// A roster (roster.wv, with registrar.pub beside it), or a directory that has one
    roster: PathBuf,
    /// Print also what mode `levelled` changes
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
        let (_, roster) = membership(&file.with_file_name("registrar.pub"), &file)?;
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
    let mut lines = vec![
        format!("Deployment {}, roster {} ({}).\n", document.deployment, document.epoch, roster.hash()),
        format!("WHO  {n} aggregators; any {t} of them give a value together, {q} must vote for a release:"),
    ];
    lines.extend(document.aggregators.iter().map(|aggregator| {
        let suites: Vec<&str> = aggregator.box_keys.iter().map(|key| suite(key.key.suite)).collect();
        let (id, organisation, suites) = (&aggregator.id, &aggregator.organisation, suites.join(", then "));
        format!("     {id}, run by {organisation}, sealed to with {suites}")
    }));
    lines.push(format!(
        "\nTHE UTILITY learns\n  - of each meter: its energy and its bill over {} days or more, once. A bill has at most {} tariffs,\n    \
         each used for at least {} meters. No price may single out fewer than {} slots of {} minutes.\n    \
         With records for less than {}.{} % of the slots: the register's difference only.",
        policy.bill_days,
        policy.functionals,
        policy.tariff_meters,
        policy.smallest_cell,
        roster.slot().seconds() / 60,
        policy.coverage / 10,
        policy.coverage % 10
    ));
    lines.extend(of_groups(policy, levelled));
    lines.push("  It never learns what one home used in one slot, nor who is at home.".to_owned());
    let standard = Policy::production();
    if policy.k < standard.k
        || policy.tariff_meters < standard.tariff_meters
        || policy.bill_days < standard.bill_days
    {
        lines.push(demonstration(policy, &standard));
    }
    lines.push("\nAN AGGREGATOR learns which meter sent when, and nothing of what it measured.".to_owned());
    lines.push(match t {
        1 => "  With t = 1 this is NOT so: each single aggregator reads everything.".to_owned(),
        2 => "  Nor does it with the help of the utility and the broker.".to_owned(),
        _ => format!("  Nor do {} of them together, also with the utility and the broker.", t - 1),
    });
    lines.push(format!(
        "  {} that collude read EVERY reading they hold: what protects homes is that {t} of these\n  organisations do not.\n\
         THE BROKER, and every subscriber, learns who sends when and how much: traffic, never readings.\n\
         THE REGISTRAR certifies meters. Invented meters could fill a group: its size is as good as the registrar's word.\n\n\
         WRONG ANSWERS AND CRASHES\n  {} may be away, and bills still come.",
        count(t, "aggregator"),
        count(n - q, "aggregator")
    ));
    lines.push(match correctable(n, t) {
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
    if document.aggregators.iter().flat_map(|a| &a.box_keys).any(|key| key.key.suite == Suite::X25519) {
        lines.push(LATER.to_owned());
    }
    if levelled {
        let wrong = if n > t { NOTICED } else { NOT_NOTICED };
        lines.push(format!(
            "\nLEVELLED  {CAUTION}.\n  Any {t} aggregators open a result to the utility. One that computes another result is named. {wrong}\n  \
             Whatever is asked, a group's window has one set of homes, and each function of it is released once.\n  \
             A levelled group has no other curves, and one that has curves is not levelled."
        ));
    }
    lines.push("\nNOT PROTECTED".to_owned());
    lines.extend(NOT_PROTECTED.map(|line| format!("  - {line}")));
    lines.join("\n") + "\n"
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

const LATER: &str = "\nLATER  Quantum computers could break X25519: who records messages today could read them then (--post-quantum).";

const NOTICED: &str = "One that\n  decrypts its part wrongly is noticed, as several sets open each result (`confirm`). Two that do so together may not be.";

const NOT_NOTICED: &str = "One that\n  decrypts its part wrongly is NOT noticed and makes the values wrong: all are needed, so no others can be asked.";

const NOT_PROTECTED: [&str; 6] = [
    "against aggregators of one owner: n processes of one organisation protect against bugs only;",
    "against a meter that lies about its own energy;",
    "against watching traffic: when a meter sends, under which pseudonym, service point and group, is visible;",
    "against denial of service: bills wait, they are never wrong;",
    "a home whose record one aggregator and the utility have left out: its slots are priced at the substitute band;",
    "curves and bills in the wrong order: ask for bills first, or a home with a gap gets none.",
];

fn demonstration(policy: &Policy, standard: &Policy) -> String {
    format!(
        "  DEMONSTRATION ONLY: this roster allows bills and curves of {} homes, which show much of each home.\n  A deployment \
         for people needs groups of {} homes and bills of {} days.",
        policy.k.min(policy.tariff_meters),
        standard.k,
        standard.bill_days
    )
}

fn suite(suite: Suite) -> &'static str {
    match suite {
        Suite::X25519 => "X25519",
        Suite::XWing => "X-Wing (quantum-safe)",
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
