//! The real Envoy does what the table of host calls says. The simulated one is held to the same
//! table.

use anyhow::{Result, anyhow, ensure};
use tests::host_calls::{Probed, cases};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_does_what_the_table_of_host_calls_says() -> Result<()> {
    let cases = cases::read(include_str!("../host-calls/cases.yaml")).map_err(|e| anyhow!(e))?;
    let probed = Probed::start().await?;
    let mut wrong = String::new();
    for case in &cases {
        let here = probed.run(case).await.map_err(|e| e.context(case.name.clone()))?;
        if !here.is_empty() {
            wrong += &format!("{} ({})\n{here}", case.name, case.shows);
        }
    }
    ensure!(wrong.is_empty(), "Envoy does not do what the table says:\n{wrong}\n{}", probed.log());
    Ok(())
}
