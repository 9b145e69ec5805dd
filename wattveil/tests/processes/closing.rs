//! What a person who closes a period or asks a function is told when something can't be released: at once, without anybody to ask
//! where the sink's own store, its configuration or the rules say it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{ToSpan as _, Zoned};
use protocol::id::{MeterId, QueryId};
use protocol::release::query::Query;
use protocol::release::selection::Scope;
use protocol::rule::Rule;
use protocol::signature::Unverified;
use protocol::unit::{Slot, SlotRange, WattHours};
use store::{FileStore, Store, Table};
use tempfile::TempDir;
use utility_sink::sink::Bill;

use crate::process::wattveil;
use crate::town::free_address;

/// A town of hours of which nothing runs: nobody listens at its broker's port.
struct Town {
    home: TempDir,
}

impl Town {
    fn new(more: &str) -> Self {
        let with = |flag: &str, usual: &str| {
            if more.contains(flag) { String::new() } else { format!("{flag} {usual}") }
        };
        let (meters, slots) = (with("--meters", "4"), with("--slot-minutes", "60"));
        let home = tempfile::tempdir().unwrap();
        let town = Self { home };
        let line = format!("init town {meters} {slots} --broker {} {more}", free_address());
        let (ended_well, text) = town.says(&line);
        assert!(ended_well, "{text}");
        town
    }

    fn command(&self, line: &str) -> Command {
        let mut command = wattveil(&line.split_whitespace().collect::<Vec<_>>());
        command.current_dir(self.home.path());
        command
    }

    /// Whether a command ends well, and all that it prints; it does so at once.
    fn says(&self, line: &str) -> (bool, String) {
        let begun = Instant::now();
        let Output { status, stdout, stderr } = self.command(line).output().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "wattveil {line} took {:?}", begun.elapsed());
        let text = [stdout, stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("panicked"), "{text}");
        (status.success(), text)
    }

    #[track_caller]
    fn tells(&self, ends_well: bool, line: &str, words: &[&str]) -> String {
        let (ended_well, text) = self.says(line);
        assert_eq!(ended_well, ends_well, "wattveil {line}\n{text}");
        for word in words {
            assert!(text.contains(word), "wattveil {line}\nlacks `{word}`:\n{text}");
        }
        text
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("town").join(name)
    }

    fn meters(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("sink/meters.csv")).unwrap();
        text.lines().skip(1).map(str::to_owned).collect()
    }

    fn store(&self) -> FileStore {
        FileStore::open(&self.path("sink/sink.redb"), 1 << 20).unwrap()
    }

    /// Writes bills into the sink's ledger as the sink keeps them.
    fn is_billed(&self, meters: &[String], from: &str, to: &str) {
        let mut store = self.store();
        for line in meters {
            let meter: MeterId = line.split(',').nth(1).unwrap().parse().unwrap();
            let window = SlotRange::new(slot(from), slot(to)).unwrap();
            let bill = Bill {
                meter,
                window,
                energy: WattHours(1_000),
                amounts: Vec::new(),
                scope: Scope::Registers,
                missing: 0,
                unaccounted: None,
                query: QueryId::from([7; 16]),
            };
            let key = [&meter.as_bytes()[..], &window.start().0.to_be_bytes()].concat();
            store.put(Table("bill"), &key, &protocol::wire::encode(&bill)).unwrap();
            store.put(Table("billed"), meter.as_bytes(), &window.end().0.to_be_bytes()).unwrap();
        }
        store.commit().unwrap();
    }

    fn queries(&self) -> usize {
        store::entries(Table("query"), &self.store()).unwrap().len()
    }

    /// The meters of each query in the store.
    fn asked_for(&self) -> Vec<Vec<MeterId>> {
        let rows = store::entries(Table("query"), &self.store()).unwrap();
        let queries = rows.iter().map(|(_, bytes)| Unverified::<Query>::parse(bytes).unwrap());
        queries.map(|query| query.claim().meters()).collect()
    }

    /// Writes into the sink's store that a query was given up, as the sink does.
    fn is_given_up(&self, id: &[u8], rule: Rule) {
        let mut store = self.store();
        store.remove(Table("query"), id).unwrap();
        store.put(Table("given-up"), id, &[u8::from(rule)]).unwrap();
        store.commit().unwrap();
    }
}

