//! A town: 13 real homes, 4 aggregators, a utility and a broker, each a process of its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aggregator_worker::aggregator::Pace as AggregatorPace;
use deployment::{Authority, Deployment, Files, Plan, Setup};
use meter_agent::config::SourceConfig;
use meter_agent::meter::Pace as MeterPace;
use meter_agent::source::csv::Format;
use protocol::hpke_box::Suite;
use protocol::policy::Policy;
use protocol::unit::{Amount, SlotLength, Timestamp, WattHours};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use store::FileStore;
use tempfile::TempDir;
use utility_sink::config::ReleaseConfig;
use utility_sink::sink::Pace as SinkPace;
use utility_sink::sink::ledger::bills_of;

use crate::alone::alone;
use crate::observer::Observer;
use crate::oracle::{self, Homes};
use crate::process::{Process, wait_until};

/// Days of data.
const DAYS: u32 = 14;

/// Slots a second: the replay takes some five seconds, in which there is time to strike.
const SPEED: f64 = 70.0;

/// Slots a batch.
const BATCH: u32 = 4;

/// A running town.
pub(crate) struct Town {
    pub(crate) deployment: Deployment,
    pub(crate) files: Files,
    pub(crate) homes: Homes,
    pub(crate) broker: Process,
    /// The broker's other nodes, if it is a cluster.
    pub(crate) nodes: Vec<Process>,
    pub(crate) aggregators: Vec<Process>,
    pub(crate) meters: Vec<Process>,
    pub(crate) observer: Observer,
    directory: TempDir,
    _alone: File,
}

/// A port that is free now.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A town's deployment, written to a directory.
pub(crate) fn write(
    directory: &Path,
    homes: &Homes,
    brokers: &[SocketAddr],
    grid: bool,
) -> (Deployment, Setup, Files) {
    let mut rng = StdRng::seed_from_u64(u64::from(brokers[0].port()));
    let days = u16::try_from(homes.rows.len() / 24).unwrap();
    let policy = Policy {
        k: 13,
        bill_days: days,
        // two weekends of five dear hours
        smallest_cell: 20,
        tariff_meters: 13,
        // the data is of 2016
        late_grace: u32::MAX,
        grid_interval: if grid { 86_400 } else { 0 },
        ..Policy::production()
    };
    let plan = Plan {
        name: "town".into(),
        aggregators: 4,
        threshold: 2,
        suite: Suite::X25519,
        slot: SlotLength::try_from(3_600).unwrap(),
        policy,
        homes: homes.names.clone(),
        group: 48,
        valid_from: Timestamp(0),
        valid_to: runtime::now::<Timestamp>().plus(86_400),
    };
    let deployment = Deployment::create(&plan, &mut rng).unwrap();
    let csv = directory.join("homes.csv");
    let lines = oracle::CSV.lines().take(1 + homes.rows.len());
    fs::write(&csv, lines.flat_map(|line| [line, "\n"]).collect::<String>()).unwrap();
    let source = |(index, column): (usize, &String)| SourceConfig::Csv {
        file: csv.clone(),
        column: column.clone(),
        register: Some(1_000_000 + 7 * index as u64),
        slots_per_second: SPEED,
        own_time: false,
        format: Format::default(),
    };
    let meters: Vec<String> = deployment.meters.iter().map(|keys| keys.meter.to_string()).collect();
    let setup = Setup {
        logins: deployment.logins(&["observer"], &mut rng),
        authority: Some(Arc::new(Authority::create("town").unwrap())),
        aggregators: AggregatorPace { receipt_every: 100, patience: 600_000 },
        meters: MeterPace {
            batch_slots: BATCH,
            resend_first: Duration::from_millis(500),
            resend_last: Duration::from_secs(2),
            ..MeterPace::default()
        },
        sink: SinkPace { settle: 400, resend: 700, ..SinkPace::default() },
        sources: homes.names.iter().enumerate().map(source).collect(),
        tariffs: vec![
            ("flat.toml".into(), deployment::FLAT_TARIFF.into()),
            ("tou.toml".into(), deployment::TIME_OF_USE_TARIFF.into()),
        ],
        releases: vec![
            ReleaseConfig::Bill {
                name: "bills".into(),
                period: homes.period(),
                tariffs: vec!["flat".into(), "tou".into()],
                meters: meters.clone(),
            },
            curve(homes, meters, grid),
        ],
        address: (brokers.len() > 1).then(|| {
            let all: Vec<String> = brokers.iter().map(ToString::to_string).collect();
            all.join(",")
        }),
        ..Setup::new(brokers[0])
    };
    let files = deployment.write(directory, &setup).unwrap();
    (deployment, setup, files)
}

/// The group's curve: as a whole, after the bills; or day by day.
fn curve(homes: &Homes, meters: Vec<String>, grid: bool) -> ReleaseConfig {
    let (name, period, group) = ("curve".into(), homes.period(), "group-1".into());
    if grid {
        ReleaseConfig::Grid { name, period, group, meters }
    } else {
        ReleaseConfig::Curve { name, period, group, meters }
    }
}

impl Town {
    /// Starts everybody but the sink. The meters end when every aggregator has every record.
    pub(crate) fn start() -> Self {
        Self::open(false)
    }

    /// The same, with load vectors.
    pub(crate) fn start_with_grid() -> Self {
        Self::open(true)
    }

    fn open(grid: bool) -> Self {
        let address = free_address();
        Self::through(&[address], grid, |files| {
            let broker = Process::start("broker", &files.broker, &[]);
            wait_until("the broker's start", || broker.says("listening") > 0);
            vec![broker]
        })
    }

