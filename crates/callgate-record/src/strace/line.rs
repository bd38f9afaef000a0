//! The shape of a line that strace prints.

use std::borrow::Cow;

/// A line, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'t> {
    /// The thread, where strace says it (`-f`).
    pub thread: Option<u32>,
    /// What stands before the call with `-t`, `-tt`, `-ttt` or `-r`.
    pub time: Option<Time>,
    /// The rest.
    pub event: Event<'t>,
}

/// A time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Since 1970, or since midnight.
    At(u64),
    /// Since the line before.
    After(u64),
}

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'t> {
    /// A call, from its beginning.
    Call {
        name: &'t str,
        arguments: Vec<&'t str>,
        /// What stands behind `=`; none of a call that had not returned yet.
        result: Option<&'t str>,
        unfinished: bool,
    },
    /// The end of a call that another line began.
    Resumed { name: &'t str, arguments: Vec<&'t str>, result: Option<&'t str> },
    /// From here on the thread calls in this mode: `32 bit`, `64 bit`, `x32`.
    Mode { thread: Option<u32>, mode: &'t str },
    /// A signal, an exit, a message of strace's own, an empty line.
    Nothing,
    /// None of these.
    Other(&'t str),
}

impl<'t> Line<'t> {
    pub fn parse(text: &'t str) -> Line<'t> {
        let mut rest = text.trim();
        let mut thread = None;
        if let Some(mode) = mode(rest) {
            return Line { thread, time: None, event: mode };
        }
        if let Some((pid, behind)) = rest.strip_prefix("[pid").and_then(|r| r.split_once(']')) {
            thread = pid.trim().parse().ok();
            rest = behind.trim_start();
        } else if let Some((pid, behind)) = rest.split_once(' ')
            && pid.bytes().all(|byte| byte.is_ascii_digit())
            && !pid.is_empty()
        {
            thread = pid.parse().ok();
            rest = behind.trim_start();
        }
        let (time, behind) = time(rest);
        rest = behind;
        if thread.is_some()
            && let Some(mode) = mode(rest)
        {
            return Line { thread, time, event: mode };
        }
        // `-i` and `-n`: the instruction pointer, the number.
        while let Some((_, behind)) = rest.strip_prefix('[').and_then(|r| r.split_once("] ")) {
            rest = behind.trim_start();
        }
        Line { thread, time, event: event(rest) }
    }
}

fn event(rest: &str) -> Event<'_> {
    if let Some(resumed) = rest.strip_prefix("<... ") {
        let Some((name, behind)) = resumed.split_once(" resumed>") else {
            return Event::Nothing;
        };
        let (arguments, behind) = arguments(behind);
        return Event::Resumed { name, arguments, result: behind.and_then(result) };
    }
    let nothing = ["---", "+++", "strace: ", "Process ", "#", " > ", "???"];
    if rest.is_empty() || nothing.iter().any(|start| rest.starts_with(start)) {
        return Event::Nothing;
    }
    let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match rest.split_once('(') {
        Some((name, behind)) if !name.is_empty() && name.bytes().all(named) => {
            // A message of strace's own can break the line of a call.
            let attached = behind.ends_with(" attached");
            let message = attached.then(|| behind.find("strace: Process ")).flatten();
            let (behind, broken) = message.map_or((behind, false), |at| (&behind[..at], true));
            let (behind, unfinished) = match behind.strip_suffix("<unfinished ...>") {
                Some(behind) => (behind.trim_end(), true),
                None => (behind, broken),
            };
            let (arguments, behind) = arguments(behind.trim_end_matches([',', ' ']));
            Event::Call { name, arguments, result: behind.and_then(result), unfinished }
        }
        _ => Event::Other(rest),
    }
}

/// `[ Process PID=12 runs in 32 bit mode. ]`
fn mode(text: &str) -> Option<Event<'_>> {
    let (pid, behind) = text.strip_prefix("[ Process PID=")?.split_once(" runs in ")?;
    let (mode, _) = behind.split_once(" mode")?;
    Some(Event::Mode { thread: pid.parse().ok(), mode })
}

/// `10:11:12`, `10:11:12.123456`, `1764000000.123456` of an absolute, `0.000123` and `(+ 0.000123)`
/// of a relative time.
fn time(text: &str) -> (Option<Time>, &str) {
    let inner = text.strip_prefix("(+").and_then(|r| r.split_once(')'));
    if let Some((seconds, behind)) = inner {
        return (milliseconds(seconds.trim()).map(Time::After), behind.trim_start());
    }
    let Some((word, behind)) = text.split_once(' ') else {
        return (None, text);
    };
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        return (None, text);
    }
    let time = if let [hours, minutes, seconds] = word.split(':').collect::<Vec<_>>()[..] {
        let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n < 60);
        number(hours)
            .zip(number(minutes))
            .zip(milliseconds(seconds))
            .map(|((h, m), s)| Time::At((h * 60 + m) * 60_000 + s))
    } else {
        // Nobody traced in the first days of 1970, or waited as long for a line.
        milliseconds(word)
            .filter(|_| word.contains('.'))
            .map(|ms| if ms > 100_000_000_000 { Time::At(ms) } else { Time::After(ms) })
    };
    match time {
        Some(time) => (Some(time), behind.trim_start()),
        None => (None, text),
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let seconds: u64 = seconds.parse().ok()?;
    seconds.checked_mul(1000)?.checked_add(thousandths.parse().ok()?)
}

