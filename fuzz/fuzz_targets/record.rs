//! Records of the audit system.
#![no_main]

#[path = "../../crates/callgate-cli/tests/hostile/record.rs"]
mod record;

libfuzzer_sys::fuzz_target!(|text: &str| { record::check(text); });
