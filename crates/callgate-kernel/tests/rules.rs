//! The kernel's rules for filters, row by row, and what this crate says of each.

#[path = "harness/filters.rs"]
mod filters;
mod harness;

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use callgate_bpf::Action;
use callgate_kernel::{
    AuditLog, CapPlan, CapState, ExecRule, Launch, LoadError, LoadOptions, Loaded, Mode, Scope,
    Signal, ThreadStatus, has_sys_admin, load, no_new_privs, set_no_new_privs, strict,
};
use callgate_syscalls::{Abi, Capability, CapabilitySet};

use self::filters::{always, longest, mkdir, number, refuse};
use self::harness::{Case, TempDir, become_nobody, compile, in_child, is_root, skip};

fn main() {
    let cases: &[Case] = &[
        ("neither_no_new_privs_nor_the_capability_is_eacces", neither),
        ("no_new_privs_alone_works", no_new_privs_alone),
        ("the_capability_alone_works", capability_alone),
        ("the_capability_in_a_user_namespace_works", user_namespace),
        ("a_setuid_program_gains_nothing_under_no_new_privs", setuid_gains_nothing),
        ("a_filter_that_is_loaded_with_the_capability_leaves_setuid_alone", setuid_under_filter),
        ("no_new_privs_stays_after_a_failed_load", no_new_privs_stays),
        ("the_default_scope_is_the_calling_thread", scope_thread),
        ("the_process_scope_reaches_all_threads", scope_process),
        ("a_thread_with_its_own_filter_is_named", diverged),
        ("with_a_listener_the_kernel_does_not_name_it", diverged_with_listener),
        ("stacked_filters_run_out_of_budget", budget),
        ("a_second_listener_is_refused", second_listener),
        ("no_descriptor_for_a_listener", no_descriptor),
        ("an_abandoned_listener_answers_enosys", abandoned_listener),
        ("strict_mode_refuses_a_filter_by_killing", filter_after_strict),
        ("the_newest_filter_wins_a_tie", newest_wins),
        ("capabilities_and_filters_two_by_two", two_by_two),
        ("a_kill_is_in_the_audit_log", kill_is_logged),
        ("an_error_is_logged_only_when_asked_for", errno_is_logged_on_request),
    ];
    harness::main(cases);
}

/// A load without no_new_privs being set for it.
fn load_as_is(action: Action) -> Result<Loaded, LoadError> {
    load(&always(action), &LoadOptions::new().keep_privileges())
}

fn drop_sys_admin() {
    let current = CapState::of_this_thread().unwrap();
    let rest = current.permitted.difference(CapabilitySet::of(&[Capability::SysAdmin]));
    let rule = ExecRule { root: true, no_new_privs: false };
    CapPlan::give(&current, rest, rule).unwrap().apply().unwrap();
    assert_eq!(has_sys_admin(), Ok(false));
}

fn neither() {
    let refused = || {
        let error = load_as_is(Action::Allow).unwrap_err();
        assert!(error.is_not_privileged(), "{error}");
        assert!(error.to_string().contains("no_new_privs"), "{error}");
        assert_eq!(no_new_privs(), Ok(false));
        0
    };
    if !is_root() {
        assert_eq!(in_child(refused).code(), Some(0));
        return;
    }
    let as_nobody = in_child(|| {
        become_nobody();
        refused()
    });
    assert_eq!(as_nobody.code(), Some(0));
    // Root is nothing by itself: the capability is.
    let as_root = in_child(|| {
        drop_sys_admin();
        refused()
    });
    assert_eq!(as_root.code(), Some(0));
}

fn no_new_privs_alone() {
    if is_root() {
        become_nobody();
    }
    set_no_new_privs().unwrap();
    load_as_is(Action::Allow).unwrap();
    assert_eq!(ThreadStatus::of_this_thread().unwrap().filters, Some(1));
    // The usual load sets it by itself.
    load(&always(Action::Allow), &LoadOptions::new()).unwrap();
    assert_eq!(ThreadStatus::of_this_thread().unwrap().filters, Some(2));
}

fn capability_alone() {
    if has_sys_admin() != Ok(true) {
        skip("CAP_SYS_ADMIN is not held: run as root");
    }
    load_as_is(Action::Allow).unwrap();
    let status = ThreadStatus::of_this_thread().unwrap();
    assert_eq!(status.mode, Some(Mode::Filter));
    assert_eq!(status.no_new_privs, Some(false));
}

fn user_namespace() {
    if is_root() {
        become_nobody();
    }
    assert!(load_as_is(Action::Allow).unwrap_err().is_not_privileged());
    // SAFETY: takes a number.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0 {
        skip(&format!("no user namespace can be made: {}", io::Error::last_os_error()));
    }
    assert_eq!(has_sys_admin(), Ok(true));
    load_as_is(Action::Allow).unwrap();
    assert_eq!(no_new_privs(), Ok(false));
}

