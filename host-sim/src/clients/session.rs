//! What a client keeps of a session: its connections, and its lanes.

use super::outcome::Answer;
use super::request::Asked;
use crate::history::Micros;
use crate::kernel::ConnId;
use crate::wire::StreamNo;

/// A connection of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Link {
    /// There is none.
    #[default]
    None,
    /// It is being opened.
    Connecting(ConnId),
    /// It is open.
    Connected(ConnId),
}

/// A session: the first connection carries its requests, the second one the doubles.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) links: [Link; 2],
    /// At which of the gateways the first connection is.
    pub(super) gateway: usize,
    /// The label of its last write.
    pub(super) label: u32,
}

/// A request that was sent once.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) stream: StreamNo,
    /// Over which connection of the session.
    pub(super) link: usize,
    pub(super) sent: bool,
    /// The status, once the answer has begun.
    pub(super) status: u16,
    /// The body of an answer that is not 2xx.
    pub(super) body: Vec<u8>,
    /// What the rest of the request's body is, if it goes out slowly.
    pub(super) rest: Vec<Vec<u8>>,
    /// How it ended.
    pub(super) answer: Option<Answer>,
}

/// What a lane is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doing {
    /// It waits for the moment of its next write.
    #[default]
    Nothing,
    /// It waits for answers.
    Waiting,
    /// It waits before it sends again.
    Pausing,
}

/// One request at a time of a session.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) session: u32,
    /// When it writes next.
    pub(super) next: Micros,
    pub(super) doing: Doing,
    pub(super) asked: Asked,
    /// Where its request stands in the history.
    pub(super) op: usize,
    /// It has been sent this often.
    pub(super) tries: u32,
    /// The promise that no trace was left, as long as all tries gave it.
    pub(super) refused: Option<&'static str>,
    /// The round that is under way: one try, or two at once.
    pub(super) round: Vec<Try>,
    /// Counts rounds and pauses, so that late reminders are known.
    pub(super) turn: u64,
    /// The client is content: some try was answered 2xx.
    pub(super) content: bool,
    /// When the round has taken too long.
    pub(super) deadline: Micros,
    /// A reminder of a deadline is under way.
    pub(super) reminded: bool,
}

impl Lane {
    pub(super) fn new(session: u32, next: Micros) -> Lane {
        Lane {
            session,
            next,
            doing: Doing::Nothing,
            asked: Asked::Read,
            op: 0,
            tries: 0,
            refused: None,
            round: Vec::new(),
            turn: 0,
            content: false,
            deadline: 0,
            reminded: false,
        }
    }
}
