//! Calls as people and strace write them.

use std::{
    collections::HashMap,
    io::{BufRead, Read as _},
};

use callgate_bpf::{SeccompData, SyscallNr};
use callgate_syscalls::{Abi, constants, syscall};

/// Longest line that is read, in bytes.
const LINE_LIMIT: u64 = 1 << 20;

/// A call from words: a name or number, and arguments.
///
/// # Errors
///
/// When the ABI has no such call, or a word is neither a number nor a constant.
pub fn one(abi: Abi, words: &[String]) -> Result<SeccompData, String> {
    Reader::new(abi).words(words.iter().map(String::as_str))
}

/// A call as it stands on a line; none on a line that is no call.
///
/// # Errors
///
/// As [`one`].
pub fn written(abi: Abi, line: &str) -> Result<Option<SeccompData>, String> {
    Reader::new(abi).line(line)
}

/// Calls, one on a line, each handed on as it is read; blank lines, and lines of strace that are
/// no call, are passed over.
///
/// # Errors
///
/// Names the line of a call that the ABI has not; those before it have been handed on. And as
/// `take`.
pub fn each<E: From<String>>(
    abi: Abi,
    file: &str,
    mut text: impl BufRead,
    mut take: impl FnMut(&SeccompData) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = Reader::new(abi);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = text.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line);
        let place = |error: String| format!("{file}:{number}: {error}");
        match read.map_err(|error| format!("{file}: {error}"))? {
            0 => break,
            length if u64::try_from(length).is_ok_and(|length| length == LINE_LIMIT) => {
                Err(place(format!("longer than {} KiB, so no call", LINE_LIMIT >> 10)))?;
            }
            _ => {}
        }
        if let Some(call) = reader.line(&String::from_utf8_lossy(&line)).map_err(place)? {
            take(&call)?;
        }
    }
    Ok(())
}

/// Reads calls of one ABI.
struct Reader {
    abi: Abi,
    /// The constants that were asked for, since finding one takes longer than all else.
    constants: HashMap<String, Option<u64>>,
}

impl Reader {
    fn new(abi: Abi) -> Reader {
        Reader { abi, constants: HashMap::new() }
    }

    /// The call of a line, if it has one.
    fn line(&mut self, line: &str) -> Result<Option<SeccompData>, String> {
        let line = without_pid(line.trim());
        if line.is_empty() || line.starts_with(['#', '+', '-', '<', '.']) {
            return Ok(None);
        }
        match line.split_once('(') {
            Some((name, rest)) => self.traced(name, rest),
            None => self.words(line.split_ascii_whitespace()),
        }
        .map(Some)
    }

    fn words<'a>(
        &mut self,
        mut words: impl Iterator<Item = &'a str>,
    ) -> Result<SeccompData, String> {
        let name = words.next().ok_or("no system call is named")?;
        let mut data = SeccompData::new(self.abi.audit(), number(self.abi, name)?);
        for (index, word) in words.enumerate() {
            let place = data.args.get_mut(index);
            let place = place.ok_or_else(|| format!("{name}: a call has six arguments at most"))?;
            *place = self.value(word).ok_or_else(|| {
                format!("{name}: `{}` is neither a number nor a known constant", shown(word))
            })?;
        }
        Ok(data)
    }

    /// A line of strace behind the opening parenthesis.
    fn traced(&mut self, name: &str, rest: &str) -> Result<SeccompData, String> {
        let mut data = SeccompData::new(self.abi.audit(), number(self.abi, name.trim())?);
        for (place, word) in data.args.iter_mut().zip(arguments(rest)) {
            // `name=value` of clone and others.
            let word = word.split_once('=').map_or(word, |(_, value)| value);
            *place = self.value(word).unwrap_or(0);
        }
        Ok(data)
    }

    /// A number, or constants joined by `|`.
    fn value(&mut self, word: &str) -> Option<u64> {
        // Most words are one number.
        integer(word).or_else(|| {
            word.split('|').map(str::trim).try_fold(0, |sum, part| {
                let value = integer(part).or_else(|| self.constant(part))?;
                Some(sum | value)
            })
        })
    }

    fn constant(&mut self, name: &str) -> Option<u64> {
        // Most words of strace are texts and structures.
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !name.bytes().all(letter) {
            return None;
        }
        if let Some(&known) = self.constants.get(name) {
            return known;
        }
        let value = constants::value_on(self.abi, name);
        self.constants.insert(name.to_owned(), value);
        value
    }
}

/// `123 read(…)` and `[pid 123] read(…)` of `strace -f`.
fn without_pid(line: &str) -> &str {
    let rest = line.strip_prefix("[pid").and_then(|rest| rest.split_once(']'));
    let line = rest.map_or(line, |(_, rest)| rest).trim_start();
    match line.split_once(' ') {
        Some((pid, rest))
            if pid.bytes().all(|b| b.is_ascii_digit())
                && (rest.contains('(') || rest.trim_start().starts_with(['+', '-'])) =>
        {
            rest.trim_start()
        }
        _ => line,
    }
}

