//! Calls of a workload counted by the kernel, against what the workload is known to do.

#[path = "harness/filters.rs"]
mod filters;
mod harness;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use callgate_bpf::{Action, SyscallNr};
use callgate_kernel::ebpf::{ArgumentTable, News, Recorder, RecorderOptions, Results, Scope};
use callgate_kernel::{Cgroup, Errno, Launch, LoadOptions, Outcome, load};
use callgate_syscalls::Abi;

use self::filters::refuse;
use self::harness::{Case, TempDir, again, become_nobody, compile, in_child, skip};

fn main() {
    let cases: &[Case] = &[
        ("a_million_calls_are_counted_exactly", million),
        ("a_tree_is_counted_as_a_cgroup_is", tree),
        ("int_0x80_and_x32_are_counted_by_their_tables", tables),
        ("threads_children_and_execs_are_counted", families),
        ("calls_that_a_filter_refuses_are_told_from_errors", refusals),
        ("each_refused_call_is_told_with_its_registers", told),
        ("a_supervised_or_trapped_call_has_no_error_and_no_entry", trapped),
        ("results_can_wait_for_a_filter_and_what_is_missed_is_said", late_results),
        ("an_inherited_filter_is_seen_by_who_waits_for_one", inherited_filter),
        ("errors_are_counted", errors),
        ("numbers_beyond_the_tables_are_counted", odd),
        ("values_of_arguments_are_listed_and_then_their_bits", values),
        ("nothing_of_outsiders_is_counted", outsiders),
        ("a_process_is_counted_while_it_is_in_the_cgroup", moved),
        ("short_lived_processes_are_all_counted", short_lived),
        ("executables_have_their_paths_after_they_have_ended", paths),
        ("a_running_tree_is_found_with_its_children", running_tree),
        ("who_gets_the_number_of_a_process_of_the_tree_is_not_counted", reused_numbers),
        ("what_a_daemon_does_after_the_command_is_counted", daemon),
        ("a_full_ring_loses_moments_and_nothing_else", full_ring),
        ("a_killed_recorder_leaves_nothing", killed),
        ("an_ordinary_user_is_told_what_is_missing", unprivileged),
        ("numbers_of_another_namespace_are_refused", numbers),
        ("a_filter_that_refuses_bpf_is_named", filtered),
        ("a_held_command_that_is_dropped_is_gone", dropped),
        ("_records_until_killed", records_until_killed),
    ];
    harness::main(cases);
}

/// How the recorder is to find its processes.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Cgroup,
    Tree,
}

/// The program that makes calls, in a directory that goes when this does.
struct Calls {
    program: PathBuf,
    _directory: TempDir,
}

impl Calls {
    fn new() -> Calls {
        let directory = TempDir::new("ebpf");
        let program = compile(directory.path(), "calls.c", &["-pthread"])
            .unwrap_or_else(|| skip("no C compiler"));
        Calls { program, _directory: directory }
    }

    /// Records it making these calls.
    fn record(&self, by: By, table: &ArgumentTable, ways: &str) -> Recorded {
        let (recorded, outcome) = record(by, table, &self.command(ways), |_| {});
        assert_eq!(outcome, Outcome::Exited(7));
        recorded
    }

    fn command(&self, ways: &str) -> Vec<String> {
        let program = self.program.to_str().unwrap().to_owned();
        [program].into_iter().chain(ways.split_whitespace().map(str::to_owned)).collect()
    }
}

/// What a recorder has told at the end.
struct Recorded {
    recorder: Recorder,
    events: Vec<News>,
}

fn cgroup() -> Cgroup {
    Cgroup::create().unwrap_or_else(|error| skip(&format!("no cgroup: {error}")))
}

fn start(options: &RecorderOptions<'_>) -> Recorder {
    match options.start() {
        Ok(recorder) => recorder,
        Err(error) if error.is_not_privileged() || error.is_unsupported() => {
            skip(&format!("no recorder: {error}"))
        }
        Err(error) => panic!("{error}"),
    }
}

