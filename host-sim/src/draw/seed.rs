//! Seeds as people write them.

use sha2::{Digest, Sha256};

/// The seed that a text names: a decimal number, a hexadecimal one after `0x`, or a commit id of
/// 40 hexadecimal digits, which stands for the first eight bytes (little-endian) of the SHA-256
/// of its lower-case text.
pub fn seed_of(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let seed = if text.len() == 40 && hex(text) {
        let digest = Sha256::digest(text.to_ascii_lowercase());
        Some(digest.iter().take(8).rev().fold(0, |seed, byte| seed << 8 | u64::from(*byte)))
    } else if let Some(digits) = text.strip_prefix("0x").filter(|digits| hex(digits)) {
        u64::from_str_radix(digits, 16).ok()
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    };
    seed.ok_or_else(|| {
        format!(
            "{text:?} is no seed: a number below 2^64, one in hexadecimal after 0x, or a commit \
             id of 40 hexadecimal digits"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::seed_of;

    #[test]
    fn a_seed_is_a_number_decimal_or_hexadecimal() {
        assert_eq!(seed_of("0"), Ok(0));
        assert_eq!(seed_of(" 18446744073709551615\n"), Ok(u64::MAX));
        assert_eq!(seed_of("0xff"), Ok(255));
        assert_eq!(seed_of("0xFFFFFFFFFFFFFFFF"), Ok(u64::MAX));
    }

    #[test]
    fn a_commit_id_is_a_seed_whatever_its_case() {
        let id = "e7af65d0123456789abcdef0123456789abcdef0";
        let seed = seed_of(id).unwrap();
        assert_eq!(seed_of(&id.to_uppercase()), Ok(seed));
        assert_ne!(seed_of(&id.replace('e', "d")), Ok(seed));
        // Forty decimal digits are a commit id too.
        assert!(seed_of(&"1".repeat(40)).is_ok());
    }

    #[test]
    fn the_seed_of_a_commit_id_is_the_beginning_of_its_sha_256() {
        // printf '0000000000000000000000000000000000000000' | sha256sum
        let seed = seed_of(&"0".repeat(40)).unwrap();
        assert_eq!(hex(seed), FIRST_OF_ZEROS);
    }

    const FIRST_OF_ZEROS: &str = "9692e67b8378a6f6";

    fn hex(seed: u64) -> String {
        seed.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn anything_else_is_refused_with_what_would_be_right() {
        for text in ["", "-1", "+1", "abc", "0x", "18446744073709551616", "0x10000000000000000"] {
            let problem = seed_of(text).unwrap_err();
            assert!(problem.contains("40 hexadecimal digits"), "{text}: {problem}");
        }
        assert!(seed_of("e7af65d").is_err());
        assert!(seed_of("0x+1").is_err());
    }
}
