//! Every target on its seeds and on some thousand mutations of them, the same ones each time.

use fuzz::{TARGETS, Target};

const ROUNDS: u64 = 4_000;

/// Numbers that look random (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b';', b'=', b':'];
        match self.below(2) {
            0 => TELLING[self.below(TELLING.len())],
            _ => self.below(256) as u8,
        }
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + 1 + self.below(16)).min(bytes.len());
        match self.below(6) {
            0 if at < end => bytes[at] = self.byte(),
            1 if at < end => bytes[at] ^= 1 << self.below(8),
            2 => bytes.insert(at, self.byte()),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            _ => {
                let from = self.below(other.len() + 1);
                let to = (from + self.below(64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
}

fn run(name: &str) {
    let found = TARGETS.into_iter().find(|target| target.name == name);
    let Target { run, seeds, .. } = found.expect("a target of that name");
    let seeds = seeds();
    seeds.iter().for_each(|seed| run(seed));
    run(&[]);
    for round in 1..=ROUNDS {
        let mut dice = Dice(round);
        let mut bytes = seeds[dice.below(seeds.len())].clone();
        let other = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(6) {
            dice.mutate(&mut bytes, &other);
        }
        run(&bytes);
    }
}

#[test]
fn any_plugin_configuration_is_read_or_refused() {
    run("plugin_config");
}

#[test]
fn any_headers_are_read_or_refused() {
    run("headers");
}

#[test]
fn the_engines_take_any_message() {
    run("messages");
}

#[test]
fn the_filter_takes_any_message() {
    run("filter_messages");
}

#[test]
fn engines_open_on_any_records_or_say_what_is_wrong() {
    run("records");
}
