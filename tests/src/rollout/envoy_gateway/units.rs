//! Durations and quantities, as Kubernetes writes them.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::text;

/// A duration as Envoy writes it.
pub fn duration(value: &Value) -> Result<Value> {
    let written = text(value);
    let digits = written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len());
    let (number, unit) = written.split_at(digits);
    let number: u64 = number.parse().with_context(|| format!("the duration {value}"))?;
    let milliseconds = match unit {
        "ms" => number,
        "s" => number * 1000,
        _ => bail!("the duration {value}: only ms and s are known"),
    };
    Ok(json!(format!("{}.{:03}s", milliseconds / 1000, milliseconds % 1000)))
}

/// A number of bytes.
pub fn bytes(value: &Value) -> Result<Value> {
    let written = text(value);
    let digits = written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len());
    let (number, unit) = written.split_at(digits);
    let number: u64 = number.parse().with_context(|| format!("the quantity {value}"))?;
    match unit {
        "Ki" => Ok(json!(number << 10)),
        "Mi" => Ok(json!(number << 20)),
        _ => bail!("the quantity {value}: only Ki and Mi are known"),
    }
}

/// Sets a field if there is a value for it.
pub fn set(
    into: &mut Value,
    field: &str,
    value: &Value,
    made: fn(&Value) -> Result<Value>,
) -> Result<()> {
    if !value.is_null() {
        into[field] = made(value).with_context(|| field.to_owned())?;
    }
    Ok(())
}

/// A value as it is.
#[expect(clippy::unnecessary_wraps, reason = "one of those that make a value of a value")]
pub fn same(value: &Value) -> Result<Value> {
    Ok(value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_quantities_are_read_and_others_refused() {
        assert_eq!(duration(&json!("250ms")).unwrap(), "0.250s");
        assert_eq!(duration(&json!("900s")).unwrap(), "900.000s");
        assert_eq!(bytes(&json!("256Ki")).unwrap(), 262_144);
        for wrong in ["", "s", "1", "1.5s", "1d"] {
            assert!(duration(&json!(wrong)).is_err(), "{wrong}");
            assert!(bytes(&json!(wrong)).is_err(), "{wrong}");
        }
    }
}
