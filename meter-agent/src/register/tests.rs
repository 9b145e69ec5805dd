use super::*;

mod laws;

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
        let assessment = registers.observe(measurement, None, &limits());
        given.extend(
            assessment.readings.iter().map(|b| (u64::from(b.at.0) - START / SLOT, b.register.watt_hours())),
        );
        names.extend(assessment.anomalies.iter().map(Anomaly::name));
    }
    (given, names)
}

/// Says something of a register, by no force and at the start.
fn say(registers: &mut Registers, rebase: Rebase) -> Result<Decimal, RebaseError> {
    registers.rebase(rebase, false, Timestamp(START), &limits())
}

/// A swap's record.
fn swap(closing: &str, opening: &str) -> Rebase {
    Rebase::NewLevel { closing: Some(decimal(closing)), opening: Some(decimal(opening)) }
}

const RESET: Rebase = Rebase::NewLevel { closing: None, opening: None };

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
        (decimal("50000"), "jump"),
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

/// A register that stays at another level is never billed until an operator states what it is.
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
    assert_eq!(say(&mut registers, swap("5012.5", "1")), Ok(decimal("2.5")));
    // 5,012.5 + (12 − 1)
    assert_eq!(run(&mut registers, &[register(4_500, 12)]), (vec![(5, 5_023)], vec!["missing"]));
}

/// Without the new device's first register, the next one is it; what it counted before is not billed.
#[test]
fn a_rebase_without_an_opening_takes_the_next_register() {
    let mut registers = Registers::default();
    run(&mut registers, &[register(0, 5_000), register(900, 5_010)]);
    assert_eq!(say(&mut registers, RESET), Ok(Decimal::ZERO));
    let all = [register(1_800, 777_777), register(2_700, 777_800)];
    assert_eq!(run(&mut registers, &all).0, [(2, 5_010), (3, 5_033)]);
}

/// A real jump is billed once an operator states so; a fall is not, and the statement is for one register only.
#[test]
fn a_real_jump_is_billed_when_said_so() {
    let mut registers = Registers::default();
    run(&mut registers, &[register(0, 100), register(900, 200_000)]);
    assert_eq!(say(&mut registers, Rebase::JumpIsReal), Ok(decimal("199900")));
    let all = [register(1_000, 50), register(1_800, 200_010), register(2_700, 900_000)];
    let (given, names) = run(&mut registers, &all);
    assert_eq!(given, [(2, 200_010)]);
    assert_eq!(names, ["decrease", "recovered", "missing", "jump"]);
}

/// A rebase that can't be is refused and changes nothing.
#[test]
fn bad_rebases_change_nothing() {
    assert_eq!(say(&mut Registers::default(), RESET), Err(RebaseError::Nothing));
    assert_eq!(say(&mut Registers::default(), Rebase::JumpIsReal), Err(RebaseError::Nothing));
    let mut registers = Registers::default();
    run(&mut registers, &[register(0, 100)]);
    let before = registers.clone();
    for (closing, opening) in
        [(Some("99"), None), (None, Some("-1")), (None, Some("2000000000000")), (Some("1e27"), None)]
    {
        let number = |text: Option<&str>| {
            text.map(|text| Decimal::from_scientific(text).or_else(|_| text.parse()).unwrap())
        };
        let rebase = Rebase::NewLevel { closing: number(closing), opening: number(opening) };
        registers.rebase(rebase, true, Timestamp(START), &limits()).unwrap_err();
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
    say(&mut registers, Rebase::NewLevel { closing: None, opening: Some(Decimal::from(5)) }).unwrap();
    assert_eq!(run(&mut registers, &[of("new", 3_600, 9)]).0, [(4, 124)]);
}

/// Late, repeated and future readings are left out; a clock that is moved is reported.
#[test]
fn clocks_are_watched() {
    let mut registers = Registers::default();
    let mut at = |measured: u64, wall: u64, uptime: u64| {
        let clock = Clock { wall: Timestamp(START + wall), uptime: Duration::from_secs(uptime) };
        let assessment = registers.observe(&register(measured, measured / 100), Some(clock), &limits());
        assessment.anomalies.iter().map(Anomaly::name).collect::<Vec<_>>()
    };
    assert_eq!(at(0, 0, 10), [""; 0]);
    assert_eq!(at(900, 901, 911), [""; 0]);
    assert_eq!(at(900, 902, 912), ["repeated"]);
    assert_eq!(at(800, 903, 913), ["late"]);
    assert_eq!(at(1_300, 950, 960), ["ahead"]);
    assert_eq!(at(4_600, 4_600, 1_010), ["clock_step", "missing"]);
    assert_eq!(at(1_100, 1_100, 1_110), ["clock_step", "late"]);
    let unset = Clock { wall: Timestamp(86_400), uptime: Duration::ZERO };
    let assessment = Registers::default().observe(&register(0, 1), Some(unset), &limits());
    assert_eq!(assessment.anomalies, [Anomaly::ClockUnset]);
}

/// Interval energies make a register; one that is missing or reported twice is named, and its slot does not look measured.
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
    assert_eq!(fresh(&[energy(300, "40000")]).1, ["energy"]);
}

