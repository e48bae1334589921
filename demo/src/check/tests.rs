//! Each kind of finding is found: a judge that cannot say "guilty" is worth nothing.

use super::*;
use crate::chain::Chain;

/// A replica that ran these writes of the session `s1`.
fn ran(labels: &[&str]) -> Replica {
    let start = Chain::default();
    let chain = labels.iter().fold(start, |chain, label| chain.next("POST", "/", label.as_bytes()));
    let held = Held {
        count: labels.len() as u64,
        chain: chain.to_string(),
        overlaps: 0,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    };
    Replica { sessions: BTreeMap::from([("s1".to_owned(), held)]) }
}

fn sent(label: &str, start_us: u64, acknowledged_us: Option<u64>) -> Sent {
    Sent { label: label.to_owned(), start_us, acknowledged_us }
}

fn history(writes: Vec<Sent>) -> Vec<History> {
    vec![History { session: "s1".to_owned(), writes }]
}

/// a, b, c and d, one after the other, all acknowledged.
fn serial() -> Vec<History> {
    let sent = ALL.iter().zip(0..).map(|(label, n)| sent(label, n * 10, Some(n * 10 + 5)));
    history(sent.collect())
}

/// Judges the replicas and drops the examples, after holding that a finding has one.
fn judge(histories: &[History], primary: &[&str], secondary: &[&str]) -> Verdict {
    let mut verdict = check(histories, &ran(primary), &ran(secondary));
    assert_eq!(verdict.examples.is_empty(), verdict.broken().is_empty());
    verdict.examples.clear();
    verdict
}

const ALL: [&str; 4] = ["a", "b", "c", "d"];

#[test]
fn replicas_that_ran_everything_once_and_in_order_pass() {
    let verdict = judge(&serial(), &ALL, &ALL);
    assert_eq!(verdict, Verdict { acknowledged: 4, ..Verdict::default() });
    assert!(verdict.broken().is_empty());
}

#[test]
fn an_acknowledged_write_missing_at_one_replica_is_lost() {
    let verdict = judge(&serial(), &["a", "b", "d"], &ALL);
    assert_eq!((verdict.lost, verdict.lost_at), (1, Both { primary: 1, secondary: 0 }));
    assert_eq!(verdict.diverged, ["s1"]);
    let verdict = judge(&serial(), &ALL, &["a"]);
    assert_eq!((verdict.lost, verdict.lost_at), (3, Both { primary: 0, secondary: 3 }));
}

#[test]
fn a_write_lost_at_both_replicas_counts_once_though_nothing_diverges() {
    let verdict = judge(&serial(), &["a", "b", "c"], &["a", "b", "c"]);
    assert_eq!((verdict.lost, verdict.lost_at), (1, Both { primary: 1, secondary: 1 }));
    assert!(verdict.diverged.is_empty());
    assert_eq!(verdict.broken(), ["1 acknowledged writes lost"]);
}

#[test]
fn a_session_that_a_replica_has_never_heard_of_is_lost_and_diverged() {
    let verdict = check(&serial(), &ran(&ALL), &Replica::default());
    assert_eq!((verdict.lost_at.secondary, verdict.diverged.len()), (4, 1));
}

#[test]
fn a_write_that_was_not_acknowledged_may_be_missing_or_present() {
    let mut histories = serial();
    histories[0].writes[3].acknowledged_us = None;
    for ran in [&ALL[..], &ALL[..3]] {
        let verdict = judge(&histories, ran, ran);
        assert_eq!((verdict.acknowledged, verdict.broken().len()), (3, 0), "{ran:?}");
    }
    assert_eq!(judge(&histories, &ALL, &ALL[..3]).diverged, ["s1"]);
}

#[test]
fn a_write_that_ran_twice_is_found_at_its_replica_even_if_both_agree() {
    let verdict = judge(&serial(), &ALL, &["a", "b", "b", "c", "d"]);
    assert_eq!(verdict.duplicated, Both { primary: 0, secondary: 1 });
    let twice = ["a", "b", "c", "d", "a", "a"];
    let verdict = judge(&serial(), &twice, &twice);
    assert_eq!(verdict.duplicated, Both { primary: 2, secondary: 2 });
    assert!(verdict.diverged.is_empty());
}

