//! `callgate convert`: the same filter in another format, proved.

mod choice;
mod fit;
mod tables;
mod write;

pub use self::write::{Wanted, write};

use std::{fmt, path::PathBuf};

use clap::{Args as ClapArgs, ValueEnum};

use super::{Answer, Failure, compile::ProgramForm};
use crate::{
    formats::{self, Format},
    meaning::Context,
    output,
    source::Source,
    target::SourceArgs,
};

const AFTER_HELP: &str = "\
What is written is read back and compared with the source as exact meanings. A format that cannot
say it is refused, with what it has no words for, and the nearest weaker and stricter filter that it
can say: calls whose rules it cannot say get one verdict for all arguments. Either is proved, and
written with --approximate.

A program is decompiled: numbers get their names, and tests of argument words become conditions. A
profile's conditions on capabilities, kernel and machine are kept where the format has them, and
decided for the target elsewhere (--arch, --cap, --kernel).

Formats: docker, oci, containers, kafel, systemd, libseccomp-c, which are texts; raw, asm, c-array,
rust, which hold a program: the source's own, or the one that it compiles to.

Examples:
  callgate convert docker-default --to oci -o runc.json
  callgate convert filter.bpf --to docker
  callgate convert docker-default --to systemd --approximate stricter
  callgate convert pid:4711 --to c-array -o filter.h";

/// Convert a filter to another format
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// A profile or a program
    source: String,

    /// The format to write
    #[arg(long, value_name = "FORMAT", value_parser = To::parse)]
    to: To,

    /// Where the format cannot say it, write the nearest filter that never permits less, or more
    #[arg(long, value_name = "SIDE")]
    approximate: Option<Toward>,

    /// Write to this file, which appears whole or not at all [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    reading: SourceArgs,
}

/// On which side of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Toward {
    /// It permits all that the source permits, and more
    Weaker,
    /// It permits nothing that the source refuses
    Stricter,
}

impl fmt::Display for Toward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Toward::Weaker => "weaker",
            Toward::Stricter => "stricter",
        })
    }
}

/// What can be written.
#[derive(Clone, Copy, Debug)]
pub enum To {
    Text(&'static Format),
    Program(ProgramForm),
}

const PROGRAMS: [(&str, ProgramForm); 4] = [
    ("raw", ProgramForm::Raw),
    ("asm", ProgramForm::Asm),
    ("c-array", ProgramForm::C),
    ("rust", ProgramForm::Rust),
];

impl To {
    /// A format by its name.
    pub fn parse(name: &str) -> Result<To, String> {
        let form = PROGRAMS.iter().find(|(known, _)| *known == name);
        let program = form.map(|(_, form)| To::Program(*form));
        formats::named(name).map(To::Text).or(program).ok_or_else(|| {
            let texts = formats::all().map(|format| format.name);
            let known: Vec<&str> = texts.chain(PROGRAMS.map(|(name, _)| name)).collect();
            format!("not a format; known: {}", known.join(", "))
        })
    }

    /// Whether a terminal may see it.
    pub fn is_text(self) -> bool {
        !matches!(self, To::Program(ProgramForm::Raw))
    }
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let context = Context::new(args.reading)?;
    let mut manager = context.manager();
    let source = context.open(&args.source)?;
    // A program that is asked for as one takes no meaning, so it may be as complex as it likes.
    if let (To::Program(form), Source::Program { name, bytes }) = (args.to, &source) {
        let bytes = form.write(&context.program(name, bytes)?, name);
        output::write(args.output.as_deref(), &bytes, args.to.is_text())?;
        return Ok(Answer::Yes);
    }
    let source = context.meaning_of(&mut manager, source)?;
    let wanted = Wanted::of(&context, source);
    let bytes = write(&context, &mut manager, &wanted, args.to, args.approximate)?;
    output::write(args.output.as_deref(), &bytes, args.to.is_text())?;
    Ok(Answer::Yes)
}
