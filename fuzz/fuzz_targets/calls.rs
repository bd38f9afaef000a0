//! Files of calls.
#![no_main]

#[path = "../../crates/callgate-cli/tests/hostile/calls.rs"]
mod calls;

libfuzzer_sys::fuzz_target!(|text: &str| { calls::check(text); });
