//! The chain of timeouts in the configurations that are shipped: each shorter than the next, in
//! whichever file and however often it is written.

use std::time::Duration;

use anyhow::Result;

use super::Tree;

/// The texts that the chain runs through.
struct Files {
    edge: String,
    cloud: String,
    reprise: String,
}

pub(super) fn check(tree: &Tree) -> Result<Vec<String>> {
    let text = |name: &str| tree.text(&format!("envoy-configs/{name}"));
    let files =
        Files { edge: text("edge.yaml")?, cloud: text("cloud.yaml")?, reprise: text("edge.toml")? };
    Ok(problems(&files))
}

fn problems(files: &Files) -> Vec<String> {
    let both = [&files.edge, &files.cloud];
    let gaps = both.into_iter().map(|text| number(text, "gap_wait_ms"));
    let chain = [
        ("takeover_ms", number(&files.reprise, "takeover_ms")),
        ("gap_wait_ms", gaps.collect::<Option<Vec<_>>>().map(|found| found.concat())),
        ("per_try_timeout", marked(&files.edge, "detect")),
        ("route timeout", marked(&files.edge, "route_timeout")),
        ("stream_idle_timeout", marked(&files.edge, "stream_idle")),
    ];
    let mut problems = Vec::new();
    for (name, times) in &chain {
        if times.is_none() {
            problems.push(format!("envoy-configs: no {name} that can be read"));
        }
    }
    for pair in chain.windows(2) {
        if let [(name, Some(times)), (next_name, Some(next_times))] = pair
            && let (Some(longest), Some(next)) = (times.iter().max(), next_times.iter().min())
            && longest >= next
        {
            problems.push(format!(
                "envoy-configs: {name} ({longest:?}) must be shorter than {next_name} ({next:?})"
            ));
        }
    }
    problems
}

/// The milliseconds that follow a key of JSON or TOML, wherever it stands; `None` if nowhere.
fn number(text: &str, key: &str) -> Option<Vec<Duration>> {
    let value = |line: &str| {
        let (_, rest) = line.split_once(key)?;
        let rest = rest.trim_start_matches(['"', ':', '=', ' ']);
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        Some(digits.parse().ok().map(Duration::from_millis))
    };
    all(text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(value))
}

/// The durations on the lines that a template marks with a name; `None` if there are none.
fn marked(yaml: &str, name: &str) -> Option<Vec<Duration>> {
    let value = |line: &str| {
        let (kept, _) = line.split_once("# @").filter(|(_, found)| found.trim() == name)?;
        let seconds = kept.split_whitespace().last()?.strip_suffix('s');
        Some(seconds.and_then(|s| Duration::try_from_secs_f64(s.parse().ok()?).ok()))
    };
    all(yaml.lines().filter_map(value))
}

/// All of them, if each can be read and there is at least one.
fn all(found: impl Iterator<Item = Option<Duration>>) -> Option<Vec<Duration>> {
    found.collect::<Option<Vec<_>>>().filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(gap_at_the_cloud: &str, second_route: &str) -> Files {
        let edge = format!(
            "# gap_wait_ms belongs here\n  \"gap_wait_ms\": 800,\n per_try_timeout: 1s  # @detect\n\
             timeout: 4s  # @route_timeout\ntimeout: {second_route}  # @route_timeout\n\
             stream_idle_timeout: 15s  # @stream_idle\n"
        );
        let cloud = format!("\"gap_wait_ms\": {gap_at_the_cloud}\n");
        Files { edge, cloud, reprise: "takeover_ms = 500  # 0.5 D\n".to_owned() }
    }

    #[test]
    fn a_chain_in_which_each_is_shorter_than_the_next_is_tidy() {
        assert!(problems(&files("501,", "1.001s")).is_empty());
    }

    #[test]
    fn any_copy_that_breaks_the_chain_is_found() {
        assert_eq!(
            problems(&files("500", "15s")),
            [
                "envoy-configs: takeover_ms (500ms) must be shorter than gap_wait_ms (500ms)",
                "envoy-configs: route timeout (15s) must be shorter than stream_idle_timeout (15s)",
            ]
        );
        assert_eq!(problems(&files("1000", "1s")).len(), 2);
    }

    #[test]
    fn a_time_that_is_missing_or_unreadable_is_a_problem() {
        assert_eq!(
            problems(&files("soon", "4m")),
            [
                "envoy-configs: no gap_wait_ms that can be read",
                "envoy-configs: no route timeout that can be read",
            ]
        );
    }
}
