use std::error::Error as _;

use protocol::unit::{SlotLength, Timestamp};
use store::MemoryStore;

use super::*;
use crate::register::Rebase;
use crate::source::input::Input;
use crate::source::{Base, Live};

/// 2025-01-01T00:00:00Z.
const START: u64 = 1_735_689_600;

fn limits() -> Limits {
    Limits::new(SlotLength::try_from(900).unwrap())
}

/// A live meter, and what sends its measurements.
fn live() -> (mpsc::Sender<SourceResult>, Feed) {
    let (sender, receiver) = mpsc::channel(8);
    let inspector = Inspector::new(Registers::default(), limits(), false);
    (sender, Feed::new(Origin::Live(receiver), inspector, true))
}

/// What is believed of (slot, watt-hours), by an agent that continues from the last reading.
async fn replay(
    readings: &[(u32, u64)],
    last: &mut Option<(Slot, Register)>,
    store: &mut MemoryStore,
) -> Vec<(u32, u64, bool)> {
    let readings = readings.iter().map(|(at, register)| Reading::new(Slot(*at), wh(*register))).collect();
    let mut feed = Feed::open(Source::Replay(Replay::new(readings, 0.0)), limits(), store).unwrap();
    feed.resume(*last).unwrap();
    let mut given = Vec::new();
    while !feed.has_ended() {
        for Reading { at, register, anew, .. } in feed.next().await.unwrap().readings {
            given.push((at.0, register.watt_hours(), anew));
            *last = Some((at, register));
        }
    }
    feed.save(store).unwrap();
    store.commit().unwrap();
    given
}

/// Another device's file is held back however long it goes on, also after a restart and by an agent that knew nothing of
/// registers; after a rebase it is billed, and what the log says to type is enough.
#[tokio::test]
async fn another_devices_file_waits_for_a_rebase() {
    let first: Vec<_> = (100..110).map(|at| (at, 278_000 + u64::from(at))).collect();
    let second: Vec<_> = (110..1_000).map(|at| (at, 7_000_000 + 300 * u64::from(at - 110))).collect();
    for legacy in [false, true] {
        let (mut last, mut store) = (None, MemoryStore::default());
        assert_eq!(replay(&first, &mut last, &mut store).await.len(), 10);
        if legacy {
            store.remove(REGISTERS, b"").unwrap();
        }
        assert_eq!(replay(&second, &mut last, &mut store).await, []);
        assert_eq!(replay(&second, &mut last, &mut store).await, [], "after a restart");
        let mut registers = load(&store).unwrap();
        let rebase = Rebase::NewLevel { closing: Some(278_200.into()), opening: Some(7_000_000.into()) };
        let adds = registers.rebase(rebase, false, Timestamp(0), &limits()).unwrap();
        assert_eq!(adds, 91.into());
        save(&registers, &mut store).unwrap();
        let given = replay(&second, &mut last, &mut store).await;
        assert_eq!(given[..2], [(110, 278_200, true), (111, 278_500, false)]);
        assert_eq!(given.len(), second.len());
    }
}

/// A live meter after a replay of energies continues from their sum, or waits for a rebase.
#[tokio::test]
async fn a_live_meter_goes_on_from_a_replay() {
    let (sender, mut feed) = live();
    feed.resume(Some((Slot(100), Register::try_from(30_000).unwrap()))).unwrap();
    for slot in 101..1_000 {
        let import = Quantity::Register((5_000_000 + 100 * slot).into());
        let at = limits().slot.start_of(Slot(slot));
        sender.send(Ok(Measurement { at, import, export: None, device: None })).await.unwrap();
        assert_eq!(feed.next().await.unwrap().readings, []);
    }
}

/// A jump within a file is held back; once stated to be real, the same file gives every slot.
#[tokio::test]
async fn a_jump_of_a_file_waits_for_a_rebase() {
    let step = |at: u32| if at < 104 { 0 } else { 6_000_000 };
    let file: Vec<_> = (100..600).map(|at| (at, 1_000 + 100 * u64::from(at - 100) + step(at))).collect();
    let (mut last, mut store) = (None, MemoryStore::default());
    assert_eq!(replay(&file, &mut last, &mut store).await.len(), 4);
    let mut registers = load(&store).unwrap();
    registers.rebase(Rebase::JumpIsReal, false, Timestamp(0), &limits()).unwrap();
    save(&registers, &mut store).unwrap();
    let given = replay(&file, &mut last, &mut store).await;
    assert_eq!((given.len(), given[0], given[1].2), (496, (104, 6_001_400, true), false));
}

