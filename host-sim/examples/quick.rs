use host_sim::{draw, kernel::Trace, run, vm::Filter};
use std::sync::atomic::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let filter = Filter::load(std::path::Path::new("target/filter/reprise_filter.wasm")).unwrap();
    let (a, b): (u64, u64) = (args[1].parse().unwrap(), args[2].parse().unwrap());
    let next = AtomicU64::new(a);
    let t = std::time::Instant::now();
    let writes = AtomicU64::new(0);
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= b {
                        break;
                    }
                    let sc = draw::draw(n);
                    let t1 = std::time::Instant::now();
                    let r = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        run::run(&filter, &sc, Trace::none())
                    }));
                    match r {
                        Ok(Ok(r)) => {
                            writes.fetch_add(r.history.runs.len() as u64, Ordering::SeqCst);
                            if !r.verdict.broken.is_empty() {
                                println!(
                                    "SEED {n} {:?}",
                                    r.verdict
                                        .broken
                                        .iter()
                                        .map(|b| (b.promise, b.count, b.examples.first().cloned()))
                                        .collect::<Vec<_>>()
                                );
                            }
                            if t1.elapsed().as_secs_f64() > 1.0 {
                                println!("slow {n} {:?}", t1.elapsed());
                            }
                        }
                        Ok(Err(e)) => println!("SEED {n} ERR {e}"),
                        Err(_) => println!("SEED {n} PANIC"),
                    }
                }
            });
        }
    });
    println!("{:?} runs {}", t.elapsed(), writes.load(Ordering::SeqCst));
}
