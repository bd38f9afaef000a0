//! Listings: what is assembled and listed again is the same program.

use callgate_bpf::{ByteOrder, Layout, asm, disasm::Listing};

/// Whether it is a listing of anything.
pub fn check(text: &str) -> bool {
    let layout = Layout::seccomp(ByteOrder::Little);
    let instructions = asm::assemble_unchecked(text, &layout);
    if let Ok(instructions) = &instructions {
        let listing = Listing::of_instructions(instructions, &layout).to_string();
        let again = asm::assemble_unchecked(&listing, &layout);
        assert_eq!(again.as_ref(), Ok(instructions), "{listing}");
    }
    if let Ok(program) = asm::assemble(text, layout) {
        let listing = Listing::new(&program).to_string();
        assert_eq!(asm::assemble(&listing, layout).as_ref(), Ok(&program), "{listing}");
    }
    instructions.is_ok()
}
