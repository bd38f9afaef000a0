//! Random rules against the running kernel: compiled, loaded, and every call answered as the
//! rules say.
//!
//! The rules are for numbers from 0x10000 up, which no kernel has, so that a call that is let
//! through fails with ENOSYS and touches nothing. Calls come through `syscall`, x32-marked ones
//! too, and through `int 0x80`, all with whatever in the upper halves of registers. What the
//! filter answers can be told apart: each refusal has its own error number, a trap its own data.
//! Kills are tried one at a time, each by a process of its own.
//!
//! Ordinarily 2,000 rulesets by 50 calls; `CALLGATE_FULL=1` tries a million.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod oracle;

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};

use callgate_bpf::generate::Rng;
use callgate_bpf::{Action, SeccompData, SyscallNr};
use callgate_compile::{Options, Passes};
use callgate_policy::generate::{self, Shape};
use callgate_policy::{AbiRules, Rule, Ruleset};
use callgate_syscalls::Abi;

/// The first number that no kernel has.
const FIRST: u32 = 0x1_0000;

const SHAPE: Shape = Shape {
    abis: &[Abi::X86_64, Abi::X86, Abi::X32],
    first_number: FIRST,
    numbers: 12,
    rules: 4,
    default: None,
};

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The result register, an error number as its negative.
    Result(i64),
    /// SIGSYS, with this in `si_errno`.
    Trap(u32),
}

/// What the kernel makes of an action when no such call exists and nobody traces.
fn expected(action: Action) -> Answer {
    match action {
        Action::Errno(number) => Answer::Result(-i64::from(number)),
        Action::Trap(data) => Answer::Trap(u32::from(data)),
        Action::Allow | Action::Log | Action::Trace(_) | Action::UserNotif => {
            Answer::Result(-i64::from(libc::ENOSYS))
        }
        other => panic!("{other} has no answer"),
    }
}

/// Random rules for this machine, with what their thread needs to end, actions replaced by `of`.
fn ruleset(rng: &mut Rng, of: fn(Action) -> Action) -> Ruleset {
    let mut ruleset = generate::ruleset(rng, &SHAPE);
    if ruleset.abis.iter().all(|table| table.abi != Abi::X86_64) {
        let default = ruleset.abis[0].default;
        let rules = Default::default();
        ruleset.abis.insert(0, AbiRules { abi: Abi::X86_64, default, rules, newer: None });
    }
    ruleset.other = of(ruleset.other);
    for table in &mut ruleset.abis {
        table.default = of(table.default);
        for rule in table.rules.values_mut().flatten() {
            rule.action = of(rule.action);
        }
        if let Some(newer) = &mut table.newer {
            newer.action = of(newer.action);
            newer.also = None;
        }
        if table.abi == Abi::X86_64 {
            for name in ["exit", "rt_sigreturn"] {
                let nr = table.abi.number(name).expect("both are old");
                let allow =
                    Rule { action: Action::Allow, comparisons: Vec::new(), entry: usize::MAX };
                table.rules.insert(nr, vec![allow]);
            }
        }
    }
    ruleset
}

/// Actions that can be told apart by their answers, as far as they differ.
fn distinguishable(action: Action) -> Action {
    match action {
        Action::Errno(38) => Action::Errno(71),
        Action::KillProcess => Action::Errno(4095),
        Action::KillThread => Action::Trap(0xffff),
        Action::Log => Action::Errno(0),
        other => other,
    }
}

/// Calls near the limits of the rules that this machine can make and no kernel would carry out.
fn calls(rng: &mut Rng, ruleset: &Ruleset, int80: bool, count: usize) -> Vec<SeccompData> {
    let mut calls = generate::calls(rng, ruleset, 4 * count);
    calls.retain(|data| {
        data.nr.0 >= FIRST
            && (data.arch == Abi::X86_64.audit() || int80 && data.arch == Abi::X86.audit())
            // The number 0x40000000 and a little is a real call where the kernel has x32.
            && !(SyscallNr::X32_BIT..SyscallNr::X32_BIT + FIRST).contains(&data.nr.0)
    });
    calls.truncate(count);
    calls
}

/// A call as the context says, and what it returned.
fn make(data: &SeccompData) -> Answer {
    TRAPPED.store(0, Ordering::SeqCst);
    let result = if data.arch == Abi::X86.audit() { int80(data.nr, data.args) } else { raw(data) };
    match TRAPPED.load(Ordering::SeqCst) {
        0 => Answer::Result(result),
        mark => Answer::Trap(mark - MARK),
    }
}

