//! The crate's table: the best sample of each row, in microseconds and in transforms of the set.
//!
//! `cargo bench -p ckks --bench table -- [SET ...]`, where a set is its ring dimension.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench prints times"
)]

#[path = "rows/all.rs"]
mod rows;

use ckks::Params;
use std::time::{Duration, Instant};

/// The best of many samples, in microseconds; each sample repeats a fast operation.
fn best(run: &mut dyn FnMut()) -> f64 {
    run();
    let mut repeat = 1u32;
    loop {
        let start = Instant::now();
        for _ in 0..repeat {
            run();
        }
        if start.elapsed() > Duration::from_micros(200) {
            break;
        }
        repeat *= 2;
    }
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed() < Duration::from_millis(400) {
        let start = Instant::now();
        for _ in 0..repeat {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(repeat));
    }
    best
}

fn main() {
    let wanted: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse().ok())
        .collect();
    for params in Params::all() {
        if !wanted.is_empty() && !wanted.contains(&params.n()) {
            continue;
        }
        let transform = best(&mut *rows::transform(&params).run);
        println!(
            "\nN = {}, log QP = {:.0}: one transform {transform:.1} µs\n",
            params.n(),
            params.log_qp()
        );
        println!("| operation | µs | transforms |\n|---|---|---|");
        for mut row in rows::rows(&params) {
            let time = best(&mut *row.run);
            println!("| {} | {time:.1} | {:.1} |", row.name, time / transform);
        }
    }
}
