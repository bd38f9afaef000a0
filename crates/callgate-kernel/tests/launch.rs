//! Running commands: order, privileges, signals, descriptors, statuses.

#[path = "harness/filters.rs"]
mod filters;
mod harness;

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use callgate_bpf::Action;
use callgate_kernel::{CapPlan, CapState, Errno, ExecRule, Launch, Outcome, Signal, Stage};
use callgate_syscalls::{Capability, CapabilitySet};

use self::filters::{always, mkdir, number, refuse};
use self::harness::{Case, TempDir, again, become_nobody, in_child, is_root, skip};

fn main() {
    let cases: &[Case] = &[
        ("statuses_are_those_of_a_shell", statuses_are_those_of_a_shell),
        ("a_script_without_a_first_line_goes_to_the_shell", script_without_a_first_line),
        ("a_refused_call_fails_in_the_command", refused_call),
        ("a_kill_shows_as_sigsys", kill_shows_as_sigsys),
        ("the_command_has_one_filter_and_no_new_privs", one_filter_and_no_new_privs),
        ("without_privilege_the_filter_is_refused", filter_needs_privilege),
        ("root_may_keep_its_privileges", root_keeps_privileges),
        ("no_descriptor_leaks_and_inherited_ones_stay", descriptors),
        ("signals_are_as_they_were", signals_are_as_they_were),
        ("root_gets_exactly_the_capabilities_given", root_capabilities),
        ("root_without_any_capability", root_without_any_capability),
        ("an_ordinary_user_gets_capabilities_by_the_ambient_set", ambient_for_a_user),
        ("an_ordinary_user_cannot_change_the_bounding_set", bounding_needs_setpcap),
        ("the_filter_comes_after_no_new_privs_and_before_capset", filter_before_capset),
        ("calls_after_load_are_the_ones_made", calls_after_load_are_the_ones_made),
        ("a_filter_that_refuses_exec_is_told", refused_exec_is_told),
        ("a_filter_that_refuses_everything_does_not_hang", refuse_everything),
        ("write_and_exit_need_no_permission", write_is_not_needed),
        ("signals_from_processes_are_passed_on", signals_are_passed_on),
        ("signals_to_the_group_are_the_commands", group_signals),
        ("an_ignored_sigchld_does_not_lose_the_status", ignored_sigchld),
        ("a_stopped_command_stops_the_launcher", stop_and_continue),
        ("a_setuid_launcher_refuses", setuid_launcher),
        ("_sleeper", sleeper),
        ("_lister", lister),
    ];
    harness::main(cases);
}

fn sh(script: &str) -> Launch {
    Launch::new(["sh", "-c", script])
}

fn status(launch: Launch) -> u8 {
    match launch.run() {
        Ok(finished) => finished.outcome.status(),
        Err(error) => error.status(),
    }
}

fn statuses_are_those_of_a_shell() {
    let dir = TempDir::new("status");
    let plain = dir.path().join("plain");
    fs::write(&plain, "not a program").unwrap();
    assert_eq!(status(sh("exit 0")), 0);
    assert_eq!(status(sh("exit 42")), 42);
    assert_eq!(status(sh("kill -TERM $$")), 128 + 15);
    assert_eq!(status(Launch::new(["no-such-command-here"])), 127);
    assert_eq!(status(Launch::new(["/no/such/file"])), 127);
    assert_eq!(status(Launch::new([&plain])), 126);
    assert_eq!(status(Launch::new([dir.path()])), 126);
    let bad = dir.path().join("bad");
    fs::write(&bad, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&bad, PermissionsExt::from_mode(0o755)).unwrap();
    let error = Launch::new([&bad]).run().unwrap_err();
    assert_eq!((error.status(), error.errno()), (127, Some(Errno(libc::ENOENT))));
    assert!(error.to_string().contains("interpreter"), "{error}");
    assert_eq!(status(Launch::new(Vec::<String>::new())), 125);
}

fn script_without_a_first_line() {
    let dir = TempDir::new("script");
    let script = dir.path().join("script");
    fs::write(&script, "test \"$1\" = one && exit 7\n").unwrap();
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let launch = Launch::new([script.as_os_str(), "one".as_ref()]);
    assert_eq!(launch.run().unwrap().outcome, Outcome::Exited(7));
}

