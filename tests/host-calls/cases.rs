//! The table `cases.yaml`, read.

use serde::Deserialize;

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name, sent in `x-case`.
    pub name: String,
    /// What it shows.
    pub shows: String,
    /// How long nothing is sent before it, milliseconds.
    #[serde(default)]
    pub wait_ms: u64,
    /// The request.
    pub request: Request,
    /// A second request, 100 ms later, whose case is the name with `-beside`.
    pub beside: Option<Request>,
    /// The status of the first answer; none: no answer came.
    pub status: Option<u16>,
    /// The body of the first answer, where it matters.
    pub answer: Option<String>,
    /// How long the first answer takes, milliseconds, least and most, where it matters.
    pub took_ms: Option<[u64; 2]>,
    /// The status of the second answer.
    pub beside_status: Option<u16>,
    /// What the probe has noted of the first request in the end; none: its VM is gone.
    pub trace: Option<String>,
    /// What it has noted of the second.
    pub beside_trace: Option<String>,
}

/// One request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its method.
    #[serde(default = "get")]
    pub method: String,
    /// Its path.
    #[serde(default = "first")]
    pub path: String,
    /// What the probe is to do, sent in `x-script`.
    #[serde(default)]
    pub script: String,
    /// Its body: parts, 40 ms apart. Its end comes alone after the last one.
    #[serde(default)]
    pub body: Vec<String>,
    /// The end comes with the last part.
    #[serde(default)]
    pub end_with_last: bool,
    /// The client gives up after so many milliseconds.
    pub abort_after_ms: Option<u64>,
}

fn get() -> String {
    "GET".to_string()
}

fn first() -> String {
    "/first".to_string()
}

/// All cases, in order.
pub fn read(yaml: &str) -> Result<Vec<Case>, String> {
    serde_saphyr::from_str(yaml).map_err(|error| error.to_string())
}
