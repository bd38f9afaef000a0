//! The validator against the running kernel: the same verdict on everything tried.
//!
//! With no_new_privs set, no descriptor left and a listener asked for, `seccomp(2)` gives EINVAL
//! for an invalid program and EMFILE for a valid one, and attaches nothing. Ordinarily 100,000
//! random programs; `CALLGATE_FULL=1` tries a million.
#![cfg(target_os = "linux")]

mod oracle;

use callgate_bpf::generate::{self, Rng};
use callgate_bpf::{ByteOrder, Instruction, Layout, Op, Program};
use oracle::Verdict;

const LAYOUT: Layout = Layout::seccomp(ByteOrder::NATIVE);

/// What the kernel says, compared with what we say; `None` when they differ in anything.
fn agreed(instructions: &[Instruction]) -> Option<bool> {
    let ours = Program::new(instructions.to_vec(), LAYOUT);
    let valid = ours.is_ok();
    let theirs = oracle::verdict(&oracle::filter(instructions));
    let same = theirs == if valid { Verdict::Valid } else { Verdict::Invalid };
    if !same {
        eprintln!("kernel: {theirs:?}, validator: {:?}\n{instructions:?}", ours.err());
    }
    same.then_some(valid)
}

/// False, said loudly, where the kernel cannot be asked.
fn oracle_is_ready() -> bool {
    let ready = oracle::set_no_new_privs()
        && oracle::forbid_descriptors()
        && oracle::verdict(&oracle::filter(&[Op::ReturnA.into()])) == Verdict::Valid
        && oracle::verdict(&oracle::filter(&[Op::LoadLen.into()])) == Verdict::Invalid;
    if !ready {
        eprintln!("skipped: this kernel or container gives no verdict on filters (needs 5.0)");
    }
    ready
}

#[test]
fn every_opcode_gets_the_kernels_verdict() {
    if !oracle::is_own_process("every_opcode_gets_the_kernels_verdict") || !oracle_is_ready() {
        return;
    }
    let mut differences = 0;
    let mut accepted = [false; 0x1_0000];
    let mut frames = 0;
    for k in [1, 0, 4, 16, 31, 32, 60, 61, 64, u32::MAX] {
        for (jt, jf) in [(0, 0), (1, 0), (0, 1), (1, 2)] {
            // Every value in the first frame; the other frames vary what a known opcode may say.
            let last = if frames == 0 { u16::MAX } else { 0x1ff };
            for code in 0..=last {
                frames += 1;
                let frame = [
                    Op::Store(0).into(),
                    Op::StoreX(1).into(),
                    Instruction { code, jt, jf, k },
                    Op::ReturnA.into(),
                    Op::ReturnA.into(),
                ];
                match agreed(&frame) {
                    Some(valid) => accepted[usize::from(code)] |= valid,
                    None => differences += 1,
                }
            }
        }
    }
    let accepted = accepted.iter().filter(|accepted| **accepted).count();
    eprintln!(
        "65536 opcode values, {frames} programs: {accepted} accepted, {differences} differences"
    );
    assert_eq!(differences, 0);
    assert_eq!(accepted, 41);
}

#[test]
fn lengths_and_corners_get_the_kernels_verdict() {
    if !oracle::is_own_process("lengths_and_corners_get_the_kernels_verdict") || !oracle_is_ready()
    {
        return;
    }
    for length in [0, 1, 2, 4095, 4096, 4097, 8192, 65_535] {
        let instructions = vec![Op::ReturnA.into(); length];
        assert!(agreed(&instructions).is_some(), "{length} instructions");
    }
    let branch = |jt, jf| Instruction { code: 0x15, jt, jf, k: 0 };
    let read: Instruction = Op::LoadMem(0).into();
    let write: Instruction = Op::Store(0).into();
    let end: Instruction = Op::ReturnA.into();
    let jump = |distance| Instruction::from(Op::Jump(distance));
    for (valid, corner) in [
        // After a jump of any kind, dead code counts as having everything written ...
        (true, vec![jump(1), read, end]),
        (true, vec![branch(1, 1), read, end]),
        // ... unless something jumps there.
        (false, vec![branch(1, 0), jump(1), read, end]),
        (false, vec![branch(0, 1), jump(0), read, end]),
        // A return resets nothing.
        (false, vec![end, read, end]),
        (true, vec![write, end, read, end]),
        (false, vec![branch(0, 1), write, read, end]),
        (true, vec![branch(0, 2), write, jump(1), write, read, end]),
        // A backward jump in two's complement.
        (false, vec![end, jump(u32::MAX), end]),
        (false, vec![jump(0x8000_0000), end]),
    ] {
        assert_eq!(agreed(&corner), Some(valid), "{corner:?}");
    }
}

#[test]
fn random_programs_get_the_kernels_verdict() {
    if !oracle::is_own_process("random_programs_get_the_kernels_verdict") || !oracle_is_ready() {
        return;
    }
    let count = oracle::size(100_000, 1_000_000);
    let seed = oracle::seed();
    let mut rng = Rng::new(seed);
    let (mut valid, mut differences) = (0, 0);
    for number in 0..count {
        let longest = if number % 1000 == 0 { 4096 } else { 200 };
        match agreed(&generate::program(&mut rng, &LAYOUT, longest)) {
            Some(verdict) => valid += usize::from(verdict),
            None => differences += 1,
        }
    }
    let percent = 100.0 * valid as f64 / count as f64;
    eprintln!(
        "{count} random programs (seed {seed}): {valid} valid ({percent:.1} %), \
         {differences} differences"
    );
    assert_eq!(differences, 0);
    assert!(2 * valid >= count, "half of the programs or more must be valid");
}