fn raw(data: &SeccompData) -> i64 {
    let [a, b, c, d, e, f] = data.args;
    let result: i64;
    // SAFETY: no kernel has a call of this number (see `calls`), so no argument is taken for a
    // pointer; the instruction clobbers the two registers named.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") u64::from(data.nr.0) => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// A call of i386 with full registers; of six arguments the first three, which rules look at.
fn int80(nr: SyscallNr, args: [u64; 6]) -> i64 {
    let [b, c, d, ..] = args;
    let result: u64;
    // SAFETY: as in `raw`. The compiler keeps rbx for itself, so it is put back.
    unsafe {
        std::arch::asm!(
            "xchg {b}, rbx",
            "int 0x80",
            "xchg {b}, rbx",
            b = inout(reg) b => _,
            inlateout("rax") u64::from(nr.0) => result,
            in("rcx") c, in("rdx") d,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    let [.., e, f, g, h] = result.to_be_bytes();
    i64::from(i32::from_be_bytes([e, f, g, h]))
}

/// [`MARK`] and the data of the last trap; 0 when there was none.
static TRAPPED: AtomicU32 = AtomicU32::new(0);
const MARK: u32 = 1 << 16;

/// Notes the data of traps from now on, in the whole process.
fn note_traps() {
    extern "C" fn note(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
        // SAFETY: the kernel passes a handler with SA_SIGINFO a valid siginfo_t.
        let data = unsafe { (*info).si_errno };
        TRAPPED.store(MARK | u32::try_from(data).unwrap_or(0), Ordering::SeqCst);
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: an all-zero sigaction is valid, and `note` has the signature that SA_SIGINFO
        // asks for; it only stores to an atomic.
        let set = unsafe {
            let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            action.sa_sigaction = note as extern "C" fn(_, _, _) as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut())
        };
        assert_eq!(set, 0, "sigaction");
    });
}

/// Ends the calling thread by the system call itself: a filter may refuse all that the C library
/// does on the way out.
fn end_thread(status: c_int) -> ! {
    loop {
        // SAFETY: nothing of this thread is used after it.
        unsafe { libc::syscall(libc::SYS_exit, libc::c_long::from(status)) };
    }
}

/// A filter, calls to make under it, and room for what they return.
struct Session {
    filter: Vec<libc::sock_filter>,
    calls: Vec<SeccompData>,
    /// [`Answer`]s packed by [`pack`]; `i64::MIN` where there is none.
    answers: Vec<AtomicI64>,
    attach_error: AtomicU32,
}

fn pack(answer: Answer) -> i64 {
    match answer {
        Answer::Result(result) => result,
        Answer::Trap(data) => 1 << 40 | i64::from(data),
    }
}

/// Makes the calls under the filter, on a thread of its own.
fn answers(filter: Vec<libc::sock_filter>, calls: Vec<SeccompData>) -> Vec<i64> {
    extern "C" fn body(session: *mut c_void) -> *mut c_void {
        // SAFETY: `answers` passes its own session, and joins this thread before that goes; it
        // is written to through atomics alone.
        let session = unsafe { &*session.cast::<Session>().cast_const() };
        let error = oracle::attach(&session.filter, 0);
        session.attach_error.store(error.unsigned_abs(), Ordering::SeqCst);
        if error == 0 {
            for (data, answer) in session.calls.iter().zip(&session.answers) {
                answer.store(pack(make(data)), Ordering::SeqCst);
            }
        }
        end_thread(0)
    }
    let answers = calls.iter().map(|_| AtomicI64::new(i64::MIN)).collect();
    let session = Session { filter, calls, answers, attach_error: AtomicU32::new(0) };
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: `thread` is writable; `body` takes the shared session that it gets, and the join
    // below comes before the session goes.
    let error = unsafe {
        libc::pthread_create(
            thread.as_mut_ptr(),
            ptr::null(),
            body,
            (&raw const session).cast_mut().cast::<c_void>(),
        )
    };
    assert_eq!(error, 0, "pthread_create");
    // SAFETY: the thread was created, so its id is written; it is joinable, and joined once.
    let error = unsafe { libc::pthread_join(thread.assume_init(), ptr::null_mut()) };
    assert_eq!(error, 0, "pthread_join");
    assert_eq!(session.attach_error.into_inner(), 0, "the kernel refuses the filter");
    session.answers.into_iter().map(AtomicI64::into_inner).collect()
}

/// Makes one call under the filter in a process of its own, and returns its wait status: exit
/// status 7 when the call came back, 8 when the filter was refused.
fn end_of_child(filter: &[libc::sock_filter], data: &SeccompData) -> c_int {
    // SAFETY: the child makes system calls and leaves; it allocates nothing and takes no lock.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        // The handler that was inherited must not catch what kills.
        // SAFETY: restores a default action.
        unsafe { libc::signal(libc::SIGSYS, libc::SIG_DFL) };
        if oracle::attach(filter, 0) != 0 {
            end_thread(8);
        }
        make(data);
        end_thread(7);
    }
    let mut status = 0;
    // SAFETY: `child` is a child of ours, `status` is writable.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child, "waitpid");
    status
}

