//! Rows on which readers of filters are known to differ from the kernel, each with a live answer:
//! the program is loaded, the call made, and what happened is what interpreter, diagram and
//! validator must say.
//!
//! What is loaded with a listener, or by `int 0x80`, is caught and read back as well: the cases
//! `flags_and_the_listener_are_told` and `int_0x80_is_caught_by_its_own_abi` of `catch.rs`. All
//! shifts, all opcodes and random programs: `interpreter_oracle.rs`, `validator_oracle.rs`.

mod harness;
mod oracle;

use std::ffi::CStr;
use std::io::{PipeWriter, Read, Write};
use std::os::unix::process::ExitStatusExt;

use callgate_bpf::{
    Action, ByteOrder, Instruction, Layout, Op, Program, RawAction, SeccompData, ShiftRule,
    SyscallNr, asm,
};
use callgate_syscalls::Abi;
use callgate_verdict::{Manager, lint};

use self::harness::{Case, in_child, skip};
use self::oracle::Session;

const LAYOUT: Layout = Layout::seccomp(ByteOrder::NATIVE);

/// A number that no kernel has.
const NO_CALL: SyscallNr = SyscallNr(0x1_0000);

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

fn main() {
    let cases: &[Case] = &[
        ("shifts_by_32_and_more", shifts),
        ("a_division_by_x_of_0_ends_the_thread", division),
        ("what_seccomp_has_not_is_refused", refused),
        ("error_numbers_end_at_4095", error_numbers),
        ("unknown_actions_kill_the_process", unknown_actions),
        ("a_comparison_that_cannot_hold_allows_nothing", never),
    ];
    harness::main(cases);
}

/// What came of a program and one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// The program was refused with this error number.
    Refused(u32),
    /// The call gave this error number.
    Error(u32),
    ThreadKilled,
    ProcessKilled,
}

/// Loads the program and makes the call.
fn kernel(instructions: &[Instruction], data: &SeccompData) -> Seen {
    if !oracle::is_unfiltered() {
        skip("a filter holds already");
    }
    let (mut reader, writer) = std::io::pipe().unwrap();
    let end = in_child(|| report(&writer, instructions, data));
    drop(writer);
    let mut words = Vec::new();
    reader.read_to_end(&mut words).unwrap();
    let words: Vec<u32> =
        words.as_chunks().0.iter().map(|&word| u32::from_ne_bytes(word)).collect();
    match (words[..].as_ref(), end.code(), end.signal()) {
        (&[0, answer], Some(0), _) => Seen::Error(answer),
        (&[0], Some(0), _) => Seen::ThreadKilled,
        (&[error], Some(0), _) => Seen::Refused(error),
        ([], None, Some(libc::SIGSYS)) => Seen::ProcessKilled,
        other => panic!("{other:?}"),
    }
}

/// The child: the error of loading, and the answer to the call if it came.
fn report(mut writer: &PipeWriter, instructions: &[Instruction], data: &SeccompData) -> u8 {
    let outcome = Session::new(instructions, vec![(data.nr.0, data.args)]).run();
    let words = [&[outcome.attach_error], &outcome.answers[..]].concat();
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    writer.write_all(&bytes).unwrap();
    0
}

/// What a call of a number without a call comes to under an action.
fn foreseen(action: Action) -> Seen {
    match action {
        Action::Errno(number) => Seen::Error(number.into()),
        Action::Allow => Seen::Error(ENOSYS),
        Action::KillThread => Seen::ThreadKilled,
        Action::KillProcess => Seen::ProcessKilled,
        other => panic!("no row answers {other}"),
    }
}

fn native() -> Abi {
    Abi::native().unwrap_or_else(|| skip("no table for this architecture"))
}

/// The instructions, behind a gate that lets through the calls by which the thread lives.
fn gated(body: &str) -> Program {
    let text = format!("ld [nr]\njge #{}, body\nret allow\nbody: ld #0\n{body}\n", NO_CALL.0);
    asm::assemble(&text, LAYOUT).unwrap_or_else(|error| panic!("{error:?}\n{text}"))
}

/// Asks the kernel, the interpreter and the diagram; `known` is what the kernel is known to do.
fn row(program: &Program, data: &SeccompData, known: Seen) {
    let what = format!("{program:?}\n{data:#x?}");
    let seen = kernel(program.instructions(), data);
    let shifts = ShiftRule::of_kernel(native().audit());
    let word = program.run(&data.words(ByteOrder::NATIVE), shifts);
    assert_eq!(foreseen(word.action()), seen, "the interpreter, and the kernel: {what}");
    let mut manager = Manager::new(LAYOUT);
    let meaning = manager.program(program, shifts).unwrap();
    assert_eq!(manager.decide(meaning, data), word, "the diagram: {what}");
    let acted = manager.act(meaning).unwrap();
    assert_eq!(manager.decide(acted, data), word.action().raw(), "{what}");
    // Otherwise the row does not try what it is for.
    assert_eq!(seen, known, "{what}");
}