fn record(
    by: By,
    table: &ArgumentTable,
    command: &[String],
    with: impl FnOnce(&mut RecorderOptions<'_>),
) -> (Recorded, Outcome) {
    let held = Launch::new(command).keep_privileges().hold().unwrap();
    let cgroup = (by == By::Cgroup).then(cgroup);
    let scope = match &cgroup {
        Some(cgroup) => {
            cgroup.add(held.pid()).unwrap();
            Scope::Cgroup(cgroup)
        }
        None => Scope::Tree(held.pid()),
    };
    let mut options = RecorderOptions::new(scope).arguments(table).launched(held.pid());
    with(&mut options);
    let mut recorder = start(&options);
    let mut events = Vec::new();
    // The ring wakes it; its descriptor is the recorder's, which is busy with it.
    let ring = recorder.descriptor().try_clone_to_owned().unwrap();
    let poll = || {
        recorder.poll(Duration::ZERO, |event| events.push(event.news)).unwrap();
    };
    let outcome = held.run(&[ring.as_fd()], poll).unwrap().outcome;
    (Recorded { recorder, events }, outcome)
}

impl Recorded {
    /// How often a call was made, by all executables.
    fn count(&self, abi: Abi, call: &str) -> u64 {
        count(&self.recorder, abi, abi.number(call).unwrap())
    }

    fn complete(&self) {
        let losses = self.recorder.losses();
        assert!(losses.is_none() && losses.events == 0, "{losses:?}");
    }

    /// How often a call had this result: its error, and whether it was entered.
    fn results(&self, call: &str) -> BTreeMap<(Option<i32>, bool), u64> {
        let number = Abi::X86_64.number(call).unwrap();
        let mut all = BTreeMap::new();
        for result in self.recorder.results().unwrap() {
            if (result.architecture, result.number) == (Abi::X86_64.audit(), number) {
                *all.entry((result.errno.map(|e| e.0), result.entered)).or_default() +=
                    result.count;
            }
        }
        all
    }
}

fn count(recorder: &Recorder, abi: Abi, number: SyscallNr) -> u64 {
    let counts = recorder.counts().unwrap();
    let of_call = counts.iter().filter(|c| c.architecture == abi.audit() && c.number == number);
    of_call.map(|c| c.count).sum()
}

fn million() {
    let recorded = Calls::new().record(By::Cgroup, &ArgumentTable::new(), "getppid 1000000");
    assert_eq!(recorded.count(Abi::X86_64, "getppid"), 1_000_000);
    // The launch is the only exec, and nothing of what this program did before it is counted.
    assert_eq!(recorded.count(Abi::X86_64, "execve"), 1);
    assert_eq!(recorded.count(Abi::X86_64, "capset"), 0);
    assert_eq!(recorded.count(Abi::X86_64, "exit_group"), 1);
    recorded.complete();
}

fn tree() {
    let calls = Calls::new();
    let ways = "getppid 1000 thread 500 fork 20 exec getppid 7 fork 3";
    let counted = |by| {
        let recorded = calls.record(by, &ArgumentTable::new(), ways);
        recorded.complete();
        let counts = recorded.recorder.counts().unwrap();
        let mut all = BTreeMap::new();
        for call in counts {
            // How often a thread waits for another is a matter of chance.
            if Abi::X86_64.name_of(call.number) != Some("futex") {
                *all.entry((call.architecture, call.number)).or_insert(0) += call.count;
            }
        }
        all
    };
    let (by_cgroup, by_tree) = (counted(By::Cgroup), counted(By::Tree));
    assert_eq!(by_cgroup, by_tree);
    let getppid = (Abi::X86_64.audit(), Abi::X86_64.number("getppid").unwrap());
    assert_eq!(by_tree[&getppid], 1000 + 500 + 20 + 7 + 3);
}

fn tables() {
    let calls = Calls::new();
    let works = |way| Command::new(&calls.program).args([way, "1"]).status().unwrap().code();
    if works("int80") != Some(7) {
        skip("this kernel has no int 0x80");
    }
    let recorded =
        calls.record(By::Cgroup, &ArgumentTable::new(), "int80 11 getppid 13 x32 17 int80 2");
    recorded.complete();
    assert_eq!(recorded.count(Abi::X86, "getppid"), 13);
    assert_eq!(recorded.count(Abi::X86_64, "getppid"), 13);
    assert_eq!(recorded.count(Abi::X86_64, "sendmsg"), 0);
    // A kernel without x32 enters such a call as well, and answers ENOSYS.
    assert_eq!(recorded.count(Abi::X32, "getppid"), 17);
}

fn families() {
    let calls = Calls::new();
    let ways = "getppid 5 thread 50 fork 3 exec thread 40 fork 2";
    let recorded = calls.record(By::Cgroup, &ArgumentTable::new(), ways);
    recorded.complete();
    assert_eq!(recorded.count(Abi::X86_64, "getppid"), 5 + 50 + 3 + 40 + 2);
    assert_eq!(recorded.count(Abi::X86_64, "execve"), 2);
    // Each child's, and the command's; threads have `exit`.
    assert_eq!(recorded.count(Abi::X86_64, "exit_group"), 3 + 2 + 1);
    assert_eq!(recorded.count(Abi::X86_64, "exit"), 2);
    let is_call = |news: &&News| matches!(news, News::Call(..));
    assert!(recorded.events.iter().filter(is_call).count() > 10);
}

fn refusals() {
    let calls = Calls::new();
    for by in [By::Cgroup, By::Tree] {
        let recorded = calls.record(by, &ArgumentTable::new(), "refused 13 fork-refused missing 2");
        recorded.complete();
        assert_eq!(recorded.count(Abi::X86_64, "getpgid"), 0);
        // Three of the program, and the first call of all of its child.
        assert_eq!(recorded.results("getpgid"), BTreeMap::from([((Some(libc::EACCES), false), 4)]));
        assert_eq!(recorded.results("rmdir")[&(Some(libc::ENOENT), true)], 2);
        let refused = recorded.events.iter().any(|news| {
            matches!(news, News::Result { errno: Some(Errno(libc::EACCES)), entered: false, .. })
        });
        assert!(refused, "{:?}", recorded.events);
        // What succeeds under the filter was entered.
        let not_entered: Vec<_> = recorded
            .recorder
            .results()
            .unwrap()
            .into_iter()
            .filter(|result| !result.entered)
            .collect();
        assert_eq!(not_entered.len(), 1, "{not_entered:?}");
    }
}

fn told() {
    let calls = Calls::new();
    for by in [By::Cgroup, By::Tree] {
        let command = calls.command("refused 13 killed 1 killed 2 missing 5 odd 2");
        let (mut recorded, outcome) = record(by, &ArgumentTable::new(), &command, |options| {
            *options = options.clone().refusals();
        });
        assert_eq!(outcome, Outcome::Exited(7));
        let refused = recorded.recorder.refused();
        let of = |call: &str| {
            let number = Abi::X86_64.number(call).unwrap();
            refused.iter().filter(move |refused| refused.data.nr == number).collect::<Vec<_>>()
        };
        let getpgid = of("getpgid");
        assert_eq!(getpgid.len(), 3, "{refused:?}");
        for call in getpgid {
            let errno = -i64::from(libc::EACCES);
            assert_eq!((call.result, call.entered, call.data.args[0]), (errno, false, 0));
            assert_eq!(call.data.arch, Abi::X86_64.audit());
            assert!(call.process > 0 && call.data.instruction_pointer > 0);
            assert!(call.stack_pointer > 0 && call.stack.iter().any(|word| *word > 0));
        }
        // Killed: the call returns to nobody, with its own number for a result.
        let getsid = of("getsid");
        assert_eq!(getsid.len(), 2, "{refused:?}");
        let getsid_memory = &getsid[0].memory;
        for call in &getsid {
            assert_eq!(call.data.args, [4711, 2, 3, 4, 5, 6]);
            assert_eq!((call.result, call.entered), (i64::from(call.data.nr.0), false));
        }
        // An error is told once.
        let rmdir = of("rmdir");
        assert_eq!((rmdir.len(), rmdir[0].entered), (1, true), "{refused:?}");
        assert!(rmdir[0].memory[0].starts_with(b"/nowhere\0"), "{refused:?}");
        assert!(getsid_memory.iter().all(Vec::is_empty), "numbers are no addresses");
        assert!(refused.iter().all(|call| call.data.nr.0 != 100_000), "nobody refused it");
    }
}

fn trapped() {
    let recorded = Calls::new().record(By::Cgroup, &ArgumentTable::new(), "trapped");
    assert_eq!(recorded.count(Abi::X86_64, "getsid"), 0);
    assert_eq!(recorded.results("getsid"), BTreeMap::from([((None, false), 1)]));
}

fn late_results() {
    let calls = Calls::new();
    // None: nothing is looked at, and nothing is late.
    let wait = |options: &mut RecorderOptions<'_>| {
        *options = options.clone().results(Results::UnderFilters);
    };
    let command = calls.command("missing 5");
    let (none, _) = record(By::Cgroup, &ArgumentTable::new(), &command, wait);
    assert_eq!((none.recorder.losses().late, none.results("rmdir").len()), (0, 0));

    // Half a second is ample for a poll that waits.
    let command = calls.command("missing 5 refuse 13 sleep 500 getpgid 4");
    let (some, _) = record(By::Cgroup, &ArgumentTable::new(), &command, wait);
    assert!(some.events.contains(&News::Filter));
    assert_eq!(some.results("getpgid"), BTreeMap::from([((Some(libc::EACCES), false), 4)]));
    let losses = some.recorder.losses();
    assert_eq!((losses.late, losses.is_none()), (1, false));
}