/// Powers make two registers, by the trapezoid; a long pause is energy that nobody measured.
#[test]
fn powers_make_two_registers() {
    let mut registers = Registers::default();
    let mut last = None;
    for step in 0..=30 {
        let watts = if step < 15 { "1000" } else { "-500" };
        let assessment =
            registers.observe(&measured(step * 60, Quantity::Power(decimal(watts))), None, &limits());
        assert_eq!(assessment.anomalies, []);
        last = assessment.readings.last().copied().or(last);
    }
    // 14 minutes at 1 kW, half a minute's worth of the edge; the same for the export
    let last = last.unwrap();
    assert_eq!((last.register.watt_hours(), last.export.unwrap().watt_hours()), (241, 129));
    let assessment =
        registers.observe(&measured(1_800 + 301, Quantity::Power(decimal("1"))), None, &limits());
    assert!(assessment.anomalies.contains(&Anomaly::Unmeasured { channel: Channel::Import, seconds: 301 }));
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
        let assessment = registers.observe(&measurement, None, &limits());
        let shown = |b: &Reading| (b.register.watt_hours(), b.export.map(Register::watt_hours));
        seen.push((assessment.readings.iter().map(shown).collect::<Vec<_>>(), assessment.anomalies));
    }
    let decrease = Anomaly::Doubted { channel: Channel::Export, fault: Fault::Decrease(Decimal::from(30)) };
    let recovered = Anomaly::Recovered { channel: Channel::Export, after: 1 };
    assert_eq!(seen[0], (vec![(100, Some(50))], vec![]));
    assert_eq!(seen[1], (vec![(110, None)], vec![decrease]));
    assert_eq!(seen[2], (vec![(120, Some(60))], vec![recovered]));
}

/// A jump that stays is not billed, whatever time goes by and whatever else is reported meanwhile, however low the limit; the old
/// line's return is believed at once.
#[test]
fn a_jump_that_stays_is_never_believed_by_waiting() {
    for watts in [17_250, 131_068] {
        let limits = Limits { most_watts: watts.into(), ..limits() };
        let mut registers = Registers::default();
        let mut see = |slot: u64, watt_hours: u64| {
            let assessment = registers.observe(&register(slot * SLOT, watt_hours), None, &limits);
            (assessment.readings.len(), assessment.anomalies.first().map(Anomaly::name))
        };
        assert_eq!([see(0, 278_000), see(1, 278_100)], [(1, None); 2]);
        for slot in 2..3_000 {
            let glitch = slot % 50 == 17;
            let watt_hours = if glitch { 0 } else { 378_000 + 100 * slot };
            let wanted = match (slot, glitch) {
                (_, true) => "zero",
                (2 | 3, _) => "jump",
                _ => "stands",
            };
            assert_eq!(see(slot, watt_hours), (0, Some(wanted)), "slot {slot}");
        }
        assert_eq!(see(3_000, 578_000), (1, Some("recovered")));
    }
}

/// A head that was off for a season continues by itself, also if what it reported last was a glitch.
#[test]
fn a_long_outage_goes_on_by_itself() {
    let season = 90 * 86_400;
    let all = [register(0, 5_000_000), register(900, 5_000_100), register(season, 5_900_000)];
    let (given, names) = fresh(&all);
    assert_eq!((given.len(), names), (3, vec!["missing"]));
    let all = [register(0, 5_000_000), register(900, -1), register(season, 5_900_000)];
    assert_eq!(fresh(&all).1, ["negative", "recovered", "missing"]);
    let all = [register(0, 5_000_000), register(900, 0), register(season, 5_500_000)];
    assert_eq!(fresh(&all).1, ["zero", "recovered", "missing"]);
    // a young register: what is reported after the season is the old one's as well as a new one's
    let all = [register(0, 50_000), register(900, 0), register(season, 60_000)];
    assert_eq!(fresh(&all).1, ["zero", "stands"]);
    // after a jump, a season explains either: an operator has to state which
    let all = [register(0, 5_000_000), register(900, 5_200_000), register(season, 5_900_000)];
    let mut registers = Registers::default();
    assert_eq!(run(&mut registers, &all).1, ["jump", "stands"]);
}