    /// The same with any broker: `broker` starts it at these addresses, one a node, and gives its processes, once they
    /// listen.
    pub(crate) fn through(
        addresses: &[SocketAddr],
        grid: bool,
        broker: impl FnOnce(&Files) -> Vec<Process>,
    ) -> Self {
        let alone = alone();
        let directory = tempfile::tempdir().unwrap();
        let homes = Homes::read(DAYS);
        let (deployment, setup, files) = write(directory.path(), &homes, addresses, grid);
        let mut nodes = broker(&files);
        let broker = nodes.remove(0);
        let observer = Observer::start(&files, &setup, addresses);
        let aggregators: Vec<Process> =
            files.aggregators.iter().map(|config| Process::start("aggregator-worker", config, &[])).collect();
        wait_until("the aggregators' start", || {
            aggregators.iter().all(|worker| worker.says("listening") > 0)
        });
        let meters = files.meters.iter().map(|config| meter(config)).collect();
        Self {
            deployment,
            files,
            homes,
            broker,
            nodes,
            aggregators,
            meters,
            observer,
            directory,
            _alone: alone,
        }
    }

    /// Waits until so many hundredths of all shares were seen.
    pub(crate) fn replayed(&self, hundredths: usize) {
        let all = self.homes.rows.len() / BATCH as usize * self.meters.len() * self.aggregators.len();
        self.observer.wait("the replay", |seen| seen.shares.len() * 100 >= all * hundredths);
    }

    /// Nobody has got through its data yet.
    pub(crate) fn is_replaying(&mut self) -> bool {
        self.meters.iter_mut().all(|meter| !meter.has_ended())
    }

    /// Brings the broker back.
    pub(crate) fn restart_broker(&mut self) {
        restart_broker(&mut self.broker);
    }

    /// Waits until the meters have their receipts and end.
    pub(crate) fn delivered(&mut self) {
        for meter in &mut self.meters {
            meter.ends_well();
        }
    }

    /// Waits until these aggregators have every record.
    pub(crate) fn stored_by(&self, aggregators: &[usize]) {
        let records = self.homes.rows.len() as u64 / u64::from(BATCH);
        self.observer.wait("the last receipts", |seen| {
            self.deployment.meters.iter().all(|meter| {
                aggregators.iter().all(|index| {
                    let point = self.deployment.aggregators[*index].point;
                    seen.stored.get(&(meter.meter, point)).is_some_and(|stored| *stored == records)
                })
            })
        });
    }

    /// Starts the sink, which ends when it has what it wants.
    pub(crate) fn ask(&self) -> Process {
        Process::start("utility-sink", &self.files.sink, &["--until-done"])
    }

    /// Bills and curve equal the plaintext's, to the watt-hour and to 10^−8 of a dollar.
    pub(crate) fn is_exact(&self, sink: &mut Process) {
        sink.ends_well();
        let lines: Vec<Value> =
            sink.output().lines().map(|line| serde_json::from_str(line).expect("it prints JSON")).collect();
        let (bills, days): (Vec<&Value>, Vec<&Value>) =
            lines.iter().partition(|line| line.get("meter").is_some());
        assert_eq!(bills.len(), self.homes.names.len());
        let store = FileStore::open(&self.files.sink.with_file_name("sink.redb"), 1 << 20).unwrap();
        for (home, (keys, printed)) in self.deployment.meters.iter().zip(bills).enumerate() {
            let kept = bills_of(keys.meter, &store).unwrap();
            let [bill] = &kept[..] else { panic!("{} bills of one meter", kept.len()) };
            let amounts: Vec<Amount> = bill.amounts.iter().map(|(_, amount)| *amount).collect();
            assert_eq!(bill.energy, WattHours(self.homes.energy(home)));
            assert_eq!(amounts, [Amount(self.homes.flat(home)), Amount(self.homes.time_of_use(home))]);
            assert_eq!((bill.missing, bill.unaccounted), (0, Some(WattHours(0))));
            assert_eq!(printed["meter"], keys.meter.to_string());
            assert_eq!(printed["energy_wh"], bill.energy.0);
            assert_eq!(printed["amounts"][1], amounts[1].to_string());
        }
        let (curve, start) = (self.homes.curve(), u64::from(self.homes.period().0));
        let mut released = 0;
        for day in &days {
            let first = usize::try_from(day["from_slot"].as_u64().unwrap() - start).unwrap();
            let energies: Vec<i64> =
                day["energy_wh"].as_array().unwrap().iter().map(|energy| energy.as_i64().unwrap()).collect();
            assert_eq!(energies, curve[first..first + energies.len()]);
            released += energies.len();
        }
        // Intervals are days of UTC; the window is one of California.
        let grid = days.iter().any(|day| day.get("paths_agree").is_some());
        assert_eq!(released, if grid { curve.len() - 24 } else { curve.len() });
        // Where there are load vectors, both paths say so.
        for day in days.iter().filter(|day| day.get("paths_agree").is_some()) {
            assert_eq!(day["paths_agree"], true);
            assert_eq!(day["energy_wh"], day["energy_wh_by_ciphertexts"]);
        }
    }

    /// Where everything is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

fn meter(config: &Path) -> Process {
    Process::start("meter-agent", config, &["--until-done"])
}

/// Brings a broker back on its port, also when a client's attempt to connect happens to sit on it.
pub(crate) fn restart_broker(broker: &mut Process) {
    let before = broker.says("listening");
    wait_until("the broker's restart", || {
        if broker.has_ended() {
            broker.forget();
            broker.restart();
        }
        broker.says("listening") > before
    });
}
