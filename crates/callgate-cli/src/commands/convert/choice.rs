//! A text that means something else than was asked for: in what, told by numbers and a call.

use callgate_bpf::{SeccompData, SyscallNr};
use callgate_syscalls::Abi;
use callgate_verdict::{Diagram, Difference, Manager, TooComplex};

use super::Toward;
use crate::{commands::diff, names::abi_of};

/// How a text differs from what was asked for.
pub struct Choice {
    pub text: String,
    pub says: String,
    /// It differs on nothing that can be a call.
    pub on_no_call: bool,
}

impl Choice {
    /// Of a text that means `means`; none when that is not on this side of `meaning` everywhere.
    pub fn of(
        manager: &mut Manager,
        text: &str,
        [meaning, means]: [Diagram; 2],
        toward: Toward,
        name: &str,
    ) -> Result<Option<Choice>, TooComplex> {
        let mut differences = manager.differences(meaning, means)?;
        differences.retain(|difference| !is_no_call(difference));
        let never = manager.always(false);
        for difference in &differences {
            let [less, more] = toward.sides(difference);
            if manager.weaker(less, more)? != never {
                return Ok(None);
            }
        }
        let unnamed = differences.iter().filter(|d| d.arch == d.last_arch).any(|difference| {
            let numbers = u64::from(difference.last.0) - u64::from(difference.first.0) + 1;
            u64::try_from(named(difference).len()).is_ok_and(|named| named < numbers)
        });
        let mut counts = diff::counts(&differences);
        if unnamed {
            counts.push("numbers that no system call has".to_owned());
        }
        if differences.iter().any(|difference| difference.arch != difference.last_arch) {
            counts.push("other architectures".to_owned());
        }
        let mut says = match counts.split_last() {
            None => "differs on numbers alone that can never be a call".to_owned(),
            Some((last, [])) => format!("differs on {last}"),
            Some((last, rest)) => format!("differs on {} and {last}", rest.join(", ")),
        };
        if let Some(call) = example(manager, &differences, toward)? {
            let verb = |diagram| diff::verb(manager.decide(diagram, &call).action());
            let (it, source) = (verb(means), verb(meaning));
            says.push_str(&format!("; {}: it {it}, {name} {source}", diff::call(&call)));
        }
        Ok(Some(Choice { text: text.to_owned(), says, on_no_call: differences.is_empty() }))
    }
}

impl Toward {
    /// What must be nowhere weaker, and than what.
    fn sides(self, difference: &Difference) -> [Diagram; 2] {
        match self {
            Toward::Weaker => [difference.left, difference.right],
            Toward::Stricter => [difference.right, difference.left],
        }
    }
}

/// Numbers of x86_64's architecture that can never be a call: the kernel has none above x32's
/// (`do_syscall_x64` and `do_syscall_x32` in `arch/x86/entry`), whatever a filter says. Readers do
/// not agree on them.
fn is_no_call(difference: &Difference) -> bool {
    difference.arch == Abi::X86_64.audit()
        && difference.last_arch == difference.arch
        && difference.first.0 >= 2 * SyscallNr::X32_BIT
}

/// The system calls among the numbers.
fn named(difference: &Difference) -> Vec<SyscallNr> {
    let abi = abi_of(difference.arch, difference.first);
    let of = |abi: Abi| {
        let mut numbers: Vec<SyscallNr> =
            abi.syscalls_between(difference.first, difference.last).map(|(nr, _)| nr).collect();
        numbers.dedup();
        numbers
    };
    abi.map_or_else(Vec::new, of)
}

/// A call that shows the difference: one that is permitted, or refused, if there is any, with a
/// name and of this machine where that can be had.
fn example(
    manager: &mut Manager,
    differences: &[Difference],
    toward: Toward,
) -> Result<Option<SeccompData>, TooComplex> {
    let mut best: Option<(u8, SeccompData)> = None;
    for difference in differences {
        let [less, more] = toward.sides(difference);
        let permitted = manager.permits_more(more, less)?;
        let shows = manager.witness(permitted);
        let first = named(difference).first().copied();
        let native = abi_of(difference.arch, difference.first) == Abi::native();
        let worth =
            4 * u8::from(shows.is_some()) + 2 * u8::from(first.is_some()) + u8::from(native);
        if best.is_some_and(|(of, _)| of >= worth) {
            continue;
        }
        let args = shows.map_or(difference.example.args, |call| call.args);
        let nr = first.unwrap_or(difference.first);
        best = Some((worth, SeccompData { nr, args, ..difference.example }));
    }
    Ok(best.map(|(_, call)| call))
}