/// A reset that has grown past the old register has not come back: nothing of it is billed until an operator states so, and the
/// log does not say that it had.
#[test]
fn a_reset_that_grows_past_the_old_register_is_still_one() {
    let mut registers = Registers::default();
    let old = (0..4).map(|slot| register(slot * SLOT, 3_000 + 200 * slot));
    let new = (4..60).map(|slot| register(slot * SLOT, 200 * (slot - 4)));
    let (given, names) = run(&mut registers, &old.chain(new).collect::<Vec<_>>());
    assert_eq!((given.len(), &names[..3]), (4, &["zero", "decrease", "stands"][..]));
    assert!(names[3..].iter().all(|name| *name == "stands"), "{names:?}");
    assert_eq!(say(&mut registers, RESET), Ok(Decimal::ZERO));
    assert_eq!(
        run(&mut registers, &[register(60 * SLOT, 11_200), register(61 * SLOT, 11_400)]).0,
        [(60, 3_600), (61, 3_800)]
    );
}

/// The limit is one of any stretch of time, however often the meter is read: what is above it is not billed.
#[test]
fn the_limit_is_one_of_any_stretch_of_time() {
    let limits = Limits { most_watts: 3_680.into(), ..limits() };
    let believed = |measurements: &[Measurement]| {
        let mut registers = Registers::default();
        let mut names = Vec::new();
        let mut highest = Decimal::ZERO;
        for measurement in measurements {
            let assessment = registers.observe(measurement, None, &limits);
            names.extend(assessment.anomalies.iter().map(Anomaly::name));
            for boundary in assessment.readings {
                highest = highest.max(boundary.register.watt_hours().into());
            }
        }
        (highest, names)
    };
    let most = limits.carried(3_600) + limits.slot_energy();
    // 32 kW by registers, 500 W as kilowatts by energies, 9 MW once among 500 W
    let registers: Vec<_> = (0..=360).map(|step| register(step * 10, 90 * step)).collect();
    let (sum, names) = believed(&registers);
    assert!(sum <= most && names.contains(&"steep") && names.contains(&"stands"), "{sum} {names:?}");
    let energy = Quantity::Energy { energy: decimal("1388.9"), seconds: 10 };
    let energies: Vec<_> = (1..=360).map(|step| measured(step * 10, energy)).collect();
    let (sum, names) = believed(&energies);
    assert!(sum <= most && names.contains(&"energy"), "{sum} {names:?}");
    let watts = |step: u64| if step == 100 { 9_000_000 } else { 500 };
    let powers: Vec<_> =
        (0..=360).map(|step| measured(step * 10, Quantity::Power(watts(step).into()))).collect();
    assert_eq!(believed(&powers), (500.into(), vec!["power"]));
    // what the connection carries all day is believed, and so is a register of whole kilowatt-hours
    let all_day: Vec<_> = (0..=4_320).map(|step| register(step * 20, 3_680 * step / 180)).collect();
    assert_eq!(believed(&all_day), (88_320.into(), vec![]));
    let whole: Vec<_> = (0..=4_320).map(|step| register(step * 20, 3_300 * step / 180_000 * 1_000)).collect();
    assert_eq!(believed(&whole), (79_000.into(), vec![]));
}

/// A step a little above the limit is believed once the rate is within it again.
#[test]
fn a_steep_step_waits_for_its_rate() {
    let all = [register(0, 100), register(900, 40_000), register(1_800, 41_000)];
    assert_eq!(fresh(&all), (vec![(0, 100), (2, 41_000)], vec!["steep", "recovered", "missing"]));
}

