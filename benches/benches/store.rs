//! Group commit on the stores on disk: a batch of writes made durable at once, by size of the batch.
#![allow(missing_docs, reason = "criterion's macros write public functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use replay_log::store::{FjallStore, SledStore, Store, Write};

fn commit(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let fjall = FjallStore::open(dir.path().join("fjall")).expect("opens");
    commit_on(c, "fjall", &mut { fjall });
    let sled = SledStore::open(dir.path().join("sled")).expect("opens");
    commit_on(c, "sled", &mut { sled });
}

fn commit_on(c: &mut Criterion, name: &str, store: &mut dyn Store) {
    let mut group = c.benchmark_group(format!("{name}: one durable commit"));
    group.sample_size(30);
    let mut next: u64 = 0;
    for batch in [1_u64, 16, 256] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(format!("{batch} entries of 1 kB"), |b| {
            b.iter(|| {
                // The keys come round again, so that the store does not grow while it is measured.
                let writes = (0..batch).map(|i| {
                    let key = ((next + i) % 10_000).to_be_bytes().to_vec();
                    Write::Put { key, value: vec![(next % 251) as u8; 1024] }
                });
                let writes = writes.collect::<Vec<_>>();
                next += batch;
                store.commit(&writes).expect("commits");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