fn refused_call() {
    let dir = TempDir::new("mkdir");
    let made = dir.path().join("made");
    let program = refuse(&mkdir(), Action::Errno(1));
    let launch = Launch::new(["mkdir".as_ref(), made.as_os_str()]).filter(&program);
    assert_eq!(launch.run().unwrap().outcome, Outcome::Exited(1));
    assert!(!made.exists());
    assert_eq!(status(Launch::new(["mkdir".as_ref(), made.as_os_str()])), 0);
    assert!(made.exists());
}

fn kill_shows_as_sigsys() {
    let program = refuse(&mkdir(), Action::KillProcess);
    let outcome = Launch::new(["mkdir", "/tmp/never"]).filter(&program).run().unwrap().outcome;
    assert!(matches!(outcome, Outcome::Signaled { signal: Signal::SYS, .. }), "{outcome:?}");
    assert_eq!(outcome.status(), 159);
}

fn one_filter_and_no_new_privs() {
    let check = "grep -q '^NoNewPrivs:.1$' /proc/self/status && \
                 grep -q '^Seccomp:.2$' /proc/self/status && \
                 grep -q '^Seccomp_filters:.1$' /proc/self/status";
    assert_eq!(status(sh(check).filter(&always(Action::Allow))), 0);
    assert_eq!(status(sh(check)), 1);
    // The launcher itself has neither.
    assert_eq!(callgate_kernel::no_new_privs(), Ok(false));
    if is_root() {
        let child = in_child(|| {
            become_nobody();
            status(sh(check).filter(&always(Action::Allow)))
        });
        assert_eq!(child.code(), Some(0));
    }
}

fn filter_needs_privilege() {
    let child = in_child(|| {
        if is_root() {
            become_nobody();
        }
        let launch = sh("true").filter(&always(Action::Allow)).keep_privileges();
        let error = launch.run().unwrap_err();
        assert_eq!(error.stage(), Some(Stage::Filter));
        assert_eq!(error.status(), 125);
        assert!(error.to_string().contains("no_new_privs"), "{error}");
        0
    });
    assert_eq!(child.code(), Some(0));
}

fn root_keeps_privileges() {
    if !is_root() {
        skip("loading without no_new_privs takes CAP_SYS_ADMIN: run as root");
    }
    let check = "grep -q '^NoNewPrivs:.0$' /proc/self/status && \
                 grep -q '^Seccomp:.2$' /proc/self/status";
    assert_eq!(status(sh(check).filter(&always(Action::Allow)).keep_privileges()), 0);
}

fn descriptors() {
    // Open in the caller, not close-on-exec: the command's to use.
    let file = fs::File::open("/etc/passwd").unwrap();
    // SAFETY: a descriptor of ours, no pointer.
    let inherited = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, 50) };
    assert!(inherited >= 50);
    let expected: Vec<i32> = open_descriptors(|flags| flags == 0);
    assert!(expected.contains(&inherited));
    let dir = TempDir::new("descriptors");
    let out = dir.path().join("list");
    // SAFETY: this process has one thread.
    unsafe {
        std::env::set_var("LIST", &out);
        std::env::set_var("CALLGATE_TEST_CASE", "_lister");
    }
    let launch = Launch::new([std::env::current_exe().unwrap()]).filter(&always(Action::Allow));
    assert_eq!(launch.run().unwrap().outcome, Outcome::Exited(0));
    assert_eq!(fs::read_to_string(&out).unwrap(), format!("{expected:?}"));
}

/// Not a case: the command that says which descriptors it was started with.
fn lister() {
    let Some(out) = std::env::var_os("LIST") else { return };
    let found = open_descriptors(|_| true);
    fs::write(out, format!("{found:?}")).unwrap();
}

fn open_descriptors(wanted: impl Fn(i32) -> bool) -> Vec<i32> {
    let of = |fd: &i32| {
        // SAFETY: asks for flags; a number that is no descriptor gives -1.
        let flags = unsafe { libc::fcntl(*fd, libc::F_GETFD) };
        flags >= 0 && wanted(flags)
    };
    (0..1024).filter(of).collect()
}

fn signals_are_as_they_were() {
    // Blocked and ignored signals are inherited; SIGPIPE is at its default although Rust
    // ignores it here. Bit n-1 of the masks is signal n.
    // SAFETY: sets of signals on the stack.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigaddset(&raw mut set, libc::SIGUSR2);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
    }
    assert!(status_line("^SigBlk:.0000000000000800$"));
    // Signal 32 is glibc's own, which its posix_spawn leaves ignored.
    assert!(status_line("^SigIgn:.*[08]0000001$"));
}

