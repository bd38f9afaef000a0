//! Listings: what is assembled and listed again is the same program.
#![no_main]

use callgate_bpf::{ByteOrder, Layout, asm, disasm::Listing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let layout = Layout::seccomp(ByteOrder::Little);
    let Ok(program) = asm::assemble(text, layout) else { return };
    let listing = Listing::new(&program).to_string();
    assert_eq!(asm::assemble(&listing, layout).as_ref(), Ok(&program));
});
