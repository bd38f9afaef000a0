//! Calls by a small number, and which of their arguments are looked at.

use callgate_bpf::{Architecture, SyscallNr};
use callgate_syscalls::Abi;

/// How many calls have a counter of their own: numbers below 512 of the machine's own table, as
/// many of its 32-bit one, and numbers below 1024 of x32.
pub(super) const CALLS: usize = 2_048;
pub(super) const COMPAT: i32 = 512;
pub(super) const X32: i32 = 1_024;
/// How many arguments can be looked at, over all calls.
pub(super) const SETS: usize = 1_024;

/// Bits of a call's word: it may load a filter, or does so with a certain first argument.
pub(super) const SECCOMP: i32 = 1 << 6;
pub(super) const PRCTL: i32 = 1 << 7;

/// Which arguments of which calls are recorded by their values.
///
/// Meant for those that choose what a call does: flags, commands, families. Never for addresses,
/// whose values say nothing.
#[derive(Clone, Debug)]
pub struct ArgumentTable {
    /// By index of the call: bits 0 to 5 say which arguments, bits 8 to 13 which of them are 64
    /// bits wide.
    calls: Vec<u16>,
}

impl Default for ArgumentTable {
    fn default() -> ArgumentTable {
        ArgumentTable { calls: vec![0; CALLS] }
    }
}

/// A tracked argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tracked {
    pub(super) call: usize,
    pub(super) argument: u8,
}

impl ArgumentTable {
    /// No argument of any call.
    pub fn new() -> ArgumentTable {
        ArgumentTable::default()
    }

    /// Looks at argument `index`, from 0 to 5, of a call. Of one that is not `wide`, the low 32
    /// bits count, as for an `int`. Whether there was room: for 1024 arguments in all, of calls
    /// that have a counter.
    pub fn track(
        &mut self,
        architecture: Architecture,
        number: SyscallNr,
        index: u8,
        wide: bool,
    ) -> bool {
        let used: u32 = self.calls.iter().map(|call| (call & 0x3f).count_ones()).sum();
        let Some(call) = index_of(architecture, number).filter(|_| index < 6) else {
            return false;
        };
        let bit = 1 << index;
        let word = &mut self.calls[call];
        if *word & bit == 0 && usize::try_from(used).is_ok_and(|used| used >= SETS) {
            return false;
        }
        *word |= bit;
        if wide {
            *word |= bit << 8;
        }
        true
    }

    /// Every tracked argument, by the number of its set.
    pub(super) fn tracked(&self) -> Vec<Tracked> {
        let arguments = |(call, word): (usize, &u16)| {
            let word = *word;
            (0..6)
                .filter(move |argument| word & 1 << argument != 0)
                .map(move |argument| Tracked { call, argument })
        };
        self.calls.iter().enumerate().flat_map(arguments).collect()
    }

    /// What the programs read: 64 bits for each call, with the number of its first set above.
    pub(super) fn words(&self) -> Vec<u8> {
        let mut first = 0u64;
        let mut words = Vec::with_capacity(CALLS * 8);
        for (index, call) in self.calls.iter().enumerate() {
            let loads = match abi_at(index).name_of(call_at(index).1) {
                Some("seccomp") => SECCOMP,
                Some("prctl") => PRCTL,
                _ => 0,
            };
            let word = u64::from(*call) | u64::from(loads.cast_unsigned()) | first << 16;
            words.extend(word.to_ne_bytes());
            first += u64::from((call & 0x3f).count_ones());
        }
        words
    }
}

/// The index of a call; none for one that has no counter of its own.
pub(super) fn index_of(architecture: Architecture, number: SyscallNr) -> Option<usize> {
    let (first, number, end) = if architecture == Abi::X86.audit() {
        (512, number.0, 512)
    } else if architecture != Abi::X86_64.audit() {
        return None;
    } else if number.0 & SyscallNr::X32_BIT != 0 {
        (1_024, number.0 & !SyscallNr::X32_BIT, 1_024)
    } else {
        (0, number.0, 512)
    };
    (number < end).then(|| usize::try_from(number).map(|number| first + number).ok())?
}

/// The call of an index.
pub(super) fn call_at(index: usize) -> (Architecture, SyscallNr) {
    let number = u32::try_from(index).unwrap_or(0);
    match number {
        0..512 => (Abi::X86_64.audit(), SyscallNr(number)),
        512..1024 => (Abi::X86.audit(), SyscallNr(number - 512)),
        _ => (Abi::X86_64.audit(), SyscallNr((number - 1_024) | SyscallNr::X32_BIT)),
    }
}

fn abi_at(index: usize) -> Abi {
    match index {
        0..512 => Abi::X86_64,
        512..1024 => Abi::X86,
        _ => Abi::X32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_a_call_and_back() {
        for index in 0..CALLS {
            let (architecture, number) = call_at(index);
            assert_eq!(index_of(architecture, number), Some(index));
        }
        assert_eq!(index_of(Abi::X86_64.audit(), SyscallNr(512)), None);
        assert_eq!(index_of(Abi::X86_64.audit(), SyscallNr::SKIP), None);
        assert_eq!(index_of(Abi::Aarch64.audit(), SyscallNr(0)), None);
    }

    #[test]
    fn sets_are_numbered_in_the_order_of_calls_and_arguments() {
        let mut table = ArgumentTable::new();
        assert!(table.track(Abi::X86_64.audit(), SyscallNr(41), 1, false));
        assert!(table.track(Abi::X86_64.audit(), SyscallNr(41), 0, true));
        assert!(table.track(Abi::X86_64.audit(), SyscallNr(16), 1, false));
        assert!(!table.track(Abi::X86_64.audit(), SyscallNr(16), 6, false));
        assert_eq!(
            table.tracked(),
            [(16, 1), (41, 0), (41, 1)].map(|(call, argument)| Tracked { call, argument })
        );
        let words = table.words();
        let word = |call: usize| u64::from_ne_bytes(words[call * 8..][..8].try_into().unwrap());
        assert_eq!(word(16), 0b10);
        assert_eq!(word(41), 1 << 16 | 1 << 8 | 0b11);
        assert_eq!(word(42), 3 << 16);
    }
}
