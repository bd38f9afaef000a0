//! How few instructions the calls of one ABI can take on average: an exact search, apart from the
//! compiler's own.
//!
//! Numbers fall into runs that are treated alike. A decision over neighbouring runs is either a
//! threshold between two of them, or, where all that is not of one class are single numbers, a
//! chain of equalities, the heaviest first. The best of all such decisions is found for each range
//! of runs from those of shorter ones.

use callgate_bpf::SyscallNr;
use callgate_policy::{AbiRules, Rule, Ruleset};
use callgate_syscalls::Abi;

use crate::own::Frequencies;

/// Neighbouring numbers of which the same is said.
struct Run {
    /// Equal for runs that are treated alike.
    class: usize,
    single: bool,
    weight: f64,
    by_argument: bool,
}

/// What is said of a number.
#[derive(PartialEq)]
enum Said<'a> {
    Rules(&'a [Rule]),
    Default,
    OtherAbi,
}

/// The least mean of instructions executed for the calls of x86_64, where each is made as often as
/// it says. Calls that are decided by arguments count as if one more test did that.
pub fn executed(ruleset: &Ruleset, frequencies: &Frequencies) -> Option<f64> {
    /// Loading and comparing the architecture, loading the number, returning.
    const ALWAYS: f64 = 4.0;
    /// Loading an argument and comparing it.
    const ARGUMENT: f64 = 2.0;
    let table = ruleset.abis.first()?;
    let runs = runs(table, frequencies);
    let total: f64 = runs.iter().map(|run| run.weight).sum();
    let asked: f64 = runs.iter().filter(|run| run.by_argument).map(|run| run.weight).sum();
    Some(ALWAYS + (least(&runs) + ARGUMENT * asked) / total)
}

fn runs(table: &AbiRules, frequencies: &Frequencies) -> Vec<Run> {
    let x32 = SyscallNr::X32_BIT;
    let mut borders: Vec<u32> = vec![0, x32, u32::MAX];
    borders.extend(table.rules.keys().flat_map(|nr| [nr.0, nr.0 + 1]));
    borders.sort_unstable();
    borders.dedup();
    let said = |number: u32| match table.rules.get(&SyscallNr(number)) {
        Some(rules) => Said::Rules(rules),
        None if (x32..u32::MAX).contains(&number) => Said::OtherAbi,
        None => Said::Default,
    };
    let mut classes: Vec<Said<'_>> = Vec::new();
    let mut runs: Vec<(u32, Run)> = Vec::new();
    for border in borders {
        let said = said(border);
        let class = classes.iter().position(|class| same(class, &said)).unwrap_or(classes.len());
        let by_argument = matches!(&said, Said::Rules(rules) if !rules.first().is_none_or(Rule::is_unconditional));
        if class == classes.len() {
            classes.push(said);
        }
        if runs.last().is_none_or(|(_, last)| last.class != class) {
            runs.push((border, Run { class, single: false, weight: 0.0, by_argument }));
        }
    }
    for index in 0..runs.len() {
        let next = runs.get(index + 1).map(|(border, _)| *border);
        runs[index].1.single = next.is_none_or(|next| next - runs[index].0 == 1);
    }
    for (name, count) in frequencies {
        let Some(number) = Abi::X86_64.number(name) else { continue };
        let index = runs.partition_point(|(border, _)| *border <= number.0) - 1;
        runs[index].1.weight += u32::try_from(*count).map_or(f64::MAX, f64::from);
    }
    runs.into_iter().map(|(_, run)| run).collect()
}

/// Whether two numbers are treated alike: where rules come from does not matter.
fn same(a: &Said<'_>, b: &Said<'_>) -> bool {
    let plain = |rules: &[Rule]| -> Vec<_> {
        rules.iter().map(|rule| (rule.action, rule.comparisons.clone())).collect()
    };
    match (a, b) {
        (Said::Rules(a), Said::Rules(b)) => plain(a) == plain(b),
        (a, b) => a == b,
    }
}

/// The least sum of tests, each call counted as often as it is made.
fn least(runs: &[Run]) -> f64 {
    let count = runs.len();
    let mut best = vec![vec![0.0; count]; count];
    for length in 2..=count {
        for first in 0..=count - length {
            let last = first + length - 1;
            let weight: f64 = runs[first..=last].iter().map(|run| run.weight).sum();
            let split = (first..last).map(|at| weight + best[first][at] + best[at + 1][last]);
            let chains = chains(&runs[first..=last], weight);
            best[first][last] = split.chain(chains).fold(f64::INFINITY, f64::min);
        }
    }
    best[0][count - 1]
}

/// The cost of each chain that decides these runs.
fn chains(runs: &[Run], weight: f64) -> impl Iterator<Item = f64> {
    let mut classes: Vec<usize> = runs.iter().map(|run| run.class).collect();
    classes.sort_unstable();
    classes.dedup();
    classes.into_iter().filter_map(move |rest| {
        let taken = || runs.iter().filter(|run| run.class != rest);
        if !taken().all(|run| run.single) {
            return None;
        }
        let mut weights: Vec<f64> = taken().map(|run| run.weight).collect();
        weights.sort_by(|a, b| b.total_cmp(a));
        let mut left = weight;
        let mut cost = 0.0;
        for taken in weights {
            cost += left;
            left -= taken;
        }
        Some(cost)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(class: usize, single: bool, weight: f64) -> Run {
        Run { class, single, weight, by_argument: false }
    }

    #[test]
    fn a_chain_takes_single_numbers_out_of_a_range() {
        let hole = [run(0, false, 5.0), run(1, true, 1.0), run(0, false, 4.0)];
        assert!((least(&hole) - 10.0).abs() < 1e-9);
        let wide = [run(0, false, 5.0), run(1, false, 1.0), run(0, false, 4.0)];
        // A threshold for all, and one more for the lighter side.
        assert!((least(&wide) - 15.0).abs() < 1e-9);
    }
}