fn inherited_filter() {
    let calls = Calls::new();
    let status = in_child(|| {
        let refused = refuse(&[libc::SYS_getpgid], Action::Errno(13));
        load(&refused, &LoadOptions::new()).unwrap();
        let command = calls.command("sleep 500 getpgid 4");
        let (recorded, _) = record(By::Tree, &ArgumentTable::new(), &command, |options| {
            *options = options.clone().results(Results::UnderFilters);
        });
        assert_eq!(recorded.results("getpgid"), BTreeMap::from([((Some(libc::EACCES), false), 4)]));
        assert_eq!(recorded.recorder.losses().late, 1);
        0
    });
    assert_eq!(status.code(), Some(0));
}

fn errors() {
    let recorded = Calls::new().record(By::Cgroup, &ArgumentTable::new(), "missing 30 getppid 5");
    recorded.complete();
    assert_eq!(recorded.results("rmdir")[&(Some(libc::ENOENT), true)], 30);
    assert_eq!(recorded.results("getppid"), BTreeMap::new());
}

fn odd() {
    let recorded = Calls::new().record(By::Cgroup, &ArgumentTable::new(), "odd 9");
    assert_eq!(count(&recorded.recorder, Abi::X86_64, SyscallNr(100_000)), 9);
    assert_eq!(recorded.recorder.losses().calls, 0);
}

