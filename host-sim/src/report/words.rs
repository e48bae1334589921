//! Numbers as people read them.

/// A whole number with its thousands apart: `12,345`.
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

/// A duration: `0.85 ms`, `12.3 ms`, `1.04 s`, `1:02:03`.
pub fn duration(us: u64) -> String {
    let ms = us as f64 / 1000.0;
    match us {
        0..10_000 => format!("{ms:.2} ms"),
        10_000..100_000 => format!("{ms:.1} ms"),
        100_000..1_000_000 => format!("{ms:.0} ms"),
        _ => moment(us),
    }
}

/// A point of time since the start: `7.25 s`, from ten minutes on `0:10:00`.
pub fn moment(us: u64) -> String {
    let seconds = us / 1_000_000;
    if seconds < 600 {
        return format!("{:.2} s", us as f64 / 1_000_000.0);
    }
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `1 write`, `2 writes`.
pub fn some(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
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
        let durations = [0, 850, 12_340, 345_678, 1_040_000, 599_990_000, 93_784_000_000];
        let expected =
            ["0.00 ms", "0.85 ms", "12.3 ms", "346 ms", "1.04 s", "599.99 s", "26:03:04"];
        assert_eq!(durations.map(duration), expected);
    }
}
