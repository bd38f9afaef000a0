//! Calls as people and strace write them.

use callgate_bpf::{SeccompData, SyscallNr};
use callgate_syscalls::{Abi, constants, syscall};

/// A call from words: a name or number, and arguments.
///
/// # Errors
///
/// When the ABI has no such call, or a word is neither a number nor a constant.
pub fn one(abi: Abi, words: &[String]) -> Result<SeccompData, String> {
    let Some((name, arguments)) = words.split_first() else {
        return Err("no system call is named".to_owned());
    };
    let mut data = SeccompData::new(abi.audit(), number(abi, name)?);
    if arguments.len() > data.args.len() {
        return Err(format!("{name}: {} arguments, and a call has six at most", arguments.len()));
    }
    for (index, word) in arguments.iter().enumerate() {
        data.args[index] = value(abi, word).ok_or_else(|| {
            format!("{name}: `{}` is neither a number nor a known constant", shown(word))
        })?;
    }
    Ok(data)
}

/// Calls, one on a line; blank lines, and lines of strace that are no call, are passed over.
///
/// # Errors
///
/// Names the line of a call that the ABI has not.
pub fn file(abi: Abi, file: &str, text: &str) -> Result<Vec<SeccompData>, String> {
    let mut calls = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = |error: String| format!("{file}:{}: {error}", index + 1);
        let line = without_pid(line.trim());
        if line.is_empty() || line.starts_with(['#', '+', '-', '<', '.']) {
            continue;
        }
        calls.push(match line.split_once('(') {
            Some((name, rest)) => traced(abi, name, rest).map_err(place)?,
            None => {
                let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
                one(abi, &words).map_err(place)?
            }
        });
    }
    Ok(calls)
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

/// A line of strace behind the opening parenthesis.
fn traced(abi: Abi, name: &str, rest: &str) -> Result<SeccompData, String> {
    let mut data = SeccompData::new(abi.audit(), number(abi, name.trim())?);
    for (index, word) in arguments(rest).into_iter().take(6).enumerate() {
        // `name=value` of clone and others.
        let word = word.split_once('=').map_or(word, |(_, value)| value);
        data.args[index] = value(abi, word).unwrap_or(0);
    }
    Ok(data)
}

/// The text between commas, up to the closing parenthesis; what is within brackets, braces or
/// quotes is one argument.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    let (mut start, mut found) = (0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '[' | '{' | '(' => depth += 1,
            ')' if depth == 0 => {
                found.push(text[start..at].trim());
                return found;
            }
            ']' | '}' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(text[start..].trim());
    found
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

/// A number, or constants joined by `|`.
fn value(abi: Abi, word: &str) -> Option<u64> {
    word.split('|').map(str::trim).try_fold(0, |sum, part| {
        let value = integer(part).or_else(|| constants::value_on(abi, part))?;
        Some(sum | value)
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
        let calls = file(Abi::X86_64, "calls", text).unwrap();
        let numbers: Vec<u32> = calls.iter().map(|call| call.nr.0).collect();
        assert_eq!(numbers, [59, 257, 56, 41]);
        assert_eq!(calls[1].args[2], 0o2000000);
        assert_eq!(calls[3].args[..3], [40, 1, 0]);
    }

    #[test]
    fn words_are_numbers_or_constants() {
        assert_eq!(value(Abi::X86_64, "-1"), Some(u64::MAX));
        assert_eq!(value(Abi::X86_64, "0x10|CLONE_NEWUSER"), Some(0x1000_0010));
        assert_eq!(value(Abi::X86_64, "017"), Some(15));
        let long = one(Abi::X86_64, &["read".to_owned(), "-".repeat(1_000_000)]).unwrap_err();
        assert_eq!(
            long,
            format!("read: `{}…` is neither a number nor a known constant", "-".repeat(48))
        );
        for word in ["\"text\"", "--1", "+1", "0x+1", "0x", "-", ""] {
            assert_eq!(value(Abi::X86_64, word), None, "{word}");
        }
    }
}
