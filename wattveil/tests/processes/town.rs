//! A town: 13 real homes, 4 aggregators, a utility and a broker, each a process of its own.

use std::fs;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use aggregator_worker::aggregator::Pace as AggregatorPace;
use deployment::{Authority, Deployment, Files, Plan, Setup};
use lab::town::Process;
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
use utility_sink::config::{LevelledConfig, ReleaseConfig};
use utility_sink::sink::Pace as SinkPace;
use utility_sink::sink::ledger::bills_of;

use crate::observer::Observer;
use crate::oracle::{self, Homes};
use crate::process::{PROGRAM, alone, start};

/// Days of data.
const DAYS: u32 = 14;

/// Slots a second: the replay takes some five seconds, in which there is time to strike.
const SPEED: f64 = 70.0;

/// Slots a batch.
const BATCH: u32 = 4;

/// A running town, and who watches it.
pub(crate) struct Town {
    #[expect(clippy::struct_field_names, reason = "it is the lab's town, to which this one adds")]
    town: lab::town::Town,
    pub(crate) homes: Homes,
    /// The broker's other nodes, if it is a cluster.
    pub(crate) nodes: Vec<Process>,
    pub(crate) observer: Observer,
    _alone: MutexGuard<'static, ()>,
}

impl Deref for Town {
    type Target = lab::town::Town;

    fn deref(&self) -> &Self::Target {
        &self.town
    }
}

impl DerefMut for Town {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.town
    }
}

/// A port that is free now.
pub(crate) fn free_address() -> SocketAddr {
    lab::town::free_address().unwrap()
}

/// What is to be released.
pub(crate) enum Kind {
    /// Bills and a curve.
    Curve,
    /// Bills and days with the sums of load vectors.
    Grid,
    /// Functions under encryption, of two groups.
    Levelled(LevelledConfig),
}

/// A town's deployment, written to a directory.
pub(crate) fn write(
    directory: &Path,
    homes: &Homes,
    brokers: &[SocketAddr],
    kind: Kind,
) -> (Deployment, Setup, Files) {
    let mut rng = StdRng::seed_from_u64(u64::from(brokers[0].port()));
    let days = u16::try_from(homes.rows.len() / 24).unwrap();
    let (grid, levelled) = (matches!(kind, Kind::Grid), matches!(kind, Kind::Levelled(_)));
    // the data is of 2016
    let late = Policy { late_grace: u32::MAX, ..Policy::production() };
    let policy = if levelled {
        Policy { k: 3, grid_interval: 0, ..late }
    } else {
        Policy {
            k: 13,
            bill_days: days,
            // two weekends of five dear hours
            smallest_cell: 20,
            tariff_meters: 13,
            grid_interval: if grid { 86_400 } else { 0 },
            ..late
        }
    };
    let (group, speed, batch_slots) = if levelled { (3, 16.0, 6) } else { (48, SPEED, BATCH) };
    let plan = Plan {
        name: "town".into(),
        aggregators: 4,
        threshold: 2,
        suite: Suite::X25519,
        slot: SlotLength::try_from(3_600).unwrap(),
        policy,
        homes: homes.names.clone(),
        group,
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
        slots_per_second: speed,
        own_time: false,
        format: Format::default(),
    };
    let meters: Vec<String> = deployment.meters.iter().map(|keys| keys.meter.to_string()).collect();
    let mut setup = Setup {
        logins: deployment.logins(&["observer"], &mut rng),
        authority: Some(Arc::new(Authority::create("town").unwrap())),
        aggregators: AggregatorPace { receipt_every: 100, patience: 600_000 },
        meters: MeterPace {
            batch_slots,
            resend_first: Duration::from_millis(500),
            resend_last: Duration::from_secs(2),
            ..MeterPace::default()
        },
        sink: SinkPace { settle: 400, resend: 700, ..SinkPace::default() },
        sources: homes.names.iter().enumerate().map(source).collect(),
        address: (brokers.len() > 1).then(|| {
            let all: Vec<String> = brokers.iter().map(ToString::to_string).collect();
            all.join(",")
        }),
        ..Setup::new(brokers[0])
    };
    if let Kind::Levelled(levelled) = kind {
        setup.levelled = Some(levelled);
    } else {
        let (period, group) = (homes.period(), "group-1".into());
        let tariffs = [("flat", deployment::FLAT_TARIFF), ("tou", deployment::TIME_OF_USE_TARIFF)];
        setup.tariffs = tariffs.map(|(name, text)| (format!("{name}.toml"), text.into())).into();
        let (name, tariffs) = ("bills".into(), vec!["flat".into(), "tou".into()]);
        setup.releases.push(ReleaseConfig::Bill { name, period, tariffs, meters: meters.clone() });
        let name = "curve".into();
        setup.releases.push(if grid {
            ReleaseConfig::Grid { name, period, group, meters }
        } else {
            ReleaseConfig::Curve { name, period, group, meters }
        });
    }
    let files = deployment.write(directory, &setup).unwrap();
    (deployment, setup, files)
}

impl Town {
    /// Starts everybody but the sink. The meters end when every aggregator has every record.
    pub(crate) fn start() -> Self {
        Self::open(Homes::read(DAYS), Kind::Curve, &[])
    }

    /// The same, with load vectors.
    pub(crate) fn start_with_grid() -> Self {
        Self::open(Homes::read(DAYS), Kind::Grid, &[])
    }

    /// The same with other homes, and releases; `more` is typed behind each aggregator's line.
    pub(crate) fn open(homes: Homes, kind: Kind, more: &[&str]) -> Self {
        Self::with(homes, kind, more, &[free_address()], |files| {
            let mut broker = start("broker", &files.broker, &[]);
            broker.wait_for("listening").unwrap();
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
        Self::with(Homes::read(DAYS), if grid { Kind::Grid } else { Kind::Curve }, &[], addresses, broker)
    }

    fn with(
        homes: Homes,
        kind: Kind,
        more: &[&str],
        addresses: &[SocketAddr],
        broker: impl FnOnce(&Files) -> Vec<Process>,
    ) -> Self {
        let alone = alone();
        let directory = tempfile::tempdir().unwrap();
        let (deployment, setup, files) = write(directory.path(), &homes, addresses, kind);
        let mut nodes = broker(&files);
        let broker = nodes.remove(0);
        let observer = Observer::start(&files, &setup, addresses);
        let mut town = lab::town::Town::new(Path::new(PROGRAM), deployment, files, broker, directory);
        town.start_aggregators(more).unwrap();
        town.start_meters(&["--until-done"]).unwrap();
        Self { town, homes, nodes, observer, _alone: alone }
    }

    /// Waits until so many hundredths of all shares were seen.
    pub(crate) fn replayed(&self, hundredths: usize) {
        let all = self.homes.rows.len() / BATCH as usize * self.meters.len() * self.aggregators.len();
        self.observer.wait("the replay", |seen| seen.shares.len() * 100 >= all * hundredths);
    }

    /// Nobody has got through its data yet.
    pub(crate) fn is_replaying(&mut self) -> bool {
        self.town.meters.iter_mut().all(|meter| !meter.has_ended())
    }

    /// Waits until the meters have their receipts and end.
    pub(crate) fn delivered(&mut self) {
        for meter in &mut self.town.meters {
            meter.ends_well().unwrap();
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
        self.start_sink(&["--until-done"]).unwrap()
    }

    /// Bills and curve equal the plaintext's, to the watt-hour and to 10^−8 of a dollar.
    pub(crate) fn is_exact(&self, sink: &mut Process) {
        sink.ends_well().unwrap();
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
}
