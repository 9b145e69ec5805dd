//! Rows a second to the disk, by the number of rows under one commit.

use std::path::Path;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use store::{FileStore, Store, Table};
use tempfile::TempDir;

const ROWS: Table = Table("rows");

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit");
    group.sample_size(20);
    // beside the build output, which lies on a disk where the temporary folder may lie in memory
    let folder =
        TempDir::new_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("the target folder is writable");
    let mut store = FileStore::open(&folder.path().join("store"), 16 << 20).expect("a new store opens");
    let mut next = 0_u64;
    for rows in [1_u64, 100, 1000] {
        group.throughput(Throughput::Elements(rows));
        group.bench_function(BenchmarkId::from_parameter(rows), |bencher| {
            bencher.iter_batched(
                || (),
                |()| {
                    for _ in 0..rows {
                        store.put(ROWS, &next.to_be_bytes(), &[7; 256]).expect("the store runs");
                        next += 1;
                    }
                    store.commit().expect("the disk writes");
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
