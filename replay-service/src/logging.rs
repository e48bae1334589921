//! Log lines on stderr: `level time message key=value …`, one line each.

use crate::clock;
use std::fmt::{Display, Write as _};
use std::io::Write as _;

/// A value of a log line.
pub type Field<'a> = (&'static str, &'a dyn Display);

/// News that an operator may want.
pub fn info(message: &str, fields: &[Field]) {
    write("info", message, fields);
}

/// Something is not as it should be; the process goes on.
pub fn warn(message: &str, fields: &[Field]) {
    write("warn", message, fields);
}

/// The process, or what it was asked to do, cannot go on.
pub fn error(message: &str, fields: &[Field]) {
    write("error", message, fields);
}

fn write(level: &str, message: &str, fields: &[Field]) {
    let line = line(level, &clock::rfc3339(clock::unix_ms()), message, fields);
    // Nobody reads stderr: nothing that could be done about it.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

fn line(level: &str, time: &str, message: &str, fields: &[Field]) -> String {
    let mut line = format!("{level} {time} {message}");
    for (key, value) in fields {
        let value = value.to_string();
        let plain = !value.is_empty()
            && value.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'=');
        let _ =
            if plain { write!(line, " {key}={value}") } else { write!(line, " {key}={value:?}") };
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_whatever_its_values_hold() {
        let fields: [Field; 3] = [("n", &7), ("text", &"two\nlines"), ("none", &"")];
        let line = line("info", "T", "something happened", &fields);
        assert_eq!(line, "info T something happened n=7 text=\"two\\nlines\" none=\"\"\n");
    }
}
