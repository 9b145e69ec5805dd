//! Every role as a task of one process, over the real broker: 13 homes, 28 days, nothing on disk.

// So that lints know the helpers as tests too.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fs::File;

use aggregator_worker::aggregator::{Aggregator, Pace as AggregatorPace};
use broker::Broker;
use deployment::{Deployment, Plan, Setup};
use meter_agent::feed::Feed;
use meter_agent::meter::{Meter, Pace as MeterPace};
use meter_agent::register::Limits;
use meter_agent::service::{Agent, Progress};
use meter_agent::source::{Replay, Series, Source};
use protocol::hpke_box::Suite;
use protocol::id::{GroupId, MeterId, QueryId};
use protocol::policy::Policy;
use protocol::unit::{Amount, Register, Slot, SlotLength, SlotRange, Timestamp, WattHours};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use runtime::link::{Login, Settings};
use store::{MemoryStore, Store};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};
use utility_sink::service::Request;
use utility_sink::sink::ledger::{bills_of, curve_of};
use utility_sink::sink::{Bill, Curve, Pace as SinkPace, Sink};
use utility_sink::tariff_file;

use crate::oracle::{FIRST, Homes};

#[path = "processes/alone.rs"]
mod alone;
#[path = "processes/oracle.rs"]
mod oracle;

const PATIENCE: Duration = Duration::from_secs(90);

/// Has the sink do something.
async fn ask<T: Send + 'static>(
    requests: &mpsc::Sender<Request>,
    act: impl FnOnce(&mut Sink, &mut dyn Store, &mut StdRng) -> T + Send + 'static,
) -> T {
    let (answer, answered) = oneshot::channel();
    let request: Request = Box::new(move |sink, store, rng| {
        assert!(answer.send(act(sink, store, rng)).is_ok(), "the test waits");
        Ok(Vec::new())
    });
    assert!(requests.send(request).await.is_ok(), "the sink runs");
    answered.await.expect("the sink answers")
}

/// The sums of the shipped homes, counted by another program.
fn independent_totals() -> (Vec<i64>, i64) {
    let json: serde_json::Value =
        serde_json::from_str(include_str!("../../data/expected_totals.json")).expect("it is JSON");
    let homes = &json["fontana13_load_wh_60min_4w.csv"];
    let totals = homes["total_wh_per_meter"].as_object().expect("it has the homes");
    let total = |value: &serde_json::Value| value.as_i64().expect("it is a number");
    (totals.values().map(total).collect(), total(&homes["grand_total_wh"]))
}

/// A deployment whose roles are tasks here.
struct House {
    deployment: Deployment,
    homes: Homes,
    broker: Broker,
    logins: BTreeMap<String, String>,
    tasks: JoinSet<anyhow::Result<()>>,
    stop: watch::Sender<bool>,
}

