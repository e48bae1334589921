use host_sim::{draw, kernel::Trace, run, vm::Filter};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let filter = Filter::load(std::path::Path::new("target/filter/reprise_filter.wasm")).unwrap();
    let sc = match args[1].parse() {
        Ok(n) => draw::draw(n),
        Err(_) => scenario::read(&std::fs::read_to_string(&args[1]).unwrap()).unwrap(),
    };
    println!("{}", scenario::to_yaml(&sc));
    let trace = if args.len() > 2 {
        Trace::to(
            Box::new(std::io::BufWriter::new(std::fs::File::create(&args[2]).unwrap())),
            args.get(3).cloned(),
        )
    } else {
        Trace::none()
    };
    let r = run::run(&filter, &sc, trace).unwrap();
    println!("{:?}\n{:?}", r.verdict, r.ended);
    println!("{:?}", r.history.samples.last());
    for o in r.history.ops.iter().filter(|o| o.ended_us.is_none()) {
        println!("OPEN {o:?}");
    }
    println!("real {} us, ops {}, events {}", r.real_us, r.history.ops.len(), r.ended.events);
}
