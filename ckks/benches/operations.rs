//! Criterion benches of every row of the crate's table, for every named set.

#![expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a bench")]

#[path = "rows/all.rs"]
mod rows;

use criterion::{Criterion, criterion_group, criterion_main};

fn operations(c: &mut Criterion) {
    for params in ckks::Params::all() {
        let name = format!("{}/{}", params.n(), params.log_qp().round());
        let mut group = c.benchmark_group(name);
        group.sample_size(20);
        let mut all = rows::rows(&params);
        all.insert(0, rows::transform(&params));
        for mut row in all {
            group.bench_function(row.name, |b| b.iter(&mut row.run));
        }
        group.finish();
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
