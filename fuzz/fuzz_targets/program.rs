//! Bytes as a program.
#![no_main]

#[path = "../../crates/callgate-cli/tests/hostile/program.rs"]
mod program;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| { program::check(bytes); });