/// Whether `/proc/self/status` of a command, without a shell between, has such a line.
fn status_line(pattern: &str) -> bool {
    status(Launch::new(["grep", "-q", pattern, "/proc/self/status"])) == 0
}

/// The five sets of a command, as it sees them.
fn sets_of_command(launch: impl FnOnce(Launch) -> Launch, dir: &TempDir) -> Vec<u64> {
    let out = dir.path().join("sets");
    let script = format!("grep ^Cap /proc/self/status > {}", out.display());
    assert_eq!(status(launch(sh(&script))), 0);
    let text = fs::read_to_string(&out).unwrap();
    fs::remove_file(&out).unwrap();
    let set = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16);
    // Inheritable, permitted, effective, bounding, ambient.
    text.lines().map(|line| set(line).unwrap()).collect()
}

fn rule(no_new_privs: bool) -> ExecRule {
    ExecRule { root: callgate_kernel::root_is_special().unwrap(), no_new_privs }
}

fn root_capabilities() {
    if !is_root() {
        skip("changing the bounding set takes CAP_SETPCAP: run as root");
    }
    let dir = TempDir::new("caps");
    let current = CapState::of_this_thread().unwrap();
    let wanted = CapabilitySet::DOCKER_DEFAULT.intersection(current.obtainable(rule(true)));
    for no_new_privs in [true, false] {
        let plan = CapPlan::give(&current, wanted, rule(no_new_privs)).unwrap();
        assert!(plan.kept_bounding().is_empty());
        let promised = plan.result(&current, rule(no_new_privs));
        let launch = |launch: Launch| {
            let launch = launch.capabilities(plan).filter(&always(Action::Allow));
            if no_new_privs { launch } else { launch.keep_privileges() }
        };
        let [inheritable, permitted, effective, bounding, ambient] =
            sets_of_command(launch, &dir)[..]
        else {
            panic!("five sets");
        };
        let wanted = wanted.bits();
        assert_eq!([permitted, effective, bounding], [wanted; 3]);
        assert_eq!([inheritable, ambient], [0, 0]);
        assert_eq!(promised.permitted.bits(), permitted);
        assert_eq!(promised.effective.bits(), effective);
        assert_eq!(promised.bounding.bits(), bounding);
        assert_eq!(promised.inheritable.bits(), inheritable);
        assert_eq!(promised.ambient.bits(), ambient);
    }
}

fn root_without_any_capability() {
    if !is_root() {
        skip("changing the bounding set takes CAP_SETPCAP: run as root");
    }
    let dir = TempDir::new("nocaps");
    let current = CapState::of_this_thread().unwrap();
    let plan = CapPlan::give(&current, CapabilitySet::EMPTY, rule(true)).unwrap();
    let sets = sets_of_command(|l| l.capabilities(plan).filter(&always(Action::Allow)), &dir);
    assert_eq!(sets, [0; 5]);
    // What a process lacks it cannot give.
    let child = in_child(|| {
        let plan = CapPlan::give(&current, CapabilitySet::EMPTY, rule(true)).unwrap();
        plan.apply().unwrap();
        let now = CapState::of_this_thread().unwrap();
        assert!(now.bounding.is_empty() && now.permitted.is_empty());
        let wanted = CapabilitySet::of(&[Capability::Chown]);
        let error = CapPlan::give(&now, wanted, rule(true)).unwrap_err();
        assert!(error.is_not_held());
        assert!(error.to_string().starts_with("CAP_CHOWN"), "{error}");
        0
    });
    assert_eq!(child.code(), Some(0));
}

fn ambient_for_a_user() {
    if !is_root() {
        skip("a user with a capability can only be made by root");
    }
    let child = in_child(|| {
        // Keep the permitted set over the change of user, as file capabilities would give it.
        // SAFETY: numbers only.
        unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) };
        become_nobody();
        let dir = TempDir::new("ambient");
        let current = CapState::of_this_thread().unwrap();
        assert!(current.effective.is_empty() && !current.permitted.is_empty());
        let wanted = CapabilitySet::of(&[Capability::NetBindService, Capability::NetRaw]);
        let plan = CapPlan::give(&current, wanted, rule(true)).unwrap();
        // No CAP_SETPCAP is effective, so the bounding set stays, and that is said.
        assert_eq!(plan.kept_bounding(), current.bounding.difference(wanted));
        let promised = plan.result(&current, rule(true));
        let sets = sets_of_command(|l| l.capabilities(plan).filter(&always(Action::Allow)), &dir);
        let w = wanted.bits();
        assert_eq!(sets, [w, w, w, current.bounding.bits(), w]);
        assert_eq!(promised.permitted, wanted);
        assert_eq!(promised.ambient, wanted);
        0
    });
    assert_eq!(child.code(), Some(0));
}