/// What stands behind `=`.
fn result(behind: &str) -> Option<&str> {
    Some(behind.trim_start().strip_prefix('=')?.trim())
}

/// The text between commas, up to the closing parenthesis, and what is behind that; what is
/// within brackets, braces or quotes is one argument, and so is a descriptor with its `<path>`.
fn arguments(text: &str) -> (Vec<&str>, Option<&str>) {
    let (mut depth, mut quoted, mut escaped, mut path) = (0usize, false, false, false);
    // Most calls have no more.
    let (mut start, mut found) = (0, Vec::with_capacity(6));
    let mut before = b' ';
    let mut end = None;
    // Everything that is looked for is ASCII, which no other character has a byte of.
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted || path => escaped = true,
            b'"' if !path => quoted = !quoted,
            _ if quoted => {}
            b'>' if path => path = before == b'-',
            _ if path => {}
            b'<' if before.is_ascii_alphanumeric() => path = true,
            b'[' | b'{' | b'(' => depth += 1,
            b')' if depth == 0 => {
                push(&text[start..at], &mut found);
                end = Some(&text[at + 1..]);
                break;
            }
            b']' | b'}' | b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                push(&text[start..at], &mut found);
                start = at + 1;
            }
            _ => {}
        }
        before = byte;
    }
    if end.is_none() {
        push(&text[start..], &mut found);
    }
    (found, end)
}

fn push<'t>(argument: &'t str, found: &mut Vec<&'t str>) {
    let argument = argument.trim();
    if !argument.is_empty() {
        found.push(argument);
    }
}

