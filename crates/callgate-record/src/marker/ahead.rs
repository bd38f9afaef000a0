//! The markers of a recording that goes on.

use std::collections::BTreeSet;

use super::Marker;
use crate::{Call, Phase};

/// Markers that were not reached yet.
#[derive(Clone, Debug)]
pub(crate) struct Ahead(Vec<Marker>);

impl Ahead {
    pub(crate) fn new(markers: &[Marker]) -> Ahead {
        Ahead(markers.to_vec())
    }

    /// The phase that begins behind this call, if one does.
    pub(crate) fn pass(&mut self, call: Call) -> Option<Phase> {
        let reached = self.0.iter().position(|marker| marker.is(call))?;
        Some(self.0.remove(reached).phase())
    }

    /// As [`Ahead::pass`], of calls that were made at some time.
    pub(crate) fn pass_any(&mut self, calls: &BTreeSet<Call>) -> Option<Phase> {
        calls.iter().find_map(|call| self.pass(*call))
    }
}

#[cfg(test)]
mod tests {
    use callgate_syscalls::Abi;

    use super::*;

    #[test]
    fn a_marker_is_passed_once_and_by_any_abi() {
        let mut ahead = Ahead::new(&["listen".parse().unwrap(), "up=accept".parse().unwrap()]);
        let call = |abi: Abi, name| Call { abi, number: abi.number(name).unwrap() };
        assert_eq!(ahead.pass(call(Abi::X86_64, "read")), None);
        assert_eq!(ahead.pass(call(Abi::Arm, "listen")), Some(Phase::After("listen".to_owned())));
        assert_eq!(ahead.pass(call(Abi::X86_64, "listen")), None);
        let seen = BTreeSet::from(["read", "accept"].map(|name| call(Abi::X86_64, name)));
        assert_eq!(ahead.pass_any(&seen), Some(Phase::After("up".to_owned())));
    }
}
