//! See `fuzz::plugin_config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::plugin_config::run(bytes));
