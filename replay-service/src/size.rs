//! `reprise size`: what a site needs for an outage of some length. Every figure that it rests on was
//! measured; `docs/sizing.md` says how, and on what.

use std::fmt;
use std::time::Duration;

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1024.0 * MIB;

/// Memory of a `reprise` without a backlog: threads, streams, the store's caches.
const BASE_MEMORY: f64 = 128.0 * MIB;
/// Memory of a write that a replica has not settled: 184 bytes in the log's tables, the rest is the
/// allocator's and the store's.
const ENTRY_MEMORY: f64 = 280.0;
/// Memory of a session.
const SESSION_MEMORY: f64 = 1024.0;
/// What a record holds besides the body: the request's headers, keys, the number.
const RECORD_BYTES: f64 = 400.0;
/// What the store takes for a byte of records while a backlog grows: tables that are not merged yet.
const DISK_FACTOR: f64 = 1.3;
/// Journals that are not tables yet, of the log and of the journal.
const JOURNALS: f64 = 2.0 * 128.0 * MIB;
/// Processor time of a write at the edge and in the cloud, seconds: the Envoys, then `reprise`.
const EDGE_CPU: [f64; 2] = [0.0015, 0.0010];
const CLOUD_CPU: [f64; 2] = [0.0008, 0.0005];
/// A remembered id on disk.
const ID_BYTES: f64 = 180.0;
/// Both stores' reserves, `min_free_bytes`, `remember_ids_bytes`, as they are by default.
const RESERVES: f64 = 2.0 * 96.0 * MIB;
const MIN_FREE: f64 = 128.0 * MIB;
const REMEMBERED: f64 = 256.0 * MIB;
/// Nothing is planned full.
const MARGIN: f64 = 1.5;
const DAY: f64 = 86_400.0;

/// What is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Size {
    /// Writes a second of this site, on average over the outage
    #[arg(long, value_name = "WRITES", value_parser = positive)]
    rate: f64,
    /// The longest outage to be got over: 90m, 36h, 3d, 1week
    #[arg(long, value_name = "DURATION")]
    outage: humantime::Duration,
    /// Bytes of a write's body, on average
    #[arg(long, value_name = "BYTES", default_value_t = 1000)]
    body: u32,
    /// Sessions that write during the outage
    #[arg(long, value_name = "SESSIONS", default_value_t = 1000)]
    sessions: u32,
    /// Writes a second that the primary takes from this site while it catches up
    #[arg(long, value_name = "WRITES", default_value_t = 500.0, value_parser = positive)]
    drain: f64,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("expected a number above 0".to_string()),
    }
}

/// What a site needs, in bytes and seconds.
#[derive(Debug, PartialEq)]
struct Need {
    writes: f64,
    records: f64,
    volume: f64,
    memory: f64,
    /// Of ids that are remembered for a day; the default if that is enough.
    remember_ids: f64,
    /// None if the primary never catches up.
    drained_after: Option<Duration>,
}

impl Size {
    fn need(&self) -> Need {
        let outage = self.outage.as_secs_f64();
        let writes = (self.rate * outage).ceil();
        let records = writes * (f64::from(self.body) + RECORD_BYTES);
        let remember_ids = (self.rate * DAY * ID_BYTES * MARGIN).max(REMEMBERED);
        let stored = records * DISK_FACTOR + remember_ids;
        let entries = writes * ENTRY_MEMORY + f64::from(self.sessions) * SESSION_MEMORY;
        let catches_up = self.drain - self.rate;
        Need {
            writes,
            records,
            volume: (stored + JOURNALS + RESERVES + MIN_FREE) * MARGIN,
            memory: (BASE_MEMORY + entries) * MARGIN,
            remember_ids,
            drained_after: (catches_up > 0.0)
                .then(|| Duration::try_from_secs_f64(writes / catches_up).ok())
                .flatten(),
        }
    }
}

/// Says what a site needs.
pub fn show(size: &Size) {
    print!("{}", Answer(size));
}