#[test]
fn swapped_writes_are_reordered_even_if_both_replicas_agree() {
    let verdict = judge(&serial(), &["a", "c", "b", "d"], &ALL);
    assert_eq!(verdict.reordered, Both { primary: 1, secondary: 0 });
    assert_eq!((verdict.out_of_order(), verdict.diverged.len()), (1, 1));
    let swapped = ["b", "a", "c", "d"];
    let verdict = judge(&serial(), &swapped, &swapped);
    assert_eq!(verdict.reordered, Both { primary: 1, secondary: 1 });
    assert!(verdict.diverged.is_empty());
}

#[test]
fn writes_under_way_at_once_may_run_in_any_order_that_both_replicas_share() {
    let at_once =
        history(vec![sent("a", 0, Some(100)), sent("b", 1, Some(90)), sent("c", 2, None)]);
    for order in [["a", "b", "c"], ["b", "a", "c"], ["c", "b", "a"]] {
        assert!(judge(&at_once, &order, &order).broken().is_empty(), "{order:?}");
    }
    let verdict = judge(&at_once, &["a", "b", "c"], &["b", "a", "c"]);
    assert_eq!((verdict.reordered, verdict.disagreed), (Both::default(), 1));
    assert_eq!(verdict.out_of_order(), 1);
}

#[test]
fn a_write_nobody_was_answered_may_run_late_but_never_before_it_was_sent() {
    let open = history(vec![sent("a", 0, None), sent("b", 10, Some(15)), sent("c", 20, None)]);
    assert!(judge(&open, &["b", "c", "a"], &["b", "c", "a"]).broken().is_empty());
    let verdict = judge(&open, &["c", "b"], &["c", "b"]);
    assert_eq!(verdict.reordered, Both { primary: 1, secondary: 1 });
}

#[test]
fn same_labels_with_unlike_chains_are_a_divergence() {
    let mut other = ran(&ALL);
    other.sessions.get_mut("s1").unwrap().chain = Chain::default().to_string();
    let verdict = check(&serial(), &ran(&ALL), &other);
    assert_eq!(verdict.diverged, ["s1"]);
    assert_eq!(verdict.broken(), ["1 sessions diverged"]);
}

#[test]
fn writes_that_ran_at_once_are_counted() {
    let mut other = ran(&ALL);
    other.sessions.get_mut("s1").unwrap().overlaps = 2;
    let verdict = check(&serial(), &ran(&ALL), &other);
    assert_eq!(verdict.overlaps, Both { primary: 0, secondary: 2 });
    assert_eq!(verdict.broken(), ["2 writes run at once in one session"]);
}

#[test]
fn a_write_that_nobody_sent_is_found() {
    let with = ["a", "b", "c", "d", "ghost"];
    let verdict = judge(&serial(), &with, &with);
    assert_eq!(verdict.invented, Both { primary: 1, secondary: 1 });
    let elsewhere = check(&[], &ran(&["ghost"]), &ran(&["ghost"]));
    assert_eq!(elsewhere.invented, Both { primary: 1, secondary: 1 });
}

#[test]
fn examples_are_bounded_and_counts_are_not() {
    let writes = (0..100).map(|n| sent(&format!("w{n}"), n, Some(n)));
    let verdict = check(&history(writes.collect()), &ran(&[]), &ran(&["x", "x"]));
    assert_eq!((verdict.lost, verdict.duplicated.secondary), (100, 1));
    let of_losses = verdict.examples.iter().filter(|example| example.contains("missing"));
    assert_eq!(of_losses.count() as u64, EXAMPLES);
    assert!(verdict.examples.iter().any(|example| example.contains("ran again")));
}

#[test]
fn reordered_and_invented_writes_each_have_an_example() {
    let verdict = check(&serial(), &ran(&["b", "a", "ghost", "c", "d"]), &ran(&ALL));
    for words in ["a ran too late", "ghost at the primary was never sent"] {
        assert!(verdict.examples.iter().any(|example| example.contains(words)), "{words}");
    }
}
