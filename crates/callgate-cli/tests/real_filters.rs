//! Every verb on the filters of real programs, read out of the running kernel.
//!
//! What a verb prints depends on the versions of the programs. So its exit status is pinned, that
//! its answers agree with the interpreter and with each other, and which findings would be false.

#![cfg(target_os = "linux")]

mod common;

#[path = "lab/cell.rs"]
mod cell;
#[path = "real_filters/containers.rs"]
mod containers;
#[path = "real_filters/sarif.rs"]
mod sarif;
#[path = "../../callgate-kernel/tests/real_filters/subject.rs"]
mod subject;
#[path = "real_filters/verbs.rs"]
mod verbs;

use common::{Scratch, is_root, skip, tell};
use subject::Subject;
use verbs::Live;

/// Stem of the names of control groups; the process id follows.
const NAME: &str = "callgate-filters-";

/// Findings that would be false on any of these: each program was written by people who know
/// seccomp, checks the architecture first, and is loaded as it was meant.
const NEVER: [&str; 8] = [
    "no-arch-check",
    "errno-range",
    "division-by-zero",
    "unportable-shift",
    "unknown-syscall",
    "never-matches",
    "path-budget",
    "trace-overridden",
];

/// And on a list of what is permitted on x86_64, with all else killed or refused.
const NARROW: [&str; 5] = ["abi-looser", "abi-open", "default-open", "io-uring-open", "x32-hole"];

/// Reading filters takes root, and no filter on the reader.
fn may_read() -> bool {
    let may = is_root()
        && callgate_kernel::has_sys_admin().is_ok_and(|has| has)
        && callgate_kernel::ThreadStatus::of_this_thread()
            .is_ok_and(|status| status.mode == Some(callgate_kernel::Mode::Disabled));
    if !may {
        skip("the filters of real programs are not read: that takes root, and no filter here");
    }
    may
}

/// Every verb on the filters of the process; among lint's findings is none of these ids.
fn every_verb(what: &str, subject: Option<Subject>, argument: &str, false_here: &[&str]) {
    let Some(mut subject) = subject else { return };
    every_verb_of(what, subject.process(argument), false_here);
}

fn every_verb_of(what: &str, pid: i32, false_here: &[&str]) {
    let scratch = Scratch::new();
    let live = Live::read(&scratch, what, pid);
    live.dumps();
    live.lists_and_assembles();
    live.evaluates();
    live.explains();
    live.compares();
    live.converts();
    live.merges();
    live.lints(&[&NEVER[..], false_here].concat());
    live.refuses_what_takes_a_profile();
}

#[test]
fn every_verb_takes_tors_filter() {
    if may_read() {
        every_verb("tor", Subject::tor(), "", &NARROW);
    }
}

#[test]
fn every_verb_takes_chronys_filter() {
    if may_read() {
        every_verb("chronyd", Subject::chrony(), "", &NARROW);
    }
}

#[test]
fn every_verb_takes_sshds_filter() {
    if may_read() {
        every_verb("sshd", Subject::sshd(), "", &NARROW);
    }
}

#[test]
fn every_verb_takes_the_stack_of_nspawn() {
    if may_read() {
        every_verb("systemd-nspawn", Subject::nspawn(), "sleep", &[]);
    }
}

#[test]
fn every_verb_takes_the_stack_of_firejail() {
    if may_read() {
        every_verb("firejail", Subject::firejail(), "sleep", &[]);
    }
}

#[test]
fn every_verb_takes_chromiums_filters() {
    if !may_read() {
        return;
    }
    let Some(mut subject) = Subject::chromium() else { return };
    for kind in ["renderer", "utility"] {
        let pid = subject.process(&format!("--type={kind}"));
        // It kills for other architectures and x32, compares 32 bits of 32, answers by a handler
        // what it does not run, and allows nothing by default.
        let false_here = [
            "abi-looser",
            "abi-open",
            "default-open",
            "dirty-upper-half",
            "kill-default",
            "needs-enosys",
            "restart-syscall",
            "x32-hole",
        ];
        every_verb_of(&format!("Chromium's {kind}"), pid, &false_here);
    }
}

#[test]
fn every_verb_takes_containers_filters() {
    if may_read() {
        // One library's table lacks a call on x32 alone: nothing is kept from anybody by that. It
        // permits what interrupted calls need, and answers ENOSYS for what libraries try first.
        let false_here = ["abi-looser", "abi-open", "x32-hole", "restart-syscall", "needs-enosys"];
        containers::each(|what, pid| every_verb_of(what, pid, &false_here));
    }
}
