//! What `reprise` does not start with, and how it says so.

mod support;

use support::{Reprise, config, refused};

const JOURNAL: &str = "store = 'memory'\n[journal]\nreplica = 'primary'\n";

#[tokio::test]
async fn serve_and_check_list_all_problems_of_a_configuration() {
    for subcommand in ["serve", "check"] {
        let (code, stderr) = refused(subcommand, "stor = 'x'\n[journal]\nreplica = 'y'\n").await;
        assert_eq!(code, 2, "{stderr}");
        for expected in
            ["3 problems", "service: is required", "stor: unknown key", "journal.replica"]
        {
            assert!(stderr.contains(expected), "{expected} is not in\n{stderr}");
        }
    }
}

#[tokio::test]
async fn an_address_in_use_is_named_with_what_to_do() {
    let first = Reprise::start(&config(JOURNAL)).await;
    let taken = format!(
        "service = 'shop'\nlisten = '{}'\nadmin = '127.0.0.1:0'\n{JOURNAL}",
        first.listen()
    );
    let (code, stderr) = refused("serve", &taken).await;
    assert_eq!(code, 1, "{stderr}");
    let expected = format!("cannot listen on {} (`listen`)", first.listen());
    assert!(
        stderr.contains(&expected) && stderr.contains("stop the process that has it"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_data_directory_in_use_is_named_with_what_to_do() {
    let data = tempfile::tempdir().expect("a directory");
    let text =
        config(&format!("data = '{}'\n[journal]\nreplica = 'primary'\n", data.path().display()));
    let first = Reprise::start(&text).await;
    let (code, stderr) = refused("serve", &text).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(&*data.path().join("journal").to_string_lossy()), "{stderr}");
    assert!(stderr.contains("if another reprise has it open, stop that one"), "{stderr}");
    drop(first);
}

#[tokio::test]
async fn the_start_line_says_what_runs() {
    let reprise = Reprise::start(&config(JOURNAL)).await;
    for (key, expected) in [
        ("version", env!("CARGO_PKG_VERSION")),
        ("service", "shop"),
        ("roles", "journal-of-primary"),
        ("store", "memory"),
    ] {
        assert_eq!(reprise.started[key], expected);
    }
    assert_eq!(reprise.started["journal"].len(), 16);
    assert!(!reprise.started.contains_key("log"));
}
