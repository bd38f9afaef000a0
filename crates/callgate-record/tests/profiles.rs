//! Profiles of recordings, proved; and their text, which says where each rule comes from.

use std::{
    env,
    io::{Write as _, stderr},
    process::Command,
};

use callgate_bpf::{Action, SeccompData, generate::Rng};
use callgate_policy::{
    Dialect, NewerCalls, Policy, Target,
    formats::{self, Format},
};
use callgate_record::{
    Arguments, Call, End, Observation, Phase, Recorder, Recording, RunId, RunInfo, audit,
    profile::{
        self, Options, Profile,
        base::{Base, Runtime},
        stability::Stability,
    },
    strace,
};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};

fn of_strace(id: u64, text: &str) -> Recording {
    let mut recorder = Recorder::new(RunId::new(id), RunInfo::default());
    strace::read(Abi::X86_64, text.as_bytes(), &mut recorder).unwrap();
    let (id, run) = recorder.finish();
    Recording::of_run(id, run)
}

fn merged(recordings: &[Recording]) -> Recording {
    let mut all = Recording::default();
    recordings.iter().for_each(|recording| all.merge(recording));
    all
}

fn format(name: &str) -> &'static Format {
    formats::named(name).unwrap()
}

/// The profile in its text, checked.
fn made(recording: &Recording, options: &Options) -> (Profile, String) {
    let profile = profile::generate(recording, options).unwrap();
    let text = (format("oci").write)(&profile.policy).unwrap();
    profile::check(recording, &profile, format("oci"), &text).unwrap();
    (profile, text)
}

/// What a policy answers on an ABI.
fn answer(policy: &Policy, abi: Abi, name: &str, args: &[u64]) -> Action {
    let target = Target {
        native: abi,
        abis: None,
        capabilities: CapabilitySet::EMPTY,
        kernel: KernelVersion::new(6, 1),
        newer: NewerCalls::Default,
    };
    let ruleset = policy.resolve(&target).ruleset.unwrap();
    let mut data = SeccompData::new(abi.audit(), abi.number(name).unwrap());
    data.args[..args.len()].copy_from_slice(args);
    ruleset.decide(&data).0
}

const PERM: Action = Action::Errno(1);
const NOSYS: Action = Action::Errno(38);

/// Any calls of any ABI, with any arguments.
fn random(rng: &mut Rng) -> Recording {
    let mut all = Recording::default();
    for run in 0..1 + rng.below(3) {
        let mut recorder =
            Recorder::new(RunId::new(u64::try_from(run).unwrap()), RunInfo::default());
        for _ in 0..1 + rng.below(60) {
            let abi = rng.pick(&[Abi::X86_64, Abi::X86_64, Abi::X86, Abi::X32]);
            let calls: Vec<_> = abi.syscalls().collect();
            let (number, _) = rng.pick(&calls);
            let number = match rng.below(3) {
                0 => number,
                _ => {
                    abi.number(rng.pick(&["socket", "clone", "openat", "ioctl", "prctl"])).unwrap()
                }
            };
            let mut value = || {
                let bits = rng.below(20);
                u64::try_from(rng.below(1 << bits)).unwrap()
            };
            let registers = [(); 6].map(|()| Some(value()));
            recorder.observe(&Observation {
                architecture: abi.audit(),
                number,
                executable: "/bin/x",
                arguments: if rng.one_in(9) {
                    Arguments::Unknown
                } else {
                    Arguments::Registers(registers)
                },
                count: 1,
                errno: None,
                refused: false,
                at: None,
            });
        }
        if rng.one_in(4) {
            let call = Call { abi: Abi::X86_64, number: Abi::X86_64.number("socket").unwrap() };
            recorder.leave_unwatched([call]);
        }
        let (id, run) = recorder.finish();
        all.merge(&Recording::of_run(id, run));
    }
    all
}

