use proptest::prelude::*;

use super::*;

const SLOT: u64 = 900;

/// 2026-11-22T05:00:00Z, a slot's start.
const START: u64 = 1_795_323_600;

fn limits() -> Limits {
    Limits::new(SlotLength::try_from(900).unwrap())
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn register(seconds: u64, watt_hours: impl Into<Decimal>) -> Measurement {
    measured(seconds, Quantity::Register(watt_hours.into()))
}

fn measured(seconds: u64, import: Quantity) -> Measurement {
    Measurement { at: Timestamp(START + seconds), import, export: None, device: None }
}

/// What all measurements give together: (slots after the start, watt-hours), and the anomalies' names.
fn run(registers: &mut Registers, all: &[Measurement]) -> (Vec<(u64, u64)>, Vec<&'static str>) {
    let (mut given, mut names) = (Vec::new(), Vec::new());
    for measurement in all {
        let vetted = registers.observe(measurement, None, &limits());
        given.extend(
            vetted.boundaries.iter().map(|b| (u64::from(b.at.0) - START / SLOT, b.import.watt_hours())),
        );
        names.extend(vetted.anomalies.iter().map(Anomaly::name));
    }
    (given, names)
}

fn fresh(all: &[Measurement]) -> (Vec<(u64, u64)>, Vec<&'static str>) {
    run(&mut Registers::default(), all)
}

/// The register nearest to a slot's start counts as read then, if it is near enough; what lies between is missing.
#[test]
fn the_nearest_register_is_the_slots() {
    let all = [
        register(5, 100),
        register(890, 110), // 10 s before slot 1
        register(1_000, 112),
        register(1_790, 120), // 10 s before slot 2 ...
        register(1_803, 121), // ... and 3 s after it
        register(5_410, 200), // 10 s after slot 6; slots 3 to 5 have none
        register(6_000, 210),
        register(7_000, 220), // slot 7 begins 300 s before and 700 s after
        register(7_200, 230),
        register(8_000, 240), // 100 s before slot 9
        register(8_999, 250), // a second before slot 10 and a second after it: the later one
        register(9_001, 251),
    ];
    let (given, names) = fresh(&all);
    assert_eq!(given, [(0, 100), (1, 110), (2, 121), (6, 200), (8, 230), (9, 240), (10, 251)]);
    assert_eq!(names, ["missing", "missing"]);
}

/// A zero, a decrease, a jump and a register below zero are left out; the next good one has their energy.
#[test]
fn glitches_are_left_out() {
    for (glitch, name) in [
        (decimal("0"), "zero"),
        (decimal("99.9"), "decrease"),
        (decimal("32868"), "jump"),
        (decimal("-1"), "negative"),
    ] {
        let all = [register(0, 100), register(900, glitch), register(1_800, 130), register(2_700, 140)];
        let (given, names) = fresh(&all);
        assert_eq!(given, [(0, 100), (2, 130), (3, 140)], "{name}");
        assert_eq!(names, [name, "recovered", "missing"]);
    }
    // exactly what a slot may carry is no jump
    assert_eq!(fresh(&[register(0, 100), register(900, 32_867)]).1, [""; 0]);
}

/// A register that stays at another level is never billed until somebody says what it is.
#[test]
fn a_reset_waits_for_a_rebase() {
    let mut registers = Registers::default();
    let (given, names) = run(
        &mut registers,
        &[
            register(0, 5_000),
            register(900, 5_010),
            register(1_800, 3),
            register(2_700, 5),
            register(3_600, 9),
        ],
    );
    assert_eq!((given.len(), names), (2, vec!["decrease", "decrease", "stands"]));
    let rebase = Rebase::NewLevel { closing: Some(decimal("5012.5")), opening: Some(decimal("1")) };
    registers.rebase(rebase).unwrap();
    // 5,012.5 + (12 − 1)
    assert_eq!(run(&mut registers, &[register(4_500, 12)]), (vec![(5, 5_023)], vec!["missing"]));
}

/// Without the new device's first register, the next one is it; what it counted before is not billed.
#[test]
fn a_rebase_without_an_opening_takes_the_next_register() {
    let mut registers = Registers::default();
    run(&mut registers, &[register(0, 5_000), register(900, 5_010)]);
    registers.rebase(Rebase::NewLevel { closing: None, opening: None }).unwrap();
    let all = [register(1_800, 777_777), register(2_700, 777_800)];
    assert_eq!(run(&mut registers, &all).0, [(2, 5_010), (3, 5_033)]);
}

/// A real jump is billed once somebody says so; a fall is not, and the leave is for one register only.
#[test]
fn a_real_jump_is_billed_when_said_so() {
    let mut registers = Registers::default();
    run(&mut registers, &[register(0, 100), register(900, 200_000)]);
    registers.rebase(Rebase::JumpIsReal).unwrap();
    let all = [register(1_000, 50), register(1_800, 200_010), register(2_700, 900_000)];
    let (given, names) = run(&mut registers, &all);
    assert_eq!(given, [(2, 200_010)]);
    assert_eq!(names, ["decrease", "recovered", "missing", "jump"]);
}

/// A rebase that can't be is refused and changes nothing.
#[test]
fn bad_rebases_change_nothing() {
    let nothing = Rebase::NewLevel { closing: None, opening: None };
    assert_eq!(Registers::default().rebase(nothing), Err(RebaseError::Nothing));
    assert_eq!(Registers::default().rebase(Rebase::JumpIsReal), Err(RebaseError::Nothing));
    let mut registers = Registers::default();
    run(&mut registers, &[register(0, 100)]);
    let before = registers.clone();
    for (closing, opening) in
        [(Some("99"), None), (None, Some("-1")), (None, Some("2000000000000")), (Some("1e27"), None)]
    {
        let number = |text: Option<&str>| {
            text.map(|text| Decimal::from_scientific(text).or_else(|_| text.parse()).unwrap())
        };
        registers
            .rebase(Rebase::NewLevel { closing: number(closing), opening: number(opening) })
            .unwrap_err();
        assert_eq!(registers, before);
    }
}

/// Another device number is a swap, and nothing of it is billed before a rebase.
#[test]
fn another_device_is_a_swap() {
    let mut registers = Registers::default();
    let of = |device: &str, seconds, watt_hours| Measurement {
        device: Some(device.to_owned()),
        ..register(seconds, Decimal::from(watt_hours))
    };
    let all = [of("old", 0, 100), of("new", 900, 110), of("old", 1_800, 120), of("new", 2_700, 7)];
    assert_eq!(run(&mut registers, &all), (vec![(0, 100), (2, 120)], vec!["swapped", "missing", "swapped"]));
    registers.rebase(Rebase::NewLevel { closing: None, opening: Some(Decimal::from(5)) }).unwrap();
    assert_eq!(run(&mut registers, &[of("new", 3_600, 9)]).0, [(4, 124)]);
}

/// Late, repeated and future readings are left out; a clock that is moved is told.
#[test]
fn clocks_are_watched() {
    let mut registers = Registers::default();
    let mut at = |measured: u64, wall: u64, uptime: u64| {
        let clock = Clock { wall: Timestamp(START + wall), uptime: Duration::from_secs(uptime) };
        let vetted = registers.observe(&register(measured, measured / 100), Some(clock), &limits());
        vetted.anomalies.iter().map(Anomaly::name).collect::<Vec<_>>()
    };
    assert_eq!(at(0, 0, 10), [""; 0]);
    assert_eq!(at(900, 901, 911), [""; 0]);
    assert_eq!(at(900, 902, 912), ["repeated"]);
    assert_eq!(at(800, 903, 913), ["late"]);
    assert_eq!(at(1_300, 950, 960), ["ahead"]);
    assert_eq!(at(4_600, 4_600, 1_010), ["clock_step", "missing"]);
    assert_eq!(at(1_100, 1_100, 1_110), ["clock_step", "late"]);
    let unset = Clock { wall: Timestamp(86_400), uptime: Duration::ZERO };
    let vetted = Registers::default().observe(&register(0, 1), Some(unset), &limits());
    assert_eq!(vetted.anomalies, [Anomaly::ClockUnset]);
}

/// Interval energies make a register; one that is missing or told twice is named, and its slot does not look measured.
#[test]
fn intervals_make_a_register() {
    let energy = |seconds, watt_hours: &str| {
        measured(seconds, Quantity::Energy { energy: decimal(watt_hours), seconds: 300 })
    };
    let mut registers = Registers::default();
    let all =
        [energy(300, "0.4"), energy(600, "0.4"), energy(900, "0.4"), energy(900, "7"), energy(1_000, "7")];
    let (given, names) = run(&mut registers, &all);
    assert_eq!((given, names), (vec![(1, 1)], vec!["repeated", "overlap"]));
    // 1,200 is missing: slot 2 begins, but what slot 1 used is not known, so 3 is the next boundary
    let all = [
        energy(1_500, "10"),
        energy(1_800, "10"),
        energy(2_100, "10"),
        energy(2_400, "10"),
        energy(2_700, "10.2"),
    ];
    let (given, names) = run(&mut registers, &all);
    assert_eq!((given, names), (vec![(3, 51)], vec!["unmeasured", "missing"]));
    assert_eq!(fresh(&[energy(300, "-1")]).1, ["negative"]);
    assert_eq!(fresh(&[energy(300, "40000")]).1, ["jump"]);
}

/// Powers make two registers, by the trapezoid; a long pause is energy that nobody measured.
#[test]
fn powers_make_two_registers() {
    let mut registers = Registers::default();
    let mut last = None;
    for step in 0..=30 {
        let watts = if step < 15 { "1000" } else { "-500" };
        let vetted =
            registers.observe(&measured(step * 60, Quantity::Power(decimal(watts))), None, &limits());
        assert_eq!(vetted.anomalies, []);
        last = vetted.boundaries.last().copied().or(last);
    }
    // 14 minutes at 1 kW, half a minute's worth of the edge; the same for the export
    let last = last.unwrap();
    assert_eq!((last.import.watt_hours(), last.export.unwrap().watt_hours()), (241, 129));
    let vetted = registers.observe(&measured(1_800 + 301, Quantity::Power(decimal("1"))), None, &limits());
    assert!(vetted.anomalies.contains(&Anomaly::Unmeasured { channel: Channel::Import, seconds: 301 }));
}

/// The export register is kept apart, and its faults leave import alone.
#[test]
fn export_is_a_channel_of_its_own() {
    let both = |seconds, import: u32, export: u32| Measurement {
        export: Some(Quantity::Register(export.into())),
        ..register(seconds, import)
    };
    let mut registers = Registers::default();
    let mut seen = Vec::new();
    for measurement in [both(0, 100, 50), both(900, 110, 20), both(1_800, 120, 60)] {
        let vetted = registers.observe(&measurement, None, &limits());
        let shown = |b: &Boundary| (b.import.watt_hours(), b.export.map(Register::watt_hours));
        seen.push((vetted.boundaries.iter().map(shown).collect::<Vec<_>>(), vetted.anomalies));
    }
    let decrease = Anomaly::Doubted { channel: Channel::Export, fault: Fault::Decrease(Decimal::from(30)) };
    let recovered = Anomaly::Recovered { channel: Channel::Export, after: 1 };
    assert_eq!(seen[0], (vec![(100, Some(50))], vec![]));
    assert_eq!(seen[1], (vec![(110, None)], vec![decrease]));
    assert_eq!(seen[2], (vec![(120, Some(60))], vec![recovered]));
}

/// A home: seconds between readings, and tenths of a watt-hour used between them.
fn homes() -> impl Strategy<Value = Vec<(u64, u32)>> {
    prop::collection::vec((1_u64..2_000, 0_u32..20_000), 1..60)
}

fn measurements(home: &[(u64, u32)]) -> Vec<Measurement> {
    let mut total = (0, Decimal::from(1_000));
    let next = |(seconds, tenths): &(u64, u32)| {
        total = (total.0 + seconds, total.1 + Decimal::new((*tenths).into(), 1));
        register(total.0, total.1)
    };
    home.iter().map(next).collect()
}

proptest! {
    /// Whatever comes in, slots only rise, registers never fall, and none is above the highest that was told.
    #[test]
    fn what_is_given_never_falls(raw in prop::collection::vec((0_u64..40_000, -10_i64..100_000), 1..80)) {
        let all: Vec<_> = raw.iter().map(|(at, wh)| register(*at, *wh)).collect();
        let (given, _) = fresh(&all);
        prop_assert!(given.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{given:?}");
        let highest = raw.iter().map(|(_, wh)| *wh).max().unwrap();
        prop_assert!(given.iter().all(|(_, wh)| i64::try_from(*wh).unwrap() <= highest));
    }

    /// Against the obvious: a slot's register is, of all good ones, the one nearest to its start (the later of two).
    #[test]
    fn good_registers_are_taken_as_they_are(home in homes()) {
        let all = measurements(&home);
        let (given, _) = fresh(&all);
        let mut wanted = Vec::new();
        for slot in 0..=all.last().unwrap().at.0 / SLOT - START / SLOT {
            let start = START + slot * SLOT;
            let near = all.iter().filter(|m| m.at.0.abs_diff(start) <= 150);
            // an end of the home is no boundary before there is a register after it
            let begun = all.last().unwrap().at.0 >= start;
            if let Some(m) = near.min_by_key(|m| (m.at.0.abs_diff(start), std::cmp::Reverse(m.at)))
                && begun
                && let Quantity::Register(wh) = m.import
                // the first measurement says nothing of a slot that begins after it, unless a second one follows
                && (m.at.0 >= start || all.iter().any(|other| other.at.0 >= start))
            {
                wanted.push((slot, wh.floor().to_u64().unwrap()));
            }
        }
        prop_assert_eq!(given, wanted);
    }

    /// Glitches between good registers change nothing of what the good ones give.
    #[test]
    fn glitches_change_nothing(
        home in homes(),
        glitches in prop::collection::vec((0_usize..60, prop::sample::select(vec![0_i64, 1, 999, -5, 90_000_000])), 0..20),
    ) {
        let good: Vec<Measurement> =
            measurements(&home).into_iter().map(|m| Measurement { at: Timestamp(m.at.0 * 2), ..m }).collect();
        let mut all = good.clone();
        for (index, wh) in glitches {
            let (before, after) = (good.get(index), good.get(index + 1));
            if let (Some(before), Some(after)) = (before, after) {
                prop_assume!(after.at.0 > before.at.0 + 1);
                all.push(Measurement { import: Quantity::Register(wh.into()), at: Timestamp(before.at.0 + 1), ..before.clone() });
            }
        }
        all.sort_by_key(|m| m.at);
        prop_assert_eq!(fresh(&all).0, fresh(&good).0);
    }

    /// Consecutive readings telescope to the register's own difference, decimals and all, whatever rebases are between.
    #[test]
    fn rebases_keep_every_watt_hour(first in homes(), second in homes(), closing in 0_u32..9_999, opening in 0_u32..9_999) {
        let old = measurements(&first);
        let mut registers = Registers::default();
        run(&mut registers, &old);
        let end = old.last().unwrap();
        let Quantity::Register(last) = end.import else { panic!("a register") };
        let (closing, opening) = (last + Decimal::new(closing.into(), 1), Decimal::new(opening.into(), 1));
        registers.rebase(Rebase::NewLevel { closing: Some(closing), opening: Some(opening) }).unwrap();
        let new: Vec<_> = measurements(&second)
            .into_iter()
            .map(|m| {
                let Quantity::Register(wh) = m.import else { panic!("a register") };
                let used = wh - Decimal::from(1_000);
                Measurement { at: Timestamp(m.at.0 + end.at.0 - START), import: Quantity::Register(opening + used), ..m }
            })
            .collect();
        let (given, names) = run(&mut registers, &new);
        prop_assert!(!names.contains(&"decrease") && !names.contains(&"jump"), "{names:?}");
        let Quantity::Register(newest) = new.last().unwrap().import else { panic!("a register") };
        let most = (closing + (newest - opening)).floor().to_u64().unwrap();
        prop_assert!(given.iter().all(|(_, wh)| *wh <= most));
        let exact = register(90 * 86_400 / SLOT * SLOT, newest);
        prop_assert_eq!(run(&mut registers, &[exact]).0.pop().map(|(_, wh)| wh), Some(most));
    }

    /// A restart between any two measurements changes nothing.
    #[test]
    fn a_restart_changes_nothing(raw in prop::collection::vec((0_u64..20_000, -10_i64..50_000), 1..40)) {
        let mut all: Vec<_> = raw.iter().map(|(at, wh)| register(*at, *wh)).collect();
        all.sort_by_key(|m| m.at);
        let mut restarted = Registers::default();
        let mut given = Vec::new();
        for measurement in &all {
            given.extend(run(&mut restarted, std::slice::from_ref(measurement)).0);
            let bytes = protocol::wire::encode(&restarted);
            restarted = protocol::wire::decode_own(&bytes).unwrap();
        }
        prop_assert_eq!(given, fresh(&all).0);
    }
}
