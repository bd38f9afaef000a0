//! A call as a person would write it, with names for its arguments and what its pointers point to.

use std::fmt;

use callgate_bpf::SeccompData;
use callgate_syscalls::{Abi, Arg, constants, syscall};

use super::Subject;
use crate::{names::abi_of, report::moves_the_cursor};

/// Bytes of a string that are read and shown.
const STRING_LIMIT: usize = 256;

/// A call, decoded.
pub struct Call {
    pub abi: Option<Abi>,
    pub name: Option<&'static str>,
    pub arguments: Vec<Argument>,
    number: u32,
    arch: u32,
}

/// An argument, decoded.
pub struct Argument {
    pub name: Option<&'static str>,
    /// What the register has.
    pub value: u64,
    pub text: String,
    pub known: Known,
}

/// How much is known of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Names of constants stand for all of it.
    Names,
    Number,
    /// An address, and not what lies there.
    Address,
    /// What lay at the address when it was read; another thread may have changed it since.
    Memory,
}

impl Argument {
    /// The part of it that tells one kind of call from another: flags and commands.
    pub fn kind(&self) -> Option<String> {
        (self.known == Known::Names).then(|| self.text.clone())
    }
}

impl Call {
    /// Decodes a call, with what can be read of its thread's memory.
    pub fn decode(subject: &dyn Subject) -> Call {
        let data = subject.data();
        let abi = abi_of(data.arch, data.nr);
        let name = abi.and_then(|abi| abi.name_of(data.nr));
        let facts = name.and_then(syscall).filter(|facts| facts.args_known);
        let arguments = match (abi, name, facts) {
            (Some(abi), Some(name), Some(facts)) => {
                let args = facts.args_on(abi);
                let one = |(index, arg): (usize, &Arg)| {
                    let known = known(abi, name, index, arg, args, subject);
                    let value = data.args.get(index).copied().unwrap_or(0);
                    let (text, known) = known.unwrap_or_else(|| (plain(arg, value), bare(arg)));
                    Argument { name: Some(arg.name), value, text, known }
                };
                args.iter().enumerate().map(one).collect()
            }
            _ => unknown(data),
        };
        Call { abi, name, arguments, number: data.nr.0, arch: data.arch.0 }
    }

    /// Whether something in it was read from the program's memory.
    pub fn has_memory(&self) -> bool {
        self.arguments.iter().any(|argument| argument.known == Known::Memory)
    }
}

/// `mkdir("made"*, 0755)`, with the architecture where it is not this machine's own; what was read
/// from memory has a star.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => f.write_str(name)?,
            None => write!(f, "syscall {}", self.number)?,
        }
        f.write_str("(")?;
        for (index, argument) in self.arguments.iter().enumerate() {
            let star = if argument.known == Known::Memory { "*" } else { "" };
            write!(f, "{}{}{star}", if index == 0 { "" } else { ", " }, argument.text)?;
        }
        f.write_str(")")?;
        match self.abi {
            Some(abi) if Some(abi) == Abi::native() => Ok(()),
            Some(abi) => write!(f, " on {}", abi.name()),
            None => write!(f, " on architecture {:#x}", self.arch),
        }
    }
}

/// An argument of which more is known than its number.
fn known(
    abi: Abi,
    name: &str,
    index: usize,
    arg: &Arg,
    args: &[Arg],
    subject: &dyn Subject,
) -> Option<(String, Known)> {
    let data = subject.data();
    let value = data.args.get(index).copied()?;
    if arg.pointer {
        let text = if value == 0 {
            return Some(("NULL".to_owned(), Known::Number));
        } else if is_string(arg) {
            let text = subject.read_string(value, STRING_LIMIT)?;
            quoted(&text.bytes, text.cut)
        } else if arg.c_type.ends_with("struct sockaddr *") {
            let length = args.get(index + 1).filter(|next| !next.pointer).map(|_| index + 1)?;
            socket_address(subject, value, *data.args.get(length)?)?
        } else {
            return None;
        };
        return Some((text, Known::Memory));
    }
    let seen = seen(arg, value)?;
    let set = constants::on(abi, name, u8::try_from(index).ok()?)?;
    Some((set.describe(seen).unwrap_or_else(|| plain(arg, value)), Known::Names))
}

fn bare(arg: &Arg) -> Known {
    if arg.pointer { Known::Address } else { Known::Number }
}

/// Bytes behind a `const char *` are a string, but for what is written to a file or the log.
fn is_string(arg: &Arg) -> bool {
    arg.c_type == "const char *" && !arg.name.contains("buf")
}

/// What the kernel sees of the register; None where the rest of it is neither empty nor the sign,
/// so that a filter sees something else.
fn seen(arg: &Arg, value: u64) -> Option<u64> {
    let above = 64 - arg.bits.clamp(1, 64);
    let low = value << above >> above;
    let extended = (value << above).cast_signed() >> above;
    (low == value || arg.signed && extended == value.cast_signed()).then_some(low)
}

