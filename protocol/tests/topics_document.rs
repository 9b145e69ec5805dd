//! `mqtt-topics.md` says what the code does: its topics parse, its CDDL describes the messages, its sizes are measured.

use std::collections::BTreeSet;

use protocol::hpke_box::Suite;
use protocol::rule::Rule;
use protocol::share::{Batch, seal};
use protocol::topic::{Channel, LevelledChannel, Topic};
use protocol::unit::{Register, WattHours};

use crate::deployment::{Deployment, NOW, meter_key, opener, slots, stream};
use crate::samples;
use cddl::Cddl;

mod cddl;

const DOCUMENT: &str = include_str!("../../mqtt-topics.md");

/// The cells of the table whose first column is headed `first`.
fn table(first: &str) -> Vec<Vec<&'static str>> {
    let rows = DOCUMENT.lines().skip_while(|line| !line.starts_with(&format!("| {first} |"))).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// A row of the table of topics.
struct Row {
    topic: &'static str,
    publishers: BTreeSet<&'static str>,
    subscribers: BTreeSet<&'static str>,
    /// The document, and whether it goes in parts.
    payload: &'static str,
    in_parts: bool,
    qos: &'static str,
    retained: bool,
}

fn rows() -> Vec<Row> {
    let row = |cells: Vec<&'static str>| {
        let [topic, from, to, payload, qos, retained] = cells[..] else {
            panic!("{cells:?} are not six cells")
        };
        let document = payload.strip_prefix("`part` of ");
        Row {
            topic: topic.trim_matches('`'),
            publishers: from.split(", ").collect(),
            subscribers: to.split(", ").collect(),
            payload: document.unwrap_or(payload).trim_matches('`'),
            in_parts: document.is_some(),
            qos,
            retained: match retained {
                "yes" => true,
                "no" => false,
                other => panic!("{other} is neither yes nor no"),
            },
        }
    };
    table("topic").into_iter().map(row).collect()
}

fn cddl() -> Cddl {
    let block = DOCUMENT.split("```cddl").nth(1).and_then(|rest| rest.split("```").next());
    Cddl::parse(block.expect("the document has a CDDL block"))
}

/// The topic's place in this list says that a channel was forgotten nowhere: adding a variant stops the match.
fn variant(channel: &Channel) -> &'static str {
    match channel {
        Channel::Roster => "roster",
        Channel::Tariff(_) => "tariff",
        Channel::Certificate(_) => "certificate",
        Channel::Revoked(_) => "revocation",
        Channel::Share(..) => "share",
        Channel::Grid(..) => "vector",
        Channel::Deal(..) => "deal",
        Channel::Receipt(..) => "receipt",
        Channel::Query => "query",
        Channel::Cut => "cut",
        Channel::Votes => "votes",
        Channel::Inventory(_) => "inventory",
        Channel::Vote(_) => "vote",
        Channel::Result(_) => "result",
        Channel::Objection(_) => "objection",
        Channel::Outcome => "outcome",
        Channel::Status(..) => "status",
        Channel::Levelled(channel) => match channel {
            LevelledChannel::Plan => "plan",
            LevelledChannel::Key => "collective",
            LevelledChannel::KeyPart(_) | LevelledChannel::Data(..) => "part",
            LevelledChannel::Make(_) => "contribution",
            LevelledChannel::Upload(_) => "upload",
            LevelledChannel::Taken(..) => "word",
            LevelledChannel::Direction => "direction",
            LevelledChannel::Reply(_) => "reply",
        },
    }
}

/// Every row's variant.
const VARIANTS: [&str; 29] = [
    "certificate",
    "collective",
    "contribution",
    "cut",
    "deal",
    "direction",
    "inventory",
    "objection",
    "outcome",
    "part",
    "part",
    "part",
    "plan",
    "query",
    "receipt",
    "reply",
    "result",
    "revocation",
    "roster",
    "share",
    "status",
    "status",
    "status",
    "tariff",
    "upload",
    "vector",
    "vote",
    "votes",
    "word",
];

