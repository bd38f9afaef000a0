//! `callgate disasm`: one instruction a line, or a drawing.

mod dot;

use callgate_bpf::{Instruction, Layout, Program, disasm::Listing};
use clap::Args as ClapArgs;

use super::{Answer, Failure};
use crate::{
    names::SyscallNames,
    output, report,
    source::{Source, other_byte_order},
    target::{ByteOrderArgs, ReadingArgs, TargetArgs, resolve},
};

const AFTER_HELP: &str = "\
Examples:
  callgate disasm docker-default
  callgate disasm filter.bpf
  callgate disasm --arch s390x filter.bpf
  callgate disasm filter.bpf --graph | dot -Tsvg -o filter.svg";

/// List a program: names for system calls, arguments, actions and constants
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A program, or a profile to compile first
    source: String,

    /// Draw the control-flow graph, in Graphviz's language DOT
    #[arg(long)]
    graph: bool,

    #[command(flatten)]
    reading: ReadingArgs,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    order: ByteOrderArgs,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let order = args.order.order(args.target.arch.first().copied());
    let layout = Layout::seccomp(order);
    let render = if args.graph { dot::text } else { text };
    let named = |program| Listing::new(program).with_names(&SyscallNames);
    let listings = match Source::open(&args.source, args.reading.dialect())? {
        Source::Program { name, bytes } => {
            // What the kernel would not take is listed too.
            let (chunks, _) = bytes.as_chunks::<8>();
            let instructions: Vec<Instruction> =
                chunks.iter().map(|&bytes| Instruction::from_bytes(bytes, order)).collect();
            let listing = Listing::of_instructions(&instructions, &layout);
            output::print(&render(&[(String::new(), listing.with_names(&SyscallNames))]))?;
            let Err(invalid) = Program::new(instructions, layout) else {
                return Ok(Answer::Yes);
            };
            let hint = other_byte_order(&bytes, order);
            report::warning(format!(
                "{name}: the kernel would refuse this program: {invalid}{hint}"
            ));
            return Ok(Answer::No);
        }
        Source::Stack(stack) => {
            let titled = |(index, program)| (stack.filter_name(index), named(program));
            let listings: Vec<_> = stack.programs.iter().enumerate().map(titled).collect();
            render(&listings)
        }
        Source::Profile(mut profile) => {
            let target = args.target.target()?;
            let ruleset = resolve(&mut profile, &args.reading, &target);
            profile.print_diagnostics(false, "nothing was compiled");
            let ruleset = ruleset.ok_or(Failure::Reported)?;
            let compiled = callgate_compile::compile(&ruleset)
                .map_err(|error| format!("{}: {error}", profile.name))?;
            render(&[(String::new(), named(compiled.program()))])
        }
    };
    output::print(&listings)?;
    Ok(Answer::Yes)
}

/// One listing after the other; where there are several, each under its title.
fn text(listings: &[(String, Listing<'_>)]) -> String {
    let one = |(title, listing): &(String, Listing<'_>)| match listings.len() {
        1 => listing.to_string(),
        _ => format!("; {title}\n{listing}"),
    };
    let all: Vec<String> = listings.iter().map(one).collect();
    all.join("\n")
}
