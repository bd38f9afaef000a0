//! What each verb says of a live process's filters, held against the interpreter and the others.

use callgate_bpf::{
    Architecture, ByteOrder, Layout, Program, SeccompData, ShiftRule, Stack, SyscallNr,
};
use callgate_syscalls::Abi;
use serde_json::Value;

use crate::{
    common::{Outcome, Scratch},
    sarif,
};

/// Calls whose answers are compared: plain ones, ones with conditions, and ones of other ABIs are
/// asked for by the interpreter's own tests.
const CALLS: [(&str, [u64; 6]); 16] = [
    ("read", [3, 0x1000, 10, 0, 0, 0]),
    ("write", [1, 0x1000, 10, 0, 0, 0]),
    ("openat", [0xffff_ff9c, 0x1000, 0, 0, 0, 0]),
    ("openat", [0xffff_ff9c, 0x1000, 0o102, 0o600, 0, 0]),
    ("execve", [0x1000, 0x2000, 0x3000, 0, 0, 0]),
    ("clone", [0x0001_0f00, 0, 0, 0, 0, 0]),
    ("clone", [0x1000_0011, 0, 0, 0, 0, 0]),
    ("clone3", [0x1000, 88, 0, 0, 0, 0]),
    ("socket", [1, 1, 0, 0, 0, 0]),
    ("socket", [16, 3, 0, 0, 0, 0]),
    ("mmap", [0, 4096, 7, 34, 0xffff_ffff, 0]),
    ("mprotect", [0x1000, 4096, 4, 0, 0, 0]),
    ("prctl", [15, 0x1000, 0, 0, 0, 0]),
    ("ptrace", [0, 0, 0, 0, 0, 0]),
    ("ioctl", [0, 0x5413, 0x1000, 0, 0, 0]),
    ("exit_group", [0; 6]),
];

/// The filters of a process, as the source `pid:N` and as files.
pub struct Live<'s> {
    scratch: &'s Scratch,
    what: &'s str,
    pid: String,
    source: String,
    /// Oldest first, in files of these names.
    files: Vec<String>,
    programs: Vec<Program>,
}