/// The slot of a midnight in the tariffs' zone.
fn slot(day: &str) -> Slot {
    let midnight: Zoned = format!("{day}T00:00[America/Los_Angeles]").parse().unwrap();
    Slot(u32::try_from(midnight.timestamp().as_second() / 3_600).unwrap())
}

const BILL: &str = "bill --config town/sink/sink.toml --period";

/// A month of which other days are billed is told at once, with what to type; so is one that is billed as it is asked.
#[test]
fn a_period_that_is_billed_needs_nobody() {
    let town = Town::new("--smallest-group 3");
    town.is_billed(&town.meters(), "2024-10-05", "2024-11-02");
    town.tells(
        false,
        &format!("{BILL} 2024-10"),
        &[
            "0 of 4 meters have their bill, 0 Wh in all",
            "4 bills of other days, from 2024-10-05T00:00:00-07:00 to 2024-11-02T00:00:00-07:00, 4000 Wh in all: home-1, home-2",
            "type --period 2024-11-02..2024-11-30; to see these bills, type --period 2024-10-05..2024-11-02",
        ],
    );
    for _ in 0..2 {
        let text = town.tells(
            true,
            &format!("{BILL} 2024-10-05..2024-11-02"),
            &["4 of 4 meters have their bill, 4000 Wh in all", "home-4,", ",1000,"],
        );
        assert!(!text.contains("other days"), "{text}");
    }
    assert_eq!(town.queries(), 0, "nobody is asked");
}

/// Who is left over alone is not asked for alone, and the others' bills are there.
#[test]
fn what_is_left_over_is_told() {
    let town = Town::new("--smallest-group 3");
    town.is_billed(&town.meters()[..2], "2024-10-01", "2024-11-01");
    town.tells(
        false,
        &format!("{BILL} 2024-10"),
        &[
            "2 of 4 meters have their bill, 2000 Wh in all",
            "No bill: home-3, home-4. It was not asked for alone (rule tariff-meters): 2 meters are in the query; a tariff \
             needs at least 3",
        ],
    );
    assert_eq!(town.queries(), 0, "nobody is asked");
}

/// A selection that the rules forbid is refused before it is stored.
#[test]
fn a_selection_that_is_too_small_is_not_asked() {
    let town = Town::new("--smallest-group 3");
    fs::write(town.home.path().join("one.csv"), format!("name,meter,group\n{}\n", town.meters()[0])).unwrap();
    town.tells(
        false,
        &format!("{BILL} 2024-10 --meters one.csv"),
        &[
            "(rule tariff-meters): 1 meter is in the query; a tariff needs at least 3",
            "type it without --group and --meters",
        ],
    );
    town.tells(false, &format!("{BILL} 2036-10"), &["is not over yet"]);
    town.tells(false, &format!("{BILL} 2014-10"), &["rule tariff-unknown", "type another --period"]);
    assert_eq!(town.queries(), 0, "nothing is stored");

    // a running sink says so, and goes on; with --until-done it ends, and says what was released
    let meter = town.meters()[0].split(',').nth(1).unwrap().to_owned();
    let (from, to) = (slot("2024-10-01").0, slot("2024-11-01").0);
    let release = |kind: &str, more: &str| {
        format!(
            "\n[[release]]\nkind = \"{kind}\"\nname = \"{kind}\"\nperiod = [{from}, {to}]\nmeters = [\"{meter}\"]\n{more}\n"
        )
    };
    let releases = [
        release("bill", "tariffs = [\"flat\"]"),
        release("curve", "group = \"group-1\""),
        release("grid", "group = \"group-1\""),
    ];
    let config = fs::read_to_string(town.path("sink/sink.toml")).unwrap();
    fs::write(town.path("sink/sink.toml"), config + &releases.concat()).unwrap();
    town.tells(
        false,
        "utility-sink --config town/sink/sink.toml --until-done",
        &[
            "not asked: 1 meter is in the query; a tariff needs at least 3",
            "not released: `curve` was not asked (rule group-size): the group has 1 members; at least 3 are needed",
            "not released: `grid` was not asked (rule group-size)",
            "results of the configured releases bills=0 curve_days=0 intervals=0 findings=0",
            "3 of 3 configured releases are missing",
        ],
    );
    assert_eq!(town.queries(), 0, "nothing is stored");
}