fn no_call() -> SeccompData {
    SeccompData::new(native().audit(), NO_CALL)
}

/// A row whose result, of 12 bits, is in A.
fn result(body: &str, known: u32) {
    let program = gated(&format!("{body}\nand #0xfff\nor #0x50000\nret a"));
    row(&program, &no_call(), Seen::Error(known));
}

fn shifts() {
    if ShiftRule::of_kernel(native().audit()) != ShiftRule::Low5 {
        skip("the results of these rows are known of machines that shift by the low 5 bits");
    }
    result("ldx #32\nld #5\nlsh x", 5);
    result("ldx #33\nld #0x50\nrsh x", 40);
    result("ldx #0xffffffff\nld #5\nlsh x\nrsh #20", 0x800);
    result("ldx #0xffffffff\nld #0x80000000\nrsh x", 1);
    // X is as it was.
    result("ldx #40\nld #5\nlsh x\ntxa", 40);
}

fn division() {
    row(&gated("ldx #0\nld #9\ndiv x\nret allow"), &no_call(), Seen::ThreadKilled);
    // X starts as 0.
    row(&gated("ld #9\ndiv x\nret errno(1)"), &no_call(), Seen::ThreadKilled);
    row(&gated("ldx #2\nld #9\ndiv x\nor #0x50000\nret a"), &no_call(), Seen::Error(4));
}

fn refused() {
    // BPF_LD | BPF_ABS, of a half-word and of a byte.
    let part = |code| Instruction { code, jt: 0, jf: 0, k: 0 };
    let allow = Op::Return(Action::Allow.raw().0).into();
    for instructions in [
        vec![part(0x28), allow],
        vec![part(0x30), allow],
        vec![Op::LoadMem(0).into(), allow],
        vec![Op::LoadXMem(15).into(), allow],
        vec![Op::Store(1).into(), Op::LoadMem(0).into(), allow],
    ] {
        let einval = u32::try_from(libc::EINVAL).unwrap();
        assert_eq!(kernel(&instructions, &no_call()), Seen::Refused(einval), "{instructions:?}");
        let invalid = Program::new(instructions.clone(), LAYOUT);
        assert!(invalid.is_err(), "{instructions:?}");
    }
    // Written first, it is taken, and holds what was written.
    result("ld #7\nst M[0]\nld #0\nld M[0]", 7);
}

fn error_numbers() {
    row(&gated("ret #0x5ffff"), &no_call(), Seen::Error(4095));
    row(&gated("ret #0x51000"), &no_call(), Seen::Error(4095));
    row(&gated("ret #0x50fff"), &no_call(), Seen::Error(4095));
    row(&gated("ret #0x50ffe"), &no_call(), Seen::Error(4094));
    row(&gated("ret #0x50000"), &no_call(), Seen::Error(0));
}

fn unknown_actions() {
    for word in [0x0001_0000, 0x0004_0001, 0x7ffe_0000, 0x8001_0000, 0xdead_beef] {
        assert_eq!(RawAction(word).action(), Action::KillProcess);
        row(&gated(&format!("ret #{word:#x}")), &no_call(), Seen::ProcessKilled);
    }
    // Not one of them: data of ALLOW counts for nothing.
    row(&gated("ret #0x7fff0001"), &no_call(), Seen::Error(ENOSYS));
}

/// Bits that were masked out are compared with a value that has one of them.
fn never() {
    const TRUE: &CStr = c"/bin/true";
    let execve = native().number("execve").unwrap();
    let low = Layout::arg_low(ByteOrder::NATIVE, 0);
    let text = format!(
        "ld [nr]\njeq #{execve}, guarded\nret allow\nguarded: ld [{low}]\nand #0xff\n\
         jeq #0x100, yes\nret errno({EPERM})\nyes: ret allow\n"
    );
    let program = asm::assemble(&text, LAYOUT).unwrap();
    // If it were allowed, the last would become another program, and the rest give EFAULT.
    let real = u64::try_from(TRUE.as_ptr().expose_provenance()).unwrap();
    for path in [0, 0xff, 0x100, 0x1ff, u64::MAX, real] {
        let mut data = SeccompData::new(native().audit(), execve);
        data.args[0] = path;
        row(&program, &data, Seen::Error(EPERM));
    }
    let mut manager = Manager::new(LAYOUT);
    let meaning = manager.program(&program, ShiftRule::default()).unwrap();
    let of_execve = manager.cofactor(meaning, "nr", execve.0.into()).unwrap();
    assert_eq!(manager.answers(of_execve), [Action::Errno(1).raw()]);
    // No finding has a call that gets past it.
    let subject = lint::Subject::of_programs(std::slice::from_ref(&program), native());
    for finding in lint::lint(&mut manager, &subject).unwrap() {
        let shown = finding.example.filter(|example| example.call.nr == execve);
        assert!(shown.is_none_or(|example| !example.action.runs_call()), "{finding:?}");
    }
}