/// The number as people write it.
fn plain(arg: &Arg, value: u64) -> String {
    let Some(low) = seen(arg, value).filter(|_| !arg.pointer) else {
        return format!("{value:#x}");
    };
    let above = 64 - arg.bits.clamp(1, 64);
    let signed = (low << above).cast_signed() >> above;
    match low {
        0 => "0".to_owned(),
        _ if arg.name == "mode" => format!("0{low:o}"),
        _ if arg.signed && signed < 0 => signed.to_string(),
        _ if low < 0x1_0000 => low.to_string(),
        _ => format!("{low:#x}"),
    }
}

/// The arguments of a call that no table knows, up to the last that is not 0.
fn unknown(data: &SeccompData) -> Vec<Argument> {
    let count = 6 - data.args.iter().rev().take_while(|&&value| value == 0).count();
    let one = |&value: &u64| Argument {
        name: None,
        value,
        text: format!("{value:#x}"),
        known: Known::Number,
    };
    data.args.iter().take(count).map(one).collect()
}

/// Bytes in quotation marks, such that nothing in them steers a terminal.
fn quoted(bytes: &[u8], cut: bool) -> String {
    let mut text = "\"".to_owned();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                c if moves_the_cursor(c) => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text.push_str(if cut { "…\"" } else { "\"" });
    text
}

/// An address of a socket, out of memory.
fn socket_address(subject: &dyn Subject, address: u64, length: u64) -> Option<String> {
    /// `struct sockaddr_storage`.
    const MOST: usize = 128;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(MOST).min(MOST)];
    let count = subject.read(address, &mut bytes)?;
    bytes.truncate(count);
    decode_socket_address(&bytes)
}

fn decode_socket_address(bytes: &[u8]) -> Option<String> {
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    let family = u16::from_ne_bytes(*family);
    let port = || rest.first_chunk::<2>().map(|port| u16::from_be_bytes(*port));
    let name = constants::of("socket", 0)
        .and_then(|families| families.describe(u64::from(family)))
        .unwrap_or_else(|| family.to_string());
    let what = match name.as_str() {
        "AF_UNIX" => match rest {
            [] => "unnamed".to_owned(),
            // An abstract name has no end but the length.
            [0, name @ ..] => format!("abstract {}", quoted(name, false)),
            path => quoted(path.split(|&byte| byte == 0).next().unwrap_or(path), false),
        },
        "AF_INET" => {
            let octets = rest.get(2..6)?.first_chunk::<4>()?;
            format!("{}:{}", std::net::Ipv4Addr::from(*octets), port()?)
        }
        "AF_INET6" => {
            let octets = rest.get(6..22)?.first_chunk::<16>()?;
            format!("[{}]:{}", std::net::Ipv6Addr::from(*octets), port()?)
        }
        _ => return Some(format!("{{{name}}}")),
    };
    Some(format!("{{{name} {what}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arg(call: &str, index: usize) -> &'static Arg {
        &syscall(call).unwrap().args[index]
    }

    #[test]
    fn numbers_are_written_as_people_do() {
        assert_eq!(plain(arg("mkdirat", 0), 0xffff_ff9c), "-100");
        assert_eq!(plain(arg("mkdirat", 0), 0xffff_ffff_ffff_ff9c), "-100");
        assert_eq!(plain(arg("mkdirat", 2), 0o755), "0755");
        assert_eq!(plain(arg("close", 0), 3), "3");
        // A filter that compares 64 bits sees another number than the kernel.
        assert_eq!(plain(arg("close", 0), 0x1_0000_0003), "0x100000003");
    }

    #[test]
    fn strings_steer_no_terminal() {
        assert_eq!(
            quoted(b"a\"b\\\x1b[31m\n\xff\xe2\x80\xae", true),
            r#""a\"b\\\u{1b}[31m\n\xff\u{202e}…""#
        );
    }

    #[test]
    fn socket_addresses_are_decoded() {
        let text = |family: u16, rest: &[u8]| {
            decode_socket_address(&[&family.to_ne_bytes()[..], rest].concat()).unwrap()
        };
        assert_eq!(text(1, b"/run/x\0junk"), r#"{AF_UNIX "/run/x"}"#);
        assert_eq!(text(1, b"\0name"), r#"{AF_UNIX abstract "name"}"#);
        assert_eq!(text(1, b""), "{AF_UNIX unnamed}");
        assert_eq!(text(2, &[0, 80, 127, 0, 0, 1]), "{AF_INET 127.0.0.1:80}");
        let mut six = [0; 26];
        six[..2].copy_from_slice(&[1, 187]);
        six[21] = 1;
        assert_eq!(text(10, &six), "{AF_INET6 [::1]:443}");
        assert_eq!(text(16, &[]), "{AF_NETLINK}");
        assert_eq!(decode_socket_address(&[2, 0, 0]), None);
        assert_eq!(decode_socket_address(&[]), None);
    }
}
