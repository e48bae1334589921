//! `session`: where a request names its session.

use crate::http::{self, Header, without_query};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::SessionKey;
use protocol::fields::{Fields, Problems, header_name};
use protocol::ids::InvalidId;
use regex_lite::Regex;

/// Where a request names its session.
#[derive(Debug)]
pub enum SessionSource {
    /// The value of a header.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// A claim of the bearer token, a string or a whole number. The token is not verified here:
    /// Envoy's `jwt_authn` stands before the filter.
    JwtClaim(String),
    /// The first group of a regular expression over the path without its query.
    Path(Regex),
}

/// Why a request has no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSession {
    /// It names none.
    Absent,
    /// It names several.
    Ambiguous,
    /// Its key is out of limits.
    Invalid(InvalidId),
}

impl SessionSource {
    /// The session of a request.
    pub fn key(&self, headers: &[Header]) -> Result<SessionKey, NoSession> {
        let key = match self {
            SessionSource::Header(name) => {
                http::only(headers, name).map_err(|_| NoSession::Ambiguous)?.map(str::to_string)
            }
            SessionSource::Cookie(name) => cookie(headers, name)?,
            SessionSource::JwtClaim(claim) => claim_of(headers, claim)?,
            SessionSource::Path(regex) => http::text(headers, ":path")
                .and_then(|path| regex.captures(without_query(path)))
                .and_then(|found| found.get(1))
                .map(|group| group.as_str().to_string()),
        };
        let key = key.filter(|k| !k.is_empty()).ok_or(NoSession::Absent)?;
        SessionKey::new(key).map_err(NoSession::Invalid)
    }

    /// For people: what a request should carry.
    pub fn describe(&self) -> String {
        match self {
            SessionSource::Header(name) => format!("the header {name}"),
            SessionSource::Cookie(name) => format!("the cookie {name}"),
            SessionSource::JwtClaim(claim) => format!("the claim {claim} of a bearer token"),
            SessionSource::Path(regex) => format!("a path that matches {regex}"),
        }
    }
}

fn cookie(headers: &[Header], name: &str) -> Result<Option<String>, NoSession> {
    let mut found = None;
    let values = http::all(headers, "cookie").filter_map(|v| std::str::from_utf8(v).ok());
    for pair in values.flat_map(|v| v.split(';')) {
        let Some((n, value)) = pair.trim().split_once('=') else {
            continue;
        };
        if n.trim() != name {
            continue;
        }
        let value = value.trim().trim_matches('"').to_string();
        if found.as_ref().is_some_and(|f| *f != value) {
            return Err(NoSession::Ambiguous);
        }
        found = Some(value);
    }
    Ok(found)
}

fn claim_of(headers: &[Header], claim: &str) -> Result<Option<String>, NoSession> {
    let token = http::only(headers, "authorization").map_err(|_| NoSession::Ambiguous)?;
    Ok(token.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let payload = token.trim().split('.').nth(1)?;
        let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let value: serde_json::Value = serde_json::from_slice(&json).ok()?;
        match value.get(claim)? {
            serde_json::Value::String(s) => Some(s.clone()),
            serde_json::Value::Number(n) if n.is_u64() || n.is_i64() => Some(n.to_string()),
            _ => None,
        }
    }))
}

const KEYS: [&str; 4] = ["header", "cookie", "jwt_claim", "path"];

