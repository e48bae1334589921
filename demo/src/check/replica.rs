//! What one replica holds, as its till says over HTTP.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr};

use anyhow::ensure;

use crate::{
    fetch,
    till::{Labels, Listing},
};

/// What a replica holds of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many writes.
    pub count: u64,
    /// The chain over them.
    pub chain: String,
    /// How often two of them ran at once.
    pub overlaps: u64,
    /// Their labels, in the order in which they ran.
    pub labels: Vec<String>,
}

/// What a replica holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    /// Per session.
    pub sessions: BTreeMap<String, Held>,
}

/// A session of which a replica has heard nothing.
static NOTHING: Held = Held { count: 0, chain: String::new(), overlaps: 0, labels: Vec::new() };

impl Replica {
    /// Asks the till at `addr` for everything. It should be at rest: what runs meanwhile can
    /// make its answers disagree, which is an error.
    ///
    /// # Errors
    /// If the till does not answer, or its answers disagree.
    pub async fn fetch(addr: SocketAddr) -> anyhow::Result<Self> {
        let listing: Listing = fetch::get_json(addr, "/_till/sessions").await?;
        let mut sessions = BTreeMap::new();
        for session in listing.sessions {
            if session.count == 0 && session.overlaps == 0 {
                continue; // nothing but writes that were refused
            }
            let path = format!("/_till/session?id={}", encode(&session.session));
            let Labels { labels, .. } = fetch::get_json(addr, &path).await?;
            ensure!(
                labels.len() as u64 == session.count,
                "the till at {addr} counts {} writes in {:?} and lists {}",
                session.count,
                session.session,
                labels.len(),
            );
            let held = Held {
                count: session.count,
                chain: session.chain,
                overlaps: session.overlaps,
                labels,
            };
            sessions.insert(session.session, held);
        }
        Ok(Self { sessions })
    }

    /// What it holds of the session `id`.
    #[must_use]
    pub fn held(&self, id: &str) -> &Held {
        self.sessions.get(id).unwrap_or(&NOTHING)
    }

    /// All writes that it holds.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.sessions.values().map(|held| held.count).sum()
    }
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