#[test]
fn a_profile_permits_what_was_recorded_in_every_form() {
    let mut rng = Rng::new(23);
    for round in 0..24 {
        let recording = random(&mut rng);
        let mut options = Options::new(Abi::X86_64);
        options.arguments = round % 2 == 0;
        options.siblings = rng.one_in(2);
        options.default = rng.pick(&[PERM, NOSYS, Action::KillProcess, Action::Log]);
        let runtime = rng.pick(&[Runtime::Any, Runtime::Runc, Runtime::Crun, Runtime::Podman]);
        let base = Base { runtime, no_new_privs: rng.one_in(2), exec: rng.one_in(2) };
        options.base = rng.one_in(2).then_some(base);
        for (name, dialect) in [
            ("oci", Dialect::Oci),
            ("docker", Dialect::Docker),
            ("containers", Dialect::Containers),
        ] {
            options.dialect = Some(dialect);
            let profile = profile::generate(&recording, &options).unwrap();
            let text = (format(name).write)(&profile.policy).unwrap();
            profile::check(&recording, &profile, format(name), &text).unwrap();
            // The same recording, read back, gives the same text.
            let again = Recording::read(recording.to_text().as_bytes()).unwrap().recording;
            let again = profile::generate(&again, &options).unwrap();
            assert_eq!((format(name).write)(&again.policy).unwrap(), text);
        }
    }
}

#[test]
fn the_check_finds_what_is_missing() {
    let recording = of_strace(1, "getpid() = 1\nsocket(AF_UNIX, SOCK_STREAM, 0) = 3\n");
    let mut options = Options::new(Abi::X86_64);
    let (profile, text) = made(&recording, &options);
    let without = text.replace("\"getpid\"", "\"getppid\"");
    assert!(profile::check(&recording, &profile, format("oci"), &without).is_err());
    let mut narrower = profile.clone();
    narrower.policy.entries[0].names.retain(|name| name.value != "getpid");
    let text = (format("oci").write)(&narrower.policy).unwrap();
    let error = profile::check(&recording, &narrower, format("oci"), &text).unwrap_err();
    assert!(error.to_string().contains("it refuses getpid"), "{error}");
    // A profile of other arguments.
    options.arguments = true;
    let (profile, text) = made(&of_strace(1, "socket(AF_INET, SOCK_STREAM, 0) = 3\n"), &options);
    let recording = of_strace(1, "socket(AF_UNIX, SOCK_STREAM, 0) = 3\n");
    assert!(profile::check(&recording, &profile, format("oci"), &text).is_err());
}

