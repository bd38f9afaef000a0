//! The machine that figures are of.

use std::{env, fs};

/// What to know about it, as name and value.
pub fn facts() -> Vec<(String, String)> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    [
        ("processor", format!("{}, {cores} cores", processor())),
        ("kernel", format!("{} {}", word("/proc/sys/kernel/osrelease"), env::consts::ARCH)),
        (
            "BPF JIT",
            format!(
                "{}, hardening {}",
                if word("/proc/sys/net/core/bpf_jit_enable") == "0" { "off" } else { "on" },
                word("/proc/sys/net/core/bpf_jit_harden"),
            ),
        ),
        ("load before", load()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |value| value.trim_start_matches(['\t', ' ', ':']))
        .to_owned()
}

/// Processes that want to run, the mean of the last minute.
fn load() -> String {
    let text = word("/proc/loadavg");
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

fn word(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
