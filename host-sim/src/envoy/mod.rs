//! Envoy as measured.
