//! Programs as text.

use std::fmt::Write;

use callgate_bpf::{Instruction, Program, disasm::Listing};
use schemars::JsonSchema;
use serde::Serialize;

use crate::names::SyscallNames;

/// How a program is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramForm {
    /// An array of struct sock_filter in the program's byte order.
    Raw,
    Asm,
    Json,
    C,
    Rust,
}

impl ProgramForm {
    /// The program, in comments called by this name.
    pub fn write(self, program: &Program, name: &str) -> Vec<u8> {
        match self {
            ProgramForm::Raw => program.to_bytes(program.layout().byte_order),
            ProgramForm::Asm => listing(program).into_bytes(),
            ProgramForm::Json => json(program).into_bytes(),
            ProgramForm::C => c(program, name).into_bytes(),
            ProgramForm::Rust => rust(program, name).into_bytes(),
        }
    }
}

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
fn json(program: &Program) -> String {
    let text = serde_json::to_string(&json_instructions(program.instructions()));
    text.expect("numbers are JSON").replace("},{", "},\n {") + "\n"
}

fn c(program: &Program, name: &str) -> String {
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

fn rust(program: &Program, name: &str) -> String {
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
