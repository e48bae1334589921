//! The paths by which a test makes the till misbehave.

use std::time::Duration;

/// The longest body that `/big` answers.
const BIG_MAX_BYTES: usize = 64 << 20;

/// What the path of a request asks for, beside the write or the read itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knob {
    /// Any other path.
    None,
    /// `/fail/STATUS`: a write records nothing and answers the status.
    Fail(u16),
    /// `/fail-at/NAME/STATUS`: the till of that name fails so, any other one runs the write.
    FailAt(String, u16),
    /// `/slow/MS`: the request takes longer; a write is recorded at the end of it.
    Slow(Duration),
    /// `/lag/MS`: a write is recorded at once and answered later.
    Lag(Duration),
    /// `/random`: the answer names the till, so that the replicas differ.
    Random,
    /// `/big/BYTES`: the answer has that many bytes.
    Big(usize),
    /// `/break`: a write is recorded, then the connection is closed without an answer.
    Break,
    /// `/die-at/NAME/MOMENT`: the process of the till of that name ends, once per label; any other
    /// one runs the write.
    DieAt(String, Moment),
}

/// A moment in the life of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// `before` it is recorded.
    Before,
    /// `recorded`, and not answered.
    Recorded,
    /// `answered`.
    Answered,
}

impl Moment {
    fn of(name: &str) -> Option<Self> {
        match name {
            "before" => Some(Self::Before),
            "recorded" => Some(Self::Recorded),
            "answered" => Some(Self::Answered),
            _ => None,
        }
    }
}

impl Knob {
    /// Reads the knob from a path without query; what does not parse is no knob.
    #[must_use]
    pub fn of(path: &str) -> Self {
        Self::parse(path).unwrap_or(Self::None)
    }

    fn parse(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let name = parts.next()?;
        let mut part = || parts.next();
        Some(match name {
            "fail" => Self::Fail(status(part()?)?),
            "fail-at" => Self::FailAt(part()?.to_owned(), status(part()?)?),
            "slow" => Self::Slow(Duration::from_millis(part()?.parse().ok()?)),
            "lag" => Self::Lag(Duration::from_millis(part()?.parse().ok()?)),
            "random" => Self::Random,
            "big" => Self::Big(part()?.parse::<usize>().ok()?.min(BIG_MAX_BYTES)),
            "break" => Self::Break,
            "die-at" => Self::DieAt(part()?.to_owned(), Moment::of(part()?)?),
            _ => return None,
        })
    }
}

fn status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| (200..=599).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_knob_is_read_from_its_path() {
        assert_eq!(Knob::of("/fail/503"), Knob::Fail(503));
        assert_eq!(Knob::of("/fail-at/primary/500"), Knob::FailAt("primary".to_owned(), 500));
        assert_eq!(Knob::of("/slow/20"), Knob::Slow(Duration::from_millis(20)));
        assert_eq!(Knob::of("/lag/20"), Knob::Lag(Duration::from_millis(20)));
        assert_eq!(Knob::of("/random"), Knob::Random);
        assert_eq!(Knob::of("/big/70000"), Knob::Big(70_000));
        assert_eq!(Knob::of("/break"), Knob::Break);
        let die = |moment| Knob::DieAt("primary".to_owned(), moment);
        assert_eq!(Knob::of("/die-at/primary/before"), die(Moment::Before));
        assert_eq!(Knob::of("/die-at/primary/recorded"), die(Moment::Recorded));
        assert_eq!(Knob::of("/die-at/primary/answered"), die(Moment::Answered));
    }

    #[test]
    fn other_paths_are_no_knobs() {
        for path in [
            "/",
            "",
            "/items",
            "/fail",
            "/fail/99",
            "/fail/abc",
            "/slow/",
            "/fail-at/primary",
            "/die-at/x/y",
        ] {
            assert_eq!(Knob::of(path), Knob::None, "{path}");
        }
    }
}