#[test]
fn rules_say_where_they_come_from() {
    let recording = merged(&[
        of_strace(1, "execve(\"/bin/a\\33\", [\"a\"], 0x1) = 0\ngetpid() = 1\n"),
        of_strace(2, "execve(\"/bin/b\", [\"b\"], 0x1) = 0\n"),
    ]);
    let (_, text) = made(&recording, &Options::new(Abi::X86_64));
    assert!(text.contains(r"recorded by /bin/a\\u{1b} in 1 of 2 runs: 1 call"), "{text}");
    assert!(text.contains(r"recorded by /bin/a\\u{1b}, /bin/b in 2 of 2 runs: 2 calls"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_profile_works_on_an_architecture_that_came_later() {
    let recording = of_strace(
        1,
        "open(\"/x\", O_RDONLY) = 3\nstat(\"/x\", {}) = 0\nepoll_wait(3, [], 1, 1) = 0\nfork() = 2\nnanosleep({}, {}) = 0\n",
    );
    let (profile, _) = made(&recording, &Options::new(Abi::X86_64));
    for name in ["openat", "newfstatat", "epoll_pwait", "restart_syscall"] {
        assert_eq!(answer(&profile.policy, Abi::Aarch64, name, &[]), Action::Allow, "{name}");
    }
    // A process is started by clone there, which can do more than fork: only what fork can.
    assert_eq!(answer(&profile.policy, Abi::Aarch64, "clone", &[0x11]), Action::Allow);
    assert_eq!(answer(&profile.policy, Abi::Aarch64, "clone", &[0x1000_0011]), PERM);
    assert_eq!(answer(&profile.policy, Abi::Aarch64, "mount", &[]), PERM);
    let mut options = Options::new(Abi::X86_64);
    options.siblings = false;
    let (profile, _) = made(&recording, &options);
    assert!(profile.siblings.is_empty());
    assert_eq!(answer(&profile.policy, Abi::X86_64, "openat", &[]), NOSYS);
}

#[test]
fn what_is_newer_than_the_recording_gets_enosys() {
    let recording =
        of_strace(1, "getpid() = 1\nstatx(3, \"\", 0, 0, {}) = 0\nclone(flags=SIGCHLD) = 2\n");
    let mut options = Options::new(Abi::X86_64);
    options.default = Action::KillProcess;
    let (profile, _) = made(&recording, &options);
    let policy = &profile.policy;
    assert_eq!(answer(policy, Abi::X86_64, "mseal", &[]), NOSYS);
    assert_eq!(answer(policy, Abi::X86_64, "clone3", &[]), NOSYS);
    assert_eq!(answer(policy, Abi::X86_64, "mount", &[]), Action::KillProcess);
}

#[test]
fn arguments_narrow_where_they_are_bounded() {
    let text = "socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3\nsocket(AF_INET, SOCK_STREAM, 0) = 3\n\
                clone(child_stack=NULL, flags=CLONE_VM|SIGCHLD) = 3\nread(3, \"\", 1) = 0\n\
                ioctl(1, SOMETHING, 1) = 0\n";
    let mut options = Options::new(Abi::X86_64);
    options.arguments = true;
    let recording = of_strace(1, text);
    let (profile, _) = made(&recording, &options);
    let narrowed: Vec<_> = profile.narrowed.iter().copied().collect();
    assert_eq!(narrowed, ["clone", "socket"]);
    let socket = |args: &[u64]| answer(&profile.policy, Abi::X86_64, "socket", args);
    assert_eq!(socket(&[1, 0o2000001, 0]), Action::Allow);
    assert_eq!(socket(&[2, 1, 0]), Action::Allow);
    assert_eq!(socket(&[2, 3, 0]), PERM);
    assert_eq!(socket(&[16, 1, 0]), PERM);
    assert_eq!(socket(&[2, 1, 6]), PERM);
    // The kernel drops the upper half of an int.
    assert_eq!(socket(&[2 | 1 << 40, 1, 0]), Action::Allow);
    let clone = |flags| answer(&profile.policy, Abi::X86_64, "clone", &[flags]);
    assert_eq!((clone(0x111), clone(0x1000_0111)), (Action::Allow, PERM));
    assert_eq!(answer(&profile.policy, Abi::X86_64, "ioctl", &[1, 77]), Action::Allow);
}

/// The policy of a trace, narrowed by arguments.
fn narrowed(trace: &str) -> Policy {
    let mut options = Options::new(Abi::X86_64);
    options.arguments = true;
    made(&of_strace(1, trace), &options).0.policy
}

#[test]
fn values_of_a_field_are_not_added_up() {
    let policy = narrowed(
        "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3\nsocket(AF_INET, SOCK_DGRAM, 0) = 3\n",
    );
    let socket = |kind| answer(&policy, Abi::X86_64, "socket", &[2, kind, 0]);
    // Either kind, with the flag or without.
    for kind in [1, 2, 0o2000001, 0o2000002] {
        assert_eq!(socket(kind), Action::Allow, "{kind:o}");
    }
    // A raw one is the sum of their numbers.
    for kind in [0, 3, 5, 0o2000003, 0o4001] {
        assert_eq!(socket(kind), PERM, "{kind:o}");
    }
}

#[test]
fn what_is_narrowed_has_what_only_chance_decides() {
    let policy = narrowed(
        "futex(0x1, FUTEX_WAKE|FUTEX_PRIVATE_FLAG, 1) = 1\nmadvise(0x1, 1, MADV_FREE) = 0\n\
         epoll_ctl(3, EPOLL_CTL_ADD, 4, {}) = 0\nrt_sigaction(SIGINT, {}, NULL, 8) = 0\n\
         execve(\"/bin/x\", [\"x\"], 0x1) = 0\n",
    );
    let answer = |name, args: &[u64]| answer(&policy, Abi::X86_64, name, args);
    // WAIT, WAKE and WAIT_BITSET of any lock; none that inherits a priority.
    for operation in [0x80, 0x81, 0x189, 0x109, 0, 1] {
        assert_eq!(answer("futex", &[0, operation]), Action::Allow, "{operation:x}");
    }
    for operation in [0x86, 0x8b, 0x8c, 0x84] {
        assert_eq!(answer("futex", &[0, operation]), PERM, "{operation:x}");
    }
    assert_eq!(answer("madvise", &[0, 1, 4]), Action::Allow);
    assert_eq!(answer("madvise", &[0, 1, 21]), PERM);
    assert_eq!(answer("epoll_ctl", &[3, 3, 4, 0]), Action::Allow);
    // What comes with a narrowed call by chance is no other way to make it.
    for name in ["rt_sigreturn", "restart_syscall", "sched_yield", "clock_gettime"] {
        assert_eq!(answer(name, &[]), Action::Allow, "{name}");
    }
    assert_eq!(answer("rt_sigaction", &[15]), PERM);
}

#[test]
fn a_clock_of_a_process_is_not_narrowed_to_its_number() {
    let of = |clock: u64| {
        let mut recorder = Recorder::new(RunId::new(1), RunInfo::default());
        recorder.observe(&Observation {
            architecture: Abi::X86_64.audit(),
            number: Abi::X86_64.number("clock_gettime").unwrap(),
            executable: "/bin/x",
            arguments: Arguments::Registers([Some(clock), None, None, None, None, None]),
            count: 1,
            errno: None,
            refused: false,
            at: None,
        });
        let (id, run) = recorder.finish();
        let mut options = Options::new(Abi::X86_64);
        options.arguments = true;
        made(&Recording::of_run(id, run), &options).0.narrowed.contains("clock_gettime")
    };
    assert!(of(1));
    // The processor time of process 1234: ~1234 << 3 | 2.
    assert!(!of(u64::from(!1234_u32 << 3 | 2)));
}

#[test]
fn what_a_run_let_pass_is_not_narrowed() {
    let text = "socket(AF_UNIX, SOCK_STREAM, 0) = 3\n";
    let mut recorder = Recorder::new(RunId::new(2), RunInfo::default());
    let socket = Call { abi: Abi::X86_64, number: Abi::X86_64.number("socket").unwrap() };
    recorder.leave_unwatched([socket]);
    let (id, run) = recorder.finish();
    let recording = merged(&[of_strace(1, text), Recording::of_run(id, run)]);
    let mut options = Options::new(Abi::X86_64);
    options.arguments = true;
    let (profile, text) = made(&recording, &options);
    assert_eq!((profile.narrowed.len(), profile.unwatched.len()), (0, 1));
    // Nor does it count as a run in which the call was not seen.
    assert!(text.contains("in 1 run: 1 call"), "{text}");
    assert!(Stability::of(&recording).once.is_empty());
}

#[test]
fn what_the_runtime_needs_is_an_entry_of_its_own() {
    let recording = of_strace(1, "close(3) = 0\n");
    let mut options = Options::new(Abi::X86_64);
    options.base = Some(Base { runtime: Runtime::Crun, no_new_privs: true, exec: false });
    let (profile, text) = made(&recording, &options);
    assert_eq!(profile.base.iter().copied().collect::<Vec<_>>(), ["execve"]);
    assert!(text.contains("crun needs these between loading the filter and the command"), "{text}");
}

#[test]
fn refused_calls_are_permitted_and_told() {
    let record = |code: &str, number: u32| {
        format!(
            "type=1326 audit(1.5:1): auid=1 uid=0 gid=0 ses=1 pid=7 comm=\"a\" exe=\"/bin/a\" sig=0 \
             arch=c000003e syscall={number} compat=0 ip=0x1 code={code}\n"
        )
    };
    let text = record("0x50000", 83)
        + &record("0x7ffc0000", 39)
        + &record("0x7ffc0000", 83)
        + &record("0x50000", 165);
    let mut recorder = Recorder::new(RunId::new(1), RunInfo::default());
    audit::read(text.as_bytes(), &mut recorder).unwrap();
    let (id, run) = recorder.finish();
    let (profile, _) = made(&Recording::of_run(id, run), &Options::new(Abi::X86_64));
    assert_eq!(profile.refused.iter().copied().collect::<Vec<_>>(), ["mount"]);
}

#[test]
fn numbers_without_a_name_are_left_out_and_told() {
    let recording =
        of_strace(1, "syscall_0x1f4(1) = -1 ENOSYS (Function not implemented)\ngetpid() = 1\n");
    let (profile, _) = made(&recording, &Options::new(Abi::X86_64));
    assert_eq!(profile.nameless.len(), 1);
    let nothing = of_strace(1, "syscall_0x1f4(1) = -1 ENOSYS (Function not implemented)\n");
    assert!(profile::generate(&nothing, &Options::new(Abi::X86_64)).is_err());
}

#[test]
fn stability_says_what_each_run_brought() {
    let run = |id: u64, start: u64, calls: &[(&str, u64)], end: Option<u64>| {
        let info = RunInfo { start: Some(start), ..RunInfo::default() };
        let mut recorder = Recorder::new(RunId::new(id), info);
        recorder.enter(Phase::StartUp);
        for &(name, at) in calls {
            recorder.observe(&Observation {
                architecture: Abi::X86_64.audit(),
                number: Abi::X86_64.number(name).unwrap(),
                executable: "",
                arguments: Arguments::Unknown,
                count: 1,
                errno: None,
                refused: false,
                at: Some(at),
            });
        }
        if let Some(after) = end {
            recorder.end(End { after: Some(after), status: Some(0) });
        }
        let (id, run) = recorder.finish();
        Recording::of_run(id, run)
    };
    let all = merged(&[
        run(9, 1000, &[("read", 0), ("write", 10)], Some(100)),
        run(1, 2000, &[("read", 0), ("close", 40)], Some(50)),
        run(5, 3000, &[("read", 0), ("write", 1)], None),
    ]);
    let stability = Stability::of(&all);
    let growth: Vec<_> = stability.growth.iter().map(|growth| (growth.new, growth.total)).collect();
    assert_eq!(growth, [(2, 2), (1, 3), (0, 3)]);
    let once: Vec<_> = stability.once.iter().map(|(call, runs)| (call.name(), *runs)).collect();
    assert_eq!(once, [(Some("close"), 3)]);
    let last = stability.last_new.unwrap();
    assert_eq!((last.run, last.at, last.before_end), (RunId::new(1), 40, Some(10)));
    assert_eq!(stability.cut_off, 1);
}

/// Says why something is not tested, where a captured test's output would not be seen. With
/// `CALLGATE_REQUIRE_LAB=1` nothing may be missing.
fn skip(why: &str) {
    assert!(
        env::var_os("CALLGATE_REQUIRE_LAB").is_none_or(|value| value != "1"),
        "CALLGATE_REQUIRE_LAB=1, but {why}"
    );
    // Not a print macro: the test harness would keep it.
    let _ = writeln!(stderr(), "skipped: {why}");
}

/// What strace printed, counted by another way: the first word of each line that is a call.
fn names_in(trace: &str) -> Vec<String> {
    let mut names: Vec<String> = trace
        .lines()
        .filter_map(|line| {
            let rest =
                line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ' || c == '.');
            let (name, _) = rest.split_once('(')?;
            let is_name = name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            (is_name && !name.is_empty()).then(|| name.to_owned())
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn everything_that_strace_saw_is_recorded() {
    let folder = env::temp_dir().join(format!("callgate-strace-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (index, options) in
        [&["-f"][..], &["-f", "-ttt", "-y"], &["-f", "-r", "-T", "-i"], &["-f", "-tt", "-v"]]
            .into_iter()
            .enumerate()
    {
        let file = folder.join(index.to_string());
        let traced = Command::new("strace")
            .args(options)
            .arg("-o")
            .arg(&file)
            .args([
                "sh",
                "-c",
                "(sleep 0.05 & ls -l / | sort -R | head -n 1; wait; kill -0 $$) >/dev/null",
            ])
            .status();
        match traced {
            Ok(status) if status.success() => {}
            Ok(status) => panic!("strace: {status}"),
            Err(error) => {
                skip(&format!("reading a real trace is not tested: strace: {error}"));
                break;
            }
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let recording = of_strace(1, &text);
        let seen: Vec<&str> = recording.calls().iter().filter_map(|call| call.name()).collect();
        for name in names_in(&text).iter().filter(|_| !options.contains(&"-i")) {
            assert!(seen.contains(&name.as_str()), "{name} with {options:?}");
        }
        let run = recording.runs.values().next().unwrap();
        assert!(run.losses.is_empty(), "{:?}", run.losses);
        assert!(seen.contains(&"getdents64") && seen.contains(&"wait4"), "{seen:?}");
        let executables: Vec<_> = run.facts.keys().map(|key| key.executable.as_str()).collect();
        for program in ["sh", "ls", "sort", "head", "sleep"] {
            assert!(executables.iter().any(|path| path.ends_with(program)), "{program}");
        }
        assert_eq!(run.end.unwrap().after.is_some(), options.len() > 1);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
