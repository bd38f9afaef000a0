//! Filters on the running kernel: who gets them, what they do, and what is read back.

mod harness;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use callgate::launch::{Launch, Outcome, Signal};
use callgate::{
    Abi, Action, CapabilitySet, Dialect, Filter, FilterBuilder, LoadOptions, Mode, Scope, Syscall,
    ThreadStatus, arg, exit_strict, strict, this_machine,
};

use self::harness::{Case, again, finish, outer_filters, skip, skip_under_a_filter};

fn main() {
    let cases: &[Case] = &[
        ("a_filter_from_code_allows_and_refuses", from_code),
        ("the_default_is_this_thread_and_what_it_starts", this_thread),
        ("the_process_scope_reaches_running_threads", all_threads),
        ("a_thread_with_a_filter_of_its_own_is_named_and_nobody_is_changed", diverged),
        ("of_several_filters_the_strictest_counts_and_the_newest_wins_a_tie", several),
        ("bytes_load_when_the_kernel_would_take_them", bytes),
        ("a_filter_of_the_other_byte_order_is_not_loaded", foreign),
        ("dockers_default_profile_holds_a_thread", docker_default),
        ("the_flags_of_a_profile_become_options", flags),
        ("a_refusal_can_end_the_process", killed),
        ("a_notification_without_listener_is_enosys", notification),
        ("a_command_runs_under_the_filter", command),
        ("strict_mode_reads_writes_and_exits", strict_mode),
        ("strict_mode_after_a_filter_is_refused", strict_after_filter),
        ("_killed", || {
            no_mkdir(Action::KillProcess).load().unwrap();
            _ = make_directory();
        }),
        ("_strict", in_strict_mode),
    ];
    harness::main(cases);
}

const AF_UNIX: i32 = 1;
const ENOENT: u16 = 2;
const EACCES: u16 = 13;
const ENOSYS: i32 = 38;
const EAFNOSUPPORT: u16 = 97;

fn mkdir_rules(action: Action) -> FilterBuilder {
    Filter::builder().otherwise(Action::Allow).rule(Syscall::mkdir, [], action).rule(
        Syscall::mkdirat,
        [],
        action,
    )
}

fn no_mkdir(action: Action) -> Filter {
    mkdir_rules(action).build().unwrap()
}

/// The error number of an attempt to make a directory, where one is already: EEXIST without a
/// filter.
fn make_directory() -> i32 {
    fs::create_dir("/").unwrap_err().raw_os_error().unwrap()
}

const EEXIST: i32 = 17;

fn own_status() -> ThreadStatus {
    ThreadStatus::of_this_thread().unwrap()
}

/// Holds what `/proc` says of each of so many threads against what is expected of its number.
#[track_caller]
fn assert_filters(threads: usize, expected: impl Fn(i32) -> u32) {
    let all = ThreadStatus::of_process(i32::try_from(process::id()).unwrap()).unwrap();
    assert_eq!(all.len(), threads);
    for status in all {
        assert_eq!(own_filters(&status), expected(status.thread), "{status:?}");
    }
}

/// How many filters a thread has that were loaded here.
fn own_filters(status: &ThreadStatus) -> u32 {
    status.filters.unwrap() - outer_filters()
}

/// A thread that answers each question by the outcome of a function, until it is dropped.
struct Worker<T> {
    ask: Sender<fn() -> T>,
    answer: Receiver<T>,
}

impl<T: Send + 'static> Worker<T> {
    fn start() -> Worker<T> {
        let (ask, asked) = mpsc::channel::<fn() -> T>();
        let (answers, answer) = mpsc::channel();
        thread::spawn(move || {
            for question in asked {
                answers.send(question()).unwrap();
            }
        });
        Worker { ask, answer }
    }

    fn ask(&self, question: fn() -> T) -> T {
        self.ask.send(question).unwrap();
        self.answer.recv().unwrap()
    }
}

