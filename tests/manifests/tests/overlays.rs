//! Every overlay renders, and nothing in it is wrong.

mod laid_out;

use anyhow::{Result, ensure};
use laid_out::{LaidOut, OVERLAYS};

#[test]
fn nothing_is_wrong_in_any_overlay() -> Result<()> {
    let k8s = LaidOut::new()?;
    let mut found = Vec::new();
    for overlay in OVERLAYS {
        let problems = laid_out::problems(&k8s.render(overlay)?);
        found.extend(problems.into_iter().map(|problem| format!("{overlay}: {problem}")));
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}
