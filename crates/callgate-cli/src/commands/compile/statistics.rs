//! `--stats`: what a program does and costs.

use std::{fmt::Write, time::Duration};

use callgate_bpf::PATH_BUDGET;
use callgate_compile::{AbiStatistics, Compiled, statistics};
use callgate_policy::Ruleset;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{report::printable_name, source::plural};

pub fn text(name: &str, compiled: &Compiled, ruleset: &Ruleset, took: Duration) -> String {
    let abis = statistics(compiled.program(), ruleset);
    let names: Vec<&str> = abis.iter().map(|abi| abi.abi.name()).collect();
    let name = printable_name(name);
    let mut text = format!(
        "{name}: {} for {}; kernel path cost {} of {PATH_BUDGET}\n",
        plural(compiled.program().len(), "instruction"),
        names.join(", "),
        compiled.program().path_cost(),
    );
    for abi in &abis {
        let AbiStatistics { known, allowed, conditional, refused, worst, .. } = *abi;
        let _ = writeln!(
            text,
            "  {:<12} of {known} syscalls {allowed} always allowed ({}), {conditional} by argument, {refused} refused; {}{worst} executed at worst",
            abi.abi.name(),
            cache(abi),
            mean(abi).map_or_else(String::new, |mean| format!("{mean:.1} executed on average, ")),
        );
    }
    let _ = writeln!(
        text,
        "  proved to mean what the profile says; compiling and proof took {:.1} ms",
        took.as_secs_f64() * 1e3
    );
    text
}

fn cache(abi: &AbiStatistics) -> String {
    if !abi.abi.has_kernel_cache() {
        "the kernel has no cache for them".to_owned()
    } else if abi.cached == abi.allowed {
        "all in the kernel's cache".to_owned()
    } else {
        format!("{} in the kernel's cache", abi.cached)
    }
}

/// Instructions executed, the mean over the system calls that the rules name.
fn mean(abi: &AbiStatistics) -> Option<f64> {
    let exact = |n: usize| u32::try_from(n).map(f64::from).ok();
    let (sum, count) = abi.executed;
    (count > 0).then(|| Some(exact(sum)? / exact(count)?)).flatten()
}

#[derive(Serialize, JsonSchema)]
pub struct Json<'a> {
    name: &'a str,
    instructions: usize,
    path_cost: u32,
    path_budget: u32,
    compile_and_proof_milliseconds: f64,
    architectures: Vec<JsonAbi>,
}

#[derive(Serialize, JsonSchema)]
struct JsonAbi {
    name: &'static str,
    known: usize,
    always_allowed: usize,
    cached: Option<usize>,
    by_argument: usize,
    refused: usize,
    executed_mean: Option<f64>,
    executed_worst: usize,
}

pub fn json<'a>(name: &'a str, compiled: &Compiled, ruleset: &Ruleset, took: Duration) -> Json<'a> {
    Json {
        name,
        instructions: compiled.program().len(),
        path_cost: compiled.program().path_cost(),
        path_budget: PATH_BUDGET,
        compile_and_proof_milliseconds: took.as_secs_f64() * 1e3,
        architectures: statistics(compiled.program(), ruleset)
            .iter()
            .map(|abi| JsonAbi {
                name: abi.abi.name(),
                known: abi.known,
                always_allowed: abi.allowed,
                cached: abi.abi.has_kernel_cache().then_some(abi.cached),
                by_argument: abi.conditional,
                refused: abi.refused,
                executed_mean: mean(abi),
                executed_worst: abi.worst,
            })
            .collect(),
    }
}
