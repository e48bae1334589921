//! The probes' page: `GET /healthz`, `/readyz` and `/metrics`, and nothing that decides anything, so
//! that it may be reached from other machines while the admin page stays on this one.

use crate::admin::Site;
use crate::engine::Stopped;
use crate::{clock, metrics};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use replay_log::journal::{self, Journal};
use replay_log::log::{self, Log};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// An engine that does not answer within this is not healthy.
const HEALTHY: Duration = Duration::from_secs(2);

/// Serves the probes' page until `stop` resolves, if there is to be one; `stopping` tells before
/// that that the end is near. Whatever else is asked is not found.
pub async fn serve(
    listener: Option<TcpListener>,
    site: Site,
    stopping: watch::Receiver<bool>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let Some(listener) = listener else {
        stop.await;
        return Ok(());
    };
    let router = router(stopping)
        .method_not_allowed_fallback(|| async { StatusCode::NOT_FOUND })
        .with_state(site);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

/// What the admin page has too.
pub fn router(stopping: watch::Receiver<bool>) -> Router<Site> {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(move |state| ready(state, stopping.clone())))
        .route("/metrics", get(measure))
}

async fn health(State(site): State<Site>) -> Response {
    let answer = async {
        if let Some(log) = &site.log {
            log.ask(|_| ()).await?;
        }
        if let Some((_, journal)) = &site.journal {
            journal.ask(|_| ()).await?;
        }
        Ok::<(), Stopped>(())
    };
    match tokio::time::timeout(HEALTHY, answer).await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n").into_response(),
        Ok(Err(stopped)) => unavailable(&stopped.to_string()),
        Err(_) => unavailable(&format!("an engine has not answered for {HEALTHY:?}")),
    }
}

/// Whether it is to be given streams: not any more once it shuts down.
async fn ready(site: State<Site>, stopping: watch::Receiver<bool>) -> Response {
    if *stopping.borrow() {
        return unavailable("shutting down");
    }
    health(site).await
}

async fn measure(State(site): State<Site>) -> Response {
    match figures(&site).await {
        Ok((log, journal)) => {
            let now = clock::unix_ms();
            let text = metrics::render(&site.service, now, log.as_ref(), journal.as_ref());
            ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
        }
        Err(stopped) => unavailable(&stopped.to_string()),
    }
}

/// One question to each engine.
pub async fn figures(
    site: &Site,
) -> Result<(Option<log::Status>, Option<journal::Status>), Stopped> {
    let log = match &site.log {
        Some(log) => Some(log.ask(Log::status).await?),
        None => None,
    };
    let journal = match &site.journal {
        Some((_, journal)) => Some(journal.ask(Journal::status).await?),
        None => None,
    };
    Ok((log, journal))
}

fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}
