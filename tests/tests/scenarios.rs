//! The scenario files on the real Envoy. The simulator runs the same files.

use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// One test per file.
macro_rules! scenarios {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> Result<()> {
                tests::scenario::run(include_str!(concat!("../scenarios/", $file))).await
            }
        )*

        const LISTED: &[&str] = &[$($file),*];
    };
}

scenarios! {
    cloud_envoy_dies: "cloud-envoy-dies.yaml",
    cut_hole: "cut-hole.yaml",
    cut_mute: "cut-mute.yaml",
    cut_refuse: "cut-refuse.yaml",
    cut_stall: "cut-stall.yaml",
    edge_envoy_dies_while_cut: "edge-envoy-dies-while-cut.yaml",
    envoy_mirror: "envoy-mirror.yaml",
    flapping: "flapping.yaml",
    journal_dies: "journal-dies.yaml",
    log_dies: "log-dies.yaml",
    replicas_die: "replicas-die.yaml",
}

#[test]
fn every_file_is_listed() -> Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let names = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string()));
    let there = names.collect::<Result<Result<BTreeSet<String>, _>>>()?;
    let there = there.map_err(|name| anyhow::anyhow!("{name:?} is no UTF-8"))?;
    let listed: BTreeSet<String> = LISTED.iter().map(ToString::to_string).collect();
    assert_eq!(there, listed);
    Ok(())
}
