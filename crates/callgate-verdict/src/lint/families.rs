//! Calls that do the same: old and new ones, `clone` and its relatives.

use alloc::{format, vec::Vec};

use callgate_bpf::SeccompData;
use callgate_policy::Test;
use callgate_syscalls::constants;

use super::{
    Finding,
    abis::{names, never, on_abis},
    edits,
    places::{is_json, name_span},
    view::{Call, Linter},
    words::name_list,
};
use crate::TooComplex;

/// What the first does, each of the others does too: `(first, others)`.
const GENERAL: [(&str, &[&str]); 46] = [
    ("open", &["openat", "openat2"]),
    ("creat", &["open", "openat", "openat2"]),
    ("openat", &["openat2"]),
    ("mkdir", &["mkdirat"]),
    ("mknod", &["mknodat"]),
    ("chown", &["fchownat"]),
    ("lchown", &["fchownat"]),
    ("unlink", &["unlinkat"]),
    ("rmdir", &["unlinkat"]),
    ("rename", &["renameat", "renameat2"]),
    ("renameat", &["renameat2"]),
    ("link", &["linkat"]),
    ("symlink", &["symlinkat"]),
    ("chmod", &["fchmodat", "fchmodat2"]),
    ("fchmodat", &["fchmodat2"]),
    ("readlink", &["readlinkat"]),
    ("access", &["faccessat", "faccessat2"]),
    ("faccessat", &["faccessat2"]),
    ("utime", &["utimes", "futimesat", "utimensat"]),
    ("utimes", &["futimesat", "utimensat"]),
    ("execve", &["execveat"]),
    ("fork", &["clone", "clone3"]),
    ("vfork", &["clone", "clone3"]),
    ("setxattr", &["setxattrat"]),
    ("lsetxattr", &["setxattrat"]),
    ("removexattr", &["removexattrat"]),
    ("lremovexattr", &["removexattrat"]),
    ("pipe", &["pipe2"]),
    ("accept", &["accept4"]),
    ("preadv", &["preadv2"]),
    ("pwritev", &["pwritev2"]),
    ("sendmsg", &["sendmmsg"]),
    ("recvmsg", &["recvmmsg"]),
    ("umount", &["umount2"]),
    ("init_module", &["finit_module"]),
    ("finit_module", &["init_module"]),
    ("kexec_load", &["kexec_file_load"]),
    ("setuid", &["setreuid", "setresuid"]),
    ("setgid", &["setregid", "setresgid"]),
    ("settimeofday", &["clock_settime"]),
    ("adjtimex", &["clock_adjtime"]),
    ("setrlimit", &["prlimit64"]),
    ("quotactl", &["quotactl_fd"]),
    ("sched_setscheduler", &["sched_setattr"]),
    ("tkill", &["tgkill"]),
    ("mount", &["move_mount"]),
];

/// What libraries call now for the old call (glibc 2.36, musl 1.2).
const CALLED_NOW: [(&str, &str); 9] = [
    ("open", "openat"),
    ("stat", "newfstatat"),
    ("lstat", "newfstatat"),
    ("fstat", "newfstatat"),
    ("fork", "clone"),
    ("pipe", "pipe2"),
    ("getrlimit", "prlimit64"),
    ("setrlimit", "prlimit64"),
    ("select", "pselect6"),
];

/// Calls that do the same as this one, or part of it, or more: `openat` and `creat` for `open`.
pub fn relatives(name: &str) -> Vec<&'static str> {
    let rows = GENERAL.iter().filter(|(first, others)| *first == name || others.contains(&name));
    let of_rows = rows.flat_map(|(first, others)| core::iter::once(first).chain(*others));
    let pairs = CALLED_NOW.iter().filter(|(old, now)| *old == name || *now == name);
    let mut found: Vec<&'static str> = Vec::new();
    for &relative in of_rows.chain(pairs.flat_map(|(old, now)| [old, now])) {
        if relative != name && !found.contains(&relative) {
            found.push(relative);
        }
    }
    found
}

