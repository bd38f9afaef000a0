//! Files of calls, as people and strace write them.

use callgate_bpf::SeccompData;
use callgate_record::calls;
use callgate_syscalls::Abi;

/// Whether all of it is calls.
pub fn check(text: &str) -> bool {
    let mut read_well = false;
    for abi in [Abi::X86_64, Abi::X86] {
        let Ok(calls) = read(abi, text) else { continue };
        read_well = true;
        // A thread's mode holds for the lines that follow.
        if !text.contains(" runs in ") {
            let alone = text.lines().map(|line| calls::written(abi, line).expect("read before"));
            assert_eq!(alone.flatten().collect::<Vec<_>>(), calls);
        }
        let written: String = calls.iter().map(line).collect();
        assert_eq!(read(abi, &written).as_ref(), Ok(&calls), "{written}");
    }
    read_well
}

fn read(abi: Abi, text: &str) -> Result<Vec<SeccompData>, String> {
    let mut calls = Vec::new();
    calls::each(abi, "calls", text.as_bytes(), |call| {
        calls.push(*call);
        Ok::<(), String>(())
    })?;
    Ok(calls)
}

/// A call in numbers.
fn line(call: &SeccompData) -> String {
    let arguments: String = call.args.iter().map(|value| format!(" {value:#x}")).collect();
    format!("{}{arguments}\n", call.nr.0)
}
