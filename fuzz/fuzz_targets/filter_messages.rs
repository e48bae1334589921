//! See `fuzz::filter_messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::filter_messages::run(bytes));
