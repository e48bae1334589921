//! What order means: a write that was acknowledged before another one was sent runs before it,
//! and both replicas run what they share in one and the same order.

use std::collections::BTreeMap;

use super::Sent;

/// The acknowledged writes that ran behind one that was sent only after their acknowledgement.
/// `runs` is the order at one replica, each write once.
pub fn late<'a>(runs: &[&'a Sent]) -> Vec<&'a Sent> {
    let mut newest = 0;
    let mut late = Vec::new();
    for write in runs {
        if write.acknowledged_us.is_some_and(|acknowledged| acknowledged < newest) {
            late.push(*write);
        }
        newest = newest.max(write.start_us);
    }
    late
}

/// How many of the writes that both replicas ran must be moved to make their orders the same.
pub fn disagreed(primary: &[String], secondary: &[String]) -> u64 {
    let mut places = BTreeMap::new();
    for (place, label) in primary.iter().enumerate() {
        places.entry(label.as_str()).or_insert(place);
    }
    // Each shared write once, as its place at the primary, in the order of the secondary.
    let shared: Vec<usize> =
        secondary.iter().filter_map(|label| places.remove(label.as_str())).collect();
    (shared.len() - longest_increase(&shared)) as u64
}

/// The length of the longest increasing subsequence of unlike numbers.
fn longest_increase(numbers: &[usize]) -> usize {
    // ends[n] is the smallest number in which an increase of length n + 1 can end.
    let mut ends: Vec<usize> = Vec::new();
    for &number in numbers {
        let length = ends.partition_point(|&end| end < number);
        match ends.get_mut(length) {
            Some(end) => *end = number,
            None => ends.push(number),
        }
    }
    ends.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_increase_is_found() {
        assert_eq!(longest_increase(&[]), 0);
        assert_eq!(longest_increase(&[3, 2, 1]), 1);
        assert_eq!(longest_increase(&[1, 9, 2, 3, 8, 4]), 4);
    }

    #[test]
    fn one_write_that_moved_counts_once() {
        let labels = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        assert_eq!(disagreed(&labels("abcdef"), &labels("bcdefa")), 1);
        assert_eq!(disagreed(&labels("abcdef"), &labels("abdcef")), 1);
        assert_eq!(disagreed(&labels("abcdef"), &labels("bdf")), 0);
        assert_eq!(disagreed(&labels("aab"), &labels("abb")), 0);
    }
}
