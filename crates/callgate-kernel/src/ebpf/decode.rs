//! What the programs write, read.

use callgate_bpf::{SeccompData, SyscallNr};
use callgate_syscalls::Abi;

use super::facts::{Event, Executable, ExecutableId, News, Refused};
use super::maps::{COMPONENT, LEVELS, NAME_HEAD};
use super::programs::{EventKind, refusal};
use super::ring::REFUSAL_WORDS;
use super::table::call_at;
use crate::errno::Errno;

/// Bits 0 to 11: the error; bit 12: not entered.
pub(super) fn outcome_of(outcome: u16) -> (Option<Errno>, bool) {
    let errno = outcome & 0x0fff;
    ((errno != 0).then(|| Errno(i32::from(errno))), outcome & 0x1000 == 0)
}

/// The low half of a word, and the high one.
fn low_high(word: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// A refused call as the programs write it.
pub(super) fn refused(words: &[u64; REFUSAL_WORDS]) -> Option<Refused> {
    let at = |index: i16| usize::try_from(index).unwrap_or(0);
    let word = |index: i16| words[at(index)];
    let several = |index: i16, count: i16| words.get(at(index)..at(index + count));
    let [(_, executable), (number, flags), (thread, process)] =
        [refusal::KIND, refusal::NUMBER, refusal::CALLER].map(|index| low_high(word(index)));
    let is = |flag: i32| flags & flag.cast_unsigned() != 0;
    let abi = if is(refusal::COMPAT) { Abi::X86 } else { Abi::X86_64 };
    let mut memory = [const { Vec::new() }; 6];
    let places = (refusal::MEMORY..).step_by(at(1 + refusal::MEMORY_WORDS));
    for (memory, place) in memory.iter_mut().zip(places) {
        let how = word(place);
        if how == 0 {
            continue;
        }
        let bytes = several(place + 1, refusal::MEMORY_WORDS)?;
        memory.extend(bytes.iter().flat_map(|word| word.to_ne_bytes()));
        if how == u64::from(refusal::STRING.cast_unsigned()) {
            // With nothing before the NUL, nothing could be read.
            let end = memory.iter().position(|byte| *byte == 0).map_or(0, |end| end + 1);
            memory.truncate(if end > 1 { end } else { 0 });
        }
    }
    Some(Refused {
        data: SeccompData {
            nr: SyscallNr(number),
            arch: abi.audit(),
            instruction_pointer: word(refusal::INSTRUCTION),
            args: several(refusal::ARGUMENTS, 6)?.try_into().ok()?,
        },
        result: word(refusal::RESULT).cast_signed(),
        entered: is(refusal::ENTERED),
        executable: ExecutableId(executable),
        process: process.cast_signed(),
        thread: thread.cast_signed(),
        stack_pointer: word(refusal::STACK_POINTER),
        stack: several(refusal::STACK, refusal::STACK_WORDS)?.try_into().ok()?,
        memory,
    })
}

/// Any other event; `None` for one of another version.
pub(super) fn decode(raw: [u64; 5]) -> Option<Event> {
    let [(kind, executable), (call, argument), (thread, process)] =
        [raw[0], raw[1], raw[3]].map(low_high);
    let value = raw[2];
    let (architecture, number) = call_at(usize::try_from(call).ok()?);
    let is = |wanted: EventKind| kind == u32::from(wanted as u8);
    let news = if is(EventKind::Call) {
        News::Call(architecture, number)
    } else if is(EventKind::Argument) || is(EventKind::Unlisted) {
        let index = u8::try_from(argument).ok()?;
        News::Argument { architecture, number, index, value, listed: is(EventKind::Argument) }
    } else if is(EventKind::Executable) {
        News::Executable
    } else if is(EventKind::Filter) {
        News::Filter
    } else if is(EventKind::Result) {
        let (errno, entered) = outcome_of(u16::try_from(value).ok()?);
        News::Result { architecture, number, errno, entered }
    } else {
        return None;
    };
    Some(Event {
        news,
        executable: ExecutableId(executable),
        process: process.cast_signed(),
        thread: thread.cast_signed(),
        time: raw[4],
    })
}

/// What stands in the table of names; `None` where nobody has written there.
pub(super) fn executable(id: ExecutableId, name: &[u8]) -> Option<Executable> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let word = |at: usize| name.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let process = word(0).filter(|process| *process != 0)?.cast_signed();
    let whole = word(8) == Some(1);
    let components = name.get(usize::from(NAME_HEAD)..)?;
    let components: Vec<&[u8]> = components
        .chunks(usize::from(COMPONENT))
        .take(usize::from(LEVELS))
        .filter_map(|component| component.split(|byte| *byte == 0).next())
        .filter(|component| !component.is_empty())
        .collect();
    let cut = components.iter().any(|component| component.len() + 1 >= usize::from(COMPONENT));
    let path = (whole && !cut && !components.is_empty()).then(|| {
        let mut path = std::path::PathBuf::from("/");
        path.extend(components.iter().rev().map(|component| OsStr::from_bytes(component)));
        path
    });
    Some(Executable { id, path, process })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_from_its_end() {
        let mut name = vec![0; usize::from(NAME_HEAD) + usize::from(LEVELS * COMPONENT)];
        name[0] = 7;
        let mut put = |level: usize, text: &[u8]| {
            let at = usize::from(NAME_HEAD) + level * usize::from(COMPONENT);
            name[at..at + text.len()].copy_from_slice(text);
        };
        put(0, b"nginx");
        // Level 1 was the root of a mount.
        put(2, b"sbin");
        put(3, b"usr");
        let read = |name: &[u8]| executable(ExecutableId(1), name).unwrap();
        assert_eq!(read(&name).path, None);
        name[8] = 1;
        assert_eq!(read(&name).path.unwrap().to_str(), Some("/usr/sbin/nginx"));
        assert_eq!(read(&name).process, 7);
        name[0] = 0;
        assert_eq!(executable(ExecutableId(1), &name), None);
    }

    #[test]
    fn an_outcome_is_an_error_and_whether_it_was_entered() {
        assert_eq!(outcome_of(2), (Some(Errno(libc::ENOENT)), true));
        assert_eq!(outcome_of(0x1000 | 1), (Some(Errno(libc::EPERM)), false));
        assert_eq!(outcome_of(0x1000), (None, false));
    }
}