impl Linter<'_> {
    pub(super) fn families(&mut self) -> Result<(), TooComplex> {
        self.clone3();
        self.namespaces()?;
        self.holes()?;
        self.gaps()?;
        Ok(())
    }

    /// `clone` under conditions, `clone3`, whose flags lie behind a pointer, without.
    fn clone3(&mut self) {
        let found = self.where_call("clone", |linter, table, clone| {
            linter.is_deliberate(table, clone)
                && linter.call(table, "clone3").is_some_and(|call| call.permission.runs)
        });
        let Some(&clone) = found.first() else { return };
        let Some(table) = self.tables.iter().position(|table| table.abi == clone.abi) else {
            return;
        };
        let Some(clone3) = self.call(table, "clone3") else { return };
        let Ok(Some(data)) = self.permitted(clone3) else { return };
        let on = on_abis(&found, self.filtered().len());
        let mut finding = Finding::new(
            "clone3-unfiltered",
            format!("`clone` is filtered by its flags, and `clone3` is permitted{on}"),
            "an attacker passes the refused flags to `clone3`, behind a pointer where no filter sees them",
        )
        .example(self.example(data))
        .help("refuse `clone3` with ENOSYS (38): libraries then use `clone`");
        if let Some(written) = self.subject.written {
            finding = finding.labels(written.labels(clone3, None, "permitted here"));
            if is_json(written) {
                let entries = written.entries_of(clone3.abi, clone3.nr);
                let removed = entries.iter().filter_map(|&index| {
                    let entry = written.policy.entries.get(index)?;
                    edits::remove_name(written.text, written.policy, entry, "clone3")
                });
                finding = finding.edits(removed);
                finding = finding.edits(edits::add_enosys(written.policy, &["clone3"], 38));
            }
        }
        self.push(finding);
    }

    /// `clone` for namespaces where `unshare` is refused.
    fn namespaces(&mut self) -> Result<(), TooComplex> {
        let found = self.where_call("clone", |linter, table, clone| {
            clone.permission.runs
                && linter
                    .call(table, "unshare")
                    .is_some_and(|call| call.permission.always_refused())
        });
        let Some(user) = constants::value("CLONE_NEWUSER") else { return Ok(()) };
        let mut shown: Option<(Call, SeccompData)> = None;
        for &clone in &found {
            let Some(arg) = clone.args().iter().position(|arg| arg.name == "clone_flags") else {
                continue;
            };
            let makes = self.argument_is(arg, Test::MaskedEq { mask: user, value: user })?;
            let permitted = self.permitted_set(clone)?;
            let permitted = self.manager.and(permitted, makes)?;
            if shown.is_none() {
                shown = self.witness(clone, permitted).map(|data| (clone, data));
            }
        }
        let Some((clone, data)) = shown else { return Ok(()) };
        let table = self.tables.iter().position(|table| table.abi == clone.abi);
        let unshare = table.and_then(|table| self.call(table, "unshare"));
        let example = match unshare {
            Some(unshare) => self.contrast(data, unshare.with([user, 0, 0, 0, 0, 0])),
            None => self.example(data),
        };
        let on = on_abis(&found, self.filtered().len());
        let finding = Finding::new(
            "clone-namespaces",
            format!("`clone` may make new namespaces, and `unshare` is refused{on}"),
            "an attacker makes a user namespace with `clone`, and has all capabilities in it",
        )
        .example(example)
        .help("permit `clone` where its flags have none of CLONE_NEW* (mask 0x7e020000), and refuse `clone3` with ENOSYS");
        let labels = self.subject.written.map(|written| written.labels(clone, None, ""));
        self.push(finding.labels(labels.unwrap_or_default()));
        Ok(())
    }

    /// A call refused on purpose while a more general one runs.
    fn holes(&mut self) -> Result<(), TooComplex> {
        for (special, general) in GENERAL {
            let open = |linter: &Linter<'_>, table: usize, refused: Call| {
                let calls = general.iter().filter_map(|name| linter.call(table, name));
                calls
                    .filter(|call| {
                        call.permission.always_runs()
                            || refused.permission.always_refused() && call.permission.runs
                    })
                    // `clone` under conditions is how threads are permitted and forks are not.
                    .filter(|call| !call.name.starts_with("clone") || call.permission.always_runs())
                    // It moves what others have made.
                    .filter(|call| call.name != "move_mount" || linter.makes_mounts(table))
                    .collect::<Vec<Call>>()
            };
            let found = self.where_call(special, |linter, table, call| {
                linter.is_deliberate(table, call) && !open(linter, table, call).is_empty()
            });
            let Some(&refused) = found.first() else { continue };
            let Some(table) = self.tables.iter().position(|table| table.abi == refused.abi) else {
                continue;
            };
            let others = open(self, table, refused);
            let Some(call) = others.first().copied() else { continue };
            let Some(data) = self.permitted(call)? else { continue };
            let example = match self.refused_example(refused)? {
                Some(against) => self.contrast(data, against),
                None => self.example(data),
            };
            let names = names(&others);
            let on = on_abis(&found, self.filtered().len());
            let restricted = if refused.permission.runs { "restricted" } else { "refused" };
            let mut finding = Finding::new(
                "family-hole",
                format!(
                    "`{special}` is {restricted}, and {} can do the same{on}",
                    name_list(&names)
                ),
                format!("an attacker calls {} instead", name_list(&names)),
            )
            .example(example)
            .help(format!("treat {} alike", name_list(&[&[special], &names[..]].concat())));
            if let Some(written) = self.subject.written {
                let labels = written.labels(refused, None, "");
                finding = finding.labels(labels);
                finding = finding.edits(self.beside(written, refused, &names));
            }
            self.push(finding);
        }
        Ok(())
    }

    fn makes_mounts(&self, table: usize) -> bool {
        let makers = ["open_tree", "fsmount"];
        makers.iter().any(|name| self.call(table, name).is_some_and(|call| call.permission.runs))
    }

    /// The names put beside one, where an entry refuses it that asks nothing else.
    fn beside(
        &self,
        written: super::Written<'_>,
        refused: Call,
        names: &[&str],
    ) -> Option<callgate_diagnostic::Edit> {
        let entries = written.entries_of(refused.abi, refused.nr);
        let [index] = entries[..] else { return None };
        let entry = written.policy.entries.get(index)?;
        // A name in another entry keeps its verdict there.
        let elsewhere = |name: &str| {
            written.policy.entries.iter().any(|entry| entry.names.iter().any(|n| n.value == name))
        };
        let plain = is_json(written)
            && entry.comparisons.is_empty()
            && !entry.action.value.runs_call()
            && !names.iter().any(|name| elsewhere(name));
        plain.then(|| edits::add_names(name_span(entry, refused.name), names))
    }

    /// Some call of the number that does not run.
    fn refused_example(&mut self, call: Call) -> Result<Option<SeccompData>, TooComplex> {
        let permitted = self.permitted_set(call)?;
        let refused = self.manager.not(permitted)?;
        Ok((refused != never(self.manager)).then(|| self.witness(call, refused)).flatten())
    }

    /// An old call that runs while libraries make another, which is left out.
    fn gaps(&mut self) -> Result<(), TooComplex> {
        let mut gaps: Vec<(&str, &str, Vec<Call>)> = Vec::new();
        for (old, now) in CALLED_NOW {
            let found = self.where_call(old, |linter, table, call| {
                call.permission.always_runs()
                    && linter.call(table, now).is_some_and(|now| {
                        now.permission.always_refused()
                            && !linter.is_deliberate(table, now)
                            && !linter.may_be_answered(now)
                    })
            });
            if !found.is_empty() {
                gaps.push((old, now, found));
            }
        }
        let Some((old, now, found)) = gaps.first() else { return Ok(()) };
        let pairs: Vec<_> =
            gaps.iter().map(|(old, now, _)| format!("{old} without {now}")).collect();
        let pairs: Vec<&str> = pairs.iter().map(|pair| &**pair).collect();
        let on = on_abis(found, self.filtered().len());
        let mut finding = Finding::new(
            "family-gap",
            format!(
                "old calls are permitted, and what libraries call now is not: {}{on}",
                name_list(&pairs)
            ),
            "a user's program fails where its library makes the newer call",
        )
        .help(format!("permit `{now}` too where `{old}` is meant"));
        let table = self.tables.iter().position(|table| table.abi == found[0].abi);
        if let Some(call) = table.and_then(|table| self.call(table, now)) {
            finding = finding.example(self.contrast(call.with([0; 6]), found[0].with([0; 6])));
        }
        if let Some(written) = self.subject.written {
            finding = finding.labels(written.labels(found[0], None, "permitted here"));
            if is_json(written) {
                let mut added: Vec<&str> = Vec::new();
                for (old, now, found) in &gaps {
                    let entries = written.entries_of(found[0].abi, found[0].nr);
                    let entry =
                        entries.first().and_then(|&index| written.policy.entries.get(index));
                    if let Some(entry) = entry.filter(|_| !added.contains(now)) {
                        added.push(now);
                        finding = finding.edits([edits::add_names(name_span(entry, old), &[now])]);
                    }
                }
            }
        }
        self.push(finding);
        Ok(())
    }
}