/// An energy is kept at once, a register with the slots' starts that it gives; the end is reported once.
#[tokio::test]
async fn what_is_reported_once_is_kept_at_once() {
    let (sender, mut feed) = live();
    let register = Quantity::Register(5.into());
    let energy = Quantity::Energy { energy: 1.into(), seconds: 60 };
    for (seconds, import) in [(0, register), (10, register), (70, energy), (900, register)] {
        let at = Timestamp(START + seconds);
        sender.send(Ok(Measurement { at, import, export: None, device: None })).await.unwrap();
    }
    drop(sender);
    let mut kept = Vec::new();
    while !feed.has_ended() {
        let Supply { readings, ended, keep } = feed.next().await.unwrap();
        kept.push((readings.len(), ended, keep));
    }
    // the energy's register begins at 0, below the other: of two kinds of quantities only one can be believed
    let wanted = [(1, false, true), (0, false, false), (0, false, true), (1, false, true), (0, true, true)];
    assert_eq!(kept, wanted);
}

/// Energies from slot `first`, one a slot, as a file has them.
fn energies(first: u32, register: u64, energies: &[u64], base: Base) -> Feed {
    let mut sum = register;
    let mut readings = vec![(first, sum)];
    for (energy, at) in energies.iter().zip(first + 1..) {
        sum += energy;
        readings.push((at, sum));
    }
    let reading = |(at, register)| Reading::new(Slot(at), wh(register));
    let replay = Replay::new(readings.into_iter().map(reading).collect(), 0.0).based(base);
    Feed::open(Source::Replay(replay), limits(), &MemoryStore::default()).unwrap()
}

fn wh(register: u64) -> Register {
    Register::try_from(register).unwrap()
}

async fn replayed(mut feed: Feed, last: (u32, u64)) -> Result<Vec<(u32, u64)>, ReplayError> {
    feed.resume(Some((Slot(last.0), wh(last.1))))?;
    let mut shown = Vec::new();
    while !feed.has_ended() {
        shown.extend(feed.next().await.unwrap().readings.iter().map(|r| (r.at.0, r.register.watt_hours())));
    }
    Ok(shown)
}

/// Files of energies follow one another on one register, whether they begin where the last one ended or before.
#[tokio::test]
async fn energies_go_on_from_the_last_register() {
    let wanted = vec![(11, 30_005), (12, 30_011)];
    let next = energies(10, 0, &[5, 6], Base::Open);
    assert_eq!(replayed(next, (10, 30_000)).await.unwrap(), wanted);
    let longer = energies(7, 0, &[1, 2, 3, 5, 6], Base::Open);
    assert_eq!(replayed(longer, (10, 30_000)).await.unwrap(), wanted);
    let whole = energies(7, 50_000, &[1, 2, 3, 5, 6], Base::Open);
    assert_eq!(replayed(whole, (10, 30_000)).await.unwrap(), wanted);
    let old = energies(7, 0, &[1, 2], Base::Open);
    assert_eq!(replayed(old, (10, 30_000)).await.unwrap(), []);
    let stated = energies(8, 29_990, &[4, 6, 5, 6], Base::Stated);
    assert_eq!(replayed(stated, (10, 30_000)).await.unwrap(), wanted);
}

/// Energies that do not follow are rejected before any is used: a gap, or another register.
#[tokio::test]
async fn energies_that_do_not_follow_are_refused() {
    for (feed, wanted) in [
        (energies(12, 0, &[5], Base::Open), "begin at slot 12, 2 slots after the last reading"),
        (energies(10, 0, &[5, 6], Base::Stated), "the register of slot 10 is 30000 Wh below"),
        (energies(9, 30_000, &[5, 6], Base::Stated), "the register of slot 10 is 5 Wh above"),
        (energies(11, 29_999, &[5, 6], Base::Stated), "the data begin 1 Wh below the last reading"),
        (energies(11, 70_000, &[5, 6], Base::Stated), "Expected 0 to 32767 Wh"),
    ] {
        let error = replayed(feed, (10, 30_000)).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

/// A file that fails in the middle is an error with its cause, and no end.
#[tokio::test]
async fn a_file_that_fails_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    // it can be opened, and not be read
    let lines = Live::Lines(Input::File(directory.path().to_owned()));
    let mut feed = Feed::open(Source::Live(Box::new(lines)), limits(), &MemoryStore::default()).unwrap();
    let error = feed.next().await.unwrap_err();
    assert!(error.to_string().starts_with("cannot read file:") && error.source().is_some(), "{error}");
}
