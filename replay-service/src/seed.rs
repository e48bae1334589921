//! Positions of a replica as a file, and the commands that take them and take them over.
//!
//! The file is lines of JSON: a header, then one line per session.

use crate::config::{self, Config};
use crate::{client, start};
use http::Method;
use protocol::fields::{Fields, Problems};
use protocol::{Digest, Incarnation, Position, Replica, SessionKey};
use replay_log::journal::seed::{self, SessionPosition};
use replay_log::log;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Version of the file; another is refused.
const FORMAT: u64 = 1;
const REPLICAS: [(&str, Replica); 2] =
    [("primary", Replica::Primary), ("secondary", Replica::Secondary)];

/// The positions of one replica, to be taken over by the other.
#[derive(Debug)]
pub struct Positions {
    /// Whose they are.
    pub service: String,
    /// Whose they are.
    pub replica: Replica,
    /// The lives of the other replica's journal that the log beside this journal has heard of.
    pub lives: BTreeSet<Incarnation>,
    /// A position for each session.
    pub sessions: Vec<SessionPosition>,
}

impl Positions {
    /// The file's text.
    pub fn render(&self) -> String {
        let lives: Vec<_> = self.lives.iter().map(Incarnation::to_string).collect();
        let header = json!({
            "format": FORMAT,
            "service": self.service,
            "replica": self.replica.name(),
            "sessions": self.sessions.len(),
            "lives": lives,
        });
        let mut text = format!("{header}\n");
        for s in &self.sessions {
            let line = json!({
                "session": s.session.as_str(),
                "at": s.at.to_string(),
                "log": s.log.to_string(),
                "status": s.status,
                "digest": s.digest.to_string(),
            });
            text.push_str(&format!("{line}\n"));
        }
        text
    }

    /// Reads the file's text; the error names the line.
    pub fn read(text: &str) -> Result<Positions, String> {
        let mut lines = text.lines().enumerate().map(|(at, line)| {
            let value: Result<Value, _> = serde_json::from_str(line);
            value.map_err(|cause| format!("line {}: {cause}", at + 1)).map(|value| (at + 1, value))
        });
        let (_, header) = lines.next().unwrap_or_else(|| Err("it is empty".into()))?;
        let format = header["format"].as_u64().ok_or("line 1: it is no file of positions")?;
        if format != FORMAT {
            return Err(format!("its format is {format}, this build reads {FORMAT}"));
        }
        let mut problems = Problems::default();
        let mut fields = Fields::root(&header, &mut problems);
        let _ = fields.raw("format");
        let service = fields.required("service", &mut problems).to_string();
        let replica = fields.choice("replica", &REPLICAS, &mut problems);
        let count = fields.raw("sessions").and_then(Value::as_u64);
        let lives = fields.raw("lives").and_then(Value::as_array).map(|lives| {
            lives.iter().map(|life| Incarnation::parse(life.as_str()?)).collect::<Option<_>>()
        });
        fields.finish(&mut problems);
        problems.into_result().map_err(|all| format!("line 1: {}", all.join("; ")))?;
        let (Some(replica), Some(count), Some(Some(lives))) = (replica, count, lives) else {
            return Err("line 1: it needs `replica`, `sessions` and `lives`".into());
        };
        let mut sessions = vec![];
        for line in lines {
            let (at, value) = line?;
            let what = || format!("line {at}: it is no position of a session");
            sessions.push(session(&value).ok_or_else(what)?);
        }
        if sessions.len() as u64 != count {
            return Err(format!("it has {} of {count} sessions: it was cut off", sessions.len()));
        }
        Ok(Positions { service, replica, lives, sessions })
    }
}

fn session(value: &Value) -> Option<SessionPosition> {
    let text = |key: &str| value[key].as_str();
    Some(SessionPosition {
        session: SessionKey::new(text("session")?).ok()?,
        at: Position::parse(text("at")?)?,
        log: Incarnation::parse(text("log")?)?,
        status: u16::try_from(value["status"].as_u64()?).ok()?,
        digest: Digest::parse(text("digest")?)?,
    })
}