/// Whether `int 0x80` reaches the kernel; where it does not, it ends the process that tries.
fn has_int80() -> bool {
    const GETPID: SyscallNr = SyscallNr(20);
    // SAFETY: the child makes one system call without arguments, and leaves.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        // SAFETY: takes nothing.
        let own = i64::from(unsafe { libc::getpid() });
        end_thread(c_int::from(int80(GETPID, [0; 6]) != own));
    }
    let mut status = 0;
    // SAFETY: `child` is a child of ours, `status` is writable.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child, "waitpid");
    if status != 0 {
        eprintln!("skipped: rules for x86 on the kernel: it has no calls through int 0x80");
    }
    status == 0
}

/// With all optimisations, or all but one: another way each time.
fn compile(ruleset: &Ruleset) -> Vec<libc::sock_filter> {
    static ROUND: AtomicUsize = AtomicUsize::new(0);
    let mut ways = vec![Passes::ALL];
    ways.extend(Passes::each_off().map(|(_, passes)| passes));
    let mut options = Options::default();
    options.passes = ways[ROUND.fetch_add(1, Ordering::Relaxed) % ways.len()];
    let compiled = callgate_compile::compile_with(ruleset, &options)
        .unwrap_or_else(|error| panic!("{error}\n{ruleset:#?}"));
    oracle::filter(compiled.program().instructions())
}

#[test]
fn the_kernel_answers_as_the_rules_say() {
    if !oracle::is_own_process("the_kernel_answers_as_the_rules_say") || !oracle::is_unfiltered() {
        return;
    }
    note_traps();
    assert!(oracle::set_no_new_privs());
    let int80 = has_int80();
    let seed = oracle::seed();
    let mut rng = Rng::new(seed);
    let count = oracle::size(2_000, 1_000_000);
    let (mut made, mut through_int80, mut traps, mut let_through) = (0, 0, 0, 0);
    for _ in 0..count {
        let ruleset = ruleset(&mut rng, distinguishable);
        let calls = calls(&mut rng, &ruleset, int80, 50);
        let answers = answers(compile(&ruleset), calls.clone());
        for (data, answer) in calls.iter().zip(answers) {
            let (action, _) = ruleset.decide(data);
            let expected = expected(action);
            assert_eq!(answer, pack(expected), "the rules say {action}: {data:#x?}\n{ruleset:#?}");
            made += 1;
            through_int80 += usize::from(data.arch == Abi::X86.audit());
            traps += usize::from(matches!(expected, Answer::Trap(_)));
            let_through += usize::from(action == Action::Allow);
        }
    }
    eprintln!(
        "{count} random rulesets on the kernel (seed {seed}): {made} calls, {through_int80} of \
         them through int 0x80; {traps} traps, {let_through} let through; 0 differences"
    );
    assert!(made > 30 * count && traps > 0 && let_through > 0, "too few calls could be made");
}

#[test]
fn kills_end_the_process_that_the_rules_say() {
    if !oracle::is_own_process("kills_end_the_process_that_the_rules_say")
        || !oracle::is_unfiltered()
    {
        return;
    }
    assert!(oracle::set_no_new_privs());
    let int80 = has_int80();
    let mut rng = Rng::new(oracle::seed());
    let count = oracle::size(40, 400);
    let (mut killed, mut spared) = (0, 0);
    while killed < count || spared < count {
        let ruleset = ruleset(&mut rng, |action| match action {
            Action::Log => Action::Allow,
            other => other,
        });
        let filter = compile(&ruleset);
        for data in calls(&mut rng, &ruleset, int80, 3) {
            let (action, _) = ruleset.decide(&data);
            // A trap that nobody handles kills as well.
            let kills =
                matches!(action, Action::KillProcess | Action::KillThread | Action::Trap(_));
            let so_far = if kills { &mut killed } else { &mut spared };
            if *so_far == count {
                continue;
            }
            *so_far += 1;
            let status = end_of_child(&filter, &data);
            let by_signal = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS;
            let came_back = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7;
            assert!(
                if kills { by_signal } else { came_back },
                "the rules say {action}, the wait status is {status:#x}: {data:#x?}\n{ruleset:#?}"
            );
        }
    }
    eprintln!("{killed} calls killed their process as the rules say, {spared} came back");
}
