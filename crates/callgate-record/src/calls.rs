//! Files of calls, one on a line, as people and strace write them.

use std::{
    collections::HashMap,
    io::{BufRead, Read as _},
};

use callgate_bpf::SeccompData;
use callgate_syscalls::Abi;

use crate::{
    strace::{Event, Line, abi_of_mode},
    words::{self, Words, shown},
};

/// Longest line that is read, in bytes.
const LINE_LIMIT: u64 = 1 << 20;

/// A call from words: a name or number, and arguments.
///
/// # Errors
///
/// A sentence, when the ABI has no such call, or a word is neither a number nor a constant.
pub fn one(abi: Abi, words: &[impl AsRef<str>]) -> Result<SeccompData, String> {
    Reader::new(abi).words(words.iter().map(AsRef::as_ref))
}

/// A call as it stands on a line: words (`socket 40 1 0`), or what strace prints, of which what is
/// neither a number nor a constant of known name counts as 0. None on a line that is no call.
///
/// # Errors
///
/// As [`one`].
pub fn written(abi: Abi, line: &str) -> Result<Option<SeccompData>, String> {
    Reader::new(abi).line(line)
}

/// Calls, one on a line, each handed on as it is read; blank lines, and lines of strace that are
/// no call, are passed over. Threads that strace says are in another mode call by that ABI.
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

/// Reads calls, of one ABI where strace says nothing else.
struct Reader {
    abi: Abi,
    words: Words,
    /// Of threads that strace told of.
    modes: HashMap<Option<u32>, Abi>,
}

impl Reader {
    fn new(abi: Abi) -> Reader {
        Reader { abi, words: Words::default(), modes: HashMap::new() }
    }

    /// The call of a line, if it has one.
    fn line(&mut self, line: &str) -> Result<Option<SeccompData>, String> {
        let Line { thread, event, .. } = Line::parse(line);
        match event {
            Event::Call { name, arguments, .. } => {
                let abi = self.modes.get(&thread).copied().unwrap_or(self.abi);
                self.traced(abi, name, &arguments).map(Some)
            }
            Event::Mode { thread, mode } => {
                let abi = abi_of_mode(self.abi, mode);
                // While there is one thread, strace doesn't put its number before a call.
                self.modes.extend([(thread, abi), (None, abi)]);
                Ok(None)
            }
            // What would be a thread's number in strace is a call's here.
            Event::Other(text) if !text.starts_with(['<', '.']) => {
                self.words(line.split_ascii_whitespace()).map(Some)
            }
            Event::Resumed { .. } | Event::Nothing | Event::Other(_) => Ok(None),
        }
    }

    fn words<'a>(
        &mut self,
        mut words: impl Iterator<Item = &'a str>,
    ) -> Result<SeccompData, String> {
        let name = words.next().ok_or("no system call is named")?;
        let mut data = SeccompData::new(self.abi.audit(), words::number(self.abi, name)?);
        for (index, word) in words.enumerate() {
            let place = data.args.get_mut(index);
            let place = place.ok_or_else(|| format!("{name}: a call has six arguments at most"))?;
            *place = self.words.value(self.abi, word).ok_or_else(|| {
                format!("{name}: `{}` is neither a number nor a known constant", shown(word))
            })?;
        }
        Ok(data)
    }

    fn traced(&mut self, abi: Abi, name: &str, arguments: &[&str]) -> Result<SeccompData, String> {
        let mut data = SeccompData::new(abi.audit(), words::number(abi, name)?);
        for (place, word) in data.args.iter_mut().zip(arguments) {
            // `name=value` of clone and others.
            let word = word.split_once('=').map_or(*word, |(_, value)| value);
            *place = self.words.printed(abi, word).unwrap_or(0);
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<SeccompData> {
        let mut calls = Vec::new();
        each(Abi::X86_64, "calls", text.as_bytes(), |call| {
            calls.push(*call);
            Ok::<(), String>(())
        })
        .unwrap();
        calls
    }

    #[test]
    fn lines_of_strace_are_calls() {
        let calls = read(
            "\
execve(\"/bin/ls\", [\"ls\", \"a)b\"], 0x7ffd /* 20 vars */) = 0
[pid  12] openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3
77 clone(child_stack=NULL, flags=CLONE_NEWUSER|SIGCHLD) = -1 EPERM
77 --- SIGCHLD {si_signo=SIGCHLD} ---
77 +++ exited with 0 +++
77 <... read resumed>) = 0
10:11:12.123456 close(3) = 0
socket 40 1 0
",
        );
        let numbers: Vec<u32> = calls.iter().map(|call| call.nr.0).collect();
        assert_eq!(numbers, [59, 257, 56, 3, 41]);
        assert_eq!(calls[1].args[2], 0o2000000);
        assert_eq!(calls[4].args[..3], [40, 1, 0]);
    }

    #[test]
    fn a_number_before_words_is_the_calls_and_not_a_threads() {
        let calls = read("41 40 1\n41 -1 2\n0x27\n39\n");
        let calls: Vec<_> = calls.iter().map(|call| (call.nr.0, call.args[0])).collect();
        assert_eq!(calls, [(41, 40), (41, u64::MAX), (39, 0), (39, 0)]);
    }

    #[test]
    fn threads_in_another_mode_call_by_its_numbers() {
        let modes = "[ Process PID=10 runs in 32 bit mode. ]";
        let calls = read(&format!("getpid() = 10\n{modes}\ngetpid() = 10\n11 getpid() = 11\n"));
        let numbers: Vec<u32> = calls.iter().map(|call| call.nr.0).collect();
        assert_eq!(numbers, [39, 20, 39]);
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
    fn messages_repeat_the_beginning_of_a_long_word() {
        let long = one(Abi::X86_64, &["read".to_owned(), "-".repeat(1_000_000)]).unwrap_err();
        let shown = "-".repeat(48);
        assert_eq!(long, format!("read: `{shown}…` is neither a number nor a known constant"));
    }
}
