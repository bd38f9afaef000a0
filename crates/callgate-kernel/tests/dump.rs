//! Reading the filters of running threads back.

#[path = "harness/filters.rs"]
mod filters;
mod harness;

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use callgate_bpf::{Action, Program};
use callgate_kernel::{
    DumpedFilter, LoadOptions, Scope, filters_of, load, set_no_new_privs, strict, threads_of,
};

use self::filters::{always, longest, mkdir, refuse};
use self::harness::{Case, NOBODY, become_nobody, in_child, is_root, skip, wait_for};

fn main() {
    let cases: &[Case] = &[
        ("filters_come_back_as_they_were_loaded_oldest_first", oldest_first),
        ("a_thread_without_filters_has_none", no_filters),
        ("the_log_flag_comes_back", log_flag),
        ("the_longest_program_comes_back_whole", longest_program),
        ("strict_mode_is_told_from_filters", strict_mode),
        ("threads_are_grouped_by_their_filters", grouped_threads),
        ("a_process_that_is_gone_is_told", gone),
        ("another_tracer_is_named", other_tracer),
        ("a_filtered_caller_is_told", filtered_caller),
        ("an_ordinary_user_is_told", unprivileged),
        ("this_process_itself_is_refused", own_process),
        ("a_thread_of_the_kernel_is_told", kernel_thread),
        ("a_stopped_process_stays_stopped_and_a_running_one_runs_on", stays_as_it_was),
        ("a_filter_that_refuses_restart_syscall_does_no_harm", no_restart),
        ("a_timeout_goes_on_where_it_was", timeout_goes_on),
        ("a_signal_that_comes_meanwhile_is_not_lost", signals_arrive),
        ("a_process_that_does_not_stop_is_let_go", unstoppable),
        ("a_child_of_the_caller_keeps_its_end_for_the_caller", own_child),
        ("processes_that_die_meanwhile_do_no_harm", dying),
    ];
    harness::main(cases);
}

/// A process forked from this one that does `prepare` and then waits to be killed.
struct Waiting {
    pid: i32,
}

impl Waiting {
    fn start(prepare: impl FnOnce()) -> Waiting {
        Waiting::start_then(prepare, || {
            loop {
                // SAFETY: no arguments.
                unsafe { libc::pause() };
            }
        })
    }

    /// `then` never returns.
    fn start_then(prepare: impl FnOnce(), then: impl FnOnce()) -> Waiting {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        // SAFETY: a case runs in a process with one thread, so the copy is whole.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            prepare();
            writer.write_all(b"r").unwrap();
            then();
            // SAFETY: leaves without running what belongs to the parent.
            unsafe { libc::_exit(0) };
        }
        drop(writer);
        let mut ready = [0];
        reader.read_exact(&mut ready).expect("the child prepares");
        Waiting { pid }
    }

    fn state(&self) -> String {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().next().unwrap().to_owned()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.pid, signal) }, 0);
    }

    /// Waits until it is in this state.
    fn becomes(&self, state: &str) {
        let begin = Instant::now();
        while self.state() != state {
            assert!(begin.elapsed() < Duration::from_secs(10), "{} is not {state}", self.state());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // SAFETY: a child that has not been waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        wait_for(self.pid);
    }
}

fn root() {
    if !is_root() {
        skip("reading filters takes root");
    }
    // Another reason than the tests' own matter: a container's filter, or another namespace.
    if let Err(error) = filters_of(1)
        && (error.is_filtered_caller() || error.is_not_privileged())
    {
        skip(&error.to_string());
    }
}

fn plain(program: &Program) -> DumpedFilter {
    let mut filter = filters_of_one(program);
    filter.log = Some(false);
    filter
}

/// What a dump of a process with only this filter gives.
fn filters_of_one(program: &Program) -> DumpedFilter {
    let waiting = Waiting::start(|| drop(load(program, &LoadOptions::new()).unwrap()));
    let mut filters = filters_of(waiting.pid).unwrap();
    assert_eq!(filters.len(), 1);
    let filter = filters.remove(0);
    assert_eq!(filter.instructions, program.instructions());
    filter
}

