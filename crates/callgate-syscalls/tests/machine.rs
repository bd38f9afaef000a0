//! The tables against the machine that the tests run on: its installed kernel headers and the
//! running kernel's trace events. What is absent is skipped aloud.

use std::fs;
use std::path::Path;

use callgate_bpf::SyscallNr;
use callgate_syscalls::{Abi, syscall};

const HEADERS: &[(Abi, &str, u32)] = &[
    (Abi::X86_64, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0),
    (Abi::X86, "/usr/include/x86_64-linux-gnu/asm/unistd_32.h", 0),
    (Abi::X32, "/usr/include/x86_64-linux-gnu/asm/unistd_x32.h", SyscallNr::X32_BIT),
];

#[test]
fn installed_kernel_headers_have_the_same_numbers() {
    for (abi, path, offset) in HEADERS {
        let Ok(text) = fs::read_to_string(path) else {
            eprintln!("skipped: {path} is not installed");
            continue;
        };
        let mut seen = 0;
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("#define __NR_") else { continue };
            let (name, value) = rest.split_once(' ').unwrap();
            let digits: String = value.chars().filter(char::is_ascii_digit).collect();
            // x32's read "(__X32_SYSCALL_BIT + 12)".
            let digits = if *offset == 0 { &digits[..] } else { &digits["32".len()..] };
            let number: u32 = digits.parse().unwrap();
            assert_eq!(abi.number(name), Some(SyscallNr(number + offset)), "{path}: {name}");
            seen += 1;
        }
        assert!(seen > 300, "{path}: only {seen} names");
        // No number of ours may mean something else to an older header.
        assert!(abi.syscalls().len() >= seen);
    }
}

/// The kernel names some calls in its events after functions and not after `unistd.h`.
const EVENT_NAMES: &[(&str, &str)] = &[
    ("newstat", "stat"),
    ("newfstat", "fstat"),
    ("newlstat", "lstat"),
    ("newuname", "uname"),
    ("sendfile64", "sendfile"),
    ("umount", "umount2"),
    ("io_getevents_time32", "io_getevents"),
];

/// Calls that gained arguments at their end in a release after 6.1.
const GROWN: &[&str] = &["bpf"];

#[test]
fn trace_events_have_the_same_arguments() {
    let events = Path::new("/sys/kernel/tracing/events/syscalls");
    let Ok(dir) = fs::read_dir(events) else {
        eprintln!("skipped: {} cannot be read (no tracefs, or not root)", events.display());
        return;
    };
    if Abi::native() != Some(Abi::X86_64) {
        eprintln!("skipped: the list of renamed events is x86_64's");
        return;
    }
    let mut compared = 0;
    for entry in dir {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let Some(event) = file.strip_prefix("sys_enter_") else { continue };
        let renamed = EVENT_NAMES.iter().find(|(from, _)| *from == event).map(|(_, to)| *to);
        let Some(call) = syscall(renamed.unwrap_or(event)) else {
            eprintln!("skipped: no call is named like the event {event}");
            continue;
        };
        let format = fs::read_to_string(path.join("format")).unwrap();
        let fields: Vec<(String, bool)> = format
            .lines()
            .filter_map(|line| line.trim().strip_prefix("field:")?.split(';').next())
            .skip_while(|field| !field.ends_with("__syscall_nr"))
            .skip(1)
            // A string behind a pointer is recorded as one more field.
            .filter(|field| !field.contains("__data_loc"))
            .map(|field| {
                let name = field.rsplit([' ', '*']).next().unwrap().to_owned();
                (name, field.contains('*'))
            })
            .collect();
        let ours: Vec<(String, bool)> = call
            .args_on(Abi::X86_64)
            .iter()
            .map(|arg| (arg.name.to_owned(), arg.c_type.contains('*')))
            .collect();
        // Names change between releases; how many there are, and which are pointers, hardly.
        let grown = GROWN.contains(&event) && ours.len() > fields.len();
        assert!(grown || ours.len() == fields.len(), "{event}: {ours:?} and {fields:?}");
        for ((name, pointer), (field, field_pointer)) in ours.iter().zip(&fields) {
            assert_eq!(pointer, field_pointer, "{event}: {name} and {field}");
        }
        compared += 1;
    }
    assert!(compared > 300, "only {compared} events compared");
    eprintln!("{compared} events compared");
}
