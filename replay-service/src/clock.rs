//! The process's clocks: monotonic milliseconds since it started, and unix milliseconds.

use replay_log::Now;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time; copies agree with each other.
#[derive(Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at monotonic zero.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Both clocks now.
    pub fn now(&self) -> Now {
        Now { mono_ms: self.0.elapsed().as_millis() as u64, unix_ms: unix_ms() }
    }

    /// How long until the monotonic clock shows `mono_ms`.
    pub fn until(&self, mono_ms: u64) -> Duration {
        Duration::from_millis(mono_ms).saturating_sub(self.0.elapsed())
    }
}

/// Unix milliseconds; 0 if the wall clock stands before 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Unix milliseconds as people read them: `2026-01-31T12:00:00.000Z` (RFC 3339, UTC).
pub fn rfc3339(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let ms = ms % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar. Years
/// are counted from March, so that the leap day is their last (H. Hinnant, *chrono-compatible
/// low-level date algorithms*).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_735_689_599_999), "2024-12-31T23:59:59.999Z");
        assert_eq!(rfc3339(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }
}
