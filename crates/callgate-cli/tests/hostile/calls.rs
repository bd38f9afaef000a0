//! Files of calls, as people and strace write them.

#[path = "../../src/commands/eval/calls.rs"]
mod reader;

use callgate_bpf::SeccompData;
use callgate_syscalls::Abi;

/// Whether all of it is calls.
pub fn check(text: &str) -> bool {
    let mut read_well = false;
    for abi in [Abi::X86_64, Abi::X86] {
        let Ok(calls) = reader::file(abi, "calls", text) else { continue };
        read_well = true;
        assert!(calls.len() <= text.lines().count());
        let written: String = calls.iter().map(line).collect();
        assert_eq!(reader::file(abi, "calls", &written).as_ref(), Ok(&calls), "{written}");
    }
    read_well
}

/// A call in numbers.
fn line(call: &SeccompData) -> String {
    let arguments: String = call.args.iter().map(|value| format!(" {value:#x}")).collect();
    format!("{}{arguments}\n", call.nr.0)
}
