//! Listings.
#![no_main]

#[path = "../../crates/callgate-cli/tests/hostile/listing.rs"]
mod listing;

libfuzzer_sys::fuzz_target!(|text: &str| { listing::check(text); });