/// Prints the positions of a running `reprise`'s replica.
pub fn print(admin: &str) -> Result<(), String> {
    let (code, body) = client::ask(admin, Method::GET, "/positions", String::new())?;
    if code != 200 {
        let value: Value = serde_json::from_str(&body).unwrap_or_default();
        return Err(format!("{admin} refused: {}", value["detail"].as_str().unwrap_or(&body)));
    }
    // A file that does not read back is worse than none.
    Positions::read(&body).map_err(|cause| format!("{admin} answered no positions: {cause}"))?;
    print!("{body}");
    Ok(())
}

/// Seeds the journal of a configuration whose process does not run, from a file, or from standard
/// input if that is `-`.
pub fn seed(config: &Config, from: &Path) -> Result<(), String> {
    let (name, text) = if from == Path::new("-") {
        ("standard input".to_string(), std::io::read_to_string(std::io::stdin()))
    } else {
        (from.display().to_string(), std::fs::read_to_string(from))
    };
    let text = text.map_err(|cause| format!("cannot read {name}: {cause}"))?;
    let positions = Positions::read(&text).map_err(|cause| format!("{name}: {cause}"))?;
    let (replica, mut store) = journal(config)?;
    if positions.service != config.service {
        let (theirs, ours) = (&positions.service, &config.service);
        return Err(format!(
            "{name} is of the service {theirs:?}, this is the journal of {ours:?}"
        ));
    }
    if positions.replica == replica {
        return Err(format!(
            "{name} has the positions of the {replica} itself; take them at the {}'s reprise",
            replica.other()
        ));
    }
    let mut lives = positions.lives;
    if config.log.is_some() {
        let store = start::open_store(config, "log")?;
        lives.extend(log::journal_lives(store.as_ref(), replica).map_err(|e| e.to_string())?);
    }
    let lives: Vec<_> = lives.into_iter().collect();
    seed::seed(store.as_mut(), &config.service, replica, &lives, &positions.sessions)
        .map_err(|cause| format!("cannot seed: {cause}"))?;
    println!("the journal of the {replica} has {} sessions now", positions.sessions.len());
    Ok(())
}

/// Takes the journal of a configuration as it is.
pub fn adopt(config: &Config) -> Result<(), String> {
    let (replica, mut store) = journal(config)?;
    seed::adopt(store.as_mut(), &config.service, replica)
        .map_err(|cause| format!("cannot take it as it is: {cause}"))?;
    println!("the journal of the {replica} begins anew; what was attempted before is in doubt");
    Ok(())
}

fn journal(config: &Config) -> Result<(Replica, Box<dyn replay_log::store::Store>), String> {
    let Some(section) = &config.journal else {
        return Err("the configuration has no [journal]: seed at the site of the replica".into());
    };
    if config.store == config::Store::Memory {
        return Err("the store is `memory`: what is seeded would be lost at once".into());
    }
    Ok((section.replica, start::open_store(config, "journal")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions() -> Positions {
        let at = Position { number: protocol::Number { epoch: 7, seq: 2 }, ..Position::default() };
        Positions {
            service: "shop".into(),
            replica: Replica::Primary,
            lives: [Incarnation([5; 8])].into(),
            sessions: vec![SessionPosition {
                session: SessionKey::new("a \"b\"").unwrap(),
                at,
                log: Incarnation([3; 8]),
                status: 201,
                digest: Digest([4; 8]),
            }],
        }
    }

    #[test]
    fn positions_come_back_as_they_were_written() {
        let back = Positions::read(&positions().render()).unwrap();
        assert_eq!(back.sessions, positions().sessions);
        assert_eq!(back.lives, positions().lives);
        assert_eq!((back.service.as_str(), back.replica), ("shop", Replica::Primary));
    }

    #[test]
    fn a_file_that_is_cut_off_newer_or_something_else_is_refused() {
        let text = positions().render();
        let (header, _) = text.split_once('\n').unwrap();
        for (text, expected) in [
            (header.to_string(), "0 of 1 sessions"),
            (text.replace("\"format\":1", "\"format\":2"), "its format is 2, this build reads 1"),
            (text.replace("7.2.", "7."), "line 2: it is no position"),
            ("{}".into(), "it is no file of positions"),
            (String::new(), "it is empty"),
        ] {
            let error = Positions::read(&text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