fn oldest_first() {
    root();
    let programs = [
        always(Action::Allow),
        refuse(&mkdir(), Action::Errno(1)),
        refuse(&mkdir(), Action::Errno(2)),
    ];
    let waiting = Waiting::start(|| {
        for program in &programs {
            load(program, &LoadOptions::new()).unwrap();
        }
    });
    let filters = filters_of(waiting.pid).unwrap();
    assert_eq!(filters.len(), 3);
    for (filter, program) in filters.iter().zip(&programs) {
        assert_eq!(filter.instructions, program.instructions());
        assert_eq!(filter.log, Some(false));
    }
    let groups = threads_of(waiting.pid).unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!((&groups[0].threads, &groups[0].filters), (&vec![waiting.pid], &filters));
}

fn no_filters() {
    // Needs no privilege: `/proc` tells.
    let waiting = Waiting::start(|| ());
    assert_eq!(filters_of(waiting.pid).unwrap(), []);
    let groups = threads_of(waiting.pid).unwrap();
    assert_eq!(groups.len(), 1);
    assert!(groups[0].filters.is_empty() && !groups[0].strict);
}

fn log_flag() {
    root();
    let waiting = Waiting::start(|| {
        load(&always(Action::Allow), &LoadOptions::new().log()).unwrap();
        load(&always(Action::Allow), &LoadOptions::new().spec_allow()).unwrap();
    });
    let flags: Vec<_> = filters_of(waiting.pid).unwrap().iter().map(|f| f.log).collect();
    assert_eq!(flags, [Some(true), Some(false)]);
}

fn longest_program() {
    root();
    assert_eq!(plain(&longest()).instructions.len(), 4096);
}

fn strict_mode() {
    let (mut silent, _kept) = std::io::pipe().unwrap();
    let waiting = Waiting::start_then(
        || (),
        || {
            strict().unwrap();
            let _ = silent.read(&mut [0]);
            callgate_kernel::exit_strict(0)
        },
    );
    let begin = Instant::now();
    let error = loop {
        match filters_of(waiting.pid) {
            Err(error) => break error,
            Ok(filters) => assert_eq!(filters, []),
        }
        assert!(begin.elapsed() < Duration::from_secs(10));
    };
    assert!(error.is_strict(), "{error}");
    let groups = threads_of(waiting.pid).unwrap();
    assert!(groups.len() == 1 && groups[0].strict && groups[0].filters.is_empty());
}

fn grouped_threads() {
    root();
    let shared = always(Action::Allow);
    let own = refuse(&mkdir(), Action::Errno(7));
    let mut numbers = [0i32; 3];
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let waiting = Waiting::start(|| {
        load(&shared, &LoadOptions::new()).unwrap();
        let (tell, told) = mpsc::channel();
        for number in 0..3 {
            let (own, tell) = (own.clone(), tell.clone());
            std::thread::spawn(move || {
                if number == 1 {
                    load(&own, &LoadOptions::new()).unwrap();
                }
                // SAFETY: no arguments.
                tell.send((number, unsafe { libc::gettid() })).unwrap();
                std::thread::sleep(Duration::from_secs(600));
            });
        }
        let mut numbers = [0i32; 3];
        for (number, tid) in told.iter().take(3) {
            numbers[number] = tid;
        }
        for number in numbers {
            writer.write_all(&number.to_ne_bytes()).unwrap();
        }
    });
    for number in &mut numbers {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).unwrap();
        *number = i32::from_ne_bytes(bytes);
    }
    let groups = threads_of(waiting.pid).unwrap();
    assert_eq!(groups.len(), 2);
    let mut most = vec![waiting.pid, numbers[0], numbers[2]];
    most.sort_unstable();
    assert_eq!(groups[0].threads, most);
    assert_eq!(groups[0].filters.len(), 1);
    assert_eq!(groups[1].threads, [numbers[1]]);
    assert_eq!(groups[1].filters[1].instructions, own.instructions());
    assert_eq!(filters_of(numbers[1]).unwrap(), groups[1].filters);
}

fn gone() {
    for number in [i32::MAX, 0, -1, i32::MIN] {
        let error = filters_of(number).unwrap_err();
        assert!(error.is_gone(), "{number}: {error}");
        assert!(threads_of(number).unwrap_err().is_gone(), "{number}");
    }
    root();
    // A zombie has a name still, and makes no calls, whether filters held it or not.
    let held = || drop(load(&always(Action::Allow), &LoadOptions::new()));
    for waiting in [Waiting::start_then(held, || ()), Waiting::start_then(|| (), || ())] {
        waiting.becomes("Z");
        let error = filters_of(waiting.pid).unwrap_err();
        assert!(error.is_gone(), "{error}");
        assert!(threads_of(waiting.pid).unwrap_err().is_gone());
    }
}

