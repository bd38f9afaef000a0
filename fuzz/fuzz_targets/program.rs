//! Arbitrary bytes as a program: the diagram answers as the interpreter does.
#![no_main]

use callgate_bpf::{ByteOrder, Layout, Program, SeccompData, ShiftRule, generate};
use callgate_verdict::Manager;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let order = ByteOrder::Little;
    let layout = Layout::seccomp(order);
    let Ok(program) = Program::from_bytes(bytes, order, layout) else { return };
    let mut manager = Manager::with_limit(layout, 1 << 16);
    let Ok(diagram) = manager.program(&program, ShiftRule::Low5) else { return };
    let mut rng = generate::Rng::new(1);
    for words in generate::inputs(&mut rng, program.instructions(), 20) {
        let data = SeccompData::from_words(&words, order);
        assert_eq!(manager.decide(diagram, &data), program.run(&words, ShiftRule::Low5));
    }
});