struct Answer<'a>(&'a Size);

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer(size) = self;
        let need = size.need();
        writeln!(
            f,
            "{} writes/s of {} B for {}: {:.0} writes that the primary has not settled\n",
            size.rate, size.body, size.outage, need.writes
        )?;
        writeln!(f, "volume of the edge's reprise   {}", bytes(need.volume))?;
        writeln!(f, "memory of the edge's reprise   {}", bytes(need.memory))?;
        match need.drained_after {
            Some(after) => {
                let after = humantime::format_duration(Duration::from_secs(after.as_secs()));
                writeln!(f, "caught up after                {after}, at {} writes/s", size.drain)?;
            }
            None => writeln!(
                f,
                "caught up after                never: the primary takes {} writes/s (--drain)",
                size.drain
            )?,
        }
        let cores = |seconds: f64, rate: f64| (seconds * rate * MARGIN).max(0.1);
        for (site, [envoys, reprise], rate) in
            [("edge", EDGE_CPU, size.rate), ("cloud", CLOUD_CPU, size.rate.max(size.drain))]
        {
            writeln!(
                f,
                "{:<31}Envoys {:.1}, reprise {:.1}",
                format!("cores, {site}"),
                cores(envoys, rate),
                cores(reprise, rate)
            )?;
        }
        writeln!(f, "\nIn reprise.toml, under [log]:\n")?;
        writeln!(f, "max_entries = {:.0}", need.writes * MARGIN)?;
        writeln!(f, "max_bytes = {:.0}", need.records * MARGIN)?;
        if need.remember_ids > REMEMBERED {
            writeln!(f, "remember_ids_bytes = {:.0}", need.remember_ids)?;
        }
        Ok(())
    }
}

/// Rounded up to what one asks a cluster for.
fn bytes(count: f64) -> String {
    if count > 4.0 * GIB {
        format!("{:.0} GiB", (count / GIB).ceil())
    } else {
        format!("{:.0} MiB", (count / MIB / 64.0).ceil() * 64.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(rate: f64, outage: &str) -> Size {
        let outage = outage.parse().unwrap();
        Size { rate, outage, body: 1000, sessions: 20_000, drain: 500.0 }
    }

    #[test]
    fn the_largest_outage_that_was_measured_fits_into_what_is_said_of_it() {
        let need = size(500.0, "2000s").need();
        assert_eq!(need.writes, 1_000_000.0);
        // 1,597 MiB of disk and 401 MiB of memory were seen (docs/decisions/0009-fjall-by-default.md).
        let backlog = need.records * DISK_FACTOR;
        assert!(backlog > 1597.0 * MIB && backlog < 1.5 * 1597.0 * MIB, "{need:?}");
        assert!(need.volume > backlog + need.remember_ids, "{need:?}");
        assert!(need.memory > 401.0 * MIB && need.memory < 2.0 * 401.0 * MIB, "{need:?}");
    }

    #[test]
    fn a_primary_that_is_slower_than_its_clients_never_catches_up() {
        assert_eq!(size(500.0, "1h").need().drained_after, None);
        assert_eq!(size(250.0, "1h").need().drained_after, Some(Duration::from_secs(3600)));
        let said = Answer(&size(600.0, "1h")).to_string();
        assert!(said.contains("never"), "{said}");
    }

    #[test]
    fn what_is_remembered_is_raised_where_the_default_would_forget_too_early() {
        assert_eq!(size(1.0, "1h").need().remember_ids, REMEMBERED);
        let said = Answer(&size(200.0, "1day")).to_string();
        assert!(said.contains("remember_ids_bytes = "), "{said}");
        assert!(!Answer(&size(1.0, "1day")).to_string().contains("remember_ids_bytes"));
    }

    #[test]
    fn the_page_shows_what_is_said() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sizing.md");
        let page = std::fs::read_to_string(page).unwrap();
        let said = Answer(&Size { sessions: 1000, ..size(50.0, "3d") }).to_string();
        assert!(page.contains(&said), "{said}");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["0", "-1", "many", "inf", "NaN"] {
            assert!(positive(text).is_err(), "{text}");
        }
    }
}
