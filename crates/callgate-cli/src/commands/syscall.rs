//! `callgate syscall`: one system call on every architecture.

use std::fmt::Write;

use callgate_bpf::SyscallNr;
use callgate_syscalls::{Abi, Syscall};
use clap::Args as ClapArgs;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Failure};
use crate::{
    output,
    target::{native, parse_abi},
};

const AFTER_HELP: &str = "\
Examples:
  callgate syscall clone3
  callgate syscall 56 --arch aarch64";

/// Show a system call: numbers, arguments, the kernel it appeared in, its groups
#[derive(ClapArgs, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Its name, or its number on an architecture
    syscall: String,

    /// The architecture of the number, and the only one to show [default: this machine's, and all]
    #[arg(long, value_name = "ARCH", value_parser = parse_abi)]
    arch: Option<Abi>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, JsonSchema)]
struct Json {
    name: &'static str,
    since: Option<String>,
    numbers: Vec<JsonNumber>,
    /// None where they are not known.
    arguments: Option<Vec<JsonArgument>>,
    groups: Vec<&'static str>,
}

#[derive(Serialize, JsonSchema)]
struct JsonNumber {
    arch: &'static str,
    number: u32,
}

#[derive(Serialize, JsonSchema)]
struct JsonArgument {
    name: &'static str,
    r#type: &'static str,
    bits: u32,
    pointer: bool,
}

pub fn main(args: Args) -> Result<Answer, Failure> {
    let syscall = find(&args)?;
    let abis = match args.arch {
        Some(abi) => vec![abi],
        None => Abi::ALL.to_vec(),
    };
    let numbers: Vec<(Abi, SyscallNr)> =
        abis.iter().filter_map(|&abi| Some((abi, abi.number(syscall.name)?))).collect();
    if numbers.is_empty() {
        let name = args.arch.map_or("no architecture", Abi::name);
        return Err(Failure::Message(format!("{name} has no system call `{}`", syscall.name)));
    }
    let arguments = syscall.args_on(args.arch.or(Abi::native()).unwrap_or(Abi::X86_64));
    let json = Json {
        name: syscall.name,
        since: syscall.since.map(|version| version.to_string()),
        numbers: numbers
            .iter()
            .map(|(abi, nr)| JsonNumber { arch: abi.name(), number: nr.0 })
            .collect(),
        arguments: syscall.args_known.then(|| {
            arguments
                .iter()
                .map(|argument| JsonArgument {
                    name: argument.name,
                    r#type: argument.c_type,
                    bits: argument.bits,
                    pointer: argument.pointer,
                })
                .collect()
        }),
        groups: syscall.groups().collect(),
    };
    if args.json {
        output::print_json(&json)?
    } else {
        output::print(&text(&json))?
    }
    Ok(Answer::Yes)
}

fn find(args: &Args) -> Result<&'static Syscall, Failure> {
    let number = args
        .syscall
        .strip_prefix("0x")
        .map_or_else(|| args.syscall.parse().ok(), |digits| u32::from_str_radix(digits, 16).ok());
    let name = match number {
        Some(number) => {
            let abi = match args.arch.map_or_else(native, Ok)? {
                Abi::X86_64 if number & SyscallNr::X32_BIT != 0 => Abi::X32,
                abi => abi,
            };
            abi.name_of(SyscallNr(number))
                .ok_or_else(|| format!("{} has no system call of number {number}", abi.name()))?
        }
        None => &args.syscall,
    };
    callgate_syscalls::syscall(name).ok_or_else(|| {
        let near = callgate_policy::suggest::syscall(name);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Failure::Message(format!("no architecture has a system call `{name}`{hint}"))
    })
}

fn text(syscall: &Json) -> String {
    let mut text = format!("{}\n", syscall.name);
    let mut row = |head: &str, value: String| {
        let _ = writeln!(text, "  {head:<10} {value}");
    };
    row(
        "since",
        syscall.since.as_ref().map_or("not known".to_owned(), |version| format!("Linux {version}")),
    );
    match &syscall.arguments {
        None => row("arguments", "not known".to_owned()),
        Some(arguments) if arguments.is_empty() => row("arguments", "none".to_owned()),
        Some(arguments) => {
            for (index, JsonArgument { name, r#type, bits, pointer }) in
                arguments.iter().enumerate()
            {
                let width = match (pointer, bits) {
                    (true, _) => "an address".to_owned(),
                    (false, 64) => "64 bits".to_owned(),
                    (false, bits) => format!("{bits} bits count"),
                };
                row(
                    if index == 0 { "arguments" } else { "" },
                    format!("{index}: {type} {name} ({width})", r#type = r#type),
                );
            }
        }
    }
    for (index, numbers) in by_number(&syscall.numbers).into_iter().enumerate() {
        row(if index == 0 { "numbers" } else { "" }, numbers);
    }
    if !syscall.groups.is_empty() {
        row("groups", syscall.groups.join(" "));
    }
    text
}

/// `257  x86_64, …`: the architectures that share a number on one line.
fn by_number(numbers: &[JsonNumber]) -> Vec<String> {
    let mut groups: Vec<(u32, Vec<&str>)> = Vec::new();
    for JsonNumber { arch, number } in numbers {
        match groups.iter_mut().find(|(of, _)| of == number) {
            Some((_, archs)) => archs.push(arch),
            None => groups.push((*number, vec![arch])),
        }
    }
    groups
        .into_iter()
        .map(|(number, archs)| {
            format!("{:<10} {}", SyscallNr(number).to_string(), archs.join(", "))
        })
        .collect()
}

/// The schema of what --json prints.
pub fn schema() -> schemars::Schema {
    output::schema_of::<Json>()
}
