//! What Envoy holds of one exchange.

use crate::wire::Headers;

/// One exchange as the filter sees it. Envoy fills it before callbacks and reads what the filter
/// changed.
///
/// A map that is not open cannot be changed, and has nothing in it for the filter. The VM opens
/// the headers with their callback, closes them when that says continue, and closes the request's
/// when either side is let go on, all as Envoy does.
#[derive(Clone, Debug, Default)]
pub struct ContextData {
    /// The head of the request, pseudo-headers first.
    pub request_headers: Headers,
    /// Whether the filter can reach them.
    pub request_headers_open: bool,
    /// What is buffered of the request's body.
    pub request_body: Vec<u8>,
    /// The request's trailers.
    pub request_trailers: Headers,
    /// Whether the filter can reach them.
    pub request_trailers_open: bool,
    /// The head of the response, `:status` first.
    pub response_headers: Headers,
    /// Whether the filter can reach them.
    pub response_headers_open: bool,
    /// What is buffered of the response's body.
    pub response_body: Vec<u8>,
}
