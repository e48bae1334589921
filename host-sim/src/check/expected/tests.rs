use super::super::Promise::{Expected, Lost};
use super::super::hand::Hand;
use scenario::{Cut, Expect, What};

const S: u64 = 1_000_000;

fn expects(expect: Expect) -> Hand {
    Hand::new().scenario(|scenario| scenario.expect = expect)
}

#[test]
fn client_errors_are_bounded() {
    let hand = || expects(Expect { client_errors: Some(1), ..Expect::default() });
    hand().unknown(1, 0, 9).holds();
    hand().unknown(1, 0, 9).refused(2, 0, 9).breaks(Expected, 1);
    hand().unknown(1, 0, 9).refused(2, 0, 9).says(Expected, "client_errors: 2, at most 1");
}

#[test]
fn the_worst_latency_is_bounded() {
    let hand = || expects(Expect { worst_latency_ms: Some(10), ..Expect::default() });
    hand().unknown(1, 0, 10_000).holds();
    hand().unknown(1, 0, 10_001).breaks(Expected, 1);
}

#[test]
fn so_many_writes_must_be_acknowledged() {
    let hand = || expects(Expect { acknowledged: Some(2), ..Expect::default() });
    let one = || hand().write(1, 0, 10).both(1, 5);
    one().unknown(2, 20, 30).breaks(Expected, 1);
    one().write(2, 20, 30).both(2, 25).holds();
}

#[test]
fn so_many_sessions_must_be_handed_back() {
    let hand = || expects(Expect { handed_back: Some(2), ..Expect::default() });
    hand().note("handed_back").note("pinned").breaks(Expected, 1);
    hand().note("handed_back").note("handed_back").holds();
}

#[test]
fn writes_in_doubt_are_bounded_over_all_shops() {
    let hand = || expects(Expect { in_doubt: Some(3), ..Expect::default() });
    hand().sample(0, 2).sample(1, 1).sample(0, 0).sample(1, 3).holds();
    hand().sample(0, 2).sample(1, 2).breaks(Expected, 1);
}

#[test]
fn the_load_of_the_cloud_is_bounded_in_every_second() {
    let hand = || expects(Expect { cloud_per_second: Some(2), ..Expect::default() });
    let at = |hand: Hand, times: [u64; 3]| {
        (1..).zip(times).fold(hand, |hand, (label, at)| hand.unknown(label, 0, 9).both(label, at))
    };
    at(hand(), [0, S / 2, S]).holds();
    at(hand(), [S / 2, S, S + 10]).breaks(Expected, 1);
}

fn cut(hand: Hand) -> Hand {
    hand.fault(1_000, Some(1_000), What::Link(Cut::Refuse))
}

#[test]
fn the_primary_must_have_everything_in_time_after_the_last_fault() {
    let hand = || cut(expects(Expect { drained_within_ms: Some(500), ..Expect::default() }));
    let write = |hand: Hand| hand.write(1, S, S + 9).at_secondary(1, S + 5);
    write(hand()).at_primary(1, 2 * S + 400_000).holds();
    write(hand()).at_primary(1, 2 * S + 600_000).breaks(Expected, 1);
    write(hand()).says(Expected, "drained_within_ms: shop 0 never, at most 500");
    // What was acknowledged later belongs to no backlog.
    hand().write(1, 2 * S + 1, 9 * S).both(1, 9 * S).holds();
}

#[test]
fn no_shop_drains_much_later_than_the_others() {
    let expect = Expect { slowest_shop_times_median: Some(2.0), ..Expect::default() };
    let shops = |took_ms: [u64; 3]| {
        (0..).zip(took_ms).fold(cut(expects(expect.clone())), |hand, (shop, ms)| {
            let hand = hand.shop(shop).write(1, S, S + 9).at_secondary(1, S + 5);
            hand.at_primary(1, 2 * S + ms * 1_000)
        })
    };
    shops([100, 200, 400]).holds();
    shops([100, 200, 401]).breaks(Expected, 1);
}

#[test]
fn a_canary_must_break_what_it_names() {
    let hand = || expects(Expect { broken: vec!["lost".into()], ..Expect::default() });
    hand().write(1, 0, 10).at_primary(1, 5).holds();
    hand().write(1, 0, 10).both(1, 5).breaks(Expected, 1);
    hand().says(Expected, "lost was to be broken, and it held");
}

#[test]
fn a_canary_that_breaks_anything_else_fails() {
    let hand = expects(Expect { broken: vec!["twice".into()], ..Expect::default() });
    hand.write(1, 0, 10).at_primary(1, 5).at_primary(1, 6).breaks(Lost, 1);
    let unknown = expects(Expect { broken: vec!["luck".into()], ..Expect::default() });
    unknown.says(Expected, "there is no such promise");
}
