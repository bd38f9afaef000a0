//! The release that brought each system call.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::Result;

/// A release: `(6, 8)`. All of 2.6 is `(2, 6)`.
pub type Release = (u16, u16);

/// What the table of syscalls(2) lacks or does not reach yet. From the release notes of each kernel, and
/// held against the trees at hand: see [`check`].
const RECENT: &[(Release, &[&str])] = &[
    ((2, 2), &["pread64", "pwrite64"]),
    ((5, 12), &["mount_setattr"]),
    ((5, 15), &["process_mrelease"]),
    ((5, 16), &["futex_waitv"]),
    ((5, 17), &["set_mempolicy_home_node"]),
    ((6, 4), &["riscv_hwprobe"]),
    ((6, 5), &["cachestat"]),
    ((6, 6), &["fchmodat2", "map_shadow_stack"]),
    ((6, 7), &["futex_wake", "futex_wait", "futex_requeue"]),
    (
        (6, 8),
        &["statmount", "listmount", "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules"],
    ),
    ((6, 10), &["mseal"]),
    ((6, 11), &["uretprobe"]),
    ((6, 13), &["setxattrat", "getxattrat", "listxattrat", "removexattrat"]),
    ((6, 15), &["open_tree_attr"]),
    ((6, 17), &["file_getattr", "file_setattr"]),
    ((6, 18), &["uprobe"]),
    ((6, 19), &["listns"]),
    ((7, 0), &["rseq_slice_yield"]),
    ((7, 3), &["fchroot"]),
];

/// Names under which the manual lists a call that some tables call otherwise.
const RENAMED: &[(&str, &str)] =
    &[("arm_fadvise64_64", "fadvise64_64"), ("arm_sync_file_range", "sync_file_range2")];

/// The calls with 64-bit time for 32-bit ABIs came together: `*time64` and `clock_adjtime64`.
const TIME64: Release = (5, 1);

/// The release of every name for which it is known. `manual` is the directory of the unpacked
/// manual pages, `names` every name that is wanted.
pub fn read(manual: &Path, names: &BTreeSet<String>) -> Result<BTreeMap<String, Release>> {
    let page = manual.join("usr/share/man/man2/syscalls.2.gz");
    let output = Command::new("gzip").arg("-dc").arg(&page).output()?;
    if !output.status.success() {
        return Err(format!("gzip -dc {}: {}", page.display(), output.status).into());
    }
    let mut since = table(&String::from_utf8(output.stdout)?);
    if since.len() < 400 {
        return Err(format!("{}: only {} rows understood", page.display(), since.len()).into());
    }
    for (release, list) in RECENT {
        for name in *list {
            if since.insert((*name).to_owned(), *release).is_some_and(|old| old != *release) {
                return Err(format!("{name}: the manual has another release").into());
            }
        }
    }
    for (name, listed) in RENAMED {
        if let Some(release) = since.get(*listed).copied() {
            since.entry((*name).to_owned()).or_insert(release);
        }
    }
    for name in names.iter().filter(|n| n.ends_with("time64") || *n == "clock_adjtime64") {
        since.entry(name.clone()).or_insert(TIME64);
    }
    since.retain(|name, _| names.contains(name));
    Ok(since)
}

/// Holds the releases against trees, oldest first: a tree has what came before it and lacks what
/// came after, and what is new in the newest is known.
pub fn check(
    since: &BTreeMap<String, Release>,
    trees: &[(Release, BTreeSet<String>)],
) -> Result<()> {
    for (name, release) in since {
        for (tree, names) in trees {
            // Debian's packages carry no system calls from later releases.
            if names.contains(name) && tree < release {
                return Err(
                    format!("{name} is said to be of {release:?} but is in {tree:?}").into()
                );
            }
            let recent = RECENT.iter().any(|(_, list)| list.contains(&name.as_str()));
            if recent && !names.contains(name) && tree >= release {
                return Err(
                    format!("{name} is said to be of {release:?}, {tree:?} lacks it").into()
                );
            }
        }
    }
    let Some(((_, oldest), newer)) = trees.split_first() else { return Ok(()) };
    for (tree, names) in newer {
        for name in names.difference(oldest) {
            if !since.contains_key(name) {
                return Err(format!("{name} is new in {tree:?}: add its release").into());
            }
        }
    }
    Ok(())
}

/// The rows of syscalls(2): `\fBname\fP(2)`, a tab, the release. A row may be split over lines by
/// `T{` and `T}`.
fn table(page: &str) -> BTreeMap<String, Release> {
    let mut rows = BTreeMap::new();
    let text: String = page
        .lines()
        .filter(|line| !line.starts_with(".\\\""))
        .collect::<Vec<_>>()
        .join("\n")
        .replace("T{\n", "")
        .replace("\nT}", "");
    for line in text.lines() {
        let Some((name, rest)) = line.split_once('\t') else { continue };
        let name = name
            .trim_start_matches(".BR ")
            .replace("\\f[B]", "")
            .replace("\\f[]", "")
            .replace("\\fB", "")
            .replace("\\fP", "");
        let Some(name) = name.split(['(', ' ']).next() else { continue };
        // Of "2.6; 2.4.18" the first: the second tells of a backport.
        let release = rest.split(['\t', ';', ' ']).next().unwrap_or_default();
        let mut numbers = release.split('.').map(str::parse);
        if let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) {
            rows.insert(name.to_owned(), (major, minor));
        }
    }
    rows
}