fn from_code() {
    let filter = mkdir_rules(Action::Errno(EACCES))
        .allow_if(Syscall::socket, [arg(0).eq(AF_UNIX)])
        .rule(Syscall::socket, [], Action::Errno(EAFNOSUPPORT))
        .build()
        .unwrap();
    assert_eq!(make_directory(), EEXIST);
    UdpSocket::bind("127.0.0.1:0").unwrap();
    filter.load().unwrap();
    assert_eq!(make_directory(), i32::from(EACCES));
    UnixDatagram::unbound().unwrap();
    let error = UdpSocket::bind("127.0.0.1:0").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(i32::from(EAFNOSUPPORT)));
    let status = own_status();
    assert_eq!(status.mode, Some(Mode::Filter));
    assert_eq!((own_filters(&status), status.no_new_privs), (1, Some(true)));
}

fn this_thread() {
    let worker = Worker::start();
    assert_eq!(worker.ask(make_directory), EEXIST);
    no_mkdir(Action::Errno(EACCES)).load().unwrap();
    assert_eq!(make_directory(), i32::from(EACCES));
    assert_eq!(worker.ask(make_directory), EEXIST, "it was there before");
    let own = own_status().thread;
    assert_filters(2, |thread| u32::from(thread == own));
    let later = thread::spawn(|| (make_directory(), own_status()));
    let (error, status) = later.join().unwrap();
    assert_eq!((error, own_filters(&status)), (i32::from(EACCES), 1));
    let child = Command::new("cat").arg("/proc/self/status").output().unwrap();
    let status = ThreadStatus::parse(&String::from_utf8(child.stdout).unwrap()).unwrap();
    assert_eq!((own_filters(&status), status.no_new_privs), (1, Some(true)));
}

fn all_threads() {
    let workers = [Worker::start(), Worker::start()];
    let filter = no_mkdir(Action::Errno(EACCES));
    filter.load_with(&LoadOptions::new().scope(Scope::Process)).unwrap();
    for worker in &workers {
        assert_eq!(worker.ask(make_directory), i32::from(EACCES));
    }
    assert_filters(3, |_| 1);
}

fn diverged() {
    let (own, other) = (Worker::start(), Worker::start());
    let loner = own.ask(|| {
        no_mkdir(Action::Errno(EACCES)).load().unwrap();
        own_status().thread
    });
    let everybody = LoadOptions::new().scope(Scope::Process);
    let error = no_mkdir(Action::Errno(ENOENT)).load_with(&everybody).unwrap_err();
    assert!(error.is_diverged());
    assert_eq!(error.thread(), Some(loner));
    assert!(error.to_string().contains(&format!("thread {loner} ")), "{error}");
    // Nobody has the filter; what was set for it stays.
    assert_filters(3, |thread| u32::from(thread == loner));
    assert_eq!(own_status().no_new_privs, Some(true));
    assert_eq!(other.ask(make_directory), EEXIST);
}

fn several() {
    no_mkdir(Action::Errno(EACCES)).load().unwrap();
    no_mkdir(Action::Allow).load().unwrap();
    assert_eq!(make_directory(), i32::from(EACCES), "what is refused stays refused");
    no_mkdir(Action::Errno(ENOENT)).load().unwrap();
    assert_eq!(make_directory(), i32::from(ENOENT));
    assert_eq!(own_filters(&own_status()), 3);
}

fn bytes() {
    let bytes = no_mkdir(Action::Errno(EACCES)).program().to_bytes(callgate::ByteOrder::NATIVE);
    let error = Filter::from_bytes(&bytes[..bytes.len() - 8]).unwrap_err();
    assert!(!error.is_length(), "a jump out of the program: {error}");
    assert!(Filter::from_bytes(&bytes[..7]).unwrap_err().is_length());
    assert!(Filter::from_bytes(&[]).unwrap_err().is_length());
    assert_eq!(own_filters(&own_status()), 0);
    Filter::from_bytes(&bytes).unwrap().load().unwrap();
    assert_eq!(make_directory(), i32::from(EACCES));
}

fn foreign() {
    let other = if cfg!(target_endian = "little") { Abi::S390x } else { Abi::X86_64 };
    let filter = Filter::builder().abis([other]).otherwise(Action::Allow).build().unwrap();
    let before = own_status();
    let error = filter.load().unwrap_err();
    assert!(error.to_string().contains("byte order"), "{error}");
    assert_eq!(own_status(), before);
}