/// The meter, the aggregator, the sink and the registrar of the examples.
const USERS: [(&str, &str); 4] = [
    ("meter", "00112233445566778899aabbccddeeff"),
    ("aggregator", "agg-1"),
    ("sink", "utility"),
    ("registrar", "registrar"),
];

/// A row's topic with examples for its placeholders.
fn example(topic: &str) -> Topic {
    let [(_, meter), (_, agg), (_, sink), _] = USERS;
    let examples =
        [("<meter>", meter), ("<agg>", agg), ("<tariff>", "tou"), ("<id>", sink), ("<part>", "13")];
    let text = examples
        .into_iter()
        .fold(format!("wv/1/demo/{topic}"), |text, (place, example)| text.replace(place, example));
    let parsed: Topic = text.parse().unwrap();
    assert_eq!(parsed.to_string(), text);
    parsed
}

/// Whether an MQTT filter matches a topic.
fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for level in filter.split('/') {
        match (level, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => (),
            (level, Some(found)) if level == found => (),
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Each topic is published and read by the roles that the document names, and by no others, as the broker's table of
/// permissions has it; and no permission is for a topic that does not exist.
#[test]
fn publishers_and_subscribers() {
    let table: toml::Table = toml::from_str(include_str!("../../broker/assets/roles.toml")).unwrap();
    let patterns = |role: &str, user: &str, verb: &str| -> Vec<String> {
        let roles = table["roles"].as_array().unwrap();
        let role = roles.iter().find(|entry| entry["name"].as_str() == Some(role)).unwrap();
        let patterns = role[verb].as_array().unwrap().iter().map(|pattern| pattern.as_str().unwrap());
        patterns.map(|pattern| pattern.replace("{user}", user).replace("{deployment}", "demo")).collect()
    };
    let topics: Vec<String> = rows().iter().map(|row| example(row.topic).to_string()).collect();
    for verb in ["publish", "subscribe"] {
        for (role, user) in USERS {
            let party = if role == "sink" { "utility" } else { role };
            let patterns = patterns(role, user, verb);
            for (row, topic) in rows().iter().zip(&topics) {
                let may = patterns.iter().any(|pattern| matches(pattern, topic));
                let named = if verb == "publish" { &row.publishers } else { &row.subscribers };
                assert_eq!(may, named.contains(party), "{party} may {verb} to {topic}: {may}");
            }
            for pattern in &patterns {
                assert!(topics.iter().any(|topic| matches(pattern, topic)), "{role} may {verb} to {pattern}");
            }
        }
    }
    let parties: BTreeSet<&str> =
        rows().into_iter().flat_map(|row| row.publishers.into_iter().chain(row.subscribers)).collect();
    assert_eq!(parties, ["aggregator", "meter", "registrar", "utility"].into());
}

/// Every row's topic parses and prints back; every channel has a row, and those that end in a role have one for each.
#[test]
fn every_channel_stands_once() {
    let mut found: Vec<&str> = rows().iter().map(|row| variant(&example(row.topic).channel)).collect();
    found.sort_unstable();
    assert_eq!(found, VARIANTS);
}

/// Everything goes with QoS 1; what late-comers need is retained, and nothing of a release.
#[test]
fn qos_and_retained() {
    assert!(rows().iter().all(|row| row.qos == "1"));
    let retained: BTreeSet<&str> =
        rows().iter().filter(|row| row.retained).map(|row| variant(&example(row.topic).channel)).collect();
    assert_eq!(
        retained,
        ["certificate", "collective", "part", "plan", "receipt", "revocation", "roster", "status", "tariff"]
            .into()
    );
}

/// Every rule that is named is defined, once, and every rule is of use.
#[test]
fn the_cddl_is_closed() {
    let cddl = cddl();
    let mut named: BTreeSet<String> = rows().iter().map(|row| row.payload.to_owned()).collect();
    named.extend(["part", "share-plaintext", "result-plaintext"].map(str::to_owned));
    named.extend(cddl.references());
    named.retain(|name| !["bstr", "tstr", "null"].contains(&name.as_str()));
    assert_eq!(named, cddl.names());
}

/// The known messages are what the CDDL of their topic says, in the parts in which they travel; with a field more or
/// fewer they are not.
#[test]
fn messages_are_as_described() {
    let cddl = cddl();
    let deployment = samples::deployment();
    let samples = samples::all(&deployment);
    for Row { topic, payload, in_parts, .. } in rows() {
        let name = variant(&example(topic).channel);
        let of_kind: Vec<_> =
            samples.iter().filter(|sample| sample.name.split('-').next() == Some(name)).collect();
        assert!(!of_kind.is_empty(), "no sample of {name}");
        for sample in of_kind {
            assert_eq!(cddl.check(payload, &sample.bytes), Ok(()), "{}", sample.name);
            if in_parts {
                let parts = protocol::part::split(&sample.bytes);
                assert!(parts.iter().all(|part| cddl.check("part", part) == Ok(())), "{name} in parts");
            }
            if let Some(body) = payload.strip_prefix("signed-") {
                assert_eq!(cddl.check(body, &sample.body), Ok(()), "body of {}", sample.name);
            }
            for other in rows().iter().map(|row| row.payload).filter(|other| *other != payload) {
                assert!(cddl.check(other, &sample.bytes).is_err(), "{} as {other}", sample.name);
            }
        }
    }
    // a vote of four fields, and of six
    assert!(
        cddl.check("vote", &[&[0x84][..], &protocol::wire::encode(&samples::vote())[1..]].concat()).is_err()
    );
    let six = [&[0x86][..], &protocol::wire::encode(&samples::vote())[1..], &[0x00]].concat();
    assert!(cddl.check("vote", &six).is_err());
}

/// The record of a share message has the fields that the document names, in the order of the code.
#[test]
fn fields_are_named_in_order() {
    let cddl = cddl();
    for (rule, fields) in [
        ("vote", "query cut point height previous"),
        ("objection", "query cut point rule"),
        ("outcome", "query cut path taken used faulty result at"),
        ("policy", "k bill-days coverage functionals smallest-cell tariff-meters late-grace grid-interval"),
        ("head", "version kind roster-epoch meter seq sealed-anew first slots flags"),
        ("receipt", "point meter roster-epoch stored checks refused at"),
        ("revocation", "meter from reason"),
        ("certificate", "meter key service-point group valid-from valid-to previous"),
    ] {
        assert_eq!(cddl.fields(rule).join(" "), fields, "{rule}");
    }
}

/// The numbers of rules in the document are the rules'.
#[test]
fn rules_are_numbered() {
    let cddl = cddl();
    for number in 0..=255_u8 {
        let fits = cddl.check("rule", &protocol::wire::encode(&number)).is_ok();
        assert_eq!(fits, Rule::try_from(number).is_ok(), "rule {number}");
    }
}

/// The sizes in the document are the measured ones.
#[test]
fn sizes_are_measured() {
    let deployments = [Suite::X25519, Suite::XWing].map(|suite| {
        Deployment::with(4, 2, |document| {
            for (i, aggregator) in (1..).zip(&mut document.aggregators) {
                aggregator.box_keys[0].key = opener(i, suite).sealing_key();
            }
        })
    });
    let rows = table("slots");
    assert_eq!(rows.len(), 4);
    for row in rows {
        let numbers: Vec<usize> = row.iter().map(|cell| cell.parse().unwrap()).collect();
        for (deployment, stated) in deployments.iter().zip(&numbers[1..]) {
            let energies = vec![WattHours(831); numbers[0]];
            let batch = Batch::new(&energies, Register::try_from(1 << 30).unwrap()).unwrap();
            let mut head = samples::head();
            head.slots = slots(472_296, 472_296 + u32::try_from(numbers[0]).unwrap());
            let sealed = seal(&batch, head, &meter_key(1), &deployment.roster, NOW, &mut stream(1)).unwrap();
            let found = sealed.messages[0].1.len();
            assert_eq!(found, *stated, "{} slots", row[0]);
            assert!(found < 16 * 1024);
        }
    }
}
