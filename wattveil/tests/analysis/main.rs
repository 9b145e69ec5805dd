//! Analytics under encryption with real roles: key ceremony, uploads, releases; under faults and attacks.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test file: a panic is the report, and energies are small"
)]

mod world;

use protocol::analysis::function::Function;
use protocol::rule::Rule;
use world::{Scene, World};

/// The smallest whole path: a key, ciphertexts, a sum that t of n open to the sink.
#[test]
fn a_sum_is_released() {
    let mut world = World::new(Scene::default());
    let key = world.make_key(40);
    assert!((0..4).all(|index| world.aggregator(index).collective_keys() == 1));
    let finding = world.find(key, &Function::Sum, &[world.subject(1, 0)], 40);
    let wanted = world.curve(1, 0);
    assert_eq!((finding.members.clone(), finding.values.len()), (vec![3], wanted.len()));
    for (value, wanted) in finding.values.iter().zip(&wanted) {
        assert!((value - wanted).abs() < 6.0 * finding.error, "{value} {wanted} ± {}", finding.error);
    }
    let mut rules: Vec<Rule> = world.refusals.iter().map(|(_, refusal)| refusal.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    println!("refused on the way: {rules:?}; {} messages", world.transcript.len());
}
