//! Live sources read what meters report, over files, sockets and brokers; serial ports are in `serial.rs`.

#![expect(clippy::unwrap_used, reason = "a test file: a panic is the report")]

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use broker::Broker;
use jiff::tz::Offset;
use meter_agent::measurement::{Measurement, Quantity};
use meter_agent::source::input::{Input, Line};
use meter_agent::source::message::Preset;
use meter_agent::source::telegram::TelegramError;
use meter_agent::source::{Live, SourceError, SourceResult};
use runtime::link::{Message, Publisher, Settings};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Tariffs, a time and a CRC; and no time.
const NL5: &[u8] = include_bytes!("../../data/telegrams/nl5.txt");
const D0: &[u8] = include_bytes!("../../data/telegrams/de_d0.txt");

fn telegrams(input: Input) -> Live {
    Live::Telegrams(input, Line::P1, Offset::constant(1))
}

async fn next(results: &mut Receiver<SourceResult>) -> SourceResult {
    timeout(PATIENCE, results.recv()).await.expect("in time").expect("the source reads")
}

async fn reported(results: &mut Receiver<SourceResult>) -> Measurement {
    next(results).await.expect("a measurement")
}

fn register(watt_hours: &str) -> Quantity {
    Quantity::Register(watt_hours.parse().unwrap())
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/telegrams")
}

/// A file is read once: every telegram of it, then the end.
#[tokio::test]
async fn a_file_is_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["nl5.txt", "nl5_badcrc.txt", "be_fluvius.txt", "se_total.txt", "nl22.txt", "de_d0.txt"];
    let mut file = std::fs::File::create(directory.path().join("all.txt")).unwrap();
    for name in names {
        file.write_all(&std::fs::read(shipped().join(name)).unwrap()).unwrap();
    }
    let mut results = telegrams(Input::File(directory.path().join("all.txt"))).start();
    // the fourth tells a total, not the tariffs of the one before, and no device number of its own
    for wanted in ["246913578", "crc", "2957", "tariffs", "2002", "12345678.9"] {
        let result = next(&mut results).await;
        match wanted {
            "crc" => {
                assert!(
                    matches!(result, Err(SourceError::Telegram(TelegramError::Crc { .. }))),
                    "{result:?}"
                );
            }
            "tariffs" => {
                let tariffs = matches!(result, Err(SourceError::Telegram(TelegramError::Tariffs { .. })));
                assert!(tariffs, "{result:?}");
            }
            _ => assert!(result.unwrap().import == register(wanted), "{wanted}"),
        }
    }
    assert!(timeout(PATIENCE, results.recv()).await.expect("in time").is_none());
}

/// A file that is not there is reported, once, and is the end.
#[tokio::test]
async fn a_file_that_is_not_there_is_said() {
    let mut results = telegrams(Input::File("/no/such/file".into())).start();
    let lost = next(&mut results).await.unwrap_err();
    assert_eq!(lost.to_string(), "cannot read file:/no/such/file");
    assert!(results.recv().await.is_none());
}

/// A file that gives nothing, as a terminal or a pipe may, keeps no program from ending.
#[test]
fn a_file_that_gives_nothing_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let results = runtime.block_on(async {
        let results = Live::Lines(Input::File(pipe.clone())).start();
        tokio::time::sleep(Duration::from_millis(200)).await;
        results
    });
    let (ended, ends) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(results);
        drop(runtime);
        ended.send(()).unwrap();
    });
    ends.recv_timeout(PATIENCE).expect("the runtime ends while nobody has opened the pipe");
}

/// A socket that is closed in the middle of a telegram is opened again, and what was cut off is reported.
#[tokio::test]
async fn a_socket_is_opened_again() {
    let converter = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = converter.local_addr().unwrap().to_string();
    let mut results = telegrams(Input::Tcp(address.clone())).start();
    let (mut meter, _) = converter.accept().await.unwrap();
    meter.write_all(&[&NL5[500..], D0, &NL5[..99]].concat()).await.unwrap();
    assert!(reported(&mut results).await.import == register("12345678.9"));
    drop(meter);
    assert!(matches!(next(&mut results).await, Err(SourceError::Telegram(TelegramError::Cut))));
    assert_eq!(
        next(&mut results).await.unwrap_err().to_string(),
        format!("tcp:{address} was closed by the other end")
    );
    let (mut meter, _) = timeout(PATIENCE, converter.accept()).await.expect("again").unwrap();
    meter.write_all(NL5).await.unwrap();
    assert!(reported(&mut results).await.import == register("246913578"));
}

/// Messages of a broker are read by a preset, and a bad one costs itself only.
#[tokio::test]
async fn messages_are_read() {
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let broker = Broker::start(broker::Config { listen, ..broker::Config::default() }).await.unwrap();
    let settings = |client: &str| Settings::new("127.0.0.1", broker.address().port(), client);
    let publisher = Publisher::connect(settings("plug"));
    let field = Preset::named("tasmota").unwrap().field("kitchen");
    let publish = |payload: &str| {
        let payload = payload.as_bytes().to_vec();
        publisher.publish(Message { topic: field.topic.clone(), payload, retain: true })
    };
    // retained, so that it does not matter who is first
    publish(r#"{"ENERGY":{"Total":1.5}}"#).await.unwrap();
    publisher.flush().await;
    let mut results = Live::Messages(Box::new(settings("source")), field.clone()).start();
    assert!(reported(&mut results).await.import == register("1500"));
    publish("offline").await.unwrap();
    let bad = next(&mut results).await.unwrap_err();
    assert_eq!(bad.to_string(), "the message on `tele/kitchen/SENSOR` is not JSON");
    publish(r#"{"ENERGY":{"Total":1.501,"ExportActive":0.25}}"#).await.unwrap();
    let last = reported(&mut results).await;
    assert!(last.import == register("1501") && last.export == Some(register("250")));
    drop(results);
    broker.stop().await;
}
