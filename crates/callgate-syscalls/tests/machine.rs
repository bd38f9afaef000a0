//! The tables against the machine that the tests run on: its installed headers, its C compiler
//! and the running kernel's trace events. What is absent is skipped aloud.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use callgate_bpf::SyscallNr;
use callgate_syscalls::{Abi, Capability, constants, errno, syscall};

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

#[test]
fn installed_headers_number_the_capabilities_alike() {
    let path = "/usr/include/linux/capability.h";
    let Ok(text) = fs::read_to_string(path) else {
        eprintln!("skipped: {path} is not installed");
        return;
    };
    let mut seen = 0;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some("#define"), Some(name), Some(value)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if let (Some(capability), Ok(number)) = (Capability::from_name(name), value.parse::<u8>()) {
            assert_eq!(capability.number(), number, "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 38, "only {seen} capabilities in {path}");
}

/// Headers that go together in one C file and define most of the constants as macros.
const INCLUDES: &[&str] = &[
    "fcntl.h",
    "sched.h",
    "signal.h",
    "errno.h",
    "time.h",
    "sys/socket.h",
    "sys/mman.h",
    "sys/prctl.h",
    "sys/personality.h",
    "sys/ioctl.h",
    "sys/epoll.h",
    "sys/eventfd.h",
    "sys/signalfd.h",
    "sys/inotify.h",
    "sys/timerfd.h",
    "sys/resource.h",
    "sys/wait.h",
    "sys/xattr.h",
    "sys/stat.h",
    "sys/ipc.h",
    "sys/shm.h",
    "sys/sem.h",
    "sys/msg.h",
    "sys/swap.h",
    "linux/mount.h",
    "linux/seccomp.h",
    "linux/futex.h",
    "linux/keyctl.h",
    "linux/random.h",
    "linux/membarrier.h",
    "linux/reboot.h",
    "linux/kexec.h",
    "linux/perf_event.h",
    "linux/mempolicy.h",
    "linux/landlock.h",
    "linux/kcmp.h",
    "linux/falloc.h",
    "linux/net.h",
    "linux/sockios.h",
    "linux/close_range.h",
    "linux/fs.h",
    "asm/prctl.h",
    "asm/ptrace-abi.h",
];

/// Where the C library's value is not the kernel's: 0 on x86_64, where it changes nothing.
const LIBRARYS_OWN: &[&str] = &["O_LARGEFILE"];

#[test]
fn the_c_compiler_knows_the_constants_and_errors_alike() {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        eprintln!("skipped: the installed headers are not x86_64 Linux's");
        return;
    }
    let mut program = String::from("#define _GNU_SOURCE\n#include <stdio.h>\n");
    for header in INCLUDES {
        // Every release of the headers lacks some; what is not defined is not compared.
        let _ = writeln!(program, "#if __has_include(<{header}>)\n#include <{header}>\n#endif");
    }
    program.push_str("int main(void) {\n");
    let sets = constants::all().iter().flat_map(|set| set.iter());
    let errors = errno::all().map(|(name, number)| (name, u64::from(number)));
    for (name, value) in sets.chain(errors) {
        let _ = writeln!(
            program,
            "#ifdef {name}\nprintf(\"{name} {value} %lld\\n\", (long long)({name}));\n#endif"
        );
    }
    program.push_str("return 0; }\n");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, binary) = (directory.join("constants.c"), directory.join("constants"));
    fs::write(&source, program).unwrap();
    let compiled = Command::new("cc").arg("-w").arg("-o").arg(&binary).arg(&source).output();
    let Ok(compiled) = compiled else {
        eprintln!("skipped: no C compiler");
        return;
    };
    if !compiled.status.success() {
        let why = String::from_utf8_lossy(&compiled.stderr).into_owned();
        eprintln!("skipped: the installed headers do not compile together: {why}");
        return;
    }
    let printed = Command::new(&binary).output().unwrap().stdout;
    let mut compared = 0;
    for line in String::from_utf8(printed).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (name, ours) = (words[0], words[1].parse::<u64>().unwrap());
        let theirs = words[2].parse::<i64>().unwrap().cast_unsigned();
        // An int constant with the top bit set is negative in C and not here.
        let alike = ours == theirs || ours == theirs & 0xffff_ffff;
        assert!(alike || LIBRARYS_OWN.contains(&name), "{name}: {ours:#x}, {theirs:#x} in C");
        compared += 1;
    }
    assert!(compared > 700, "only {compared} constants compared");
    eprintln!("{compared} constants compared");
}
