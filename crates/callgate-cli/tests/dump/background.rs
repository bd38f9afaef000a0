//! A program that runs while a test looks at it, ended when dropped.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::common::{CALLGATE, Scratch};

const LIMIT: Duration = Duration::from_secs(60);

pub struct Background {
    child: Child,
    /// The process to look at: the child, or one that it has started.
    pid: i32,
}

impl Background {
    /// Any program.
    pub fn of(folder: &Path, program: &str, args: &[&str]) -> Background {
        let child = Command::new(program)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let pid = i32::try_from(child.id()).unwrap();
        Background { child, pid }
    }

    /// The command under test, and as the process to look at the descendant that executes
    /// `program`; with none, the first child.
    pub fn start(scratch: &Scratch, args: &[&str], program: &str) -> Background {
        Background::of(scratch.path(), CALLGATE, args).down_to(program, args)
    }

    /// With the descendant that executes `program` as the process to look at.
    pub fn down_to(self, program: &str, args: &[&str]) -> Background {
        let mut background = self;
        let begin = Instant::now();
        loop {
            let mut pids = vec![background.pid];
            while let Some(pid) = pids.pop() {
                let found = if program.is_empty() {
                    pid != background.pid
                } else {
                    name_of(pid) == program
                };
                if found {
                    background.pid = pid;
                    return background;
                }
                pids.extend(children_of(pid));
            }
            let ended = background.child.try_wait().expect("it is our child");
            if program.is_empty() && ended.is_some() {
                return background;
            }
            assert!(ended.is_none(), "{args:?} ended: {ended:?}");
            assert!(begin.elapsed() < LIMIT, "{args:?} starts no {program}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// `sleep` under these profiles, each loaded by a `run` of its own, the first the oldest.
    pub fn held(scratch: &Scratch, profiles: &[&str]) -> Background {
        let mut args: Vec<&str> = Vec::new();
        for profile in profiles {
            if !args.is_empty() {
                args.push(CALLGATE);
            }
            args.extend(["run", "--profile", profile, "--"]);
        }
        args.extend(["sleep", "60"]);
        Background::start(scratch, &args, "sleep")
    }

    pub fn pid(&self) -> String {
        self.pid.to_string()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // The number of a child that has ended may be another's.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        for pid in descendants_of(i32::try_from(self.child.id()).unwrap()) {
            let _ = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn name_of(pid: i32) -> String {
    // Of the file that is executed: the name of a process changes before its filters hold.
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    exe.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn children_of(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

fn descendants_of(pid: i32) -> Vec<i32> {
    let mut all = children_of(pid);
    let mut index = 0;
    while let Some(&pid) = all.get(index) {
        all.extend(children_of(pid));
        index += 1;
    }
    all
}