pub(super) fn read(fields: &mut Fields<'_>, problems: &mut Problems) -> SessionSource {
    let path = fields.path("session");
    let mut fields = fields.object("session", problems);
    let given: Vec<(&str, &str)> = KEYS
        .into_iter()
        .filter_map(|key| fields.string(key, problems).map(|value| (key, value)))
        .collect();
    fields.finish(problems);
    let nothing = SessionSource::Header(String::new());
    let [(key, value)] = given.as_slice() else {
        problems.add(&path, format!("expected exactly one of {}", KEYS.join(", ")));
        return nothing;
    };
    let at = format!("{path}.{key}");
    if value.is_empty() {
        problems.add(&at, "must not be empty");
    }
    match *key {
        "header" => {
            header_name(&at, value, problems);
            SessionSource::Header(value.to_string())
        }
        "cookie" => SessionSource::Cookie(value.to_string()),
        "jwt_claim" => SessionSource::JwtClaim(value.to_string()),
        _ => match Regex::new(value) {
            Ok(regex) if regex.captures_len() > 1 => SessionSource::Path(regex),
            Ok(_) => {
                problems.add(&at, "has no group (...) around the session key");
                nothing
            }
            Err(e) => {
                problems.add(&at, format!("is not a regular expression: {e}"));
                nothing
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;
    use serde_json::json;
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn source(value: serde_json::Value) -> Result<SessionSource, Vec<String>> {
        let value = json!({ "session": value });
        let mut problems = Problems::default();
        let source = read(&mut Fields::root(&value, &mut problems), &mut problems);
        problems.into_result().map(|()| source)
    }

    fn key(source: &SessionSource, list: &[(&str, &str)]) -> Result<String, NoSession> {
        source.key(&headers(list)).map(|k| k.as_str().to_string())
    }

    fn bearer(payload: &str) -> String {
        format!("Bearer e30.{}.sig", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_header_names_the_session() {
        let s = source(json!({"header": "x-session-id"})).unwrap();
        assert_eq!(key(&s, &[("x-session-id", " till 7 ")]), Ok("till 7".into()));
        assert_eq!(key(&s, &[]), Err(NoSession::Absent));
        assert_eq!(key(&s, &[("x-session-id", "")]), Err(NoSession::Absent));
        let twice = [("x-session-id", "a"), ("x-session-id", "b")];
        assert_eq!(key(&s, &twice), Err(NoSession::Ambiguous));
        let long = "x".repeat(257);
        assert!(matches!(key(&s, &[("x-session-id", &long)]), Err(NoSession::Invalid(_))));
    }

    #[test]
    fn a_cookie_names_the_session() {
        let s = source(json!({"cookie": "sid"})).unwrap();
        assert_eq!(key(&s, &[("cookie", "a=1; sid=\"x7\"; b=2")]), Ok("x7".into()));
        assert_eq!(key(&s, &[("cookie", "a=1"), ("cookie", "sid=x8")]), Ok("x8".into()));
        assert_eq!(key(&s, &[("cookie", "xsid=1; sid")]), Err(NoSession::Absent));
        assert_eq!(key(&s, &[("cookie", "sid=1; sid=2")]), Err(NoSession::Ambiguous));
    }

    #[test]
    fn a_claim_of_the_bearer_token_names_the_session() {
        let s = source(json!({"jwt_claim": "azp"})).unwrap();
        let with = |v: &str| key(&s, &[("authorization", v)]);
        assert_eq!(with(&bearer(r#"{"azp":"device-1"}"#)), Ok("device-1".into()));
        assert_eq!(with(&bearer(r#"{"azp":42}"#).replace("Bearer", "bearer")), Ok("42".into()));
        for bad in [
            bearer(r#"{"sub":"x"}"#),
            bearer(r#"{"azp":["x"]}"#),
            bearer(r#"{"azp":1.5}"#),
            bearer("not json"),
            "Bearer e30".into(),
            "Bearer a.!!.c".into(),
            "Basic eDp5".into(),
            String::new(),
        ] {
            assert_eq!(with(&bad), Err(NoSession::Absent), "{bad}");
        }
    }

    #[test]
    fn a_group_of_the_path_names_the_session() {
        let s = source(json!({"path": "^/sessions/([^/]+)"})).unwrap();
        assert_eq!(key(&s, &[(":path", "/sessions/a7/items?x=1")]), Ok("a7".into()));
        assert_eq!(key(&s, &[(":path", "/other?/sessions/a7")]), Err(NoSession::Absent));
    }

    #[test]
    fn a_source_that_cannot_work_is_refused() {
        for bad in [
            json!({}),
            json!({"header": "a", "cookie": "b"}),
            json!({"header": ""}),
            json!({"header": "No Good"}),
            json!({"path": "^/no-group"}),
            json!({"path": "("}),
            json!({"jwt": "x"}),
            json!("x-session-id"),
        ] {
            assert!(source(bad.clone()).is_err(), "{bad}");
        }
    }
}