/// A string as strace quotes it; None for what is none. Bytes that are not UTF-8 are replaced.
pub fn string(word: &str) -> Option<String> {
    let (inside, more) = match word.strip_prefix('"')?.rsplit_once('"')? {
        (inside, "...") => (inside, "…"),
        (inside, _) => (inside, ""),
    };
    let mut bytes = Vec::new();
    let mut rest = inside.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next()? {
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'r' => bytes.push(b'\r'),
            b'v' => bytes.push(0x0b),
            b'f' => bytes.push(0x0c),
            b'x' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            digit @ b'0'..=b'7' => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    if let Some(&next @ b'0'..=b'7') = rest.peek() {
                        value = value * 8 + u32::from(next - b'0');
                        rest.next();
                    }
                }
                bytes.push(u8::try_from(value).ok()?);
            }
            other => bytes.push(other),
        }
    }
    Some(match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => format!("{text}{more}"),
        Cow::Owned(text) => text + more,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> (&str, Vec<&str>, Option<&str>) {
        match Line::parse(text).event {
            Event::Call { name, arguments, result, .. } => (name, arguments, result),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn arguments_keep_what_is_quoted_and_bracketed_together() {
        let (name, arguments, result) =
            call(r#"execve("/bin/ls", ["ls", "a)b,\""], 0x7ffd /* 20 vars */) = 0"#);
        assert_eq!((name, arguments.len(), result), ("execve", 3, Some("0")));
        let (_, arguments, result) = call(
            "[pid  12] write(3<TCP:[127.0.0.1:1->127.0.0.1:2)]>, \"x\", 1) = -1 EPERM (Operation not permitted)",
        );
        assert_eq!((arguments.len(), arguments[2]), (3, "1"));
        assert_eq!(result, Some("-1 EPERM (Operation not permitted)"));
        assert_eq!(call("getppid()                  = 17").1.len(), 0);
    }

    #[test]
    fn what_stands_before_the_call_is_read() {
        let line = Line::parse("7120  1795541687.646884 close(3) = 0");
        assert_eq!((line.thread, line.time), (Some(7120), Some(Time::At(1_795_541_687_646))));
        let line = Line::parse("7120  10:11:12.5 close(3) = 0");
        assert_eq!(line.time, Some(Time::At(36_672_500)));
        let line = Line::parse("     0.002100 [00007f0012345678] [  3] close(3) = 0");
        assert_eq!((line.thread, line.time), (None, Some(Time::After(2))));
        assert!(matches!(line.event, Event::Call { name: "close", .. }));
    }

    #[test]
    fn calls_in_two_parts_are_known() {
        let line = Line::parse("12 newfstatat(AT_FDCWD, \"/x\",  <unfinished ...>");
        let Event::Call { arguments, unfinished, .. } = line.event else { panic!() };
        assert_eq!((arguments, unfinished), (vec!["AT_FDCWD", "\"/x\""], true));
        let line = Line::parse("12 <... newfstatat resumed>0x7ffc, 0) = -1 ENOENT (No such)");
        let Event::Resumed { name, arguments, result } = line.event else { panic!() };
        assert_eq!((name, arguments), ("newfstatat", vec!["0x7ffc", "0"]));
        assert_eq!(result, Some("-1 ENOENT (No such)"));
        // Where strace speaks into the same stream.
        let line = Line::parse("clone(child_stack=NULL, flags=SIGCHLDstrace: Process 7 attached");
        let Event::Call { arguments, unfinished, .. } = line.event else { panic!() };
        assert_eq!((arguments[1], unfinished), ("flags=SIGCHLD", true));
    }

    #[test]
    fn what_is_no_call_is_nothing() {
        for text in [
            "",
            "12 +++ exited with 0 +++",
            "12 --- SIGCHLD {si_signo=SIGCHLD} ---",
            "strace: Process 12 attached",
            "[pid    12] +++ killed by SIGSYS +++",
            "???? <detached ...>",
            " <unfinished ...>",
        ] {
            let event = Line::parse(text).event;
            assert!(matches!(event, Event::Nothing | Event::Other("<unfinished ...>")), "{text}");
        }
        let mode = Event::Mode { thread: Some(12), mode: "32 bit" };
        assert_eq!(Line::parse("[ Process PID=12 runs in 32 bit mode. ]").event, mode);
        assert_eq!(Line::parse("12 [ Process PID=12 runs in 32 bit mode. ]").event, mode);
    }

    #[test]
    fn strings_are_unquoted() {
        assert_eq!(string(r#""/bin/a\"b\n\33\x41\0""#).as_deref(), Some("/bin/a\"b\n\u{1b}A\0"));
        assert_eq!(string(r#""/usr/bi"..."#).as_deref(), Some("/usr/bi…"));
        assert_eq!(string(r#""\303\244\377""#).as_deref(), Some("ä\u{fffd}"));
        assert_eq!(string("0x7ffc"), None);
    }
}
