//! What this machine can do, held against what it then does.

#[path = "harness/filters.rs"]
mod filters;
mod harness;

use callgate_bpf::Action;
use callgate_kernel::{Errno, Features, LoadOptions, Mode, Probe, Signal, load};

use self::filters::refuse;
use self::harness::{Case, become_nobody, in_child, is_root, skip};

fn main() {
    let cases: &[Case] = &[
        ("probing_changes_nothing_here", probing_changes_nothing),
        ("actions_are_those_that_proc_lists", actions_are_listed),
        ("an_unprivileged_user_learns_what_it_cannot_do", unprivileged),
        ("a_filter_outside_shows", filter_outside_shows),
    ];
    harness::main(cases);
}

fn probing_changes_nothing() {
    let features = Features::probe();
    println!("{features:#?}");
    let again = Features::probe();
    let status = again.process.status.unwrap();
    assert_eq!(status.mode, Some(Mode::Disabled));
    assert_eq!(status.no_new_privs, Some(false));
    assert_eq!(features.seccomp.flags, again.seccomp.flags);
}

fn actions_are_listed() {
    let features = Features::probe();
    let listed = features.seccomp.actions_avail.value().unwrap();
    for (name, probe) in &features.seccomp.actions {
        assert_eq!(listed.iter().any(|word| word == name), probe.works(), "{name}");
    }
}

fn unprivileged() {
    if !is_root() {
        skip("the comparison needs root, to become somebody else");
    }
    let child = in_child(|| {
        become_nobody();
        let features = Features::probe();
        assert_eq!(features.process.user, harness::NOBODY);
        assert!(features.process.capabilities.unwrap().effective.is_empty());
        assert_eq!(features.seccomp.filter, Probe::Works);
        assert_eq!(features.seccomp.strict, Probe::Works);
        assert_eq!(features.system.trace_child, Probe::Works);
        // Reading filters takes CAP_SYS_ADMIN.
        assert_eq!(features.seccomp.read_filters, Probe::Refused(Errno(libc::EACCES)));
        assert!(matches!(features.system.audit_records, Probe::Refused(_)));
        0
    });
    assert_eq!(child.code(), Some(0));
}

fn filter_outside_shows() {
    let outside = refuse(&[libc::SYS_unshare], Action::Errno(1));
    load(&outside, &LoadOptions::new()).unwrap();
    let features = Features::probe();
    assert_eq!(features.process.status.unwrap().mode, Some(Mode::Filter));
    assert_eq!(features.system.user_namespace, Probe::Refused(Errno(1)));
    // From filter mode there is no way to strict mode.
    assert_eq!(features.seccomp.strict, Probe::Refused(Errno(libc::EINVAL)));
    // Nor may a filtered process read filters, root or not.
    assert!(!features.seccomp.read_filters.works());
    // A filter that kills shows as the death of the child that tried, and this process lives.
    let calls = [libc::SYS_seccomp, libc::SYS_prctl, libc::SYS_capget, libc::SYS_socket];
    load(&refuse(&calls, Action::KillProcess), &LoadOptions::new()).unwrap();
    let features = Features::probe();
    let dies = Probe::Dies(Signal::SYS);
    assert_eq!(features.seccomp.seccomp_call, dies);
    assert_eq!(features.seccomp.prctl_call, dies);
    assert_eq!(features.process.capabilities, Err(dies));
    assert_eq!(features.system.audit_records, dies);
}
