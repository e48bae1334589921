//! The admin page: what the probes' page has ([`crate::probes`]), `GET /status` and `/positions`,
//! and `POST /resolve`.

use crate::engine::{Engine, Stopped};
use crate::seed::Positions;
use crate::{probes, status};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use protocol::fields::{Fields, Problems};
use protocol::{Number, Replica, SessionKey};
use replay_log::journal::{self, Journal, Resolution};
use replay_log::log::Log;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What this process runs.
#[derive(Clone)]
pub struct Site {
    /// The service.
    pub service: String,
    /// The log's engine.
    pub log: Option<Engine<Log>>,
    /// The journal's engine and its replica.
    pub journal: Option<(Replica, Engine<Journal>)>,
}

/// Serves the admin page until `stop` resolves; `stopping` tells before that that the end is near.
pub async fn serve(
    listener: TcpListener,
    site: Site,
    stopping: watch::Receiver<bool>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = probes::router(stopping)
        .route("/status", get(show))
        .route("/positions", get(positions))
        .route("/resolve", post(resolve))
        .with_state(site);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn show(State(site): State<Site>) -> Response {
    match whole(&site).await {
        Ok(status) => Json(status).into_response(),
        Err(stopped) => say(StatusCode::SERVICE_UNAVAILABLE, &stopped.to_string()),
    }
}

async fn whole(site: &Site) -> Result<Value, Stopped> {
    let (log, journal) = probes::figures(site).await?;
    Ok(status::json(&site.service, log.as_ref(), journal.as_ref()))
}

/// Where every session stands at the replica of this site, if nothing of it moves any more.
async fn positions(State(site): State<Site>) -> Response {
    let Some((replica, journal)) = &site.journal else {
        return say(
            StatusCode::NOT_FOUND,
            "no journal here: ask the reprise of the replica's site",
        );
    };
    match whereabouts(&site, *replica, journal).await {
        Ok(Ok(positions)) => positions.render().into_response(),
        Ok(Err(refused)) => say(StatusCode::CONFLICT, &refused),
        Err(stopped) => say(StatusCode::SERVICE_UNAVAILABLE, &stopped.to_string()),
    }
}

async fn whereabouts(
    site: &Site,
    replica: Replica,
    journal: &Engine<Journal>,
) -> Result<Result<Positions, String>, Stopped> {
    let mut lives = BTreeSet::new();
    if let Some(log) = &site.log {
        let asked =
            log.ask(move |log| (log.status().backlog, log.journal_lives(replica.other()))).await?;
        match asked {
            (_, Err(cause)) => return Ok(Err(cause.to_string())),
            (backlog, Ok(known)) => match backlog[replica.index()] {
                0 => lives = known,
                behind => {
                    return Ok(Err(format!(
                        "the {replica} has not settled {behind} writes: wait until its backlog is 0"
                    )));
                }
            },
        }
    }
    let asked = journal.ask(|journal| (journal.status(), journal.positions())).await?;
    let (status, positions) = asked;
    if status.unseeded {
        return Ok(Err("this journal is itself not seeded".into()));
    }
    Ok(match positions {
        Err(cause) => Err(cause.to_string()),
        Ok(Err(open)) => Err(format!(
            "a write of {} sessions is running or in doubt here ({} is the first): stop the guard, \
             decide with `reprise resolve`, and ask again",
            open.len(),
            open.first().map_or("", SessionKey::as_str),
        )),
        Ok(Ok(sessions)) => {
            Ok(Positions { service: site.service.clone(), replica, lives, sessions })
        }
    })
}

async fn resolve(State(site): State<Site>, body: String) -> Response {
    let Some((replica, journal)) = &site.journal else {
        return say(
            StatusCode::NOT_FOUND,
            "no journal here: ask the reprise of the replica's site",
        );
    };
    let asked = match Asked::read(&body) {
        Ok(asked) => asked,
        Err(problems) => return say(StatusCode::BAD_REQUEST, &problems.join("; ")),
    };
    if let Some(other) = asked.replica.filter(|r| r != replica) {
        let what =
            format!("this is the journal of the {replica}; ask the reprise of the {other}'s site");
        return say(StatusCode::NOT_FOUND, &what);
    }
    match decide(journal, asked).await {
        Ok(Ok(done)) => say(StatusCode::OK, &done),
        Ok(Err(refused)) => say(StatusCode::NOT_FOUND, &refused),
        Err(stopped) => say(StatusCode::SERVICE_UNAVAILABLE, &stopped.to_string()),
    }
}

/// Looks whether the write is in doubt, and decides if it is. Between the two something else may
/// have resolved it; then the decision finds nothing to do.
async fn decide(
    journal: &Engine<Journal>,
    asked: Asked,
) -> Result<Result<String, String>, Stopped> {
    let Asked { session, number, action, .. } = asked;
    let key = session.clone();
    let in_doubt = journal.ask(move |journal| journal.is_in_doubt(&key, number));
    if !in_doubt.await? {
        return Ok(Err(format!("write {number} of session {session} is not in doubt here")));
    }
    let done = match action {
        Resolution::Redo => "runs when it comes next",
        Resolution::Skip => "counts as run",
    };
    let done = format!("write {number} of session {session} {done}");
    journal.feed(journal::Input::Resolve { session, number, action }, 0).await?;
    // Answered once the decision is durable.
    journal.ask(|_| ()).await?;
    Ok(Ok(done))
}

/// A request to decide.
struct Asked {
    session: SessionKey,
    number: Number,
    replica: Option<Replica>,
    action: Resolution,
}

impl Asked {
    fn read(body: &str) -> Result<Asked, Vec<String>> {
        let value: Value = serde_json::from_str(body).map_err(|cause| vec![cause.to_string()])?;
        let mut problems = Problems::default();
        let mut fields = Fields::root(&value, &mut problems);
        let session = SessionKey::new(fields.required("session", &mut problems))
            .map_err(|cause| problems.add("session", cause));
        let number = number(fields.required("number", &mut problems));
        if number.is_none() {
            problems.add("number", "expected EPOCH.SEQ as status shows it");
        }
        let replicas = [("primary", Replica::Primary), ("secondary", Replica::Secondary)];
        let replica = fields.choice("replica", &replicas, &mut problems);
        let _ = fields.required("action", &mut problems);
        let actions = [("redo", Resolution::Redo), ("skip", Resolution::Skip)];
        let action = fields.choice("action", &actions, &mut problems);
        fields.finish(&mut problems);
        problems.into_result()?;
        match (session, number, action) {
            (Ok(session), Some(number), Some(action)) => {
                Ok(Asked { session, number, replica, action })
            }
            _ => Err(vec!["the request cannot be read".into()]),
        }
    }
}

fn number(text: &str) -> Option<Number> {
    let (epoch, seq) = text.split_once('.')?;
    Some(Number { epoch: epoch.parse().ok()?, seq: seq.parse().ok()? })
}

fn say(code: StatusCode, detail: &str) -> Response {
    (code, Json(json!({"detail": detail}))).into_response()
}
