//! A meter on a serial port, as `[source.p1]` and `[source.sml]` have it: a pseudo-terminal with a meter at its other end.

#![expect(clippy::unwrap_used, reason = "a test file: a panic is the report")]

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use crc::{CRC_16_ARC, CRC_16_IBM_SDLC, Crc};
use jiff::tz::Offset;
use meter_agent::config::RegistersConfig;
use meter_agent::feed::Feed;
use meter_agent::measurement::Quantity;
use meter_agent::reading::Reading;
use meter_agent::source::sml::SmlError;
use meter_agent::source::telegram::TelegramError;
use meter_agent::source::{Source, SourceConfig, SourceError, SourceResult};
use protocol::id::MeterId;
use protocol::unit::SlotLength;
use sml_rs::transport::encode_streaming;
use store::MemoryStore;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use tokio_serial::{SerialPort as _, SerialStream};

const PATIENCE: Duration = Duration::from_secs(20);

const NL5: &str = include_str!("../../data/telegrams/nl5.txt");
const D0: &str = include_str!("../../data/telegrams/de_d0.txt");

/// An SML message up to its checksum: registers of 12,345,678.9 Wh in and 1,234,500 Wh out.
const SML: &[u8] = &[
    0x76, 0x02, 0x01, 0x62, 0x00, 0x62, 0x00, // message: transaction 01, group 0, abort on error 0
    0x72, 0x63, 0x07, 0x01, // body: GetList.Res
    0x77, 0x01, 0x05, 0x0a, 0x01, 0x45, 0x4d, 0x01,
    0x01, // no client, server 0a01454d, no list name, no time
    0x72, // two registers
    0x77, 0x07, 0x01, 0x00, 0x01, 0x08, 0x00, 0xff, // 1-0:1.8.0*255
    0x01, 0x01, 0x62, 0x1e, 0x52, 0xff, // no status, no time, Wh, 10^-1
    0x59, 0x00, 0x00, 0x00, 0x00, 0x07, 0x5b, 0xcd, 0x15, 0x01, // 123,456,789, no signature
    0x77, 0x07, 0x01, 0x00, 0x02, 0x08, 0x00, 0xff, // 1-0:2.8.0*255
    0x01, 0x01, 0x62, 0x1e, 0x52, 0x02, // no status, no time, Wh, 10^2
    0x65, 0x00, 0x00, 0x30, 0x39, 0x01, // 12,345, no signature
    0x01, 0x01, // no list signature, no gateway time
];

/// The transmission of a message.
fn transmission(message: &[u8]) -> Vec<u8> {
    let crc = Crc::<u16>::new(&CRC_16_IBM_SDLC).checksum(message).to_le_bytes();
    encode_streaming([message, &[0x63, crc[0], crc[1], 0x00]].concat()).collect()
}

/// A telegram of the meter of [`NL5`] at another time, with other registers.
fn telegram(at: jiff::Timestamp, low: &str, high: &str) -> String {
    let at = Offset::constant(1).to_datetime(at).strftime("%y%m%d%H%M%SW").to_string();
    let text = NL5
        .replace("261122060000W", &at)
        .replace("1.8.1(123456.789", &format!("1.8.1({low}"))
        .replace("1.8.2(123456.789", &format!("1.8.2({high}"));
    let (text, _) = text.rsplit_once('!').unwrap();
    let text = format!("{text}!");
    let crc = Crc::<u16>::new(&CRC_16_ARC).checksum(text.as_bytes());
    format!("{text}{crc:04X}\r\n")
}

/// A device that comes and goes: its name, and the terminal behind it as long as it is plugged in.
struct Device {
    directory: TempDir,
    line: Option<SerialStream>,
}

impl Device {
    /// A device that is plugged in.
    fn new() -> Self {
        let mut device = Self { directory: tempfile::tempdir().unwrap(), line: None };
        device.plug_in();
        device
    }

    fn name(&self) -> PathBuf {
        self.directory.path().join("ttyUSB0")
    }

    fn plug_in(&mut self) {
        let (line, port) = SerialStream::pair().unwrap();
        symlink(port.name().expect("a pseudo-terminal has a name"), self.name()).unwrap();
        // the port is locked for as long as it is open here
        drop(port);
        self.line = Some(line);
    }

    /// Its line hangs up, and its name is gone.
    fn pull_out(&mut self) {
        std::fs::remove_file(self.name()).unwrap();
        self.line = None;
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.line.as_mut().expect("it is plugged in").write_all(bytes).await.unwrap();
    }

    /// The source that listens to it.
    fn source(&self, kind: &str, line: &str) -> Source {
        let text = format!("[{kind}]\ninput = \"serial:{}\"\n{line}", self.name().display());
        let config: SourceConfig = toml::from_str(&text).unwrap();
        let slot = SlotLength::try_from(900).unwrap();
        let meter: MeterId = "00112233445566778899aabbccddeeff".parse().unwrap();
        config.open(self.directory.path(), slot, &meter).unwrap()
    }

    /// What it reports, before anything of it is believed.
    fn results(&self, kind: &str, line: &str) -> Receiver<SourceResult> {
        let Source::Live(live) = self.source(kind, line) else { panic!("{kind} is live") };
        live.start()
    }
}

async fn next(results: &mut Receiver<SourceResult>) -> SourceResult {
    timeout(PATIENCE, results.recv()).await.expect("in time").expect("the source reads")
}

/// The next register that is reported, after anything that was none.
async fn reported(results: &mut Receiver<SourceResult>) -> Quantity {
    loop {
        if let Ok(measurement) = next(results).await {
            return measurement.import;
        }
    }
}