fn values() {
    let mut table = ArgumentTable::new();
    let number = |call| Abi::X86_64.number(call).unwrap();
    let audit = Abi::X86_64.audit();
    assert!(table.track(audit, number("openat"), 2, false));
    assert!(table.track(audit, number("fcntl"), 0, false));
    assert!(table.track(audit, number("fcntl"), 1, false));
    let ways = "open 2048 open 524288 open 2048 commands 40";
    let recorded = Calls::new().record(By::Cgroup, &table, ways);
    recorded.complete();
    let values = recorded.recorder.values();
    let of = |call, index| {
        let found = |v: &&callgate_kernel::ebpf::ArgumentValues| {
            v.number == number(call) && v.index == index
        };
        values.iter().find(found).unwrap()
    };
    let flags = of("openat", 2);
    assert!(flags.listed.contains(&2048) && flags.listed.contains(&524_288), "{flags:?}");
    assert_eq!(flags.others, None);
    // An int: −1 is 32 bits of ones.
    assert_eq!(of("fcntl", 0).listed, [0xffff_ffff]);
    let commands = of("fcntl", 1);
    assert_eq!(commands.listed, (0..16).collect::<Vec<u64>>());
    assert_eq!(commands.others, Some(0x3f));
    let listed = |news: &&News| {
        matches!(news, News::Argument { number: n, index: 1, listed: true, .. }
            if *n == number("fcntl"))
    };
    assert_eq!(recorded.events.iter().filter(listed).count(), 16);
}

