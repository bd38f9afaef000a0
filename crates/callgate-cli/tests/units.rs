//! Unit files against systemd: it starts them in a container, and what then holds their programs
//! is compared with what was read of the text.
#![cfg(target_os = "linux")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{self, Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use callgate_syscalls::groups;

use common::{Scratch, root_for, skip, tool_for};

/// The settings of units, and whether groups are in them whose members change with releases.
const UNITS: &[(&str, bool)] = &[
    (
        "SystemCallFilter=~@swap mount:EACCES reboot:kill\nSystemCallFilter=~@reboot\nSystemCallErrorNumber=EPERM\nSystemCallLog=umask",
        false,
    ),
    (
        "SystemCallFilter=~mount shmat\nSystemCallFilter=\nSystemCallFilter=~@ipc socket\nSystemCallFilter=pipe\nSystemCallErrorNumber=kill",
        false,
    ),
    ("SystemCallArchitectures=x86", false),
    ("SystemCallFilter=~connect shmget msgrcv\nSystemCallLog=connect socketcall", false),
    ("SystemCallFilter=~ptrace:999 foo @nothing\nSystemCallErrorNumber=0x26", false),
    ("SystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM", true),
    (
        "SystemCallFilter=@system-service\nSystemCallFilter=~@resources @privileged chmod:EACCES\nSystemCallArchitectures=native",
        true,
    ),
    ("SystemCallLog=~@system-service\nSystemCallArchitectures=native x86", true),
    (
        "SystemCallFilter=@basic-io @file-system @process @signal mprotect \\\n  # said between\n  mmap munmap prctl rseq prlimit64 getrandom\nSystemCallErrorNumber=95",
        true,
    ),
];

#[test]
fn a_unit_file_means_what_systemd_makes_of_it() {
    let what = "what systemd makes of unit files";
    if !root_for(what) || !tool_for("systemd-nspawn", "systemd-container", what) {
        return;
    }
    let scratch = Scratch::new();
    let units = units(&scratch);
    let booted = match Booted::start(&scratch, &units) {
        Ok(booted) => booted,
        Err(said) => {
            skip(&format!("{what} is not tested: systemd does not boot in a container:\n{said}"));
            return;
        }
    };
    let moved = members_that_moved(&scratch);
    println!("groups of other members in this release: {moved:?}");
    for (at, Unit { settings, of }) in units.iter().enumerate() {
        let process = format!("pid:{}", booted.pids[at]);
        let outcome = scratch.callgate(&["diff", &process, &unit_name(*of), "--json"]).run();
        assert!(outcome.status <= 1, "{settings}: {outcome:?}");
        let answer: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        let rows = answer["differences"].as_array().expect("a list");
        let names = rows.iter().flat_map(|row| row["names"].as_array().expect("a list"));
        let differ: BTreeSet<&str> = names.filter_map(|name| name.as_str()).collect();
        let explained = |name: &&str| UNITS[*of].1 && moved.contains(*name);
        assert!(
            differ.iter().all(explained) && (UNITS[*of].1 || outcome.status == 0),
            "{settings}\n{outcome:?}"
        );
    }
}

/// A unit to start, and the place of the one whose meaning it has.
struct Unit {
    settings: String,
    of: usize,
}

/// All of [`UNITS`], and each as it is written again.
fn units(scratch: &Scratch) -> Vec<Unit> {
    let mut units: Vec<Unit> = UNITS
        .iter()
        .enumerate()
        .map(|(of, (settings, _))| Unit { settings: (*settings).to_owned(), of })
        .collect();
    for (of, (settings, _)) in UNITS.iter().enumerate() {
        let file = "written.service";
        scratch.file(file, format!("[Service]\n{settings}\n"));
        let outcome = scratch.callgate(&["convert", file, "--to", "systemd"]).run();
        let written = outcome.stdout.strip_prefix("[Service]\n");
        let settings = written.unwrap_or_else(|| panic!("{settings}\n{outcome:?}")).to_owned();
        units.push(Unit { settings, of });
    }
    units
}