fn bounding_needs_setpcap() {
    let child = in_child(|| {
        if is_root() {
            become_nobody();
        }
        let current = CapState::of_this_thread().unwrap();
        let plan = CapPlan::give(&current, CapabilitySet::EMPTY, rule(true)).unwrap();
        assert_eq!(plan.kept_bounding(), current.bounding);
        assert_eq!(status(sh("exit 3").capabilities(plan)), 3);
        // The kernel agrees that it cannot be changed: take a plan made with the privilege.
        let mut root = current;
        root.effective = CapabilitySet::ALL;
        let plan = CapPlan::give(&root, CapabilitySet::EMPTY, rule(true)).unwrap();
        let error = sh("true").capabilities(plan).run().unwrap_err();
        assert_eq!(error.stage(), Some(Stage::BoundingSet));
        assert_eq!(error.errno(), Some(Errno(libc::EPERM)));
        assert!(error.to_string().contains("CAP_CHOWN could not be dropped from the bounding set"));
        0
    });
    assert_eq!(child.code(), Some(0));
}

fn filter_before_capset() {
    if !is_root() {
        skip("the order shows only where there are capabilities to change: run as root");
    }
    let current = CapState::of_this_thread().unwrap();
    // Without no_new_privs the load needs CAP_SYS_ADMIN, which the plan takes away: that both
    // work shows that the filter comes first.
    let plan = || CapPlan::give(&current, CapabilitySet::EMPTY, rule(false)).unwrap();
    let launch = sh("exit 5").filter(&always(Action::Allow)).capabilities(plan());
    assert_eq!(status(launch.keep_privileges()), 5);
    // The bounding set is changed by prctl, before: a filter that refuses prctl is no obstacle.
    let no_prctl = refuse(&[libc::SYS_prctl], Action::KillProcess);
    assert_eq!(status(sh("exit 6").filter(&no_prctl).capabilities(plan())), 6);
    // capset comes after: a filter that refuses it is, and each kind of refusal is told.
    let no_capset = refuse(&[libc::SYS_capset], Action::Errno(13));
    let error = sh("true").filter(&no_capset).capabilities(plan()).run().unwrap_err();
    assert_eq!(error.stage(), Some(Stage::Capabilities));
    assert_eq!(error.errno(), Some(Errno(13)));
    assert_eq!(error.status(), 125);
    let no_capset = refuse(&[libc::SYS_capset], Action::KillProcess);
    let error = sh("true").filter(&no_capset).capabilities(plan()).run().unwrap_err();
    assert_eq!(error.stage(), Some(Stage::Capabilities));
    assert!(error.to_string().contains("SIGSYS"), "{error}");
}

fn calls_after_load_are_the_ones_made() {
    // A filter that allows the listed calls and refuses the rest lets the command start.
    let current = CapState::of_this_thread().unwrap();
    let wanted = CapabilitySet::EMPTY;
    let plan = CapPlan::give(&current, wanted, rule(true)).unwrap();
    let launch = sh("true").capabilities(plan.clone());
    let calls = launch.calls_after_load();
    let names: Vec<u32> = calls.iter().map(|call| call.nr.0).collect();
    let mut expected = vec![number(libc::SYS_execve).0];
    if !current.permitted.is_empty() || !current.inheritable.is_empty() {
        expected.insert(0, number(libc::SYS_capset).0);
    }
    assert_eq!(names, expected);
    // Every other number is killed, so the command dies in its own first call, after exec.
    let all: Vec<libc::c_long> =
        (0..500).filter(|nr| !names.contains(&u32::try_from(*nr).unwrap())).collect();
    let launch = launch.filter(&refuse(&all[..120], Action::KillProcess));
    let outcome = launch.run().unwrap().outcome;
    assert!(matches!(outcome, Outcome::Signaled { signal: Signal::SYS, .. }), "{outcome:?}");
}