/// A program, owned by root and setuid, that exits with 1 when it has gained by that.
fn setuid_program(dir: &TempDir) -> std::path::PathBuf {
    if !is_root() {
        skip("a setuid root program can only be made by root");
    }
    let Some(program) = compile(dir.path(), "ids.c", &[]) else { skip("no C compiler") };
    fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).unwrap();
    program
}

fn setuid_gains_nothing() {
    let dir = TempDir::new("setuid");
    let program = setuid_program(&dir);
    let child = in_child(|| {
        become_nobody();
        let gains = Launch::new([&program]).keep_privileges().run().unwrap();
        if gains.outcome.status() != 1 {
            skip(&format!("{} is mounted nosuid", dir.path().display()));
        }
        // With no_new_privs, filter or not, it does not.
        assert_eq!(Launch::new([&program]).run().unwrap().outcome.status(), 0);
        let filtered = Launch::new([&program]).filter(&always(Action::Allow));
        assert_eq!(filtered.run().unwrap().outcome.status(), 0);
        0
    });
    assert_eq!(child.code(), Some(0));
}

fn setuid_under_filter() {
    let dir = TempDir::new("setuid-filter");
    let program = setuid_program(&dir);
    let child = in_child(|| {
        load_as_is(Action::Allow).unwrap();
        become_nobody();
        let status = Command::new(&program).status().unwrap();
        u8::try_from(status.code().unwrap()).unwrap()
    });
    match child.code() {
        Some(0) => skip("setuid programs gain nothing here anyway: nosuid"),
        code => assert_eq!(code, Some(1)),
    }
}

fn no_new_privs_stays() {
    let other = always(Action::Allow);
    with_diverged_thread(|tid| {
        assert_eq!(no_new_privs(), Ok(false));
        let options = LoadOptions::new().scope(Scope::Process);
        let error = load(&other, &options).unwrap_err();
        assert_eq!(error.thread(), Some(tid));
        let status = ThreadStatus::of_this_thread().unwrap();
        assert_eq!(status.no_new_privs, Some(true));
        assert_eq!(status.filters, Some(0));
    });
}

/// Runs `f` with the number of another thread, which has a filter that this one lacks.
fn with_diverged_thread(f: impl FnOnce(i32)) {
    let (ready, done) = (Barrier::new(2), Barrier::new(2));
    let tid = std::sync::atomic::AtomicI32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            load(&always(Action::Allow), &LoadOptions::new()).unwrap();
            let own = ThreadStatus::of_this_thread().unwrap().thread;
            tid.store(own, std::sync::atomic::Ordering::SeqCst);
            ready.wait();
            done.wait();
        });
        ready.wait();
        f(tid.load(std::sync::atomic::Ordering::SeqCst));
        done.wait();
    });
}

/// Mode, filters and no_new_privs of each thread of this process.
fn threads() -> Vec<(Option<u32>, Option<bool>)> {
    let pid = i32::try_from(std::process::id()).unwrap();
    let all = ThreadStatus::of_process(pid).unwrap();
    all.into_iter().map(|status| (status.filters, status.no_new_privs)).collect()
}

fn with_second_thread(f: impl FnOnce()) {
    let done = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| done.wait());
        f();
        done.wait();
    });
}

fn scope_thread() {
    with_second_thread(|| {
        load(&always(Action::Allow), &LoadOptions::new()).unwrap();
        assert_eq!(threads(), [(Some(1), Some(true)), (Some(0), Some(false))]);
        // A thread that starts later has it.
        let later = thread::spawn(|| ThreadStatus::of_this_thread().unwrap().filters);
        assert_eq!(later.join().unwrap(), Some(1));
    });
}

fn scope_process() {
    with_second_thread(|| {
        load(&always(Action::Allow), &LoadOptions::new().scope(Scope::Process)).unwrap();
        assert_eq!(threads(), [(Some(1), Some(true)), (Some(1), Some(true))]);
    });
}

fn diverged() {
    with_diverged_thread(|tid| {
        let options = LoadOptions::new().scope(Scope::Process);
        let error = load(&always(Action::Allow), &options).unwrap_err();
        assert!(error.is_diverged());
        assert_eq!(error.thread(), Some(tid));
        assert!(error.to_string().contains(&format!("thread {tid}")), "{error}");
        // Nothing was loaded for anybody.
        let filters: Vec<_> = threads().into_iter().map(|thread| thread.0).collect();
        assert_eq!(filters, [Some(0), Some(1)]);
    });
}

fn diverged_with_listener() {
    with_diverged_thread(|_| {
        let options = LoadOptions::new().scope(Scope::Process).listener();
        let error = load(&always(Action::Allow), &options).unwrap_err();
        assert!(error.is_diverged());
        assert_eq!(error.thread(), None);
    });
}

