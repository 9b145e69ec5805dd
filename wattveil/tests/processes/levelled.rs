//! Mode levelled over a broker: whoever is killed, and whenever, every question is answered with what the plaintext gives, from all
//! homes, and for one result and active set an aggregator gives one answer.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use lab::town::Process;
use protocol::levelled::reply::{Reply, ReplyStep};
use protocol::shamir::Point;
use protocol::signature::Unverified;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use store::{FileStore, Table};
use utility_sink::config::{KeyConfig, LevelledConfig, QuestionConfig, SubjectConfig};

use crate::oracle::{FIRST, Homes};
use crate::process::wait_until;
use crate::town::{Kind, Town};

/// Homes, in two groups.
const HOMES: usize = 6;

/// Homes in a group.
const GROUP: usize = 3;

/// Days of data: three whole days of UTC.
const DAYS: u32 = 4;

/// Slots a window: hours of a day.
const WINDOW: u16 = 24;

/// Slots a ciphertext.
const BATCH: u32 = 6;

/// A town whose meters encrypt under a collective key.
struct Levelled {
    town: Town,
    sink: Process,
}

impl Drop for Levelled {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { town, sink } = self;
            for process in town.aggregators.iter().chain(&town.meters).chain([&*sink, &town.broker]) {
                eprintln!("---\n{}", process.log());
            }
        }
    }
}

/// What is asked: sums and means of both groups on all whole days, each of all members.
fn questions() -> LevelledConfig {
    let first = FIRST.div_ceil(u32::from(WINDOW));
    let mut questions = Vec::new();
    for function in ["sum", "mean"] {
        for (group, window) in (1..=2).flat_map(|group| (first..first + DAYS - 1).map(move |w| (group, w))) {
            questions.push(QuestionConfig {
                name: format!("{function}-{group}-{window}"),
                key: "light".into(),
                function: function.into(),
                weights: Vec::new(),
                members: 3,
                subjects: vec![SubjectConfig { group: format!("group-{group}"), window }],
            });
        }
    }
    LevelledConfig {
        resend: 400,
        resend_last: 1_600,
        settle: 300,
        patience: 3_000,
        confirm: true,
        keys: vec![KeyConfig {
            name: "light".into(),
            profile: "light".into(),
            full_scale_wh: 16_384,
            window_slots: WINDOW,
            k: 3,
            log_openings: 10,
            smudging_bits: 40,
        }],
        questions,
    }
}

impl Levelled {
    /// Starts everybody: the key is made while the meters measure already.
    fn start() -> Self {
        let mut homes = Homes::read(DAYS);
        homes.names.truncate(HOMES);
        let pace = ["--set", "levelled.resend_first=400ms", "--set", "levelled.resend_last=1600ms"];
        let town = Town::open(homes, Kind::Levelled(questions()), &pace);
        let sink = town.ask();
        Self { town, sink }
    }

    /// Waits until so many hundredths of all ciphertexts were announced.
    fn uploaded(&self, hundredths: usize) {
        let all = batches(&self.town.homes);
        self.town.observer.wait("the uploads", |seen| seen.levelled.uploads.len() * 100 >= all * hundredths);
    }

    /// SIGKILL and a new start.
    fn strike(process: &mut Process) {
        if !process.has_ended() {
            process.kill().unwrap();
            process.restart().unwrap();
        }
    }

    fn strike_broker(&mut self) {
        self.town.broker.kill().unwrap();
        self.town.restart_broker().unwrap();
    }

    /// The aggregators of the active set that was last asked to open something: those that evaluate.
    fn evaluating(&self) -> Vec<usize> {
        self.town.observer.wait("an opening", |seen| !seen.levelled.opening.is_empty());
        let seen = self.town.observer.seen();
        let members = seen.levelled.opening.values().next_back().expect("there is an opening");
        members.iter().map(|point| usize::from(u8::from(*point)) - 1).collect()
    }

    /// Every meter has delivered all it measured, the sink has every answer, and the answers are the plaintext's.
    fn is_exact(&mut self) {
        self.town.delivered();
        self.sink.ends_well().unwrap();
        let lines: Vec<Value> = self
            .sink
            .output()
            .lines()
            .map(|line| serde_json::from_str(line).expect("it prints JSON"))
            .collect();
        let asked = questions().questions;
        assert_eq!(lines.len(), asked.len());
        for (line, question) in lines.iter().zip(&asked) {
            assert_eq!(line["question"], question.name);
            assert_eq!(line["members"][0], GROUP, "a home is missing: {line}");
            let group = if question.subjects[0].group == "group-1" { 0..GROUP } else { GROUP..HOMES };
            let start = question.subjects[0].window * u32::from(WINDOW) - FIRST;
            let rows = &self.town.homes.rows[start as usize..][..usize::from(WINDOW)];
            let members = if question.function == "mean" { 3.0 } else { 1.0 };
            let deviation = line["deviation"].as_f64().unwrap();
            // the bound says something: it is far below what a home uses
            assert!(deviation < 1.0, "{line}");
            let values = line["values"].as_array().unwrap();
            assert_eq!(values.len(), rows.len());
            for (value, row) in values.iter().zip(rows) {
                let sum: i64 = row[group.clone()].iter().sum();
                let wanted = f64::from(i32::try_from(sum).unwrap()) / members;
                let off = (value.as_f64().unwrap() - wanted).abs();
                assert!(off <= 6.0 * deviation, "{}: {value} and not {wanted}, ± {deviation}", question.name);
            }
        }
        self.is_counted_once(asked.len());
    }