/// One register that is too high by what the connection can carry heals by itself, and the log asks for nothing; typing
/// all the same is refused.
#[test]
fn a_register_that_was_too_high_heals() {
    let mut registers = Registers::default();
    let all =
        [register(0, 500_000), register(900, 510_000), register(1_800, 500_200), register(2_700, 500_300)];
    let (given, names) = run(&mut registers, &all);
    assert_eq!((given, names), (vec![(0, 500_000), (1, 510_000)], vec!["high", "high"]));
    assert_eq!(say(&mut registers, RESET), Err(RebaseError::Heals { by: Decimal::from(9_700) }));
    let rest: Vec<_> = (4..103).map(|slot| register(slot * SLOT, 500_000 + 100 * slot)).collect();
    let (given, names) = run(&mut registers, &rest);
    assert_eq!(given, [(100, 510_000), (101, 510_100), (102, 510_200)]);
    assert!(names[..96].iter().all(|name| *name == "high"), "{names:?}");
    assert_eq!(names[96..], ["recovered", "missing"]);
}

/// A rebase counts once: a second one before a register was read is refused, one by force replaces the first, and so does one
/// that no register agreed with.
#[test]
fn a_rebase_counts_once() {
    let read = [register(0, 1_000_800), register(900, 1_000_900)];
    for corrected in [false, true] {
        let mut registers = Registers::default();
        run(&mut registers, &read);
        assert_eq!(say(&mut registers, swap("1001000", "0")), Ok(Decimal::from(100)));
        assert_eq!(say(&mut registers, swap("1001000", "0")), Err(RebaseError::Again));
        if corrected {
            let again = registers.rebase(swap("1001500", "0"), true, Timestamp(START), &limits());
            assert_eq!(again, Ok(Decimal::from(600)));
        }
        let (given, _) = run(&mut registers, &[register(1_800, 300)]);
        assert_eq!(given, [(2, if corrected { 1_001_800 } else { 1_001_300 })]);
    }
    let mut registers = Registers::default();
    run(&mut registers, &read);
    say(&mut registers, swap("1001000", "12000000")).unwrap();
    assert_eq!(run(&mut registers, &[register(1_800, 300)]).1, ["decrease"]);
    assert_eq!(say(&mut registers, swap("1001000", "0")), Ok(Decimal::from(100)));
    assert_eq!(run(&mut registers, &[register(2_700, 400)]).0, [(3, 1_001_400)]);
}

/// A closing register that the connection can't have come to is refused, with both numbers, until it is forced.
#[test]
fn a_closing_register_has_to_be_plausible() {
    let mut registers = Registers::default();
    run(&mut registers, &[register(0, 1_000_900)]);
    let megawatt_hours = swap("1001000000", "0");
    let error = say(&mut registers, megawatt_hours).unwrap_err();
    let wanted = "the closing register is 999999.1 kWh above the last one that was read, and the connection carries 32.767 kWh in";
    assert!(error.to_string().starts_with(wanted), "{error}");
    let forced = registers.rebase(megawatt_hours, true, Timestamp(START), &limits());
    assert_eq!(forced, Ok(Decimal::from(999_999_100)));
}

/// The boundary behind a rebase is marked, since more may lie before it than slots carry; a jump that is not there can't
/// be real.
#[test]
fn a_word_marks_its_boundary() {
    let mut registers = Registers::default();
    let see = |registers: &mut Registers, seconds, watt_hours: u32| {
        let readings = registers.observe(&register(seconds, watt_hours), None, &limits()).readings;
        readings.iter().map(|b| (b.register.watt_hours(), b.anew)).collect::<Vec<_>>()
    };
    assert_eq!(see(&mut registers, 0, 100), [(100, false)]);
    assert_eq!(say(&mut registers, Rebase::JumpIsReal), Err(RebaseError::NoJump));
    assert_eq!(see(&mut registers, 900, 900_000), []);
    say(&mut registers, Rebase::JumpIsReal).unwrap();
    assert_eq!(see(&mut registers, 1_750, 900_010), []);
    assert_eq!(see(&mut registers, 1_810, 900_020), [(900_020, true)]);
    assert_eq!(see(&mut registers, 2_700, 900_030), [(900_030, false)]);
}