fn unit_name(at: usize) -> String {
    format!("unit{at}.service")
}

/// Calls that this crate has in another set of groups than the installed release, or that it does
/// not know.
fn members_that_moved(scratch: &Scratch) -> BTreeSet<String> {
    let outcome = scratch.command("systemd-analyze").args(&["syscall-filter"]).run();
    let mut theirs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut group = String::new();
    for line in outcome.stdout.lines() {
        match line.strip_prefix("    ") {
            None => group = line.trim().to_owned(),
            Some(member) if !member.starts_with('#') => {
                theirs.entry(group.clone()).or_default().push(member.trim().to_owned());
            }
            Some(_) => {}
        }
    }
    assert!(theirs.len() > 20 && theirs["@swap"] == ["swapoff", "swapon"], "{outcome:?}");
    let mut moved = BTreeSet::new();
    for group in &groups::ALL {
        let ours: BTreeSet<String> = group.syscalls().map(|call| call.name.to_owned()).collect();
        let mut members = BTreeSet::new();
        let mut open = vec![group.name.to_owned()];
        while let Some(name) = open.pop() {
            for member in theirs.get(&name).into_iter().flatten() {
                if member.starts_with('@') {
                    open.push(member.clone());
                } else {
                    members.insert(member.clone());
                }
            }
        }
        moved.extend(ours.symmetric_difference(&members).cloned());
    }
    moved
}

/// A container with the machine's own systemd and the units, ended when dropped.
struct Booted {
    container: Child,
    /// The programs of the units, in order.
    pids: Vec<u32>,
}

impl Drop for Booted {
    fn drop(&mut self) {
        // It takes all that runs in it along.
        let _ = self.container.kill();
        let _ = self.container.wait();
    }
}

impl Booted {
    /// Boots, or says what was said instead.
    fn start(scratch: &Scratch, units: &[Unit]) -> Result<Booted, String> {
        const HEAD: &str = "[Unit]\nDefaultDependencies=no\n";
        let seconds: Vec<String> =
            (0..units.len()).map(|at| format!("300.{}{at}", process::id())).collect();
        let mut binds = Vec::new();
        let mut bind = |name: &str, text: String| {
            scratch.file(name, text);
            let path = scratch.join(name);
            binds.push(format!("--bind-ro={}:/etc/systemd/system/{name}", path.display()));
        };
        for (at, Unit { settings, .. }) in units.iter().enumerate() {
            let program = format!("ExecStart=/usr/bin/sleep {}", seconds[at]);
            bind(&unit_name(at), format!("{HEAD}[Service]\n{program}\n{settings}\n"));
        }
        let wants: Vec<String> = (0..units.len()).map(unit_name).collect();
        bind("probe.target", format!("{HEAD}Wants={}\n", wants.join(" ")));
        // A group tree of its own: the machine's may be of the old kind. The container's own
        // filters would hold the programs too.
        let script = "umount -R -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && \
                      SYSTEMD_SECCOMP=0 exec systemd-nspawn --register=no --keep-unit \
                      --volatile=yes -D / \"$@\" -b systemd.unit=probe.target";
        let said = fs::File::create(scratch.join("said")).expect("the folder takes a file");
        let container = Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh"])
            .args(&binds)
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("descriptors are free"))
            .stderr(said)
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut booted = Booted { container, pids: Vec::new() };
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(60) {
            let found: Vec<Option<u32>> = seconds.iter().map(|time| sleeper(time)).collect();
            if let Some(pids) = found.into_iter().collect() {
                booted.pids = pids;
                return Ok(booted);
            }
            if booted.container.try_wait().expect("it is our child").is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(String::from_utf8_lossy(&scratch.read("said")).into_owned())
    }
}

/// The process that sleeps for this time.
fn sleeper(seconds: &str) -> Option<u32> {
    let command = format!("/usr/bin/sleep\0{seconds}\0");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        (fs::read(entry.path().join("cmdline")).ok()? == command.as_bytes()).then_some(pid)
    })
}
