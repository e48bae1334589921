//! Numbers as people read them.

/// A whole number with its thousands apart: `12,345`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in microseconds with about two meaningful digits: `0.85 ms`, `12 ms`, `1.04 s`.
#[must_use]
pub fn duration_us(us: u64) -> String {
    let ms = us as f64 / 1000.0;
    match us {
        0..10_000 => format!("{ms:.2} ms"),
        10_000..100_000 => format!("{ms:.1} ms"),
        100_000..1_000_000 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1000.0),
    }
}

/// A duration in milliseconds, which is exact to that only: `12 ms`, `1.04 s`.
#[must_use]
pub fn duration_ms(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{:.2} s", ms as f64 / 1000.0) }
}

/// A point of time since the start, in seconds: `7.25 s`.
#[must_use]
pub fn moment(ms: u64) -> String {
    format!("{:.2} s", ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let counts = [0, 999, 1000, 12_345, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn durations_have_a_fitting_unit() {
        let durations = [0, 850, 9_994, 12_340, 345_678, 1_040_000].map(duration_us);
        assert_eq!(durations, ["0.00 ms", "0.85 ms", "9.99 ms", "12.3 ms", "346 ms", "1.04 s"]);
        assert_eq!([duration_ms(12), duration_ms(1040)], ["12 ms", "1.04 s"]);
        assert_eq!(moment(7254), "7.25 s");
    }
}
