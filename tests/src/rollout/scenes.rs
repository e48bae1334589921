//! What happens to every site, whoever made its Envoys.

use std::time::Duration;

use anyhow::{Result, ensure};
use demo::load::{Load, Outcome};
use demo::relay::Mode;
use serde_json::Value;
use xtask::stack::Process;

use crate::{DETECT_MS, Sites, labels};

/// A load, a cut in it, and the return of every session to the primary: every promise is kept and
/// no client sees an error.
pub async fn through_a_cut(sites: &Sites, cut: Mode) -> Result<()> {
    let load = Load::start(sites.load());
    tokio::time::sleep(Duration::from_secs(1)).await;
    sites.link.set(cut).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    sites.mend().await?;
    let returned =
        |s: &Value| s["log"]["handed_back"].as_u64() >= Some(8) && s["log"]["pinned"] == 0;
    sites.until("every session is handed back under load", returned).await?;
    let (record, verdict) = sites.judge(load).await?;
    let failed: Vec<_> = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).collect();
    ensure!(failed.is_empty(), "{} requests failed: {:?}", failed.len(), failed.first());
    let worst = record.worst_awake_ms();
    ensure!(worst <= DETECT_MS + 500, "the worst request took {worst} ms");
    ensure!(verdict.acknowledged > 300, "{verdict:?}");
    Ok(())
}

/// A gateway is killed and started while its site is cut and some of its processes are gone: it
/// serves.
pub async fn restarted_while_cut(sites: &Sites, gone: &[Process]) -> Result<()> {
    sites.write("s", "before").await?;
    sites.cut(Mode::Hole).await?;
    sites.write("s", "cut").await?;
    for process in gone {
        sites.stack.kill(*process).await?;
    }
    sites.stack.kill(Process::EdgeEnvoy).await?;
    sites.stack.restart(Process::EdgeEnvoy).await?;
    let answer = sites.write("s", "restarted").await?;
    ensure!(answer.took <= Duration::from_millis(DETECT_MS + 500), "{answer:?}");
    let read = sites.client.read("s").send().await?;
    ensure!(read.status == 200, "{read:?}");
    sites.mend().await?;
    sites.both_hold("s", &["before", "cut", "restarted"]).await?;
    sites.every_number_ran_once().await
}

/// A gateway without its filter refuses everything at once, with this status, and says why.
pub async fn serves_nobody(sites: &Sites, status: u16) -> Result<()> {
    let answers =
        [sites.client.write("s", "a").send().await?, sites.client.read("s").send().await?];
    for answer in answers {
        ensure!(answer.status == status, "{answer:?}");
        ensure!(answer.took < Duration::from_secs(1), "{answer:?}");
    }
    for till in [&sites.primary, &sites.secondary] {
        ensure!(labels(till, "s").await?.is_empty(), "a write has passed unnumbered");
    }
    let logs = sites.stack.dump_logs();
    ensure!(logs.contains("plugin configuration: role: is required"), "the log does not say why");
    Ok(())
}
