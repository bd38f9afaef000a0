//! What a SOURCE on the command line names: a profile or a program, from a file, standard input
//! or among the built-ins; or the filters of a running process.

pub mod live;

use std::{
    fs::File,
    io::{self, Read},
};

use callgate_bpf::{ByteOrder, Instruction, Layout, Program};
use callgate_diagnostic::{Diagnostic, Severity};
use callgate_policy::{
    Policy,
    builtin::{self, Builtin},
};

pub use self::live::Stack;
use crate::{
    formats::{self, Format},
    report,
};

/// Longest source that is read. The largest profiles known have some hundred thousand bytes; of so
/// many, all verbs together answer in seconds, within a gigabyte of memory.
const SIZE_LIMIT: u64 = 64 << 20;

/// A source, read.
pub enum Source {
    Profile(Box<Profile>),
    /// The bytes of a program; whether the kernel would take it is not known yet.
    Program {
        name: String,
        bytes: Vec<u8>,
    },
    /// The filters that hold a running thread.
    Stack(Stack),
}

/// A profile and what was found in it so far.
pub struct Profile {
    /// As messages name it.
    pub name: String,
    /// Whether it is one that callgate carries.
    pub builtin: Option<&'static Builtin>,
    pub text: String,
    /// None when the text has errors.
    pub policy: Option<Policy>,
    /// What can be made out of a text with errors.
    pub salvaged: Option<Policy>,
    /// The format that it was read in; none when it is in no known one.
    pub format: Option<&'static Format>,
    pub diagnostics: Vec<Diagnostic>,
}

impl Source {
    /// Reads what `argument` names; `format` says what a profile is written in, which its text
    /// decides otherwise.
    ///
    /// # Errors
    ///
    /// A sentence that says what cannot be read. Errors *in* a profile are its diagnostics.
    pub fn open(argument: &str, format: Option<&'static Format>) -> Result<Source, String> {
        if let Some(builtin) = builtin::named(argument) {
            let format = format.or(formats::named("docker"));
            let mut profile = Profile::read(argument, builtin.text.to_owned(), format);
            profile.builtin = Some(builtin);
            return Ok(Source::Profile(Box::new(profile)));
        }
        if let Some(stack) = live::open(argument) {
            return stack.map(Source::Stack);
        }
        let (name, bytes) = if argument == "-" {
            ("standard input", read_bounded(io::stdin().lock()))
        } else {
            (argument, File::open(argument).and_then(read_bounded))
        };
        let bytes = bytes.map_err(|error| cannot_read(name, &error))?;
        if looks_like_program(&bytes) {
            return Ok(Source::Program { name: name.to_owned(), bytes });
        }
        let neither = |length: usize, why: String| {
            format!(
                "{name} is neither a profile nor a BPF program: {why}, and the {length} bytes are not whole 8-byte instructions that seccomp knows"
            )
        };
        if bytes.iter().take(2).any(|&byte| byte == 0) {
            return Err(neither(bytes.len(), "it begins with no text".to_owned()));
        }
        String::from_utf8(bytes)
            .map(|text| Source::Profile(Box::new(Profile::read(name, text, format))))
            .map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                neither(error.as_bytes().len(), format!("byte {at} is not UTF-8"))
            })
    }

    /// Reads a source that must be a profile.
    ///
    /// # Errors
    ///
    /// As [`Source::open`], and when it is a program.
    pub fn open_profile(
        argument: &str,
        format: Option<&'static Format>,
    ) -> Result<Profile, String> {
        match Source::open(argument, format)? {
            Source::Profile(profile) => Ok(*profile),
            Source::Program { name, .. } => {
                Err(format!("{name} is a BPF program; this verb takes a profile"))
            }
            Source::Stack(Stack { name, .. }) => {
                Err(format!("{name}: what holds a process is programs; this verb takes a profile"))
            }
        }
    }
}