fn outsiders() {
    let calls = Calls::new();
    for by in [By::Cgroup, By::Tree] {
        let mut other = Command::new(&calls.program).args(["int80", "300000000"]).spawn().unwrap();
        let recorded = calls.record(by, &ArgumentTable::new(), "getppid 100000");
        let running = other.try_wait().unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
        if running.is_some() {
            skip("this kernel has no int 0x80, or the other program has ended");
        }
        assert_eq!(recorded.count(Abi::X86, "getppid"), 0);
        assert_eq!(recorded.count(Abi::X86_64, "getppid"), 100_000);
        assert_eq!(recorded.recorder.executables().unwrap().len(), 2);
    }
}

fn moved() {
    let calls = Calls::new();
    let (inside, above) = (cgroup(), Cgroup::of_process(std::process::id().cast_signed()).unwrap());
    let mut other = Command::new(&calls.program).args(["getppid", "300000000"]).spawn().unwrap();
    let pid = other.id().cast_signed();
    let recorder = start(&RecorderOptions::new(Scope::Cgroup(&inside)));
    let getppid = Abi::X86_64.number("getppid").unwrap();
    let counted = || count(&recorder, Abi::X86_64, getppid);
    let moment = Duration::from_millis(50);
    std::thread::sleep(moment);
    assert_eq!(counted(), 0);
    inside.add(pid).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while counted() == 0 {
        assert!(Instant::now() < deadline, "it is counted once it is there");
        std::thread::sleep(moment);
    }
    above.add(pid).unwrap();
    // The call that it is in as it is moved may be counted.
    std::thread::sleep(moment);
    let then = counted();
    std::thread::sleep(moment);
    assert_eq!(counted(), then);
    other.kill().unwrap();
    other.wait().unwrap();
}

fn short_lived() {
    let calls = Calls::new();
    for by in [By::Cgroup, By::Tree] {
        let recorded = calls.record(by, &ArgumentTable::new(), "fork 10000");
        recorded.complete();
        assert_eq!(recorded.count(Abi::X86_64, "getppid"), 10_000);
        assert_eq!(recorded.count(Abi::X86_64, "exit_group"), 10_001);
    }
}

fn paths() {
    let calls = Calls::new();
    let copy = calls.program.with_file_name("a copy\nof it");
    std::fs::copy(&calls.program, &copy).unwrap();
    let script =
        format!("'{}' getppid 3; '{}' exec getppid 4; true", copy.display(), copy.display());
    let command = ["sh", "-c", &script].map(str::to_owned);
    let (recorded, _) = record(By::Cgroup, &ArgumentTable::new(), &command, |_| {});
    std::fs::remove_file(&copy).unwrap();
    let executables = recorded.recorder.executables().unwrap();
    let of = |path: &Path| {
        executables
            .iter()
            .find(|e| e.path.as_deref() == Some(path))
            .unwrap_or_else(|| panic!("{} in {executables:?}", path.display()))
    };
    let copied = of(&copy.parent().unwrap().canonicalize().unwrap().join("a copy\nof it")).id;
    of(&std::fs::canonicalize("/bin/sh").unwrap());
    of(&std::env::current_exe().unwrap());
    let getppid = Abi::X86_64.number("getppid").unwrap();
    let counts = recorded.recorder.counts().unwrap();
    let of_copy = counts.iter().find(|c| (c.executable, c.number) == (copied, getppid)).unwrap();
    assert_eq!(of_copy.count, 7);
}