/// An export register that stays at another level is rebased without a change to import.
#[test]
fn export_is_rebased_alone() {
    let both = |seconds, import: u32, export: u32| Measurement {
        export: Some(Quantity::Register(export.into())),
        ..register(seconds, import)
    };
    let mut registers = Registers::default();
    run(&mut registers, &[both(0, 100, 50_000), both(900, 110, 3), both(1_800, 120, 5)]);
    assert_eq!(say(&mut registers, Rebase::ExportJumpIsReal), Err(RebaseError::NoJump));
    say(&mut registers, Rebase::NewExportLevel).unwrap();
    let mut shown = |seconds, import, export| {
        let assessment = registers.observe(&both(seconds, import, export), None, &limits());
        let b = assessment.readings[0];
        (b.register.watt_hours(), b.export.map(Register::watt_hours), b.anew)
    };
    assert_eq!(shown(2_700, 130, 7), (130, Some(50_000), false));
    assert_eq!(shown(3_600, 140, 9), (140, Some(50_002), false));
}

/// A clock that was a year ahead does not silence the meter: once it has been right for an hour, readings count again. A
/// clock that is behind for less than that, as after a start without a network, changes nothing.
#[test]
fn a_clock_that_was_ahead_is_forgotten() {
    const YEAR: u64 = 365 * 86_400;
    let mut registers = Registers::default();
    let mut at = |wall: u64, uptime: u64, watt_hours: u64| {
        let clock = Clock { wall: Timestamp(START + wall), uptime: Duration::from_secs(uptime) };
        let assessment = registers.observe(&register(wall, watt_hours), Some(clock), &limits());
        let given: Vec<_> = assessment
            .readings
            .iter()
            .map(|b| (u64::from(b.at.0) - START / SLOT, b.register.watt_hours(), b.anew))
            .collect();
        (given, assessment.anomalies.iter().map(Anomaly::name).collect::<Vec<_>>())
    };
    assert_eq!(at(0, 0, 100), (vec![(0, 100, false)], vec![]));
    assert_eq!(at(YEAR, 900, 200).1, ["clock_step", "missing"]);
    // behind for half an hour, and ahead again
    assert_eq!(at(1_800, 1_800, 300).1, ["clock_step", "late"]);
    assert_eq!(at(3_500, 3_500, 350).1, ["late"]);
    assert_eq!(at(YEAR + 2_700, 3_600, 400).1, ["clock_step", "missing"]);
    assert_eq!(at(4_500, 4_500, 500).1, ["clock_step", "late"]);
    for quarter in 6..9 {
        assert_eq!(at(quarter * SLOT, quarter * SLOT, 100 * quarter).1, ["late"]);
    }
    assert_eq!(at(8_100, 8_100, 900), (vec![(9, 900, true)], vec!["clock_was_ahead"]));
    assert_eq!(at(9_000, 9_000, 1_000), (vec![(10, 1_000, false)], vec![]));
}

/// A meter that is never read near a slot's start is reported: nothing of it would be sent.
#[test]
fn readings_off_the_starts_are_told() {
    let all: Vec<_> = (0..5).map(|slot| register(slot * SLOT + 300, 100 + slot)).collect();
    assert_eq!(fresh(&all), (vec![], vec!["off_starts"; 3]));
    // one that is late once, and one after an outage, is not
    let all = [register(0, 1), register(900, 2), register(2_100, 3), register(2_700, 4), register(90_300, 5)];
    assert_eq!(fresh(&all).1, ["missing"]);
}

/// What is over after more than a glitch is counted anew: the next of it is worth a line.
#[test]
fn a_recovery_ends_what_was_before() {
    let doubted = Anomaly::Doubted { channel: Channel::Import, fault: Fault::Jump(Decimal::ONE) };
    let recovered = |after| Anomaly::Recovered { channel: Channel::Import, after };
    assert!(recovered(3).ends().contains(&doubted.name()));
    assert!(recovered(2).ends().is_empty() && doubted.ends().is_empty());
}

/// What an agent wrote that knew no levels is read as it was, doubts and all.
#[test]
fn registers_of_older_agents_are_read() {
    // {"device": null, "import": {"last": …, "offset": "0", "doubt": {"seen": …, "count": 3, "agreeing": 3}, "adopt": null,
    //  "leap": false, "tally": …}, "export": …, "before": …, "given": …, "blind": false}
    let text = include_str!("older_registers.hex").trim();
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap();
    let mut registers: Registers = protocol::wire::decode_own(&bytes).unwrap();
    assert_eq!(protocol::wire::encode(&registers), bytes);
    assert_eq!(run(&mut registers, &[register(4_500, 12)]).1, ["stands"]);
    say(&mut registers, swap("5012.5", "1")).unwrap();
    assert_eq!(run(&mut registers, &[register(5_400, 14)]).0, [(6, 5_025)]);
}
