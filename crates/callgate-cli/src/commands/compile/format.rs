//! Programs as text.

use std::fmt::Write;

use callgate_bpf::{Instruction, Program, disasm::Listing};
use schemars::JsonSchema;
use serde::Serialize;

use crate::names::SyscallNames;

/// The listing that `callgate disasm` prints.
pub fn listing(program: &Program) -> String {
    Listing::new(program).with_names(&SyscallNames).to_string()
}

/// The fields of struct sock_filter.
#[derive(Serialize, JsonSchema)]
pub struct JsonInstruction {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

pub fn json_instructions(instructions: &[Instruction]) -> Vec<JsonInstruction> {
    instructions
        .iter()
        .map(|&Instruction { code, jt, jf, k }| JsonInstruction { code, jt, jf, k })
        .collect()
}

/// A list of objects with the fields of struct sock_filter.
pub fn json(program: &Program) -> serde_json::Result<String> {
    serde_json::to_string(&json_instructions(program.instructions()))
        .map(|text| text.replace("},{", "},\n {") + "\n")
}

pub fn c(program: &Program, name: &str) -> String {
    let mut text = format!(
        "/* {}: made by callgate */\n#include <linux/filter.h>\n\nstatic const struct sock_filter filter[{}] = {{\n",
        comment(name),
        program.len()
    );
    for instruction in program.instructions() {
        let _ = writeln!(text, "\t{instruction:?},");
    }
    text.push_str("};\n");
    text
}

pub fn rust(program: &Program, name: &str) -> String {
    let mut text = format!(
        "// {}: made by callgate\n\n/// `(code, jt, jf, k)` of each `sock_filter`.\npub const FILTER: [(u16, u8, u8, u32); {}] = [\n",
        comment(name),
        program.len()
    );
    for Instruction { code, jt, jf, k } in program.instructions() {
        let _ = writeln!(text, "    ({code:#06x}, {jt}, {jf}, {k:#010x}),");
    }
    text.push_str("];\n");
    text
}

/// A name that cannot end the comment it stands in.
fn comment(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || "*/\\".contains(c) { '_' } else { c }).collect()
}