impl<'s> Live<'s> {
    /// By `callgate dump --pid`.
    pub fn read(scratch: &'s Scratch, what: &'s str, pid: i32) -> Live<'s> {
        let pid = pid.to_string();
        let dumped = scratch.callgate(&["dump", "--pid", &pid, "-o", "filters"]).run();
        assert_eq!(dumped.status, 0, "{what}: {}", dumped.stderr);
        // Threads may differ; the first, which the process's number names, is looked at.
        let name = |kind: &str, number: usize| format!("filters/{kind}{pid}-{number}.bpf");
        let kind = ["pid", "tid"].into_iter().find(|kind| scratch.join(name(kind, 1)).exists());
        let kind = kind.unwrap_or_else(|| panic!("{what}: {}", dumped.stdout));
        let files: Vec<String> = (1..)
            .map(|number| name(kind, number))
            .take_while(|name| scratch.join(name).exists())
            .collect();
        let layout = Layout::seccomp(ByteOrder::NATIVE);
        let read =
            |file: &String| Program::from_bytes(&scratch.read(file), ByteOrder::NATIVE, layout);
        let programs: Vec<Program> =
            files.iter().map(read).collect::<Result<_, _>>().expect("the kernel had it");
        println!(
            "{what}: {} filters of {:?} instructions",
            files.len(),
            programs.iter().map(Program::len).collect::<Vec<_>>()
        );
        Live { scratch, what, source: format!("{kind}:{pid}"), pid, files, programs }
    }

    /// The command with this source where `@` stands.
    #[track_caller]
    fn ask(&self, args: &[&str]) -> Outcome {
        let args: Vec<&str> =
            args.iter().map(|&arg| if arg == "@" { self.source.as_str() } else { arg }).collect();
        self.scratch.callgate(&args).run()
    }

    #[track_caller]
    fn succeeds(&self, args: &[&str]) -> Outcome {
        let outcome = self.ask(args);
        assert_eq!(outcome.status, 0, "{}, {args:?}: {}", self.what, outcome.stderr);
        outcome
    }

    /// The kernel counts as many as are dumped.
    pub fn dumps(&self) {
        let json = self.succeeds(&["dump", "--pid", &self.pid, "--json"]).stdout;
        let json: Value = serde_json::from_str(&json).unwrap();
        let groups = json["groups"].as_array().unwrap();
        let first = groups.iter().find(|group| {
            let threads = group["threads"].as_array().unwrap();
            threads.iter().any(|thread| thread.as_u64() == self.pid.parse().ok())
        });
        let filters = first.expect("it has its first thread")["filters"].as_array().unwrap();
        assert_eq!(filters.len(), self.programs.len());
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let counted = crate::common::field(&status, "Seccomp_filters", 0);
        assert!(counted.is_empty() || counted == filters.len().to_string(), "{counted}");
    }

    /// The listing of each file goes back to the same bytes, and says no number that has a name.
    pub fn lists_and_assembles(&self) {
        for file in &self.files {
            let listing = self.succeeds(&["disasm", file]);
            self.scratch.file("listing.asm", &listing.bytes);
            self.succeeds(&["asm", "listing.asm", "-o", "again.bpf"]);
            assert_eq!(self.scratch.read("again.bpf"), self.scratch.read(file), "{}", self.what);
            assert!(listing.stdout.contains("arch"), "{}", listing.stdout);
        }
        let all = self.succeeds(&["disasm", "@"]).stdout;
        let lines = all.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(lines.count(), self.programs.iter().map(Program::len).sum::<usize>());
    }

    /// Each answer is the interpreter's, and the exit status says whether all run.
    pub fn evaluates(&self) {
        let Some(abi) = Abi::native() else { return };
        let line = |(name, args): &(&str, [u64; 6])| {
            let args: Vec<String> = args.iter().map(u64::to_string).collect();
            format!("{name} {}\n", args.join(" "))
        };
        let known = CALLS.iter().filter(|(name, _)| abi.number(name).is_some());
        let known: Vec<_> = known.collect();
        self.scratch.file("calls", known.iter().map(|call| line(call)).collect::<String>());
        let outcome = self.ask(&["eval", "@", "--json", "--calls", "calls"]);
        let answers: Value = serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", outcome.stderr));
        let stack: Stack<'_> = self.programs.iter().rev().collect();
        let mut all_run = true;
        assert_eq!(answers.as_array().unwrap().len(), known.len());
        for ((name, args), answer) in known.iter().zip(answers.as_array().unwrap()) {
            let nr = abi.number(name).unwrap_or(SyscallNr(0));
            let data = SeccompData { args: *args, ..SeccompData::new(abi.audit(), nr) };
            let action = stack.run(&data.words(ByteOrder::NATIVE), ShiftRule::Low5).action.action();
            assert_eq!(answer["action"], action.to_string(), "{}: {answer}", self.what);
            all_run &= action.runs_call();
        }
        assert_eq!(outcome.status, i32::from(!all_run), "{}", self.what);
    }

    pub fn explains(&self) {
        let whole = self.succeeds(&["explain", "@"]).stdout;
        for word in ["x86_64", "read"] {
            assert!(whole.contains(word), "{}: {whole}", self.what);
        }
        // Nothing that is as long as a program explains it.
        assert!(whole.lines().count() < 3000, "{}: {} lines", self.what, whole.lines().count());
        self.succeeds(&["explain", "@", "--syscall", "clone"]);
        let allowed = self.succeeds(&["explain", "@", "--action", "allow"]).stdout;
        assert!(allowed.contains("read"), "{}: {allowed}", self.what);
        self.succeeds(&["explain", "@", "--allows", "read"]);
        let execve = self.ask(&["explain", "@", "--allows", "execve"]);
        assert!(execve.status < 2, "{}: {}", self.what, execve.stderr);
        let json = self.succeeds(&["explain", "@", "--json"]).stdout;
        let json: Value = serde_json::from_str(&json).expect("it is JSON");
        assert!(json.is_object() || json.is_array(), "{json}");
    }

    pub fn compares(&self) {
        self.ask(&["diff", "@", "@"]).is_like(0, "same…", "…");
        self.succeeds(&["diff", "--subset", "@", "@"]);
        let other = self.ask(&["diff", "docker-default", "@"]);
        let expected = if other.status == 0 { "same" } else { "different" };
        assert!(other.status < 2 && other.stdout.starts_with(expected), "{other:?}");
    }

    /// A profile that means the same, or a refusal that says what it cannot say.
    pub fn converts(&self) {
        for format in ["oci", "docker"] {
            let outcome = self.ask(&["convert", "@", "--to", format, "-o", "back.json"]);
            self.means_the_same("back.json", &outcome);
        }
    }

    pub fn merges(&self) {
        for how in [&["merge", "--intersect"][..], &["merge"]] {
            let args = [how, &["@", "@", "-o", "merged.json"]].concat();
            let outcome = self.ask(&args);
            self.means_the_same("merged.json", &outcome);
        }
    }

    fn means_the_same(&self, file: &str, outcome: &Outcome) {
        let path = self.scratch.join(file);
        if outcome.status == 0 {
            // To whom it means the same is said, where that is not everybody.
            let readers = [("to runc", "runc"), ("to crun", "crun")];
            let reader = readers.into_iter().find(|(words, _)| outcome.stderr.contains(words));
            let like: Vec<&str> = reader.map_or(vec![], |(_, reader)| vec!["--like", reader]);
            self.ask(&[&["diff", file, "@"], &like[..]].concat()).is_like(0, "same…", "…");
            // What is written can be loaded.
            self.succeeds(&[&["compile", file, "-o", "made.bpf"], &like[..]].concat());
            self.ask(&["diff", "made.bpf", "@"]).is_like(0, "same…", "…");
            std::fs::remove_file(path).unwrap();
            return;
        }
        println!("{}: {file}: {}", self.what, outcome.stderr);
        assert_eq!(outcome.status, 2, "{}: {}", self.what, outcome.stderr);
        assert!(outcome.stderr.contains("error: "), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("internal"), "{}", outcome.stderr);
        assert!(!path.exists(), "nothing is written where nothing fits");
    }

    /// None of the findings is one of these, each has a call that shows it as it says, and every
    /// form says the same.
    pub fn lints(&self, false_here: &[&str]) {
        let outcome = self.ask(&["lint", "@", "--json"]);
        let json: Value = serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", outcome.stderr));
        let findings = json["findings"].as_array().unwrap();
        let mut worst = 0;
        for finding in findings {
            let id = finding["id"].as_str().unwrap();
            assert!(!false_here.contains(&id), "{}: {finding:#}", self.what);
            worst |= i32::from(finding["severity"] != "note");
            let example = &finding["example"];
            for call in [&example["call"], &example["against"]].into_iter().filter(|c| !c.is_null())
            {
                self.is_answered_so(call);
            }
        }
        assert_eq!(outcome.status, worst, "{}", self.what);
        let text = self.ask(&["lint", "@"]);
        assert_eq!(text.status, worst);
        println!("{}: {}\n{}", self.what, text.stderr, text.stdout);
        sarif::check(&self.ask(&["lint", "@", "--sarif"]).stdout, findings);
        // The files, newest first, are the process.
        let files: Vec<&str> = self.files.iter().rev().map(String::as_str).collect();
        let by_file = self.ask(&[&["lint", "--json"], &files[..]].concat());
        let by_file: Value = serde_json::from_str(&by_file.stdout).unwrap();
        assert_eq!(by_file["findings"], json["findings"], "{}", self.what);
    }

    fn is_answered_so(&self, call: &Value) {
        let number = |value: &Value| value.as_u64().unwrap();
        let narrow = |value: &Value| u32::try_from(number(value)).unwrap();
        let mut args = [0; 6];
        for (arg, value) in args.iter_mut().zip(call["arguments"].as_array().unwrap()) {
            *arg = number(value);
        }
        let arch = Architecture(narrow(&call["arch"]));
        let data =
            SeccompData { args, ..SeccompData::new(arch, SyscallNr(narrow(&call["number"]))) };
        let stack: Stack<'_> = self.programs.iter().rev().collect();
        let action = stack.run(&data.words(ByteOrder::NATIVE), ShiftRule::Low5).action.action();
        assert_eq!(call["action"], action.to_string(), "{}: {call}", self.what);
    }

    pub fn refuses_what_takes_a_profile(&self) {
        for verb in ["check", "compile"] {
            self.ask(&[verb, "@"]).is_like(2, "", "…error: …takes a profile\n");
        }
    }
}