/// Only a store that is in use is blamed on a running sink.
#[test]
fn a_running_sink_is_blamed_only_if_it_runs() {
    let town = Town::new("--smallest-group 3 --levelled light");
    let ask = "ask --config town/sink/sink.toml --function sum --group group-1 --day 2024-10-02";
    let held = town.store();
    let blamed = ["a sink runs with the store town/sink/sink.redb", "systemctl stop wattveil-utility-sink"];
    town.tells(false, &format!("{BILL} 2024-10"), &blamed);
    town.tells(false, ask, &blamed);
    drop(held);
    for (line, words) in [
        (
            format!("{ask} --function variance"),
            &["(rule function): variance needs a key of profile medium"][..],
        ),
        (
            ask.replace("group-1", "group-9"),
            &["expected a group of town/sink/meters.csv, one of group-1; found `group-9`"],
        ),
        (format!("{ask} --members 5"), &["type --members 4 or less"]),
    ] {
        let line =
            line.replace("--function sum", if line.contains("variance") { "" } else { "--function sum" });
        let text = town.tells(false, &line, words);
        assert!(!text.contains("a sink runs"), "{text}");
    }
    let today = Zoned::now().in_tz("UTC").unwrap().date();
    town.tells(
        false,
        &ask.replace("2024-10-02", &today.to_string()),
        &[&format!("the window of {today} ends {}T", today.tomorrow().unwrap())],
    );
    fs::write(town.path("sink/box-1.key"), "no key").unwrap();
    for line in [format!("{BILL} 2024-10"), ask.to_owned()] {
        let text = town.tells(false, &line, &["box-1.key"]);
        assert!(!text.contains("a sink runs"), "{text}");
    }
}

/// Runs a command that waits until it says for what, then stops it; what it says on standard error.
fn stopped(town: &Town, line: &str) -> String {
    stopped_at(town, line, "waiting for", 1)
}

/// The same with a command that says something else.
fn stopped_at(town: &Town, line: &str, says: &'static str, code: i32) -> String {
    let mut child = town.command(line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let reader = thread::spawn(move || {
        let (mut text, mut piece) = (String::new(), [0; 4_096]);
        while !text.contains(says) {
            let len = errors.read(&mut piece).unwrap();
            assert!(len > 0, "it ended by itself: {text}");
            text.push_str(&String::from_utf8_lossy(&piece[..len]));
        }
        (text, errors)
    });
    let (mut text, mut errors) = reader.join().unwrap();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    errors.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(code), "{text}");
    text
}

/// Whoever waits is told for what, and whoever stops it that it was stopped and goes on.
#[test]
fn whoever_waits_is_told_for_what() {
    let town = Town::new("--smallest-group 3 --levelled light");
    let yesterday = Zoned::now().in_tz("UTC").unwrap().date().checked_sub(2.days()).unwrap();
    let ask = format!("ask --config town/sink/sink.toml --function sum --group group-1 --day {yesterday}");
    let text = stopped(&town, &ask);
    let key = "its collective key: 0 of 4 aggregators have made it; all of them must be up";
    for words in [&format!("waiting for {key}"), &format!("it was stopped while it waited for {key}")] {
        assert!(text.contains(words), "lacks `{words}`:\n{text}");
    }
    let text = stopped(&town, &format!("{BILL} 2024-10"));
    let what = "inventories: 0 of 4 aggregators have answered; 3 are needed";
    for words in [
        &format!("waiting for {what}"),
        "0 of 4 meters have their bill",
        &format!("home-4. It was stopped while it waited for {what}"),
    ] {
        assert!(text.contains(words), "lacks `{words}`:\n{text}");
    }
    assert!(Path::new(&town.path("sink/sink.redb")).exists());
    assert_eq!(town.queries(), 1, "the question stays");
}