fn budget() {
    let longest = longest();
    let cost = longest.path_cost() + 4;
    let mut loaded = 0;
    let error = loop {
        match load(&longest, &LoadOptions::new()) {
            Ok(_) => loaded += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_over_budget(), "{error}");
    assert!(loaded > 0 && (loaded + 1) * cost > 32768, "{loaded} of {cost}");
}

fn listener() -> OwnedFd {
    let program = refuse(&mkdir(), Action::UserNotif);
    load(&program, &LoadOptions::new().listener()).unwrap().into_listener().unwrap()
}

fn second_listener() {
    let first = listener();
    // SAFETY: asks for a flag.
    let flags = unsafe { libc::fcntl(first.as_raw_fd(), libc::F_GETFD) };
    assert_eq!(flags, libc::FD_CLOEXEC);
    let options = LoadOptions::new().killable_listener();
    let error = load(&always(Action::Allow), &options).unwrap_err();
    assert!(error.has_other_listener(), "{error}");
    drop(first);
    load(&always(Action::Allow), &options).unwrap().into_listener().unwrap();
}

fn no_descriptor() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel reads one structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const none) }, 0);
    let error = load(&always(Action::Allow), &LoadOptions::new().listener()).unwrap_err();
    assert!(error.to_string().contains("EMFILE"), "{error}");
}

fn abandoned_listener() {
    drop(listener());
    let error = fs::create_dir("/tmp/callgate-never").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSYS));
}

fn filter_after_strict() {
    let child = in_child(|| {
        let options = LoadOptions::new().keep_privileges();
        let program = always(Action::Allow);
        strict().unwrap();
        let _ = load(&program, &options);
        0
    });
    assert_eq!(child.signal(), Some(libc::SIGKILL));
}

fn newest_wins() {
    for errno in [7, 8] {
        load(&refuse(&mkdir(), Action::Errno(errno)), &LoadOptions::new()).unwrap();
        let error = fs::create_dir("/tmp/callgate-never").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(i32::from(errno)));
    }
}

/// A capability says which privileged things a process may do, a filter which calls it may make:
/// each can refuse alone, and the filter is asked first.
fn two_by_two() {
    if !is_root() {
        skip("holding a capability takes root");
    }
    const REFUSED: i32 = 95;
    let chroot = || {
        // SAFETY: a string with its NUL. The root becomes what it is.
        match unsafe { libc::chroot(c"/".as_ptr()) } {
            0 => 0,
            _ => io::Error::last_os_error().raw_os_error().unwrap(),
        }
    };
    let case = |held: bool, filtered: bool| {
        let child = in_child(|| {
            if filtered {
                let program = refuse(&[libc::SYS_chroot], Action::Errno(95));
                load(&program, &LoadOptions::new()).unwrap();
            }
            if !held {
                let current = CapState::of_this_thread().unwrap();
                let rest =
                    current.permitted.difference(CapabilitySet::of(&[Capability::SysChroot]));
                let rule = ExecRule { root: true, no_new_privs: true };
                CapPlan::give(&current, rest, rule).unwrap().apply().unwrap();
            }
            u8::try_from(chroot()).unwrap()
        });
        child.code().unwrap()
    };
    assert_eq!(case(true, false), 0);
    assert_eq!(case(false, false), libc::EPERM);
    assert_eq!(case(true, true), REFUSED);
    assert_eq!(case(false, true), REFUSED);
}

fn audit() -> AuditLog {
    AuditLog::open().unwrap_or_else(|error| skip(&format!("no audit records here: {error}")))
}

fn kill_is_logged() {
    let mut log = audit();
    let program = refuse(&mkdir(), Action::KillProcess);
    let finished = Launch::new(["mkdir", "/tmp/callgate-never"]).filter(&program).run().unwrap();
    let record = log.last_of(finished.pid, Duration::from_secs(2)).expect("the kill is logged");
    assert_eq!(record.comm, "mkdir");
    assert!(record.exe.unwrap().ends_with("/mkdir"));
    assert_eq!(record.signal, Some(Signal::SYS));
    assert_eq!(record.arch, Abi::native().unwrap().audit());
    assert!(mkdir().into_iter().map(number).any(|nr| nr == record.syscall));
    assert_eq!(record.code.action(), Action::KillProcess);
}

fn errno_is_logged_on_request() {
    let mut log = audit();
    let program = refuse(&mkdir(), Action::Errno(1));
    let launch = || Launch::new(["mkdir", "/tmp/callgate-never"]).filter(&program);
    let finished = launch().run().unwrap();
    assert_eq!(log.last_of(finished.pid, Duration::from_millis(300)), None);
    let logged = fs::read_to_string("/proc/sys/kernel/seccomp/actions_logged").unwrap();
    if !logged.split_whitespace().any(|word| word == "errno") {
        skip("kernel.seccomp.actions_logged leaves errno out");
    }
    let finished = launch().log().run().unwrap();
    let record = log.last_of(finished.pid, Duration::from_secs(2)).expect("LOG was asked for");
    // The record has the action without its data.
    assert_eq!(record.code.action(), Action::Errno(0));
    assert_eq!(record.signal, None);
}