fn running_tree() {
    let mut nested = Command::new("sh")
        .args(["-c", "sh -c 'read line; getconf PAGE_SIZE' >/dev/null; true"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let pid = nested.id().cast_signed();
    while std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .is_ok_and(|c| c.trim().is_empty())
    {
        assert!(Instant::now() < deadline, "the shell starts another");
        std::thread::sleep(Duration::from_millis(5));
    }
    let recorder = start(&RecorderOptions::new(Scope::Tree(pid)));
    drop(nested.stdin.take());
    nested.wait().unwrap();
    // The inner shell's read, getconf's exec, and its end.
    assert_eq!(count(&recorder, Abi::X86_64, Abi::X86_64.number("execve").unwrap()), 1);
    assert!(recorder.losses().is_none());
    let gone = RecorderOptions::new(Scope::Tree(pid)).start();
    assert!(gone.is_err_and(|error| error.to_string().contains(&pid.to_string())));
}

fn reused_numbers() {
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    let calls = Calls::new();
    // One that is there when the recorder begins, and one that comes later.
    let script = "sleep 600 & echo $!; wait; (:) & echo $!; wait; echo; read line";
    let mut tree = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tree.stdout.take().unwrap()).lines();
    let mut number = || lines.next().unwrap().unwrap().parse::<i32>();
    let first = number().unwrap();
    let recorder = start(&RecorderOptions::new(Scope::Tree(tree.id().cast_signed())));
    // SAFETY: plain numbers; the shell has not waited for anything else, so it is its child's.
    assert_eq!(unsafe { libc::kill(first, libc::SIGKILL) }, 0);
    let second = number().unwrap();
    assert!(number().is_err());
    for gone in [first, second] {
        let reused = (0..500).any(|_| {
            if std::fs::write(LAST, (gone - 1).to_string()).is_err() {
                skip("the next number of a process cannot be chosen here");
            }
            let mut other = Command::new(&calls.program).args(["getpgid", "9"]).spawn().unwrap();
            other.wait().unwrap();
            other.id().cast_signed() == gone
        });
        if !reused {
            skip("others are too quick to take a number that is free");
        }
    }
    assert_eq!(count(&recorder, Abi::X86_64, Abi::X86_64.number("getpgid").unwrap()), 0);
    assert!(recorder.losses().is_none());
    drop(tree.stdin.take());
    tree.wait().unwrap();
}

fn daemon() {
    let calls = Calls::new();
    let cgroup = cgroup();
    let (read, write) = std::io::pipe().unwrap();
    let mut child = Command::new(&calls.program).args(["daemon"]).stdin(read).spawn().unwrap();
    let pid = child.id().cast_signed();
    // What it leaves behind is nobody's child.
    child.wait().unwrap();
    let daemon = std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let exe = std::fs::read_link(entry.path().join("exe")).ok()?;
        let number = entry.file_name().to_str()?.parse::<i32>().ok()?;
        (exe == calls.program && number != pid).then_some(number)
    });
    let daemon = daemon.expect("the daemon runs until its standard input closes");
    let recorder = start(&RecorderOptions::new(Scope::Cgroup(&cgroup)));
    let getpgid = Abi::X86_64.number("getpgid").unwrap();
    assert_eq!(recorder.counts().unwrap(), []);
    cgroup.add(daemon).unwrap();
    assert!(cgroup.is_populated().unwrap());
    drop(write);
    let deadline = Instant::now() + Duration::from_secs(10);
    while cgroup.is_populated().unwrap() {
        assert!(Instant::now() < deadline, "the daemon ends");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(count(&recorder, Abi::X86_64, getpgid), 1);
    assert_eq!(count(&recorder, Abi::X86_64, Abi::X86_64.number("exit_group").unwrap()), 1);
    let path = cgroup.path().to_owned();
    drop(recorder);
    drop(cgroup);
    assert!(!path.exists());
}

fn full_ring() {
    let mut table = ArgumentTable::new();
    let fcntl = Abi::X86_64.number("fcntl").unwrap();
    table.track(Abi::X86_64.audit(), fcntl, 1, false);
    // A page holds some eighty events; shells and what they start make more news.
    let script = "for i in 1 2 3; do ls /; cat /dev/null; grep x /dev/null; id; uname; done";
    let command = ["sh", "-c", script].map(str::to_owned);
    let held = Launch::new(&command).keep_privileges().hold().unwrap();
    let cgroup = cgroup();
    cgroup.add(held.pid()).unwrap();
    let options = RecorderOptions::new(Scope::Cgroup(&cgroup)).arguments(&table).ring_size(1);
    let recorder = start(&options);
    // Nobody reads.
    held.run(&[], || {}).unwrap();
    let losses = recorder.losses();
    assert!(losses.events > 0 && losses.is_none(), "{losses:?}");
    // Everything that the lost events would have told is in the tables.
    let executables = recorder.executables().unwrap();
    let names: Vec<_> =
        executables.iter().filter_map(|e| e.path.as_ref()?.file_name()?.to_str()).collect();
    for name in ["ls", "cat", "grep", "id", "uname"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}

/// The programs and maps of the kernel that a process has open: which they are, and their numbers.
fn open_objects(pid: u32) -> Vec<(&'static str, u32)> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = entries.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    let number = |text: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            let kind = ["prog_id", "map_id", "link_id"].into_iter().find(|kind| *kind == key)?;
            Some((kind, value.trim().parse().ok()?))
        })
    };
    texts.filter_map(|text| number(&text)).collect()
}