fn other_tracer() {
    root();
    let waiting =
        Waiting::start(|| drop(load(&always(Action::Allow), &LoadOptions::new()).unwrap()));
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let tracer = Waiting::start(|| {
        // SAFETY: attaches without stopping; no memory is touched.
        let result = unsafe { libc::ptrace(libc::PTRACE_SEIZE, waiting.pid, 0, 0) };
        writer.write_all(&[u8::from(result == 0)]).unwrap();
    });
    let mut attached = [0];
    reader.read_exact(&mut attached).unwrap();
    assert_eq!(attached, [1]);
    let error = filters_of(waiting.pid).unwrap_err();
    assert_eq!(error.other_tracer(), Some(tracer.pid), "{error}");
    assert!(error.to_string().contains("let it detach"), "{error}");
    drop(tracer);
    assert_eq!(filters_of(waiting.pid).unwrap().len(), 1);
}

fn filtered_caller() {
    let waiting =
        Waiting::start(|| drop(load(&always(Action::Allow), &LoadOptions::new()).unwrap()));
    let child = in_child(|| {
        load(&always(Action::Allow), &LoadOptions::new()).unwrap();
        let error = filters_of(waiting.pid).unwrap_err();
        assert!(error.is_filtered_caller(), "{error}");
        0
    });
    assert_eq!(child.code(), Some(0));
}

fn unprivileged() {
    let waiting = Waiting::start(|| {
        if is_root() {
            become_nobody();
        }
        load(&always(Action::Allow), &LoadOptions::new()).unwrap();
    });
    let child = in_child(|| {
        if is_root() {
            become_nobody();
        }
        // SAFETY: no arguments.
        assert!(unsafe { libc::geteuid() } == NOBODY || !is_root());
        let error = filters_of(waiting.pid).unwrap_err();
        assert!(error.is_not_privileged(), "{error}");
        assert!(error.to_string().contains("CAP_SYS_ADMIN"), "{error}");
        assert!(threads_of(waiting.pid).unwrap_err().is_not_privileged());
        0
    });
    assert_eq!(child.code(), Some(0));
    // It was not even stopped.
    waiting.becomes("S");
}

fn own_process() {
    root();
    let child = in_child(|| {
        // A filter holds another thread of this process.
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            load(&always(Action::Allow), &LoadOptions::new()).unwrap();
            // SAFETY: no arguments.
            tell.send(unsafe { libc::gettid() }).unwrap();
            std::thread::sleep(Duration::from_secs(600));
        });
        let error = filters_of(told.recv().unwrap()).unwrap_err();
        assert!(error.to_string().contains("cannot trace itself"), "{error}");
        0
    });
    assert_eq!(child.code(), Some(0));
}

fn kernel_thread() {
    // In a PID namespace of its own the number is another's, or nobody's.
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        let error = filters_of(2).unwrap_err();
        assert!(error.to_string().contains("thread of the kernel"), "{error}");
    }
}

fn stays_as_it_was() {
    root();
    let waiting =
        Waiting::start(|| drop(load(&always(Action::Allow), &LoadOptions::new()).unwrap()));
    waiting.becomes("S");
    filters_of(waiting.pid).unwrap();
    waiting.becomes("S");
    waiting.signal(libc::SIGSTOP);
    waiting.becomes("T");
    assert_eq!(filters_of(waiting.pid).unwrap().len(), 1);
    waiting.becomes("T");
    waiting.signal(libc::SIGCONT);
    waiting.becomes("S");
}

fn poll_for(milliseconds: i32) {
    // SAFETY: no descriptors.
    unsafe { libc::poll(std::ptr::null_mut(), 0, milliseconds) };
}

fn no_restart() {
    root();
    if !cfg!(target_arch = "x86_64") {
        skip("threads are spared on x86_64 only");
    }
    for action in [Action::KillProcess, Action::Errno(libc::EPERM.try_into().unwrap())] {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let filter = refuse(&[libc::SYS_restart_syscall], action);
        let waiting = Waiting::start_then(
            || drop(load(&filter, &LoadOptions::new()).unwrap()),
            || {
                poll_for(1_000);
                writer.write_all(b"d").unwrap();
            },
        );
        drop(writer);
        let begin = Instant::now();
        for _ in 0..3 {
            waiting.becomes("S");
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(filters_of(waiting.pid).unwrap().len(), 1);
        }
        reader.read_exact(&mut [0]).expect("it lives to tell");
        // Each time it began again.
        assert!(begin.elapsed() >= Duration::from_millis(1_250), "{:?}", begin.elapsed());
    }
}

