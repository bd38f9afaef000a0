//! `Program::always_allows` against the running kernel's own record.
//!
//! Needs CAP_BPF and CAP_PERFMON, a kernel that describes its structures (BTF) and one that keeps
//! the record (5.11, this architecture); skipped, loudly, elsewhere.
#![cfg(target_os = "linux")]

#[path = "oracle/bitmap.rs"]
mod bitmap;
mod oracle;

use bitmap::Reader;
use callgate_bpf::generate::{self, Rng};
use callgate_bpf::{
    AluOp, Architecture, ByteOrder, Condition, Instruction, Layout, Op, Operand, Program, SyscallNr,
};

const LAYOUT: Layout = Layout::seccomp(ByteOrder::NATIVE);
const ALLOW: u32 = 0x7fff_0000;

/// The kernel's own architecture and the 32-bit one beside it.
const ARCHITECTURES: Option<[Architecture; 2]> = if cfg!(target_arch = "x86_64") {
    Some([Architecture(0xc000_003e), Architecture(0x4000_0003)])
} else if cfg!(target_arch = "aarch64") {
    Some([Architecture(0xc000_00b7), Architecture(0x4000_0028)])
} else {
    None
};

/// uretprobe and uprobe, which newer kernels let pass whatever the filter says.
const UNFILTERED: [usize; 2] = [335, 336];

/// A program of the kind that the kernel's emulator follows, mostly.
fn followed(rng: &mut Rng, architectures: [Architecture; 2]) -> Vec<Instruction> {
    let length = 2 + rng.below(30);
    let mut instructions: Vec<Instruction> = Vec::new();
    for index in 0..length {
        let after = length - index - 1;
        let last = after == 0;
        let near = |rng: &mut Rng| u8::try_from(rng.below(after.clamp(1, 6))).expect("below 6");
        let op = match rng.below(if last { 2 } else { 20 }) {
            // Else the number never matters in most.
            _ if index == 0 && !rng.one_in(8) => Op::Load(0),
            0 => Op::Return(ALLOW),
            1 => Op::Return(rng.pick(&[ALLOW, ALLOW | 1, 0x0005_0001, 0x7ffc_0000, 0])),
            2..4 => Op::Load(0),
            4 => Op::Load(4),
            5 => Op::Alu(AluOp::And, Operand::K(rng.next_u32() | rng.next_u32())),
            6 => Op::Jump(u32::from(near(rng))),
            7 if rng.one_in(4) => generate::valid_program(rng, &LAYOUT, 3)[0]
                .decode()
                .filter(|op| !matches!(op, Op::Jump(_) | Op::Branch { .. }))
                .unwrap_or(Op::Tax),
            _ => {
                let nr = u32::try_from(rng.below(480)).expect("a small number");
                let k = match rng.below(8) {
                    0 => rng.pick(&architectures).0,
                    1 => rng.next_u32() & rng.next_u32() & rng.next_u32(),
                    _ => nr,
                };
                Op::Branch {
                    condition: rng.pick(&[
                        Condition::Eq,
                        Condition::Gt,
                        Condition::Ge,
                        Condition::Set,
                    ]),
                    operand: Operand::K(k),
                    jt: near(rng),
                    jf: near(rng),
                }
            }
        };
        instructions.push(op.into());
    }
    instructions
}

#[test]
fn the_kernel_skips_the_filter_where_predicted() {
    let Some(architectures) = ARCHITECTURES else {
        eprintln!("skipped: which architectures this kernel keeps records for is not known here");
        return;
    };
    if !oracle::is_unfiltered() {
        return;
    }
    let reader = match Reader::new() {
        Ok(reader) => reader,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return;
        }
    };
    // A filter that refuses everything clears the record of every call that exists; beyond them
    // stands what no call ever asks for.
    let refuse = [Op::Return(0x0005_0001).into()];
    let none = match reader.read(&refuse) {
        Ok(none) => none,
        Err(error) => {
            eprintln!("skipped: no filter can be attached here: error {error}");
            return;
        }
    };
    let calls = |bits: &[bool]| bits.iter().rposition(|bit| !bit).map_or(0, |last| last + 1);
    let counts = [calls(&none.native), calls(&none.compat)];
    assert!(counts[0] > 300, "{counts:?}");
    let unfiltered: Vec<usize> = (0..counts[0]).filter(|nr| none.native[*nr]).collect();
    assert!(unfiltered.iter().all(|nr| UNFILTERED.contains(nr)), "{unfiltered:?}");

    let count = oracle::size(1_000, 20_000);
    let seed = oracle::seed();
    let mut rng = Rng::new(seed);
    let (mut compared, mut skipped, mut mixed, mut differences) = (0, 0, 0, 0);
    for _ in 0..count {
        let Ok(program) = Program::new(followed(&mut rng, architectures), LAYOUT) else { continue };
        let record = reader.read(program.instructions()).expect("a valid filter is attached");
        for (arch, bits, calls) in [
            (architectures[0], &record.native, counts[0]),
            (architectures[1], &record.compat, counts[1]),
        ] {
            let allowed = bits[..calls].iter().filter(|bit| **bit).count();
            mixed += usize::from(allowed > 2 && allowed < calls);
            for (nr, bit) in bits[..calls].iter().enumerate() {
                if arch == architectures[0] && unfiltered.contains(&nr) {
                    continue;
                }
                let number = SyscallNr(u32::try_from(nr).expect("a small number"));
                compared += 1;
                skipped += usize::from(*bit);
                if program.always_allows(arch, number) != *bit {
                    differences += 1;
                    eprintln!("{arch:?} {nr}: the kernel says {bit}\n{program:?}");
                    assert!(differences < 5, "too many differences to go on");
                }
            }
        }
    }
    eprintln!(
        "{count} programs (seed {seed}), {counts:?} calls: {compared} compared, {skipped} skip the \
         filter, {mixed} programs skip for some calls only; always skipped: {unfiltered:?}; \
         {differences} differences"
    );
    assert_eq!(differences, 0);
    assert!(mixed > count / 10, "too few programs tell calls apart");
}
