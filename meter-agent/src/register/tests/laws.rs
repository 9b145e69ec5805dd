//! Laws of registers, whatever a meter reports.

use proptest::prelude::*;

use super::*;

/// A home: seconds between readings, and tenths of a watt-hour used between them.
fn homes() -> impl Strategy<Value = Vec<(u64, u32)>> {
    prop::collection::vec((1_u64..2_000, 0_u32..20_000), 1..60)
}

/// A home's first register: 5,000 kWh.
const BEGIN: u32 = 5_000_000;

fn measurements(home: &[(u64, u32)]) -> Vec<Measurement> {
    let mut total = (0, Decimal::from(BEGIN));
    let next = |(seconds, tenths): &(u64, u32)| {
        total = (total.0 + seconds, total.1 + Decimal::new((*tenths).into(), 1));
        register(total.0, total.1)
    };
    home.iter().map(next).collect()
}

proptest! {
    /// However often a meter is read and whatever it reports, no stretch of time has more than the limit allows.
    #[test]
    fn no_stretch_is_above_the_limit(raw in prop::collection::vec((1_u64..600, 0_u64..3_000), 1..200)) {
        let limits = Limits { most_watts: 4_000.into(), ..limits() };
        let mut registers = Registers::default();
        let (mut at, mut sum, mut believed) = (0, 0, Vec::new());
        for (seconds, watt_hours) in raw {
            (at, sum) = (at + seconds, sum + watt_hours);
            registers.observe(&register(at, sum), None, &limits);
            if let Some(Point { at, import, .. }) = registers.before {
                believed.push((at, import));
            }
        }
        for (index, from) in believed.iter().enumerate() {
            for to in &believed[index..] {
                prop_assert!(to.1 - from.1 <= limits.carried(to.0.since(from.0)) + limits.slot_energy());
            }
        }
    }

    /// Whatever comes in, slots only rise, registers never fall, and none is above the highest that was reported.
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
        glitches in prop::collection::vec((0_usize..60, prop::sample::select(vec![0_i64, 1, 4_000_000, -5, 90_000_000])), 0..20),
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
        say(&mut registers, Rebase::NewLevel { closing: Some(closing), opening: Some(opening) }).unwrap();
        let new: Vec<_> = measurements(&second)
            .into_iter()
            .map(|m| {
                let Quantity::Register(wh) = m.import else { panic!("a register") };
                let used = wh - Decimal::from(BEGIN);
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
