//! What is released is what plaintext arithmetic gives.

use super::{WINDOW, World, curve, make_key, open, scene};
use lab::levelled::{Scene, subject};
use protocol::id::Hash;
use protocol::levelled::function::Function;
use protocol::levelled::plan::Profile;
use utility_sink::sink::levelled::Finding;

/// How far values may be off: six deviations, and what squaring the mean adds for the variance over time.
fn assert_near(function: &Function, finding: &Finding, wanted: &[f64], beside: f64) {
    assert_eq!(finding.values.len(), wanted.len());
    for (value, wanted) in finding.values.iter().zip(wanted) {
        let off = (value - wanted).abs();
        let (name, error) = (function.name(), finding.error);
        assert!(off < 6.0 * error * beside, "{name}: {value} and not {wanted}, ± {error}");
    }
    let size = wanted.iter().map(|w| w.abs()).fold(0.0, f64::max);
    println!("{}: ± {:.3} of {size:.1}, opened by {:?}", function.name(), finding.error, finding.opened_by);
}

fn moments(values: &[f64]) -> [f64; 2] {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    [mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64]
}

fn release_all(world: &mut World, key: Hash, group: usize, window: usize) {
    let subject = [subject(group, u32::try_from(window).unwrap())];
    let curve = curve(world, group, window);
    let homes: Vec<Vec<i64>> =
        world.loads[(group - 1) * world.scene.group..group * world.scene.group].to_vec();
    let at = |t: usize| -> Vec<f64> {
        homes.iter().map(|home| home[window * usize::from(WINDOW) + t] as f64).collect()
    };
    let prices: Vec<u32> = (0..u32::from(WINDOW)).map(|t| if t < 9 { 30_000 } else { 50_000 }).collect();
    let model: Vec<i32> = (0..i32::from(WINDOW)).map(|t| 4_000 * t - 9_000).collect();
    let dot =
        |weights: &mut dyn Iterator<Item = f64>| -> f64 { weights.zip(&curve).map(|(w, s)| w * s).sum() };
    let cases = [
        (Function::Sum, curve.clone(), 1.0),
        (Function::Mean, curve.iter().map(|s| s / homes.len() as f64).collect(), 1.0),
        (Function::Variance, (0..curve.len()).map(|t| moments(&at(t))[1]).collect(), 1.0),
        (Function::TimeVariance, moments(&curve).to_vec(), 2.0 * moments(&curve)[0]),
        (Function::Weighted(prices.clone()), vec![dot(&mut prices.iter().map(|p| f64::from(*p)))], 1.0),
        (
            Function::Forecast(model.clone()),
            vec![dot(&mut model.iter().map(|w| f64::from(*w) / 65_536.0))],
            1.0,
        ),
    ];
    for (function, wanted, beside) in cases {
        let finding = world.find(key, &function, &subject).unwrap();
        assert_eq!(finding.members, [u32::try_from(world.scene.group).unwrap()]);
        assert!(finding.differing.is_empty());
        assert_near(&function, &finding, &wanted, beside);
    }
}

/// Six functions of two groups and windows under one key, in batches of half a window.
#[test]
fn every_function_of_a_medium_key_is_released() {
    let mut world = open(scene());
    let key = make_key(&mut world);
    release_all(&mut world, key, 1, 0);
    release_all(&mut world, key, 2, 1);
}

/// Batches that don't divide a window, three of five aggregators, a window cut into many batches.
#[test]
fn batches_and_rosters_may_be_others() {
    for (aggregators, threshold, batch) in [(5, 3, 5), (3, 2, 1), (2, 2, 20)] {
        let scene = Scene { aggregators, threshold, batch, homes: 3, ..scene() };
        let mut world = open(scene);
        let key = make_key(&mut world);
        release_all(&mut world, key, 1, 1);
    }
}

/// A light key gives sums and means, in a third of the bytes; and no more.
#[test]
fn a_light_key_gives_sums_and_means() {
    let mut world = open(Scene { profile: Profile::Light, homes: 3, ..scene() });
    let key = make_key(&mut world);
    let subject = [subject(1, 0)];
    let curve = curve(&world, 1, 0);
    let finding = world.find(key, &Function::Sum, &subject).unwrap();
    assert_near(&Function::Sum, &finding, &curve, 1.0);
    let finding = world.find(key, &Function::Mean, &subject).unwrap();
    assert_near(&Function::Mean, &finding, &curve.iter().map(|s| s / 3.0).collect::<Vec<_>>(), 1.0);
    let refused = world.ask(key, &Function::Variance, &subject).unwrap_err().to_string();
    assert!(refused.contains("larger profile"), "{refused}");
}

/// Encrypted comparison through the whole protocol: two groups' curves, and one group's curves of two windows, within 2^-8 of full
/// scale.
#[test]
fn maxima_and_minima_are_released() {
    let scene = Scene {
        profile: Profile::Largest,
        aggregators: 2,
        homes: 4,
        group: 2,
        k: 2,
        batch: u32::from(WINDOW),
        ..scene()
    };
    let mut world = open(scene);
    let key = make_key(&mut world);
    let full = 2.0 * f64::from(world.plan().full_scale);
    for (function, subjects, curves) in [
        (Function::Max, [subject(1, 0), subject(2, 0)], [curve(&world, 1, 0), curve(&world, 2, 0)]),
        (Function::Min, [subject(1, 0), subject(1, 1)], [curve(&world, 1, 0), curve(&world, 1, 1)]),
    ] {
        let finding = world.find(key, &function, &subjects).unwrap();
        for (t, value) in finding.values.iter().enumerate() {
            let [a, b] = [0, 1].map(|i: usize| curves[i][t]);
            let wanted = if function == Function::Max { a.max(b) } else { a.min(b) };
            assert!((value - wanted).abs() < full / 256.0, "{}: {value} and not {wanted}", function.name());
        }
    }
}