/// The text between commas, up to the closing parenthesis; what is within brackets, braces or
/// quotes is one argument.
fn arguments(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
        // Everything that is looked for is ASCII, which no other character has a byte of.
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'[' | b'{' | b'(' => depth += 1,
                b')' | b',' if depth == 0 => {
                    rest = (byte == b',').then(|| &text[at + 1..]);
                    return Some(text[..at].trim());
                }
                b']' | b'}' | b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        rest = None;
        Some(text.trim())
    })
}

fn number(abi: Abi, name: &str) -> Result<SyscallNr, String> {
    if let Some(value) = integer(name) {
        return u32::try_from(value)
            .map(SyscallNr)
            .map_err(|_| format!("`{}` is wider than a system call number", shown(name)));
    }
    abi.number(name).ok_or_else(|| {
        if syscall(name).is_some() {
            return format!("{} has no system call `{name}`", abi.name());
        }
        let near = callgate_policy::suggest::syscall(name);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        format!("no architecture has a system call `{}`{hint}", shown(name))
    })
}

/// As much of a word as a message repeats.
fn shown(word: &str) -> String {
    const LONGEST: usize = 48;
    match word.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_owned(),
    }
}

fn integer(word: &str) -> Option<u64> {
    let (negative, word) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let (radix, digits) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &word[2..]),
        [b'0', _, ..] => (8, &word[1..]),
        _ => (10, word),
    };
    // The standard library would take a sign here.
    let value = u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))?;
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_strace_are_calls() {
        let text = "\
execve(\"/bin/ls\", [\"ls\", \"a)b\"], 0x7ffd /* 20 vars */) = 0
[pid  12] openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3
77 clone(child_stack=NULL, flags=CLONE_NEWUSER|SIGCHLD) = -1 EPERM
77 +++ exited with 0 +++
socket 40 1 0
";
        let mut calls = Vec::new();
        each(Abi::X86_64, "calls", text.as_bytes(), |call| {
            calls.push(*call);
            Ok::<(), String>(())
        })
        .unwrap();
        let numbers: Vec<u32> = calls.iter().map(|call| call.nr.0).collect();
        assert_eq!(numbers, [59, 257, 56, 41]);
        assert_eq!(calls[1].args[2], 0o2000000);
        assert_eq!(calls[3].args[..3], [40, 1, 0]);
    }

    #[test]
    fn words_are_numbers_or_constants() {
        let mut reader = Reader::new(Abi::X86_64);
        for (word, value) in [
            ("-1", Some(u64::MAX)),
            ("0x10|CLONE_NEWUSER", Some(0x1000_0010)),
            // A second time, from what is remembered.
            ("CLONE_NEWUSER", Some(0x1000_0000)),
            ("017", Some(15)),
            ("\"text\"", None),
            ("CLONE_NEWUSE", None),
            ("--1", None),
            ("+1", None),
            ("0x+1", None),
            ("0x", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(reader.value(word), value, "{word}");
        }
        let long = one(Abi::X86_64, &["read".to_owned(), "-".repeat(1_000_000)]).unwrap_err();
        let shown = "-".repeat(48);
        assert_eq!(long, format!("read: `{shown}…` is neither a number nor a known constant"));
    }

    #[test]
    fn what_is_no_call_names_its_line() {
        let mut calls = 0;
        let mut read = |text: &str| {
            let taken = each(Abi::X86_64, "calls", text.as_bytes(), |_| {
                calls += 1;
                Ok::<(), String>(())
            });
            taken.unwrap_err()
        };
        assert_eq!(
            read("# before\nread 0\nraed 0\n"),
            "calls:3: no architecture has a system call `raed`; did you mean `read`?"
        );
        assert_eq!(read("read 1 2 3 4 5 6 7"), "calls:1: read: a call has six arguments at most");
        let long = format!("getpid\nread(\"{}\")", "x".repeat(1 << 20));
        assert_eq!(read(&long), "calls:2: longer than 1024 KiB, so no call");
        assert_eq!(calls, 2, "what stands before is taken");
    }

    #[test]
    fn arguments_end_at_the_closing_parenthesis() {
        let of = |text| arguments(text).collect::<Vec<_>>();
        assert_eq!(
            of("1, {a, b}, \"c,\\\")\", [d, e]) = 2, 3"),
            ["1", "{a, b}", "\"c,\\\")\"", "[d, e]"]
        );
        assert_eq!(of("é, ü <unfinished ...>"), ["é", "ü <unfinished ...>"]);
        assert_eq!(of(") = 0"), [""]);
    }
}
