//! The guard against a fake Envoy and a scripted journal.
