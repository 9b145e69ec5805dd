//! The commands of people: what they print, and what they say to mistakes.

use runtime::file;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::hpke_box::Suite;
use protocol::roster::{Roster, accept_as, bundle, sign};
use protocol::signature::{SigningKey, hash};
use protocol::wire;
use serde_bytes::Bytes;
use store::{FileStore, Store as _};

use crate::shell::Shell;
use crate::town::free_address;

/// What `init` makes is well, secret where it has to be, and never overwritten.
#[test]
fn a_new_directory_is_well() {
    let home = Shell::with_town("");
    let text = home.says("check town --offline");
    assert!(text.ends_with("All is well.\n"), "{text}");
    assert!(
        text.contains("group-1 has 2 meters; for its curve there are to be 15: wattveil enrol town NAME"),
        "{text}"
    );
    for secret in [
        "registrar/sign.key",
        "registrar/password",
        "authority/ca.key",
        "agg-1/box-1.key",
        "meters/a/sign.key",
        "broker/broker.toml",
    ] {
        let mode = fs::metadata(home.path(&format!("town/{secret}"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    let config = home.text("town/agg-2/worker.toml");
    assert!(
        config.contains("\n# The aggregator's name in the roster.\naggregator = \"agg-2\"\n"),
        "{config}"
    );
    assert!(config.contains("\n#patience = \"1h\"\n"), "defaults stay comments: {config}");
    home.refuses("init town", &["is a deployment's directory already", "wattveil enrol town NAME"]);
    // what is in the way is found before anything is made
    home.run("mkdir half; touch half/sink");
    home.refuses(
        "init half",
        &["half/sink is there already, and nothing was made", "name another directory"],
    );
    assert_eq!(fs::read_dir(home.path("half")).unwrap().count(), 1);
}

/// What people get wrong at the beginning ends in what to type instead.
#[test]
fn mistakes_at_init_say_what_to_type() {
    let home = Shell::new();
    for (line, words) in [
        ("init Town", &["`Town` is not a name", "--name NAME"][..]),
        ("init t --meters a,a", &["meter `a` is named twice"]),
        ("init t --meters Main-Street-5", &["is not a name", "--meters NAME,NAME"]),
        ("init t --slot-minutes 20", &["expected --slot-minutes 15, 30 or 60; found 20"]),
        ("init t --broker example.org", &["found `example.org`", "--broker broker.example.org:8883"]),
        ("init t --aggregators 3 --threshold 4", &["n = 3, t = 4"]),
        ("init t --smallest-group 20 --group-size 5", &["would never be released", "--group-size 20"]),
        ("init t --zone Berlin", &["found `Berlin`", "--zone Europe/Berlin"]),
        (
            "init t --meters 3 --synthetic",
            &["a bill needs 15 meters", "Leave out --meters", "--smallest-group 3"],
        ),
        ("init t --days 0", &["0 is not in 1..=36525"]),
        (
            "init t --grid-hours 5",
            &["a grid interval of 18000 s must be 0 or whole slots and a part of a day"],
        ),
        ("check nowhere", &["has no configuration of a role", "wattveil init nowhere"]),
        ("explain .", &["has no roster.wv"]),
        ("enrol . x", &["is no deployment's directory", "wattveil init ."]),
    ] {
        home.refuses(line, words);
    }
    assert_eq!(fs::read_dir(home.home()).unwrap().count(), 0, "nothing is half made");
}

/// Each thing that `check` finds wrong comes with what to type.
#[test]
fn check_says_what_to_type() {
    let home = Shell::with_town("");
    let path = |name: &str| home.path(&format!("town/{name}"));
    fs::set_permissions(path("agg-1/sign.key"), Permissions::from_mode(0o644)).unwrap();
    home.refuses(
        "check town --offline",
        &["WRONG  agg-1/worker.toml", "chmod 600 town/agg-1/sign.key", "1 thing is wrong"],
    );
    fs::set_permissions(path("agg-1/sign.key"), Permissions::from_mode(0o600)).unwrap();
    fs::copy(path("agg-2/sign.key"), path("agg-1/sign.key")).unwrap();
    home.refuses("check town/agg-1 --offline", &["the roster names another key for agg-1"]);
    fs::copy(path("meters/a/sign.key"), path("meters/b/sign.key")).unwrap();
    home.refuses("check town/meters/b --offline", &["the certificate is of meter", "adopt the enrolment"]);
    let config = fs::read_to_string(path("sink/sink.toml")).unwrap();
    fs::write(path("sink/sink.toml"), format!("colour = 1\n{config}")).unwrap();
    home.refuses("check town/sink --offline", &["line 1: unknown field `colour`"]);
    home.refuses("check /etc", &["has no configuration of a role; name a directory that"]);
    home.refuses(
        "enrol town/sink x",
        &["is no deployment's directory", "the one that `wattveil init` made\n"],
    );
    home.refuses("status town/broker/broker.toml", &["the broker's own settings", "observer/observer.toml"]);
    // nobody listens there
    home.refuses(
        "check town/agg-2",
        &["no use of the broker at 127.0.0.1:", "as agg-2", "wattveil broker --config broker.toml"],
    );
    home.refuses("status town", &["no use of the broker at", "wattveil broker --config broker.toml"]);
    home.refuses("bill --config town/sink/sink.toml --period 2026-01", &["unknown field `colour`"]);
    fs::write(path("sink/sink.toml"), config).unwrap();
    home.refuses(
        "bill --config town/sink/sink.toml --period soon",
        &["--period: expected a month (2026-10)", "found `soon`"],
    );
    home.refuses(
        "bill --config town/sink/sink.toml --period 7d",
        &["needs at least 28 days", "--period 28d"],
    );
    home.refuses(
        "bill --config town/sink/sink.toml --period 28d --tariffs peek",
        &["--tariffs: expected names from flat,tou; found `peek`"],
    );
}

/// What a role would stumble over when it runs is found before, and nothing is called well beside it.
#[test]
fn check_finds_what_a_role_would() {
    let home = Shell::with_town("--slot-minutes 60");
    let path = |name: &str| home.path(&format!("town/{name}"));
    let edit = |name: &str, from: &str, to: &str| {
        let text = fs::read_to_string(path(name)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path(name), text.replacen(from, to, 1)).unwrap();
    };
    fs::set_permissions(path("registrar/sign.key"), Permissions::from_mode(0o644)).unwrap();
    home.refuses("check town/registrar --offline", &["chmod 600 town/registrar/sign.key"]);
    fs::set_permissions(path("registrar/sign.key"), Permissions::from_mode(0o600)).unwrap();
    assert!(home.says("check town/registrar --offline").contains("the registrar's key and roster"));
    let text = home.says("check town/meters/a --offline");
    assert!(text.contains("note   agent.toml: readings are to come on the agent's"), "{text}");
    edit("meters/a/agent.toml", "input = \"file:-\"", "input = \"serial:/dev/no-such-port\"");
    home.refuses(
        "check town/meters/a --offline",
        &["there is no serial port /dev/no-such-port", "plugged in?"],
    );
    edit("meters/a/agent.toml", "serial:/dev/no-such-port", "file:none.json");
    home.refuses(
        "check town/meters/a --offline",
        &["cannot read town/meters/a/none.json", "input = \"serial:/dev/ttyUSB0\""],
    );
    edit("meters/a/agent.toml", "file:none.json", "file:-");
    // another's key: the meter is not well
    fs::copy(path("meters/a/sign.key"), path("meters/b/sign.key")).unwrap();
    let text = home.run("! wattveil check town/meters/b --offline");
    assert!(text.contains("WRONG") && !text.contains("ok   "), "{text}");
    home.says("revoke town a --reason moved --offline");
    home.refuses("check town --offline", &["is revoked as of", "enrol the home anew"]);
    let release =
        "kind = \"curve\"\nname = \"short\"\nperiod = [480000, 480024]\ngroup = \"group-1\"\nmeters = []\n";
    let sink = fs::read_to_string(path("sink/sink.toml")).unwrap();
    fs::write(path("sink/sink.toml"), format!("{sink}\n[[release]]\n{release}")).unwrap();
    home.refuses("check town/sink --offline", &["[[release]] `short` is not asked, by rule"]);
}

/// A connection that cannot be says why, at both ends: who, where, and what to look at.
#[test]
fn a_connection_that_cannot_be_says_why() {
    let home = Shell::with_town("");
    let (with_tls, plain) = (home.text("town/agg-1/worker.toml"), free_address().to_string());
    let address =
        |text: &str| text.split("address = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let with_tls = address(&with_tls);
    home.says(&format!("init plain --no-tls --broker {plain}"));
    let point = |file: &str, from: &str, to: &str| {
        fs::write(home.path(file), home.text(file).replace(from, to)).unwrap();
    };
    point("town/agg-1/worker.toml", &with_tls, &plain);
    point("plain/agg-1/worker.toml", &plain, &with_tls);
    fs::write(home.path("plain/agg-2/password"), "wrong\n").unwrap();
    let said = home.run(
        "wattveil broker --config town/broker/broker.toml 2> tls.log &
        wattveil broker --config plain/broker/broker.toml 2> plain.log &
        again 'grep -q ready tls.log && grep -q ready plain.log'
        wattveil aggregator-worker --config plain/agg-2/worker.toml 2> agg-2.log &
        ! wattveil check town/agg-1
        ! wattveil check plain/agg-1
        ! wattveil check plain/agg-2
        again 'grep -q BadUserNamePassword agg-2.log'
        wattveil tap plain --seconds 1 > tapped
        wattveil tap town/observer/observer.toml --seconds 1 > tapped
        ! wattveil tap --broker PLAIN --seconds 1
        cat plain.log agg-2.log"
            .replace("PLAIN", &plain)
            .as_str(),
    );
    for words in [
        "does the broker speak plain text? Then take [broker.tls] out",
        "does the broker speak TLS, and this side not?",
        &format!(
            "no use of the broker at {plain} as agg-2: the broker refused the connection: BadUserNamePassword; compare this user"
        ),
        "cut off: its user, password or certificate is wrong or missing; compare the user",
        "client=\"\" user=\"agg-2\"",
        &format!("address={plain} user=\"agg-2\""),
    ] {
        assert!(said.contains(words), "lacks `{words}`:\n{said}");
    }
}

/// A meter is enrolled once, and its line makes a directory that is well; half a line does not.
#[test]
fn a_meter_is_enrolled_and_adopted() {
    let home = Shell::with_town("--no-tls");
    let line = home.says("enrol town cellar");
    let line = line.trim();
    assert!(line.starts_with("wv1-") && line.lines().count() == 1, "{line}");
    home.refuses("enrol town cellar", &["is enrolled already", "wattveil enrol town cellar-2"]);
    home.refuses(&format!("adopt cellar {}", &line[..line.len() - 9]), &["a part of the line is missing"]);
    home.refuses("adopt cellar hello", &["neither an enrolment nor a file here", "adopt cellar - < hello"]);
    fs::write(home.path("cellar.line"), &line[3..]).unwrap();
    home.refuses(
        "adopt cellar cellar.line",
        &["`cellar.line` is a file's name", "adopt cellar - < cellar.line"],
    );
    home.refuses("adopt cellar -", &["begins with wv1-", "from there on"]);
    home.says(&format!("adopt cellar {line}"));
    assert!(home.says("check cellar --offline").ends_with("All is well.\n"));
    home.refuses(&format!("adopt cellar {line}"), &["agent.toml is there already"]);

    // the key is made on the device, and the line is for no other
    let public = home.says("key attic");
    let line = home.says(&format!("enrol town attic --public-key {public}"));
    home.refuses(&format!("adopt elsewhere {line}"), &["the one that `wattveil key` made"]);
    home.says("key third");
    home.refuses(&format!("adopt third {line}"), &["for another device's key", "--public-key"]);
    home.says(&format!("adopt attic {line}"));
    assert!(home.says("check attic --offline").ends_with("All is well.\n"));
    let meters = home.text("town/sink/meters.csv");
    assert_eq!(meters.lines().count(), 1 + 4, "{meters}");
    let again = home.run("wattveil key attic 2>&1");
    assert!(again.ends_with(&public) && again.contains("sign.key is there already and stays"), "{again}");
}

/// An enrolment is a secret in its file, and a line of any length reaches a device through a terminal.
#[test]
fn an_enrolment_is_kept_or_pasted() {
    let home = Shell::with_town("--post-quantum");
    home.run("umask 022; wattveil enrol town cellar --out cellar.line");
    let mode = fs::metadata(home.path("cellar.line")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    home.refuses("enrol town attic --out cellar.line", &["cellar.line is there already", "another file"]);
    home.refuses("enrol town attic --out no/attic.line", &["cannot write no/attic.line"]);
    home.run("wattveil adopt cellar - < cellar.line");
    assert!(home.says("check cellar --offline").ends_with("All is well.\n"));
    // who was not enrolled then can be enrolled now
    let lines = home.says("enrol town attic");
    assert!(lines.lines().count() > 1 && lines.len() > 4_095, "{}", lines.len());
    assert!(lines.lines().all(|line| line.len() < 1_024), "{lines}");
    fs::write(home.path("attic.lines"), lines).unwrap();
    home.run("wattveil adopt attic - < attic.lines");
    assert!(home.says("check attic --offline").ends_with("All is well.\n"));
}

/// Who can learn what follows from the numbers.
#[test]
fn explanations_follow_the_roster() {
    let home = Shell::with_town("--aggregators 5 --threshold 3 --smallest-group 20 --grid-hours 0");
    let text = home.says("explain town");
    for words in [
        "any 3 of them give a value together, 4 must vote",
        "each group of 20 homes or more: its load curve, once, after the period",
        "Nor do 2 of them together",
        "3 aggregators that collude read EVERY reading",
        "1 aggregator may be away",
        "NOT PROTECTED",
    ] {
        assert!(text.contains(words), "lacks `{words}`:\n{text}");
    }
    assert!(!text.contains("crafted ciphertext"));
    let text = home.says("explain town/sink --levelled");
    assert!(text.contains(protocol::levelled::CAUTION), "{text}");
    assert!(text.contains("decrypts its part wrongly is noticed"), "{text}");
    assert!(
        text.contains("of each group that is not levelled, of 20 homes or more: its load curve"),
        "{text}"
    );
    assert!(!text.contains("DEMONSTRATION ONLY"), "{text}");
    let home = Shell::with_town("--aggregators 2 --threshold 2 --smallest-group 2");
    assert!(
        home.says("explain town")
            .contains("DEMONSTRATION ONLY: this roster allows bills and curves of 2 homes")
    );
    assert!(home.says("explain town --levelled").contains("wrongly is NOT noticed"));
}

/// Mode `levelled` is asked for by name, and only with what makes sense.
#[test]
fn mistakes_at_ask_say_what_to_type() {
    let home = Shell::with_town("--slot-minutes 60");
    let asked = "ask --config town/sink/sink.toml --group group-1 --day 2026-01-02 --function";
    home.refuses(&format!("{asked} sum"), &["has no [levelled] section", "docs/levelled.md"]);
    home.refuses("init x --levelled huge", &["found `huge`", "light, medium, strong, largest"]);
    let home = Shell::with_town("--slot-minutes 60 --levelled light --smallest-group 2");
    for (line, words) in [
        ("median", &["found `median`", "time-variance"][..]),
        ("max", &["max needs 2 pairs of a group and a day; found 1"]),
        ("forecast --weights 1,-2", &["--weights: expected 24 numbers"]),
        ("weighted --weights -1", &["has a weight out of range"]),
        ("mean --weights 1,2", &["mean has no weights", "leave out --weights"]),
        ("sum --key other", &["--key: expected the name of a [[levelled.key]], one of loads; found `other`"]),
        ("sum --day 2026-01-03", &["sum needs 1 pairs of a group and a day; found 2"]),
    ] {
        home.refuses(&format!("{asked} {line}"), words);
    }
}

/// A list of meters has a header, and each of them once; an export is written again, and nothing else.
#[test]
fn mistakes_at_bill_say_what_to_type() {
    let home = Shell::with_town("--slot-minutes 60 --smallest-group 2");
    let bill = "bill --config town/sink/sink.toml --period 28d";
    let rows = home.text("town/sink/meters.csv");
    let (header, row) = (rows.lines().next().unwrap(), rows.lines().nth(1).unwrap());
    for (text, words) in [
        (format!("{row}\n"), "line 1: expected the columns name,meter,group; found `a,"),
        (format!("{header}\n{row}\n{row}\n"), "is there twice"),
        (format!("{header}\nx\n"), "line 2: expected name,meter,group; found `x`"),
    ] {
        fs::write(home.path("some.csv"), text).unwrap();
        home.refuses(&format!("{bill} --meters some.csv"), &[words]);
    }
    fs::write(home.path("letter"), "Dear Sir").unwrap();
    home.refuses(&format!("{bill} --csv letter"), &["letter exists and is not such an export"]);
    home.refuses(&format!("{bill} --json letter"), &["letter exists and is not such an export"]);
    assert_eq!(home.text("letter"), "Dear Sir");
    home.refuses(&format!("{bill} --csv /dev/stdout"), &["/dev/stdout is a link"]);
    home.refuses(&format!("{bill} --csv /dev/full"), &["/dev/full is not a plain file"]);
    home.refuses(&format!("{bill} --json -"), &["expected a file, for example bills.csv; found `-`"]);
    home.run("mkfifo pipe");
    home.refuses(&format!("{bill} --csv pipe"), &["pipe is not a plain file"]);
    // nobody answers: what was exported before is not replaced by nothing
    let bills = "name,meter,group,from,to,energy_wh,missing_slots,released\nx,1,g,a,b,7,0,complete\n";
    fs::write(home.path("bills.csv"), bills).unwrap();
    home.refuses(
        &format!("{bill} --patience 1 --csv bills.csv --json bills.json"),
        &["0 of 2 meters have their bill", "bills.csv is unchanged", "name another file"],
    );
    assert_eq!((home.text("bills.csv").as_str(), home.text("bills.json").as_str()), (bills, "[]\n"));
    // the sink's own files are no exports
    let kept = ["sign.key", "sink.redb", "meters.csv"].map(|name| format!("town/sink/{name}"));
    let before = kept.each_ref().map(|name| fs::read(home.path(name)).unwrap());
    for (flag, name) in ["--csv", "--json", "--svg"].iter().zip(&kept) {
        let line = format!("statistics --config town/sink/sink.toml {flag} {name}");
        home.refuses(&line, &[name, "exists and is not such an export"]);
    }
    assert_eq!(kept.each_ref().map(|name| fs::read(home.path(name)).unwrap()), before);
}

/// A rotation that is typed again changes nothing; what is missing, foreign or older is refused with what to type.
#[test]
fn mistakes_at_rotation_say_what_to_type() {
    let home = Shell::new();
    home.says(&format!("init town --meters 3 --broker {}", free_address()));
    home.run(
        "set -e
        wattveil rotate key town/agg-1 > agg-1.line
        wattveil rotate key town/agg-1 2> said | cmp - agg-1.line
        grep -q 'Box key 2 was made before and is in no roster here yet' said
        wattveil rotate draft town --key $(cat agg-1.line) --days 730
        for party in town/agg-?; do wattveil rotate accept $party town/registrar/roster-2.draft; done > acceptances
        wattveil rotate finish town --acceptances acceptances
        for party in town/agg-? town/sink; do wattveil rotate adopt $party town/registrar/roster-2.wv; done
        wattveil revoke town home-3 --reason moved --offline",
    );
    // an older roster than a role has known is refused, and found before
    let registrar = |name: &str| fs::read(home.path(&format!("town/agg-2/{name}"))).unwrap();
    let (first, second) = (registrar("roster-1.wv"), registrar("roster.wv"));
    let mut store = FileStore::open(&home.path("town/agg-2/worker.redb"), 1 << 20).unwrap();
    for (epoch, roster) in [(1_u32, &first), (2, &second)] {
        store.put(aggregator_worker::aggregator::ROSTER, &epoch.to_be_bytes(), roster).unwrap();
    }
    store.commit().unwrap();
    drop(store);
    home.says("check town/agg-2 --offline");
    fs::write(home.path("town/agg-2/roster.wv"), first).unwrap();
    home.refuses(
        "check town/agg-2 --offline",
        &["the role would refuse to start: roster 1 is older than roster 2", "from the registrar"],
    );
    fs::write(home.path("town/agg-2/roster.wv"), second).unwrap();
    // every step again changes nothing
    home.says("rotate adopt town/agg-1 town/registrar/roster-2.wv");
    // a meter that is at hand need not wait for the utility
    home.says("rotate adopt town/meters/home-1 town/registrar/roster-2.wv");
    home.says("check town/meters/home-1 --offline");
    home.says("revoke town home-3 --reason again --offline");
    assert_eq!(fs::read_dir(home.path("town/registrar/revoked")).unwrap().count(), 1);
    // and mistakes say what to type
    for (line, words) in [
        ("rotate adopt town/agg-2 town/agg-2/roster-1.wv", &["roster 1 is older than roster 2"][..]),
        ("rotate adopt town/broker town/registrar/roster-2.wv", &["has no worker.toml"]),
        ("rotate key town/meters/home-1", &["has no box keys"]),
        ("rotate accept town/agg-3 town/registrar/roster-2.draft", &["does not follow roster 2"]),
        ("rotate accept town/sink town/registrar/roster-2.draft", &["only aggregators accept"]),
        ("rotate key town/observer", &["has no box keys"]),
        ("rotate draft town --key wvk1-AAAAAAAA", &["a part of the line is missing"]),
        ("revoke town home-9 --reason x --offline", &["no meter `home-9`", "home-1, home-2, home-3"]),
        ("revoke town home-1 --reason x --from 2020-01-01T00:00:00Z --offline", &["is past", "--from"]),
        ("revoke town home-1 --reason x --from soon --offline", &["found `soon`", "--from 2026-12-01T"]),
        (
            "revoke town home-1 --reason x",
            &["it is signed and kept, and not published", "type the same again"],
        ),
    ] {
        home.refuses(line, words);
    }
    home.says("rotate broker town");
    home.refuses(
        "rotate broker town",
        &["town/broker-2 has a certificate and key already", "remove town/broker-2"],
    );
    // a second draft of a number is not accepted by whoever has accepted the first
    home.says("rotate draft town --days 10");
    home.says("rotate accept town/agg-1 town/registrar/roster-3.draft");
    fs::remove_file(home.path("town/registrar/roster-3.draft")).unwrap();
    home.says("rotate draft town --days 20");
    home.refuses(
        "rotate accept town/agg-1 town/registrar/roster-3.draft",
        &["another draft of roster 3 was accepted here"],
    );
    a_registrar_makes_no_second_history(&home);
    fs::write(home.path("none"), "").unwrap();
    home.refuses(
        "rotate finish town --acceptances none",
        &["exactly one valid acceptance of aggregator 1", "wattveil rotate accept"],
    );
}

/// A draft that skips a number would be a second successor of one roster, and one that goes back to an older box key would seal to
/// what may have leaked: nobody accepts either, whatever the registrar signs.
fn a_registrar_makes_no_second_history(home: &Shell) {
    let registrar =
        file::read_secret(&home.path("town/registrar/sign.key"), str::parse::<SigningKey>).unwrap();
    let roster = |path: &str| {
        let bytes = fs::read(home.path(&format!("town/{path}"))).unwrap();
        Roster::accept(&bytes, &registrar.verifying_key()).unwrap()
    };
    let (first, current) = (roster("agg-1/roster-1.wv"), roster("agg-1/roster.wv"));
    let draft = |epoch, box_keys: &Roster| {
        let mut document = current.document().clone();
        (document.epoch, document.previous) = (epoch, Some(current.hash()));
        document.aggregators.clone_from(&box_keys.document().aggregators);
        fs::write(home.path("odd.draft"), sign(document, &registrar).bytes()).unwrap();
    };
    draft(4, &current);
    home.refuses("rotate accept town/agg-2 odd.draft", &["draft of roster 4 does not follow roster 2"]);
    draft(3, &first);
    home.refuses("rotate accept town/agg-1 odd.draft", &["goes back to an older box key of `agg-1`"]);
    nobody_takes_a_key_that_cannot_be_sealed_to(home, &current, &registrar);
}

/// Of low order: whoever sealed to it would end with an error, or everybody could open the box. Not by a line, not in a draft, not in a
/// roster that all had accepted; neither a role that starts with it nor a check of its directory lets it pass.
fn nobody_takes_a_key_that_cannot_be_sealed_to(home: &Shell, current: &Roster, registrar: &SigningKey) {
    let key = (9_u32, Suite::X25519, Bytes::new(&[0; 32]));
    let body = wire::encode(&("agg-2", key));
    let check = hash("line", &[b"wvk1-", &body]);
    let line = format!("wvk1-{}", URL_SAFE_NO_PAD.encode([&body[..], &check.as_bytes()[..4]].concat()));
    let of_aggregator = "box key 9 of aggregator agg-2 can't be sealed to: its X25519 point is of low order";
    home.refuses(&format!("rotate draft town --key {line}"), &[of_aggregator, "wattveil rotate key DIR"]);

    let mut document = current.document().clone();
    (document.epoch, document.previous) = (3, Some(current.hash()));
    document.utility.box_key = wire::decode(&wire::encode(&key)).unwrap();
    let draft = sign(document, registrar);
    fs::write(home.path("odd.draft"), draft.bytes()).unwrap();
    let of_utility = "box key 9 of the utility can't be sealed to: its X25519 point is of low order";
    home.refuses("rotate accept town/agg-3 odd.draft", &[of_utility, "ask the registrar"]);

    let accepted = draft.aggregators.iter().map(|aggregator| {
        let key = home.path(&format!("town/{}/sign.key", aggregator.id));
        (aggregator.point, accept_as(&draft, &file::read_secret(&key, str::parse::<SigningKey>).unwrap()))
    });
    fs::write(home.path("odd.wv"), bundle(&draft, accepted.collect())).unwrap();
    for party in ["agg-3", "sink", "observer", "meters/home-1"] {
        home.refuses(&format!("rotate adopt town/{party} odd.wv"), &[of_utility]);
    }
    for (party, config, role) in [
        ("agg-3", "worker", "aggregator-worker"),
        ("sink", "sink", "utility-sink"),
        ("meters/home-1", "agent", "meter-agent"),
    ] {
        let roster = home.path(&format!("town/{party}/roster.wv"));
        let before = fs::read(&roster).unwrap();
        fs::copy(home.path("odd.wv"), &roster).unwrap();
        home.refuses(&format!("{role} --config town/{party}/{config}.toml"), &[of_utility]);
        home.refuses(&format!("check town/{party} --offline"), &[of_utility]);
        fs::write(&roster, before).unwrap();
    }
}