/// With what `init` makes, a town of any size is asked for by one line: in questions that aggregators take, the same ones whenever the
/// line is typed; what was too large is asked for in halves.
#[test]
fn a_town_is_asked_for_in_chunks() {
    let town = Town::new("--meters 60 --slot-minutes 15 --smallest-group 5");
    let bill = format!("{BILL} 2024-10");
    stopped(&town, &bill);
    let asked = town.asked_for();
    assert_eq!(asked.iter().map(Vec::len).collect::<Vec<_>>(), [20; 3]);
    let homes = |asked: &[Vec<MeterId>]| asked.concat().into_iter().collect::<BTreeSet<_>>();
    assert_eq!(homes(&asked).len(), 60);
    stopped(&town, &bill);
    assert_eq!(town.asked_for(), asked);

    let first = store::entries(Table("query"), &town.store()).unwrap()[0].0.clone();
    town.is_given_up(&first, Rule::Targets);
    for _ in 0..2 {
        stopped(&town, &bill);
        let halved = town.asked_for();
        let mut sizes: Vec<usize> = halved.iter().map(Vec::len).collect();
        sizes.sort_unstable();
        assert_eq!((sizes, homes(&halved)), (vec![10, 10, 20, 20], homes(&asked)));
    }
}

/// Who is asked for anew is in no other open query: what has no cut gives way.
#[test]
fn a_home_is_in_one_open_query() {
    let town = Town::new("--meters 8 --smallest-group 3");
    let bill = format!("{BILL} 2024-10");
    stopped(&town, &bill);
    let list = town.path("sink/meters.csv");
    let all = fs::read_to_string(&list).unwrap();
    let fewer: Vec<&str> = all.lines().take(6).collect();
    fs::write(&list, fewer.join("\n") + "\n").unwrap();
    stopped(&town, &bill);
    assert_eq!(town.asked_for().iter().map(Vec::len).collect::<Vec<_>>(), [5], "the first gave way");

    fs::write(&list, &all).unwrap();
    stopped(&town, &bill);
    assert_eq!(town.asked_for().iter().map(Vec::len).collect::<Vec<_>>(), [8], "and so did that one");
}

/// What was given up stays so until it is asked anew, however often the sink is started meanwhile.
#[test]
fn what_was_given_up_is_not_waited_for() {
    let town = Town::new("--smallest-group 3");
    let meters: Vec<String> =
        town.meters().iter().map(|line| format!("{:?}", line.split(',').nth(1).unwrap())).collect();
    let config = fs::read_to_string(town.path("sink/sink.toml")).unwrap();
    let (from, to) = (slot("2024-10-01").0, slot("2024-11-01").0);
    let write = |meters: &[String]| {
        let release = format!(
            "\n[[release]]\nkind = \"bill\"\nname = \"october\"\nperiod = [{from}, {to}]\ntariffs = [\"flat\"]\nmeters = [{}]\n",
            meters.join(", ")
        );
        fs::write(town.path("sink/sink.toml"), config.clone() + &release).unwrap();
    };
    let sink = "utility-sink --config town/sink/sink.toml --until-done";
    let mut store = town.store();
    store.put(Table("asked"), b"october", &[5; 16]).unwrap();
    store.commit().unwrap();
    drop(store);
    town.is_given_up(&[5; 16], Rule::Targets);
    write(&meters[..1]);
    for _ in 0..2 {
        town.tells(false, sink, &["not released: `october` was not asked (rule tariff-meters)"]);
    }
    assert_eq!(town.queries(), 0);
    write(&meters);
    let text = stopped_at(&town, sink, "asked release=", 0);
    assert!(!text.contains("not asked"), "{text}");
    assert_eq!(town.queries(), 1, "it is asked anew");
}
