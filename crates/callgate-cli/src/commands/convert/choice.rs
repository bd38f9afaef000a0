//! A text that means something else than was asked for: in what, told by numbers and a call.

use callgate_bpf::SeccompData;
use callgate_verdict::{Diagram, Difference, Manager, TooComplex};

use super::Toward;
use crate::{commands::diff, names::abi_of};

/// How a text differs from what was asked for.
pub struct Choice {
    pub text: String,
    pub says: String,
}

impl Choice {
    /// Of a text that means `means`, on this side of `meaning`.
    pub fn of(
        manager: &mut Manager,
        text: String,
        [meaning, means]: [Diagram; 2],
        toward: Toward,
        name: &str,
    ) -> Result<Choice, TooComplex> {
        let differences = manager.differences(meaning, means)?;
        let counts = diff::counts(&differences);
        let example = match example(manager, &differences, toward)? {
            Some(call) => {
                let verb = |diagram| diff::verb(manager.decide(diagram, &call).action());
                format!(
                    "; for example it {} {}, which {name} {}",
                    verb(means),
                    diff::call(&call),
                    verb(meaning)
                )
            }
            None => String::new(),
        };
        Ok(Choice { text, says: format!("differs on {counts}{example}") })
    }
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
        let [more, less] = match toward {
            Toward::Weaker => [difference.right, difference.left],
            Toward::Stricter => [difference.left, difference.right],
        };
        let permitted = manager.permits_more(more, less)?;
        let shows = manager.witness(permitted);
        let abi = abi_of(difference.arch, difference.first);
        let named = abi
            .is_some_and(|abi| abi.syscalls_between(difference.first, difference.last).len() > 0);
        let native = abi.is_some() && abi == callgate_syscalls::Abi::native();
        let worth = 4 * u8::from(shows.is_some()) + 2 * u8::from(named) + u8::from(native);
        if best.is_some_and(|(of, _)| of >= worth) {
            continue;
        }
        let first = abi
            .and_then(|abi| abi.syscalls_between(difference.first, difference.last).next())
            .map_or(difference.first, |(nr, _)| nr);
        let arguments = shows.map_or(difference.example.args, |call| call.args);
        let call = SeccompData { nr: first, args: arguments, ..difference.example };
        best = Some((worth, call));
    }
    Ok(best.map(|(_, call)| call))
}