fn refused_exec_is_told() {
    let no_exec = refuse(&[libc::SYS_execve], Action::Errno(1));
    let error = sh("true").filter(&no_exec).run().unwrap_err();
    assert_eq!((error.stage(), error.status()), (Some(Stage::Exec), 126));
    assert!(error.to_string().contains("the filter refuses execve"), "{error}");
    // A kill for execve is told from a kill for what the command does.
    let no_exec = refuse(&[libc::SYS_execve], Action::KillProcess);
    let error = sh("true").filter(&no_exec).run().unwrap_err();
    assert_eq!((error.stage(), error.status()), (Some(Stage::Exec), 125));
    assert!(error.to_string().contains("SIGSYS while executing"), "{error}");
}

fn refuse_everything() {
    for action in [Action::Errno(1), Action::KillProcess, Action::KillThread, Action::Trap(0)] {
        let error = sh("true").filter(&always(action)).run().unwrap_err();
        assert_eq!(error.stage(), Some(Stage::Exec), "{action}");
    }
}

fn write_is_not_needed() {
    let calls = [libc::SYS_write, libc::SYS_exit_group, libc::SYS_exit, libc::SYS_execve];
    let error = sh("true").filter(&refuse(&calls, Action::Errno(38))).run().unwrap_err();
    assert_eq!((error.stage(), error.errno()), (Some(Stage::Exec), Some(Errno(38))));
}

/// Not a case: the launcher that the signal tests send signals to.
fn sleeper() {
    let Ok(script) = std::env::var("SCRIPT") else { return };
    std::process::exit(i32::from(status(sh(&script))));
}

fn launcher(script: &str) -> std::process::Child {
    let mut child = again("_sleeper").env("SCRIPT", script).stdout(Stdio::piped()).spawn().unwrap();
    // The command says that it is ready.
    let mut byte = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
    child
}

fn send(child: &std::process::Child, signal: i32) {
    // SAFETY: our own child, not reaped yet.
    unsafe { assert_eq!(libc::kill(i32::try_from(child.id()).unwrap(), signal), 0) };
}

fn signals_are_passed_on() {
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, libc::SIGINT] {
        let script = format!("trap 'exit 9' {signal}; echo; while :; do sleep 0.05; done");
        let mut child = launcher(&script);
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(9), "signal {signal}");
        // Without a trap it dies of the signal, and the launcher's status says so.
        let mut child = launcher("echo; exec sleep 60");
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal), "signal {signal}");
    }
}

fn group_signals() {
    // To the whole group, as a terminal does it: the launcher survives it, the command decides.
    use std::os::unix::process::CommandExt;
    let script = "trap : INT; echo; sleep 0.3; exit 4";
    let mut child = again("_sleeper")
        .env("SCRIPT", script)
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut byte = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
    // SAFETY: the group of our own child.
    unsafe { libc::kill(-i32::try_from(child.id()).unwrap(), libc::SIGINT) };
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

fn ignored_sigchld() {
    // SAFETY: ignoring runs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    assert_eq!(status(sh("exit 8")), 8);
    // The command finds it ignored as well: bit 16 of the mask.
    assert!(status_line("^SigIgn:.*[08]0010000$"));
}

fn stop_and_continue() {
    let mut child = launcher("echo; kill -TSTP $$; exit 6");
    let pid = i32::try_from(child.id()).unwrap();
    let mut status = 0;
    // SAFETY: the kernel writes an int.
    let stopped = unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
    assert_eq!(stopped, pid);
    assert!(libc::WIFSTOPPED(status), "{status:#x}");
    sleep(Duration::from_millis(20));
    send(&child, libc::SIGCONT);
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

fn setuid_launcher() {
    if !is_root() {
        skip("a setuid root program can only be made by root");
    }
    let dir = TempDir::new("setuid-launcher");
    let program = dir.path().join("launcher");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).unwrap();
    let child = in_child(|| {
        become_nobody();
        let output = std::process::Command::new(&program)
            .env("CALLGATE_TEST_CASE", "_sleeper")
            .env("SCRIPT", "exit 5")
            .output()
            .unwrap();
        if output.status.code() == Some(5) {
            skip(&format!("{} is mounted nosuid", dir.path().display()));
        }
        assert_eq!(output.status.code(), Some(125));
        0
    });
    assert_eq!(child.code(), Some(0));
}
