//! The command line, as a user meets it.

use std::path::PathBuf;
use std::process::{Command, Output};

fn host_sim(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-sim"));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).env_remove("REPRISE_FILTER");
    command.args(args).output().expect("host-sim runs")
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn file(name: &str, text: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = dir.join(name);
    std::fs::write(&file, text).expect("a file");
    file
}

#[test]
fn a_bad_scenario_is_bad_input_with_every_problem() {
    let bad = file("bad.yaml", "name: Bad\nduration_ms: 0\nload: {sessions: 0, writes: 3}\n");
    for command in ["run", "check"] {
        let output = host_sim(&[command, &bad.display().to_string()]);
        assert_eq!(output.status.code(), Some(2));
        let said = says(&output);
        for problem in [
            "bad.yaml: not a valid scenario\n",
            "\n  line 1: name: must be 1 to 64 of a-z, 0-9 and -, is \"Bad\"\n",
            "\n  line 2: duration_ms: must be from 1 to ",
            "\n  line 3: load.sessions: must be from 1 to 100000, is 0",
            "\n  line 3: load.writes: unknown key `writes`, expected one of `sessions`",
            "\n  line 3: load.writes_per_second: is required",
        ] {
            assert!(said.contains(problem), "{problem} is not in {said}");
        }
    }
}

#[test]
fn every_scenario_of_the_project_is_valid() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for dir in ["host-sim/scenarios", "tests/scenarios"] {
        let entries = std::fs::read_dir(format!("{root}/{dir}")).expect("scenarios");
        let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        assert!(!files.is_empty());
        for file in files {
            let output = host_sim(&["check", &file.display().to_string()]);
            assert!(output.status.success(), "{}", says(&output));
            let text = std::fs::read_to_string(&file).expect("text");
            let read = scenario::read(&text).expect("valid");
            assert_eq!(file.file_stem(), Some(read.name.as_ref()), "named as its file");
            assert!(!read.about.is_empty(), "{} says what it shows", file.display());
        }
    }
}

#[test]
fn arguments_that_make_no_sense_are_bad_input() {
    for args in [
        &[][..],
        &["run"],
        &["run", "a.yaml", "--seed", "1"],
        &["run", "--seed", "one"],
        &["run", "missing.yaml"],
        &["swarm", "--seeds", "9..9"],
        &["try", "--config", "missing.json"],
    ] {
        let output = host_sim(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", says(&output));
        assert!(!says(&output).is_empty());
    }
}

#[test]
fn a_missing_filter_says_how_to_build_it() {
    let good = file(
        "good.yaml",
        "name: a\nduration_ms: 1000\nload: {sessions: 1, writes_per_second: 1}\n",
    );
    let output = host_sim(&["run", &good.display().to_string(), "--filter", "nowhere.wasm"]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "there is no filter at nowhere.wasm: build it with cargo xtask build-filter\n";
    assert_eq!(says(&output), expected);
}

#[test]
fn the_exit_codes_are_in_the_help() {
    let output = host_sim(&["--help"]);
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in ["0  everything held", "1  a promise is broken", "2  bad input", "3  no promise"] {
        assert!(help.contains(line), "{help}");
    }
}