fn register(watt_hours: &str) -> Quantity {
    Quantity::Register(watt_hours.parse().unwrap())
}

/// Every dialect of the shipped telegrams, at its own speed and frame, and SML.
#[tokio::test]
async fn every_dialect_is_read() {
    let shipped = |name: &str| {
        let path = format!("{}/../data/telegrams/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    };
    for (kind, line, bytes, wanted) in [
        ("p1", "", shipped("nl5.txt"), "246913578"),
        ("p1", "line = \"115200 8N1\"", shipped("be_fluvius.txt"), "2957"),
        ("p1", "", shipped("se_total.txt"), "6678394"),
        ("p1", "line = \"9600 7E1\"", shipped("nl22.txt"), "2002"),
        ("p1", "line = \"300 7E1\"", shipped("de_d0.txt"), "12345678.9"),
        ("p1", "line = \"9600 8N1\"", shipped("de_d0.txt"), "12345678.9"),
        ("sml", "", transmission(SML), "12345678.9"),
        ("sml", "line = \"9600 8N1\"", transmission(SML), "12345678.9"),
    ] {
        let mut device = Device::new();
        let mut results = device.results(kind, line);
        // it begins wherever the meter happens to be
        device.write(&bytes[bytes.len() / 2..]).await;
        for _ in 0..3 {
            device.write(&bytes).await;
            assert!(reported(&mut results).await == register(wanted), "{kind} {line}");
        }
    }
}

/// A bad CRC on the line is reported, and costs its telegram only.
#[tokio::test]
async fn a_changed_byte_is_found() {
    let mut device = Device::new();
    let mut results = device.results("p1", "");
    let changed = NL5.replace("123456.789", "123456.788");
    device.write([&changed, NL5].concat().as_bytes()).await;
    let fault = next(&mut results).await;
    assert!(matches!(fault, Err(SourceError::Telegram(TelegramError::Crc { .. }))), "{fault:?}");
    assert!(reported(&mut results).await == register("246913578"));
}

/// A device that is pulled out in the middle of a telegram, and plugged in again, is opened again: what was cut off is reported,
/// and the first whole telegram is read.
#[tokio::test]
async fn a_device_goes_away_and_comes_back() {
    for (kind, bytes, wanted) in
        [("p1", D0.as_bytes().to_vec(), "12345678.9"), ("sml", transmission(SML), "12345678.9")]
    {
        let mut device = Device::new();
        let mut results = device.results(kind, "");
        device.write(&bytes).await;
        assert!(reported(&mut results).await == register(wanted));
        device.write(&bytes[..bytes.len() - 7]).await;
        // a line that hangs up drops what nobody has read
        tokio::time::sleep(Duration::from_millis(300)).await;
        device.pull_out();
        let mut errors = Vec::new();
        while !matches!(errors.last(), Some(SourceError::Lost(..))) {
            errors.push(next(&mut results).await.unwrap_err());
        }
        assert!(errors.last().unwrap().to_string().starts_with("cannot read serial:"), "{errors:?}");
        let cut = [SourceError::Telegram(TelegramError::Cut), SourceError::Sml(SmlError::Cut)];
        assert!(cut.iter().any(|cut| cut.to_string() == errors[0].to_string()), "{errors:?}");
        device.plug_in();
        device.write(&bytes).await;
        assert!(reported(&mut results).await == register(wanted), "{kind}");
    }
}

/// What the meter counted while its port was gone is in the first register after that: no watt-hour is lost, and none is
/// there twice.
#[tokio::test]
async fn nothing_measured_is_lost() {
    let slot = 900;
    let now = jiff::Timestamp::now().as_second();
    let start = now - now % slot - 8 * slot;
    let at = |slots: i64| jiff::Timestamp::from_second(start + slots * slot).unwrap();
    let mut device = Device::new();
    let limits = RegistersConfig::default().to_limits(SlotLength::try_from(900).unwrap()).unwrap();
    let source = device.source("p1", "");
    let mut feed = Feed::open(source, limits, &MemoryStore::default()).unwrap();
    let mut readings: Vec<Reading> = Vec::new();
    for (slots, low, high) in [(0, "000010.000", "000020.000"), (1, "000010.125", "000020.000")] {
        device.write(telegram(at(slots), low, high).as_bytes()).await;
        readings.extend(next_readings(&mut feed).await);
    }
    device.write(&telegram(at(2), "000010.250", "000020.000").as_bytes()[..300]).await;
    tokio::select! {
        readings = next_readings(&mut feed) => panic!("{readings:?} of a cut telegram"),
        () = tokio::time::sleep(Duration::from_millis(300)) => device.pull_out(),
    }
    device.plug_in();
    for (slots, low, high) in [(5, "000010.500", "000020.001"), (6, "000010.500", "000020.251")] {
        device.write(telegram(at(slots), low, high).as_bytes()).await;
        readings.extend(next_readings(&mut feed).await);
    }
    let first = readings[0].at.0;
    let seen: Vec<(u32, u64)> =
        readings.iter().map(|reading| (reading.at.0 - first, reading.register.watt_hours())).collect();
    assert_eq!(seen, [(0, 30_000), (1, 30_125), (5, 30_501), (6, 30_751)]);
}

/// The readings that the next telegram gives.
async fn next_readings(feed: &mut Feed) -> Vec<Reading> {
    let next = async {
        loop {
            let supply = feed.next().await.unwrap();
            assert!(!supply.ended, "a serial port has no end");
            if !supply.readings.is_empty() {
                return supply.readings;
            }
        }
    };
    timeout(PATIENCE, next).await.expect("in time")
}
