//! Small filters for tests.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use callgate_bpf::{
    Action, ByteOrder, Condition, Instruction, Layout, Op, Operand, Program, SyscallNr,
};
use callgate_syscalls::Abi;

/// Returns one action for everything.
pub fn always(action: Action) -> Program {
    program(vec![Op::Return(action.raw().0).into()])
}

/// Returns `action` for these calls of this machine's ABI, and allows the rest.
pub fn refuse(calls: &[libc::c_long], action: Action) -> Program {
    let Some(abi) = Abi::native() else { panic!("no table for this architecture") };
    let equal = |value: u32, jt: u8, jf: u8| -> Instruction {
        Op::Branch { condition: Condition::Eq, operand: Operand::K(value), jt, jf }.into()
    };
    let mut code: Vec<Instruction> = vec![
        Op::Load(4).into(),
        equal(abi.audit().0, 1, 0),
        Op::Return(Action::Allow.raw().0).into(),
        Op::Load(0).into(),
    ];
    for call in calls {
        code.push(equal(number(*call).0, 0, 1));
        code.push(Op::Return(action.raw().0).into());
    }
    code.push(Op::Return(Action::Allow.raw().0).into());
    program(code)
}

/// The calls that make a directory; newer ABIs have only the second.
pub fn mkdir() -> Vec<libc::c_long> {
    let abi = Abi::native().unwrap();
    let numbers = ["mkdir", "mkdirat"].into_iter().filter_map(|name| abi.number(name));
    numbers.map(|nr| nr.0.into()).collect()
}

/// The number as a filter sees it.
pub fn number(call: libc::c_long) -> SyscallNr {
    SyscallNr(u32::try_from(call).unwrap())
}

/// The longest path that one program of returns and loads can have: 4096 instructions.
pub fn longest() -> Program {
    let mut code: Vec<Instruction> = vec![Op::LoadLen.into(); 4095];
    code.push(Op::Return(Action::Allow.raw().0).into());
    program(code)
}

fn program(code: Vec<Instruction>) -> Program {
    Program::new(code, Layout::seccomp(ByteOrder::NATIVE)).unwrap()
}
