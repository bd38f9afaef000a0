//! Every reader of a text format.
#![no_main]

#[path = "../../crates/callgate-cli/tests/hostile/formats.rs"]
mod formats;

libfuzzer_sys::fuzz_target!(|text: &str| { formats::check(text); });