fn timeout_goes_on() {
    root();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let waiting = Waiting::start_then(
        || drop(load(&always(Action::Allow), &LoadOptions::new()).unwrap()),
        || {
            poll_for(2_000);
            writer.write_all(b"d").unwrap();
        },
    );
    drop(writer);
    let begin = Instant::now();
    std::thread::sleep(Duration::from_millis(1_000));
    assert_eq!(filters_of(waiting.pid).unwrap().len(), 1);
    reader.read_exact(&mut [0]).unwrap();
    assert!(begin.elapsed() < Duration::from_millis(2_900), "{:?}", begin.elapsed());
}

fn signals_arrive() {
    root();
    set_no_new_privs().unwrap();
    let mut counts = [0, 0];
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let waiting = Waiting::start_then(
        || drop(load(&always(Action::Allow), &LoadOptions::new().scope(Scope::Thread)).unwrap()),
        || {
            // Takes real-time signals, which are never merged, by an ordinary handler.
            static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            extern "C" fn count(_: i32) {
                COUNT.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            // SAFETY: the handler touches an atomic alone.
            unsafe { libc::signal(libc::SIGRTMIN(), count as *const () as libc::sighandler_t) };
            writer.write_all(b"h").unwrap();
            while COUNT.load(std::sync::atomic::Ordering::SeqCst) < 500 {
                std::thread::sleep(Duration::from_micros(50));
            }
            writer.write_all(b"d").unwrap();
        },
    );
    reader.read_exact(&mut counts[..1]).unwrap();
    for _ in 0..500 {
        waiting.signal(libc::SIGRTMIN());
        match filters_of(waiting.pid) {
            Ok(filters) => assert!(filters.len() <= 1),
            // The last signal lets it end.
            Err(error) => assert!(error.is_gone(), "{error}"),
        }
    }
    let begin = Instant::now();
    while waiting.state() != "Z" {
        assert!(begin.elapsed() < Duration::from_secs(20), "signals were lost");
        std::thread::sleep(Duration::from_millis(1));
    }
    reader.read_exact(&mut counts[1..]).unwrap();
}

fn unstoppable() {
    root();
    // A parent that waits for the end of its vfork(2) does not stop.
    let waiting = Waiting::start_then(
        || drop(load(&always(Action::Allow), &LoadOptions::new()).unwrap()),
        || {
            #[allow(deprecated, reason = "it is what is tested")]
            // SAFETY: the child calls nothing but sleep and exit.
            unsafe {
                if libc::vfork() == 0 {
                    libc::sleep(3);
                    libc::_exit(0);
                }
                loop {
                    libc::pause();
                }
            }
        },
    );
    waiting.becomes("D");
    let begin = Instant::now();
    let error = filters_of(waiting.pid).unwrap_err();
    assert!(error.to_string().contains("vfork"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    let status = std::fs::read_to_string(format!("/proc/{}/status", waiting.pid)).unwrap();
    assert!(status.contains("TracerPid:\t0\n"), "it was not let go");
    waiting.becomes("S");
    assert_eq!(filters_of(waiting.pid).unwrap().len(), 1);
}

fn own_child() {
    root();
    let waiting =
        Waiting::start(|| drop(load(&always(Action::Allow), &LoadOptions::new()).unwrap()));
    filters_of(waiting.pid).unwrap();
    waiting.signal(libc::SIGTERM);
    waiting.becomes("Z");
    let _ = filters_of(waiting.pid);
    let status = wait_for(waiting.pid);
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status.signal(), Some(libc::SIGTERM));
    std::mem::forget(waiting);
}

fn dying() {
    root();
    let mut read = 0;
    for round in 0..200u64 {
        let waiting = Waiting::start_then(
            || drop(load(&always(Action::Allow), &LoadOptions::new()).unwrap()),
            || std::thread::sleep(Duration::from_micros(round)),
        );
        match filters_of(waiting.pid) {
            Ok(filters) => read += filters.len(),
            Err(error) => assert!(error.is_gone(), "{error}"),
        }
    }
    eprintln!("read {read} of 200 before their end");
}
