//! The filters of real programs, read out of the running kernel: each has its exact meaning, and
//! the interpreter agrees with it.
#![cfg(target_os = "linux")]

mod subject;

use std::time::Instant;

use callgate_bpf::{
    ByteOrder, Layout, Program, SeccompData, ShiftRule, Stack,
    generate::{self, Rng},
};
use callgate_kernel::DumpedFilter;
use callgate_policy::{Dialect, NewerCalls, Target, builtin, formats::profile};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion, syscall};
use callgate_verdict::Manager;

use self::subject::{Subject, skip};

const LAYOUT: Layout = Layout::seccomp(ByteOrder::NATIVE);
const SHIFTS: ShiftRule = ShiftRule::Low5;

/// Inputs for each program, and for each stack.
const INPUTS: usize = 100_000;

/// Reading filters takes root, and no filter on the reader.
fn may_read() -> bool {
    let may = callgate_kernel::has_sys_admin().is_ok_and(|has| has)
        && callgate_kernel::ThreadStatus::of_this_thread()
            .is_ok_and(|status| status.mode == Some(callgate_kernel::Mode::Disabled));
    if !may {
        skip("the filters of real programs are not read: that takes root, and no filter here");
    }
    may
}

/// Filters, oldest first, each against the interpreter, then all together as the kernel has them.
fn check(what: &str, filters: &[DumpedFilter]) -> Vec<Program> {
    assert!(!filters.is_empty(), "{what} has no filter");
    let programs: Vec<Program> = filters
        .iter()
        .map(|filter| Program::new(filter.instructions.clone(), LAYOUT).expect("it was loaded"))
        .collect();
    let mut rng = Rng::new(1);
    let mut manager = Manager::new(LAYOUT);
    let mut meanings = Vec::new();
    for (index, program) in programs.iter().enumerate() {
        let begin = Instant::now();
        let meaning = Manager::new(LAYOUT).program(program, SHIFTS);
        let time = begin.elapsed();
        meaning.unwrap_or_else(|error| panic!("{what}, filter {index}: {error}"));
        let nodes = manager.node_count();
        let meaning = manager.program(program, SHIFTS).unwrap();
        let mut allowed = 0;
        for words in inputs(&mut rng, &[program]) {
            let answer = program.run(&words, SHIFTS);
            assert_eq!(
                manager.decide(meaning, &SeccompData::from_words(&words, ByteOrder::NATIVE)),
                answer,
                "{what}: {words:#x?}"
            );
            allowed += usize::from(answer.action().runs_call());
        }
        println!(
            "{what}, filter {index}: {} instructions, {} nodes more, {:.2} ms, {INPUTS} inputs \
             agree, {allowed} of them allowed",
            program.len(),
            manager.node_count() - nodes,
            time.as_secs_f64() * 1e3,
        );
        assert!(allowed > INPUTS / 1000, "the inputs do not get to what is allowed");
        meanings.push(meaning);
    }
    // The kernel asks the newest first.
    let stack: Stack<'_> = programs.iter().rev().collect();
    let mut newest_first = meanings.into_iter().rev();
    let newest = newest_first.next().expect("there is one");
    let together = newest_first.fold(newest, |newer, older| manager.stack(newer, older).unwrap());
    let acted = manager.act(together).unwrap();
    let all: Vec<&Program> = programs.iter().collect();
    for words in inputs(&mut rng, &all) {
        let decision = stack.run(&words, SHIFTS).action.action();
        let data = SeccompData::from_words(&words, ByteOrder::NATIVE);
        assert_eq!(manager.decide(together, &data).action(), decision, "{what}: {words:#x?}");
        assert_eq!(manager.decide(acted, &data), decision.raw());
    }
    programs
}

fn inputs(rng: &mut Rng, programs: &[&Program]) -> Vec<[u32; 16]> {
    let each: Vec<_> = programs.iter().map(|program| program.instructions()).collect();
    let mut inputs = generate::inputs_by_word(rng, &each, INPUTS / 2);
    inputs.extend(generate::inputs(rng, &each.concat(), INPUTS / 2));
    inputs
}

#[test]
fn tors_filter_has_its_exact_meaning() {
    if may_read()
        && let Some(mut subject) = Subject::tor()
    {
        check("tor", &subject.filters(""));
    }
}

#[test]
fn chronys_filter_has_its_exact_meaning() {
    if may_read()
        && let Some(mut subject) = Subject::chrony()
    {
        check("chronyd", &subject.filters(""));
    }
}

#[test]
fn sshds_filter_has_its_exact_meaning() {
    if may_read()
        && let Some(mut subject) = Subject::sshd()
    {
        check("sshd", &subject.filters(""));
    }
}

#[test]
fn the_stack_of_nspawn_has_its_exact_meaning() {
    if may_read()
        && let Some(mut subject) = Subject::nspawn()
    {
        let filters = subject.filters("sleep");
        assert!(filters.len() > 1, "systemd-nspawn loads a stack of filters");
        check("systemd-nspawn", &filters);
    }
}

#[test]
fn the_stack_of_firejail_has_its_exact_meaning() {
    if may_read()
        && let Some(mut subject) = Subject::firejail()
    {
        let filters = subject.filters("sleep");
        assert!(filters.len() > 1, "firejail loads a stack of filters");
        check("firejail", &filters);
    }
}

#[test]
fn chromiums_filters_have_their_exact_meaning() {
    if may_read()
        && let Some(mut subject) = Subject::chromium()
    {
        check("Chromium's renderer", &subject.filters("--type=renderer"));
        check("Chromium's utility process", &subject.filters("--type=utility"));
    }
}

/// From its own code and libseccomp's.
#[test]
fn what_runc_installs_is_what_the_profile_means() {
    let Some(native) = Abi::native().filter(|_| may_read()) else { return };
    let text = builtin::named("docker-default").unwrap().text;
    let mut policy = profile::read(text, Some(Dialect::Docker)).policy.unwrap();
    // Names that Debian's libseccomp does not know are no rules there.
    let known = |name: &str| {
        let since = syscall(name).and_then(|call| call.since);
        since.is_none_or(|since| since <= KernelVersion::new(5, 16))
    };
    for entry in &mut policy.entries {
        entry.names.retain(|name| known(&name.value));
    }
    let target = Target {
        native,
        abis: None,
        capabilities: CapabilitySet::DOCKER_DEFAULT,
        kernel: KernelVersion::new(6, 18),
        newer: NewerCalls::LikeRunc,
    };
    let flat = policy.flatten(&target);
    let text = profile::write(&flat, Dialect::Oci).unwrap();
    let Some(mut subject) = Subject::runc(&text) else { return };
    let programs = check("runc", &subject.filters("sleep"));
    let [program] = &programs[..] else { panic!("{} filters", programs.len()) };
    let mut manager = Manager::new(LAYOUT);
    let theirs = manager.program(program, SHIFTS).unwrap();
    let ours = manager.ruleset(&flat.resolve(&target).ruleset.unwrap()).unwrap();
    let differ = manager.differ(theirs, ours).unwrap();
    if let Some(data) = manager.witness(differ) {
        let [theirs, ours] = [theirs, ours].map(|meaning| manager.decide(meaning, &data));
        panic!("runc's filter answers {theirs:?}, the profile says {ours:?}: {data:#x?}");
    }
    println!("what runc installed is what the profile means");
}