/// Whether the kernel has this object still.
fn exists((kind, id): (&str, u32)) -> bool {
    // `BPF_PROG_GET_FD_BY_ID`, `BPF_MAP_GET_FD_BY_ID` and `BPF_LINK_GET_FD_BY_ID`.
    let command: libc::c_long = match kind {
        "prog_id" => 13,
        "map_id" => 14,
        _ => 30,
    };
    let attributes = [id, 0, 0, 0];
    // SAFETY: the kernel reads the 16 bytes, which live on.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), 16) };
    if fd < 0 {
        return std::io::Error::last_os_error().raw_os_error() != Some(libc::ENOENT);
    }
    // SAFETY: the descriptor was just made.
    unsafe { libc::close(i32::try_from(fd).unwrap()) };
    true
}

fn records_until_killed() {
    let cgroup = cgroup();
    let recorder = start(&RecorderOptions::new(Scope::Cgroup(&cgroup)));
    println!("{}", cgroup.path().display());
    std::thread::sleep(Duration::from_secs(60));
    drop(recorder);
}

fn killed() {
    let mut recorder = again("_records_until_killed").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(recorder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    if line.is_empty() {
        skip("no recorder");
    }
    let objects = open_objects(recorder.id());
    for (kind, least) in [("prog_id", 2), ("map_id", 10)] {
        assert!(objects.iter().filter(|object| object.0 == kind).count() >= least, "{objects:?}");
    }
    assert!(objects.iter().all(|object| exists(*object)));
    recorder.kill().unwrap();
    recorder.wait().unwrap();
    // The kernel frees them a moment later.
    let deadline = Instant::now() + Duration::from_secs(20);
    while objects.iter().any(|object| exists(*object)) {
        assert!(Instant::now() < deadline, "something of {objects:?} is left");
        std::thread::sleep(Duration::from_millis(20));
    }
    // A group is no program: the kernel keeps it, and the next one to be made takes it away.
    let left = PathBuf::from(line.trim_end());
    assert!(left.exists());
    drop(Cgroup::create().unwrap());
    assert!(!left.exists());
}

fn unprivileged() {
    let status = in_child(|| {
        become_nobody();
        let scope = Scope::Tree(std::process::id().cast_signed());
        let error = RecorderOptions::new(scope).start().err().expect("no capability");
        assert!(error.is_not_privileged(), "{error}");
        assert!(error.to_string().contains("CAP_BPF"), "{error}");
        0
    });
    assert_eq!(status.code(), Some(0));
}

fn numbers() {
    let status = in_child(|| {
        // SAFETY: a flag, no pointer.
        if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
            skip("no namespace of processes can be made here");
        }
        let inner = in_child(|| {
            let error = RecorderOptions::new(Scope::Tree(1)).start().err().expect("refused");
            assert!(error.to_string().contains("namespace"), "{error}");
            0
        });
        u8::from(inner.code() != Some(0))
    });
    assert_eq!(status.code(), Some(0));
}

fn filtered() {
    let status = in_child(|| {
        load(&refuse(&[libc::SYS_bpf], Action::Errno(1)), &LoadOptions::new()).unwrap();
        let scope = Scope::Tree(std::process::id().cast_signed());
        let error = RecorderOptions::new(scope).start().err().expect("refused");
        if !error.is_not_privileged() && !error.is_unsupported() {
            assert!(error.to_string().contains("filter"), "{error}");
        }
        0
    });
    assert_eq!(status.code(), Some(0));
}

fn dropped() {
    let held = Launch::new(["sh", "-c", "echo started"]).hold().unwrap();
    let pid = held.pid();
    let mut stat = String::new();
    File::open(format!("/proc/{pid}/stat")).unwrap().read_to_string(&mut stat).unwrap();
    assert!(stat.starts_with(&format!("{pid} (")));
    drop(held);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}
