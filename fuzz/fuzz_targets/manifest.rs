//! Manifests of Kubernetes, in YAML and JSON.
#![no_main]

#[path = "../../crates/callgate-cli/tests/hostile/manifest.rs"]
mod manifest;

libfuzzer_sys::fuzz_target!(|text: &str| {
    manifest::check(text);
});
