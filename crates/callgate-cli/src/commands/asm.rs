//! `callgate asm`: a listing as a program again.

use std::{fs::File, path::PathBuf};

use callgate_bpf::{ByteOrder, Layout, asm};
use callgate_syscalls::Abi;
use clap::Args as ClapArgs;

use super::{Answer, Failure};
use crate::{
    output,
    report::printable_name,
    source::read_text,
    target::{ByteOrderArgs, parse_abi},
};

const AFTER_HELP: &str = "\
It reads what `callgate disasm` writes, to the byte, and text of one's own:

  start:  ld   [nr]
          jeq  #59, deny, allow    ; execve
  deny:   ret  errno(1)
  allow:  ret  allow

Example:
  callgate disasm docker-default | callgate asm - -o docker.bpf";

/// Assemble a listing to a BPF program
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The listing, or `-` for standard input
    listing: String,

    /// Write to this file, which appears whole or not at all [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The architecture whose byte order the program has [default: this machine's]
    #[arg(long, value_name = "ARCH", value_parser = parse_abi)]
    arch: Option<Abi>,

    #[command(flatten)]
    order: ByteOrderArgs,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let (name, text) = if args.listing == "-" {
        ("standard input".to_owned(), read_text(std::io::stdin().lock()))
    } else {
        (printable_name(&args.listing), File::open(&args.listing).and_then(read_text))
    };
    let text = text.map_err(|error| format!("{name}: {error}"))?;
    let order: ByteOrder = args.order.order(args.arch);
    let program = asm::assemble(&text, Layout::seccomp(order))
        .map_err(|error| format!("{name}:{}:{}: {error}", error.line(), error.column()))?;
    let bytes = program.to_bytes(order);
    output::write(args.output.as_deref(), &bytes, false)?;
    Ok(Answer::Yes)
}