    /// The aggregators' own books: every ciphertext is held by all of them, every question was voted for once, and what went over the
    /// broker as an answer is what is in the book, whoever died in between. (The observer may miss what the broker's death lost.)
    fn is_counted_once(&mut self, asked: usize) {
        let seen = self.town.observer.seen().levelled;
        assert!(
            !seen.answers.is_empty() && seen.uploads.len() <= batches(&self.town.homes),
            "a batch is encrypted once"
        );
        for ((request, point, members), different) in &seen.answers {
            assert_eq!(
                different.len(),
                1,
                "aggregator {point} gave different answers to {request} in {members:?}"
            );
        }
        let mut requests = BTreeSet::new();
        let all = batches(&self.town.homes);
        let configs = self.town.files.aggregators.clone();
        for (worker, config) in self.town.aggregators.iter_mut().zip(&configs) {
            worker.stop().unwrap();
            let store = FileStore::open(&config.with_file_name("worker.redb"), 1 << 20).unwrap();
            let rows = |table| store::entries(Table(table), &store).unwrap();
            assert_eq!(rows("levelled-upload").len(), all, "{}", config.display());
            requests.extend(rows("levelled-released").into_iter().map(|(_, request)| request));
            let answers = rows("levelled-answer");
            for (_, bytes) in &answers {
                let reply = Unverified::<Reply>::parse(bytes).unwrap();
                let ReplyStep::Answer(answer) = &reply.claim().step else { panic!("an answer is one") };
                let which = (reply.claim().request, reply.claim().point, answer.members.clone());
                assert!(seen.answers.get(&which).is_none_or(|told| told.contains(&reply.hash())));
            }
            // sums and means have one ciphertext each
            let opened: Vec<Vec<u8>> =
                rows("levelled-openings").into_iter().map(|(_, count)| count).collect();
            assert!(
                answers.is_empty() || opened == [(answers.len() as u64).to_be_bytes()],
                "answers are counted"
            );
        }
        assert_eq!(requests.len(), asked, "each function is asked once");
    }
}

/// Batches of all homes: they end at multiples of their length, and with the data.
fn batches(homes: &Homes) -> usize {
    let end = FIRST + u32::try_from(homes.rows.len()).unwrap();
    (end.div_ceil(BATCH) - FIRST / BATCH) as usize * HOMES
}

/// Each role at each step: while the key is made, while ciphertexts are on their way, while results are computed and opened.
#[test]
fn everybody_is_killed_in_mode_levelled() {
    let mut town = Levelled::start();
    // the key: committed, revealed, dealt, made
    town.town.observer.wait("a commitment", |seen| seen.levelled.made("commit") > 0);
    Levelled::strike(&mut town.town.aggregators[2]);
    town.town.observer.wait("what was committed to", |seen| seen.levelled.made("reveal") > 0);
    town.strike_broker();
    Levelled::strike(&mut town.town.aggregators[0]);
    wait_until("a key", || {
        town.town.aggregators.iter().any(|worker| worker.says("a collective key is made") > 0)
    });
    Levelled::strike(&mut town.sink);
    Levelled::strike(&mut town.town.meters[5]);
    // the ciphertexts
    town.uploaded(10);
    Levelled::strike(&mut town.town.meters[0]);
    Levelled::strike(&mut town.town.aggregators[3]);
    town.uploaded(40);
    town.strike_broker();
    Levelled::strike(&mut town.town.meters[4]);
    Levelled::strike(&mut town.town.aggregators[1]);
    // the releases
    town.town.observer.wait("a vote", |seen| !seen.levelled.voted.is_empty());
    Levelled::strike(&mut town.sink);
    for evaluating in town.evaluating() {
        Levelled::strike(&mut town.town.aggregators[evaluating]);
    }
    town.town.observer.wait("an answer", |seen| !seen.levelled.answers.is_empty());
    Levelled::strike(&mut town.sink);
    town.town.observer.wait("more answers", |seen| seen.levelled.answers.len() > 4);
    town.strike_broker();
    for evaluating in town.evaluating() {
        Levelled::strike(&mut town.town.aggregators[evaluating]);
    }
    town.is_exact();
}

/// An aggregator that is away while results are opened is not waited for: another active set opens them.
#[test]
fn an_evaluating_aggregator_stays_away() {
    let mut town = Levelled::start();
    let away = town.evaluating()[0];
    town.town.aggregators[away].kill().unwrap();
    let point = Point::try_from(u8::try_from(away + 1).unwrap()).unwrap();
    // all that was open when it died is opened without it
    town.town.observer.wait("openings without it", |seen| {
        let answered =
            |request| seen.levelled.answers.keys().any(|(of, by, _)| of == request && *by != point);
        let openings = seen.levelled.opening.iter();
        openings.clone().any(|(request, set)| !set.contains(&point) && answered(request))
    });
    town.town.aggregators[away].restart().unwrap();
    town.is_exact();
}

/// Any of them at any time, several at once. `WATTVEIL_SEED` gives another schedule.
#[test]
fn anybody_is_killed_at_any_time_in_mode_levelled() {
    let seed = std::env::var("WATTVEIL_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut dice = StdRng::seed_from_u64(seed);
    let mut town = Levelled::start();
    let mut struck: Vec<String> = Vec::new();
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(dice.random_range(100..1_200)));
        let (who, index) = (dice.random_range(0..4), dice.random_range(0..4));
        struck.push(match who {
            0 => {
                town.strike_broker();
                "the broker".into()
            }
            1 => {
                Levelled::strike(&mut town.sink);
                "the sink".into()
            }
            2 => {
                Levelled::strike(&mut town.town.aggregators[index]);
                format!("aggregator {index}")
            }
            _ => {
                Levelled::strike(&mut town.town.meters[index]);
                format!("meter {index}")
            }
        });
    }
    println!("seed {seed} in {}: killed {}", town.town.path().display(), struck.join(", "));
    town.is_exact();
}
