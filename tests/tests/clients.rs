//! Clients that leave, dawdle, repeat themselves and make things up: nobody else notices, and it
//! is counted.
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

use anyhow::{Result, ensure};
use demo::load::{Load, Outcome};
use std::time::Duration;
use tests::client::Client;
use tests::raw::{Raw, head};
use tests::{Sites, labels, sites_test};
use xtask::stack::Process;

/// A load of others while a client misbehaves.
fn others(sites: &Sites) -> Load {
    Load::start(sites.load())
}

/// None of the others has failed or waited.
async fn unaffected(sites: &Sites, load: Load, worst: Duration) -> Result<()> {
    let record = load.stop().await;
    let failed = record.ops.iter().filter(|op| op.outcome != Outcome::Ok).count();
    let worst_ms = record.worst_awake_ms();
    println!("{} requests of others, {failed} failed, worst {worst_ms} ms", record.ops.len());
    ensure!(failed == 0, "{failed} requests of others failed");
    ensure!(u128::from(worst_ms) <= worst.as_millis(), "the worst of others took {worst_ms} ms");
    sites.judge_beside(&record).await?;
    Ok(())
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

sites_test! {
    async fn a_client_that_leaves_in_any_phase_harms_nobody_and_is_counted(sites) {
        let load = others(&sites);
        let left = || sites.counter(Process::EdgeEnvoy, "abandoned");
        let connect = || Raw::connect(sites.stack.clients);
        sites.write("odd", "first").await?;

        let mut before_the_body = connect().await?;
        before_the_body.send(&head("odd", "never-1", 10, &[])).await?;
        pause(100).await;
        before_the_body.abort()?;

        let mut mid_body = connect().await?;
        mid_body.send(&head("odd", "never-2", 10, &[])).await?;
        mid_body.send(b"12345").await?;
        pause(100).await;
        mid_body.abort()?;

        let mut running = connect().await?;
        let slow = String::from_utf8(head("odd", "left", 1, &[]))?.replace("/items", "/slow/400");
        running.send(slow.as_bytes()).await?;
        running.send(b"x").await?;
        sites.under_way(sites.primary.addr(), "odd", 2).await?;
        running.abort()?;

        let mut answered = connect().await?;
        let big = String::from_utf8(head("odd-big", "big", 1, &[]))?.replace("/items", "/big/20000000");
        answered.send(big.as_bytes()).await?;
        answered.send(b"x").await?;
        ensure!(answered.status().await? == 200);
        answered.abort()?;

        sites.write("odd", "after").await?;
        unaffected(&sites, load, Duration::from_secs(1)).await?;
        sites.both_hold("odd", &["first", "left", "after"]).await?;
        sites.both_hold("odd-big", &["big"]).await?;
        ensure!(left().await? == 3, "before, in the middle of and after its body: {}", left().await?);
    }
}

sites_test! {
    async fn a_client_that_leaves_while_its_write_is_held_leaves_no_gap(sites) {
        sites.write("odd", "first").await?;
        sites.stack.stop_process(Process::EdgeReprise)?;
        for label in ["held-1", "held-2"] {
            let mut held = Raw::connect(sites.stack.clients).await?;
            held.send(&head("odd", label, 1, &[])).await?;
            held.send(b"x").await?;
            pause(200).await;
            held.abort()?;
        }
        pause(100).await;
        sites.stack.cont(Process::EdgeReprise)?;
        let after = sites.client.write("odd", "after").send().await?;
        ensure!(after.status == 200, "{after:?}");
        sites.drained().await?;
        let (here, there) = (labels(&sites.primary, "odd").await?, labels(&sites.secondary, "odd").await?);
        println!("{here:?}; withdrawn {}", sites.log().await?["withdrawn"]);
        ensure!(here == there && here.last().is_some_and(|last| last == "after"), "{here:?} {there:?}");
        sites.every_number_ran_once().await?;
        ensure!(sites.counter(Process::EdgeEnvoy, "abandoned").await? == 2);
    }
}

sites_test! {
    async fn a_body_that_comes_a_byte_a_second_holds_up_nobody(sites) {
        let load = others(&sites);
        let mut slow = Raw::connect(sites.stack.clients).await?;
        slow.send(&head("odd", "slow", 4, &[])).await?;
        for byte in 0..4 {
            pause(1000).await;
            slow.send(b"x").await?;
            if byte == 1 {
                let meanwhile = sites.client.write("odd", "meanwhile").send().await?;
                ensure!(meanwhile.status == 200 && meanwhile.took < Duration::from_millis(800), "{meanwhile:?}");
            }
        }
        ensure!(slow.status().await? == 200);
        unaffected(&sites, load, Duration::from_secs(1)).await?;
        sites.both_hold("odd", &["meanwhile", "slow"]).await?;
    }
}

/// What somebody might put into our headers.
const ABSURD: [&str; 12] = [
    "",
    "v=1",
    "v=2;kind=write",
    "v=1;kind=probe",
    "v=1;kind=bypass",
    "v=1;kind=read;session=odd;last=18446744073709551615.18446744073709551615",
    "v=1;kind=write;session=odd;number=18446744073709551615.18446744073709551615;link=00000000000000000000000000000000;id=x;time=0",
    "v=1;kind=write;session=other;number=1.1;link=00000000000000000000000000000000;id=x;time=99999999999999999999;noop;again;delivery",
    "v=1;replica=primary;verdict=ran;number=1.1;status=200",
    "-1",
    "primary-only, secondary",
    "%00%ff;;;===\t\"{}[]",
];

sites_test! {
    async fn nothing_that_clients_put_into_our_headers_is_believed(sites) {
        let load = others(&sites);
        let mut expected: Vec<String> = Vec::new();
        let names = ["stamp", "word", "route", "id", "time", "mirror", "replayed", "anything"];
        for (n, value) in ABSURD.iter().enumerate() {
            let label = format!("w{n}");
            let mut write = sites.client.write("odd", &label);
            let mut read = sites.client.read("odd");
            for name in names {
                write = write.header(&format!("x-reprise-{name}"), value);
                read = read.header(&format!("x-reprise-{name}"), value);
            }
            let (write, read) = (write.send().await?, read.send().await?);
            ensure!(write.status == 200, "{value}: {write:?}");
            ensure!(read.status == 200 && read.json()["last"] == *label, "{value}: {read:?}");
            expected.push(label);
        }
        // What is not text, and what is as long as headers may be.
        let mut raw = Raw::connect(sites.stack.clients).await?;
        let long = "9".repeat(50_000);
        let bytes = head("odd", "raw", 1, &[("x-reprise-stamp", "BYTES"), ("x-reprise-word", &long)]);
        let place = bytes.windows(5).position(|w| w == b"BYTES").unwrap_or_default();
        let bytes = [&bytes[..place], &[0xff, 0xfe, 0x80], &bytes[place + 5..], b"x"].concat();
        raw.send(&bytes).await?;
        ensure!(raw.status().await? == 200);
        expected.push("raw".to_string());
        unaffected(&sites, load, Duration::from_secs(1)).await?;
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        sites.both_hold("odd", &expected).await?;
        sites.every_number_ran_once().await?;
        let removed = sites.counter(Process::EdgeEnvoy, "headers_removed").await?;
        ensure!(removed == (ABSURD.len() * names.len() * 2 + 2) as u64, "{removed} removed");
    }
}

sites_test! {
    async fn ids_and_sessions_that_are_none_are_refused_and_leave_no_trace(sites) {
        let long = "k".repeat(5000);
        for key in ["", long.as_str()] {
            let answer = sites.client.write("odd", "bad-id").key(key).send().await?;
            ensure!(answer.status == 400 && answer.problem() == "invalid-id", "{key:.9}: {answer:?}");
        }
        let twice = sites.client.write("odd", "two-ids").key("a").key("b").send().await?;
        ensure!(twice.status == 400 && twice.problem() == "invalid-id", "{twice:?}");
        for session in ["", long.as_str()] {
            let answer = sites.client.write(session, "bad-session").send().await?;
            ensure!(answer.status == 400, "{session:.9}: {answer:?}");
        }
        sites.both_hold("odd", &[]).await?;
        ensure!(sites.log().await?["numbered"] == 0);
        ensure!(sites.counter(Process::EdgeEnvoy, "refused").await? == 5);
    }
}

sites_test! {
    async fn absurd_stamps_at_a_guards_own_listener_run_nothing(sites) {
        let load = others(&sites);
        for session in ["odd", "other"] {
            sites.write(session, "first").await?;
        }
        for guard in [sites.stack.cloud, sites.stack.guard_secondary] {
            let client = Client::new(guard, false);
            for stamp in ABSURD.iter().filter(|stamp| **stamp != "v=1;kind=bypass" && **stamp != "v=1;kind=probe") {
                let answer = client.write("odd", "forged").header("x-reprise-stamp", stamp).send().await?;
                ensure!(answer.status != 200, "{stamp}: {answer:?}");
            }
            let twice = client.write("odd", "forged").header("x-reprise-stamp", ABSURD[3]).header("x-reprise-stamp", ABSURD[6]).send().await?;
            ensure!(twice.status == 400, "{twice:?}");
        }
        for session in ["odd", "other"] {
            sites.write(session, "second").await?;
        }
        unaffected(&sites, load, Duration::from_secs(1)).await?;
        for session in ["odd", "other"] {
            sites.both_hold(session, &["first", "second"]).await?;
        }
        for envoy in [Process::EdgeEnvoy, Process::CloudEnvoy] {
            let refused = sites.counter(envoy, "guard_unnumbered").await?;
            println!("{}: {refused} refused as unnumbered", envoy.name());
            ensure!(refused >= 8, "{refused}");
        }
    }
}

sites_test! {
    async fn an_old_request_replayed_byte_for_byte_is_answered_and_runs_nothing(sites) {
        let request = [head("odd", "once", 4, &[("idempotency-key", "k-1")]), b"once".to_vec()].concat();
        let replay = async || {
            let mut raw = Raw::connect(sites.stack.clients).await?;
            raw.send(&request).await?;
            raw.status().await
        };
        ensure!(replay().await? == 200);
        ensure!(replay().await? == 200, "at once");
        for n in 0..30 {
            sites.write("odd", &format!("later-{n}")).await?;
        }
        let log = sites.drained().await?["log"].take();
        ensure!(log["entries"] == 0, "it has left the log: {log}");
        ensure!(replay().await? == 200, "later");
        let known = sites.log().await?["deduplicated"].as_u64();
        ensure!(known == Some(2), "counted: {known:?}");
        for process in Process::ALL {
            sites.stack.restart(process).await?;
        }
        ensure!(replay().await? == 200, "after everything has been restarted");
        sites.write("odd", "last").await?;
        sites.drained().await?;
        for till in [&sites.primary, &sites.secondary] {
            let ran = labels(till, "odd").await?;
            ensure!(ran.iter().filter(|label| *label == "once").count() == 1 && ran.len() == 32, "{ran:?}");
        }
    }
}
