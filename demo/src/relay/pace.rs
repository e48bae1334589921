//! The bound on one direction of a slow link, which all connections share.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The bytes that go at once: small, so that connections take turns.
const TURN_BYTES: usize = 1460;

/// When the link is free again.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Takes a turn for up to `wanted` bytes at `rate` bytes per second: how many, and when.
    pub fn turn(&self, wanted: usize, rate: u32) -> (usize, Instant) {
        let bytes = wanted.min(TURN_BYTES);
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = free.map_or_else(Instant::now, |free| free.max(Instant::now()));
        *free = Some(begin + Duration::from_secs_f64(bytes as f64 / f64::from(rate)));
        (bytes, begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_one_another_at_the_rate() {
        let pace = Pace::default();
        let (first, begin) = pace.turn(500, 1000);
        assert_eq!(first, 500);
        let after = |ms| begin + Duration::from_millis(ms);
        assert_eq!(pace.turn(9999, 1000), (TURN_BYTES, after(500)));
        assert_eq!(pace.turn(1, 1000), (1, after(1960)));
    }

    #[test]
    fn a_link_at_rest_saves_nothing_up() {
        let pace = Pace(Mutex::new(Instant::now().checked_sub(Duration::from_secs(9))));
        let before = Instant::now();
        assert!(pace.turn(1, 1000).1 >= before);
    }
}
