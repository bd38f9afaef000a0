//! Arbitrary bytes as a program: listed and assembled it is the same, and its diagram and the
//! rules made of that answer as the interpreter does.

use callgate_bpf::{
    ByteOrder, Instruction, Layout, Program, SeccompData, ShiftRule, asm,
    disasm::Listing,
    generate::{self, Rng},
};
use callgate_verdict::Manager;

/// Whether it is a program.
pub fn check(bytes: &[u8]) -> bool {
    let mut valid = false;
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let layout = Layout::seccomp(order);
        check_listing(bytes, order);
        let Ok(program) = Program::from_bytes(bytes, order, layout) else { continue };
        assert_eq!(program.to_bytes(order), bytes);
        let text = Listing::new(&program).to_string();
        assert_eq!(asm::assemble(&text, layout).as_ref(), Ok(&program), "{text}");
        check_diagram(&program);
        valid = true;
    }
    valid
}

/// What the kernel would refuse survives a listing, too.
fn check_listing(bytes: &[u8], order: ByteOrder) {
    let layout = Layout::seccomp(order);
    let instructions: Vec<Instruction> = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .take(callgate_bpf::MAX_INSTRUCTIONS)
        .map(|bytes| Instruction::from_bytes(*bytes, order))
        .collect();
    let text = Listing::of_instructions(&instructions, &layout).to_string();
    assert_eq!(asm::assemble_unchecked(&text, &layout).as_ref(), Ok(&instructions), "{text}");
}

fn check_diagram(program: &Program) {
    let layout = program.layout();
    let order = layout.byte_order;
    let mut manager = Manager::with_limit(*layout, 1 << 16);
    let Ok(diagram) = manager.program(program, ShiftRule::Low5) else { return };
    for words in generate::inputs(&mut Rng::new(1), program.instructions(), 20) {
        let data = SeccompData::from_words(&words, order);
        let answer = program.run(&words, ShiftRule::Low5);
        assert_eq!(manager.decide(diagram, &data), answer, "{data:#x?}\n{program:#?}");
    }
    if let Ok(ruleset) = manager.synthesize(diagram)
        && let Err(error) = callgate_compile::compile(&ruleset)
    {
        assert!(!error.is_internal(), "{error}\n{program:#?}");
    }
}