fn docker_default() {
    fn user_namespace() -> Option<(bool, String)> {
        let output = Command::new("unshare").args(["--user", "true"]).output().ok()?;
        Some((output.status.success(), String::from_utf8(output.stderr).unwrap()))
    }
    match user_namespace() {
        None => skip("there is no unshare(1)"),
        Some((false, why)) => skip(&format!("no user namespace can be made: {}", why.trim())),
        Some((true, _)) => {}
    }
    let worker = Worker::start();
    let loaded = worker.ask(|| {
        let target = this_machine(CapabilitySet::DOCKER_DEFAULT).unwrap();
        Filter::docker_default(&target).unwrap().load().unwrap();
        None
    });
    assert_eq!(loaded, None);
    let (worked, why) = worker.ask(user_namespace).unwrap();
    assert!(!worked);
    assert!(why.contains("Operation not permitted"), "{why}");
    assert!(user_namespace().unwrap().0, "this thread has no filter");
    let own = own_status().thread;
    assert_filters(2, |thread| u32::from(thread != own));
}

fn flags() {
    let profile = |flag: &str| {
        let text = format!(
            r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_{flag}"] }}"#
        );
        let target = this_machine(CapabilitySet::EMPTY).unwrap();
        Filter::from_profile(&text, Dialect::Oci, &target).unwrap()
    };
    assert_eq!(profile("LOG").options(), LoadOptions::new().log());
    assert_eq!(profile("SPEC_ALLOW").options(), LoadOptions::new().spec_allow());
    assert_eq!(profile("TSYNC").options(), LoadOptions::new().scope(Scope::Process));
    let _worker = Worker::<()>::start();
    profile("LOG").load().unwrap();
    profile("SPEC_ALLOW").load().unwrap();
    let own = own_status().thread;
    assert_filters(2, |thread| if thread == own { 2 } else { 0 });
    profile("TSYNC").load().unwrap();
    assert_filters(2, |_| 3);
}

fn killed() {
    let status = finish(&mut again("_killed")).status;
    assert_eq!(status.signal(), Some(Signal::SYS.0));
}

fn notification() {
    let filter = no_mkdir(Action::UserNotif);
    assert!(filter.load().unwrap().into_listener().is_none());
    assert_eq!(make_directory(), ENOSYS);
    let listener = filter.load_with(&LoadOptions::new().listener()).unwrap().into_listener();
    assert!(listener.is_some());
    drop(listener);
    assert_eq!(make_directory(), ENOSYS, "nobody listens any more");
}

fn command() {
    let filter = no_mkdir(Action::Errno(EACCES));
    let launch = || Launch::new(["mkdir", "/"]).filter(filter.program());
    assert_eq!(launch().run().unwrap().outcome, Outcome::Exited(1));
    assert_eq!(own_filters(&own_status()), 0);
    let filter = no_mkdir(Action::KillProcess);
    let outcome = Launch::new(["mkdir", "/"]).filter(filter.program()).run().unwrap().outcome;
    assert!(matches!(outcome, Outcome::Signaled { signal: Signal::SYS, .. }), "{outcome:?}");
}

fn in_strict_mode() {
    let mut file = File::open("/proc/self/status").unwrap();
    let mut text = [0; 100];
    let mut output = io::stdout();
    output.write_all(b"before\n").unwrap();
    strict().unwrap();
    let length = file.read(&mut text).unwrap_or(0);
    _ = output.write(&text[..length]);
    _ = output.flush();
    exit_strict(42)
}

fn strict_mode() {
    skip_under_a_filter("strict mode is closed");
    let output = finish(again("_strict").stdout(Stdio::piped()));
    assert_eq!(output.status.code(), Some(42));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("before\nName:\t"), "{text}");
}

fn strict_after_filter() {
    no_mkdir(Action::Errno(EACCES)).load().unwrap();
    assert!(strict().unwrap_err().is_already_filtered());
    assert_eq!(own_status().mode, Some(Mode::Filter));
}