impl Profile {
    /// A text that was read from somewhere, called `name` in messages.
    pub fn read(name: &str, text: String, format: Option<&'static Format>) -> Profile {
        let (format, reading) = formats::read(&text, format);
        Profile {
            name: name.to_owned(),
            builtin: None,
            format,
            policy: reading.policy,
            salvaged: reading.salvaged,
            diagnostics: reading.diagnostics,
            text,
        }
    }

    /// Errors and warnings so far.
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == severity).count()
    }

    /// Makes every warning an error.
    pub fn be_pedantic(&mut self) {
        self.promote(|_| true);
    }

    /// Makes the warnings of these ids errors.
    pub fn make_errors(&mut self, ids: &[&str]) {
        self.promote(|id| ids.contains(&id));
    }

    fn promote(&mut self, which: impl Fn(&str) -> bool) {
        for diagnostic in &mut self.diagnostics {
            if diagnostic.severity == Severity::Warning && which(diagnostic.id) {
                diagnostic.severity = Severity::Error;
            }
        }
    }

    /// Prints what was found, notes only when asked, and a closing line when there are errors.
    pub fn print_diagnostics(&self, notes: bool, consequence: &str) {
        let shown: Vec<Diagnostic> = self
            .diagnostics
            .iter()
            .filter(|d| notes || d.severity != Severity::Note)
            .cloned()
            .collect();
        report::diagnostics(&self.name, &self.text, &shown);
        let errors = self.count(Severity::Error);
        if errors > 0 {
            let warnings = self.count(Severity::Warning);
            let also = if warnings > 0 {
                format!(", {}", plural(warnings, "warning"))
            } else {
                String::new()
            };
            let name = report::printable_name(&self.name);
            report::say_line(format_args!(
                "{name}: {}{also}; {consequence}",
                plural(errors, "error")
            ));
        }
    }
}

/// What to add to the kernel's refusal of a program: that it is one in the other byte order.
pub fn other_byte_order(bytes: &[u8], order: ByteOrder) -> &'static str {
    let (other, hint) = match order {
        ByteOrder::Little => {
            (ByteOrder::Big, "; its bytes are a program in big-endian order, for another machine")
        }
        ByteOrder::Big => (
            ByteOrder::Little,
            "; its bytes are a program in little-endian order, for another machine",
        ),
    };
    if Program::from_bytes(bytes, other, Layout::seccomp(other)).is_ok() { hint } else { "" }
}

/// `1 error`, `2 errors`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn cannot_read(name: &str, error: &io::Error) -> String {
    let built_in: Vec<&str> = builtin::ALL.iter().map(|builtin| builtin.name).collect();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{name}: no such file, and no built-in source of this name (built in: {})",
            built_in.join(", ")
        ),
        _ => format!("{name}: {error}"),
    }
}

/// All of a reader, if that is not too long.
///
/// # Errors
///
/// The reader's, and that it has more than [`SIZE_LIMIT`] bytes.
pub fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > SIZE_LIMIT) {
        return Err(io::Error::other(format!("larger than {} MiB", SIZE_LIMIT >> 20)));
    }
    Ok(bytes)
}

/// All of a text, if that is not too long.
///
/// # Errors
///
/// As [`read_bounded`]; or it is not UTF-8.
pub fn read_text(reader: impl Read) -> io::Result<String> {
    let text = String::from_utf8(read_bounded(reader)?);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Text starts with a character that no instruction starts with: an opcode's first byte, in
/// either byte order, is followed or preceded by a zero byte, which text has nowhere.
fn looks_like_program(bytes: &[u8]) -> bool {
    let (instructions, rest) = bytes.as_chunks::<8>();
    !instructions.is_empty()
        && rest.is_empty()
        && instructions.iter().all(|&bytes| {
            [ByteOrder::Little, ByteOrder::Big]
                .into_iter()
                .any(|order| Instruction::from_bytes(bytes, order).code <= 0xff)
        })
}
