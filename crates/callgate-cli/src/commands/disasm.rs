//! `callgate disasm`: one instruction a line.

use callgate_bpf::{ByteOrder, Instruction, Layout, Program, disasm::Listing};
use clap::Args as ClapArgs;

use super::{Answer, Failure, compile::listing};
use crate::{
    names::SyscallNames,
    output, report,
    source::{Source, Stack, other_byte_order},
    target::{ByteOrderArgs, ReadingArgs, TargetArgs, resolve},
};

const AFTER_HELP: &str = "\
Examples:
  callgate disasm docker-default
  callgate disasm filter.bpf
  callgate disasm --arch s390x filter.bpf";

/// List a program: names for system calls, arguments, actions and constants
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A program, or a profile to compile first
    source: String,

    #[command(flatten)]
    reading: ReadingArgs,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    order: ByteOrderArgs,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    match Source::open(&args.source, args.reading.dialect())? {
        Source::Program { name, bytes } => {
            program(&name, &bytes, args.order.order(args.target.arch.first().copied()))
        }
        Source::Stack(stack) => {
            output::print(&listings(&stack))?;
            Ok(Answer::Yes)
        }
        Source::Profile(mut profile) => {
            let target = args.target.target()?;
            let ruleset = resolve(&mut profile, &args.reading, &target);
            profile.print_diagnostics(false, "nothing was compiled");
            let ruleset = ruleset.ok_or(Failure::Reported)?;
            let compiled = callgate_compile::compile(&ruleset)
                .map_err(|error| format!("{}: {error}", profile.name))?;
            output::print(&listing(compiled.program()))?;
            Ok(Answer::Yes)
        }
    }
}

/// One filter after the other, newest first as the kernel runs them.
fn listings(stack: &Stack) -> String {
    let one = |(index, program)| match stack.programs.len() {
        1 => listing(program),
        _ => format!("; {}\n{}", stack.filter_name(index), listing(program)),
    };
    let all: Vec<String> = stack.programs.iter().enumerate().map(one).collect();
    all.join("\n")
}

/// Lists what is there, and says so when the kernel would not take it.
fn program(name: &str, bytes: &[u8], order: ByteOrder) -> Result<Answer, Failure> {
    let layout = Layout::seccomp(order);
    let (chunks, _) = bytes.as_chunks::<8>();
    let instructions: Vec<Instruction> =
        chunks.iter().map(|&bytes| Instruction::from_bytes(bytes, order)).collect();
    let listing = Listing::of_instructions(&instructions, &layout).with_names(&SyscallNames);
    output::print(&listing.to_string())?;
    match Program::new(instructions, layout) {
        Ok(_) => Ok(Answer::Yes),
        Err(invalid) => {
            let hint = other_byte_order(bytes, order);
            report::warning(format!(
                "{name}: the kernel would refuse this program: {invalid}{hint}"
            ));
            Ok(Answer::No)
        }
    }
}