impl House {
    async fn open() -> Self {
        let homes = Homes::read(28);
        let policy = Policy {
            k: 13,
            tariff_meters: 13,
            late_grace: u32::MAX,
            grid_interval: 0,
            ..Policy::production()
        };
        let plan = Plan {
            name: "one".into(),
            aggregators: 4,
            threshold: 2,
            suite: Suite::X25519,
            slot: hour(),
            policy,
            homes: homes.names.clone(),
            group: 48,
            valid_from: Timestamp(0),
            valid_to: runtime::now::<Timestamp>().plus(86_400),
        };
        let mut dice = StdRng::seed_from_u64(28);
        let deployment = Deployment::create(&plan, &mut dice).unwrap();
        let mut setup = Setup::new(([127, 0, 0, 1], 0).into());
        setup.logins = deployment.logins(&[], &mut dice);
        let broker = Broker::start(deployment.broker_config(&setup)).await.unwrap();
        let logins = setup.logins.into_iter().collect();
        Self { deployment, homes, broker, logins, tasks: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    fn link(&self, user: &str, id: &str) -> Settings {
        let mut settings = Settings::new("127.0.0.1", self.broker.address().port(), id);
        settings.login = Some(Login { user: user.to_owned(), password: self.logins[user].clone() });
        settings
    }

    fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stopping = self.stop.subscribe();
        async move { drop(stopping.wait_for(|stop| *stop).await) }
    }

    fn start_aggregators(&mut self) {
        for keys in &self.deployment.aggregators {
            let mut store = MemoryStore::default();
            let pace = AggregatorPace { receipt_every: 100, ..AggregatorPace::default() };
            let identity = self.deployment.aggregator_identity(keys);
            let aggregator =
                Aggregator::open(identity, self.deployment.roster.clone(), pace, &mut store).unwrap();
            let (link, stopped) = (self.link(keys.id.as_ref(), keys.id.as_ref()), self.stopped());
            self.tasks.spawn(aggregator_worker::service::run(aggregator, store, link, stopped));
        }
    }

    fn start_meters(&mut self) -> Vec<watch::Receiver<Progress>> {
        let mut shown = Vec::new();
        for (home, keys) in self.deployment.meters.iter().enumerate() {
            let mut store = MemoryStore::default();
            let pace = MeterPace { resend_first: Duration::from_secs(1), ..MeterPace::default() };
            let identity = self.deployment.meter_identity(keys);
            let (roster, floor) = (self.deployment.roster.clone(), self.deployment.floor());
            let meter = Meter::open(identity, roster, floor, pace, &mut store, runtime::now()).unwrap();
            let series = Series {
                name: keys.home.clone(),
                start: Slot(FIRST),
                slot: hour(),
                energies: self.homes.rows.iter().map(|row| WattHours(row[home])).collect(),
            };
            let register = Register::try_from(1_000).unwrap();
            let replay = Source::Replay(Replay::new(series.readings(register).collect(), 0.0));
            let feed = Feed::open(replay, Limits::new(hour()), &store).unwrap();
            let link = self.link(&keys.meter.to_string(), &format!("meter-{}", keys.meter));
            let agent = Agent { meter, store, link, feed, until_done: false };
            let progress = watch::Sender::default();
            shown.push(progress.subscribe());
            self.tasks.spawn(agent.run(progress, self.stopped()));
        }
        shown
    }

    fn start_sink(&mut self) -> mpsc::Sender<Request> {
        let mut store = MemoryStore::default();
        let pace = SinkPace { settle: 300, resend: 1_000, ..SinkPace::default() };
        let (identity, roster) = (self.deployment.sink_identity(), self.deployment.roster.clone());
        let sink = Sink::open(identity, roster, pace, &mut store, runtime::now()).unwrap();
        let (requests, receiver) = mpsc::channel(1);
        let (link, stopped) = (self.link("sink", "sink"), self.stopped());
        self.tasks.spawn(utility_sink::service::run(sink, store, link, receiver, stopped));
        requests
    }

    /// Everybody stops when told, and in good order.
    async fn close(mut self) {
        self.stop.send_replace(true);
        while let Some(task) =
            timeout(PATIENCE, self.tasks.join_next()).await.expect("stopping took too long")
        {
            task.expect("no task panics").expect("every role stops in good order");
        }
        self.broker.stop().await;
    }
}

fn hour() -> SlotLength {
    SlotLength::try_from(3_600).unwrap()
}

/// Asks for everybody's bill and the group's curve, and waits until both are there.
async fn released(
    requests: &mpsc::Sender<Request>,
    period: SlotRange,
    meters: Vec<MeterId>,
    group: GroupId,
) -> (Vec<Bill>, Vec<Curve>) {
    let (members, asked) = (meters.clone(), group.clone());
    let queries: [QueryId; 2] = ask(requests, move |sink, store, rng| {
        let tariffs = [deployment::FLAT_TARIFF, deployment::TIME_OF_USE_TARIFF].map(|text| {
            let document = tariff_file::parse(text, hour()).unwrap();
            sink.publish_tariff(document, store).unwrap().0
        });
        let bills = sink.ask_bills(period, &tariffs, &members, runtime::now(), store, rng).unwrap();
        let curve = sink.ask_curve(period, asked, &members, runtime::now(), store, rng).unwrap();
        [bills.0, curve.0]
    })
    .await;
    let ended = async {
        let all = move |sink: &mut Sink, store: &mut dyn Store, _: &mut StdRng| {
            queries.iter().all(|id| sink.has_ended(*id, store).unwrap())
        };
        while !ask(requests, all).await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the releases took too long");
    ask(requests, move |_, store, _| {
        let bills = meters.iter().flat_map(|meter| bills_of(*meter, store).unwrap()).collect();
        (bills, curve_of(&group, store).unwrap())
    })
    .await
}

/// Totals, bills and curve equal the plaintext's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_roles_in_one_process() {
    let _alone: File = alone::alone();
    let mut house = House::open().await;
    house.start_aggregators();
    let requests = house.start_sink();
    for mut meter in house.start_meters() {
        let delivered = meter.wait_for(|progress| progress.drained && progress.backlog == 0);
        timeout(PATIENCE, delivered).await.expect("the replay took too long").expect("the meter runs");
    }
    let homes = &house.homes;
    let period = SlotRange::new(Slot(homes.period().0), Slot(homes.period().1)).unwrap();
    let meters = house.deployment.meters.iter().map(|keys| keys.meter).collect();
    let group = house.deployment.meters[0].group.clone();
    let (bills, days) = released(&requests, period, meters, group).await;

    let (totals, grand_total) = independent_totals();
    assert_eq!(bills.iter().map(|bill| bill.energy.0).collect::<Vec<_>>(), totals);
    assert_eq!(bills.iter().map(|bill| bill.energy.0).sum::<i64>(), grand_total);
    for (home, bill) in bills.iter().enumerate() {
        let amounts: Vec<Amount> = bill.amounts.iter().map(|(_, amount)| *amount).collect();
        assert_eq!(amounts, [Amount(homes.flat(home)), Amount(homes.time_of_use(home))]);
        assert_eq!((bill.missing, bill.unaccounted), (0, Some(WattHours(0))));
    }
    let curve: Vec<i64> = days.iter().flat_map(|day| &day.energies).map(|energy| energy.0).collect();
    assert_eq!(curve, homes.curve());
    house.close().await;
}
