//! What holds a thread, read back from `/proc`.

use std::fs;
use std::io;

use callgate_syscalls::CapabilitySet;

use crate::privileges::CapState;

/// The seccomp mode of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Nothing holds it.
    Disabled,
    /// Strict mode.
    Strict,
    /// One filter or more.
    Filter,
    /// A number that this crate does not know. 3 is a thread that a filter is just killing.
    Other(u32),
}

/// What `/proc/PID/task/TID/status` says of a thread's limits, `proc_pid_status(5)`.
///
/// A field is `None` where the kernel does not show it: the count of filters came with Linux
/// 5.11, no_new_privs with 4.10.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadStatus {
    /// The thread's number.
    pub thread: i32,
    /// The thread's name, at most 15 bytes, as `/proc` shows it.
    pub name: String,
    /// The seccomp mode; `None` on a kernel without seccomp.
    pub mode: Option<Mode>,
    /// How many filters hold it.
    pub filters: Option<u32>,
    /// Whether no_new_privs is set.
    pub no_new_privs: Option<bool>,
    /// The capability sets.
    pub capabilities: CapState,
    /// The effective user id.
    pub user: Option<u32>,
    /// The process that traces it, if one does.
    pub tracer: Option<i32>,
    /// The mitigation of Speculative Store Bypass, in the kernel's words: `vulnerable`,
    /// `thread vulnerable`, `thread force mitigated`.
    pub speculation_store_bypass: Option<String>,
    /// The mitigation of indirect branch speculation, in the kernel's words.
    pub speculation_indirect_branch: Option<String>,
}

impl ThreadStatus {
    /// Reads the text of a status file. `None` when it has no thread number or not the four
    /// capability sets that every kernel since 2.6.26 shows, so that it is not such a file.
    pub fn parse(text: &str) -> Option<ThreadStatus> {
        let field = |name: &str| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key == name).then_some(value.trim())
            })
        };
        let number = |name: &str| field(name)?.parse::<u32>().ok();
        let set =
            |name: &str| u64::from_str_radix(field(name)?, 16).ok().map(CapabilitySet::from_bits);
        let words = |name: &str| field(name).map(str::to_owned);
        Some(ThreadStatus {
            thread: field("Pid")?.parse().ok()?,
            name: field("Name")?.to_owned(),
            mode: number("Seccomp").map(|mode| match mode {
                0 => Mode::Disabled,
                1 => Mode::Strict,
                2 => Mode::Filter,
                other => Mode::Other(other),
            }),
            filters: number("Seccomp_filters"),
            no_new_privs: number("NoNewPrivs").map(|value| value != 0),
            capabilities: CapState {
                bounding: set("CapBnd")?,
                permitted: set("CapPrm")?,
                effective: set("CapEff")?,
                inheritable: set("CapInh")?,
                ambient: set("CapAmb").unwrap_or(CapabilitySet::EMPTY),
            },
            // Real, effective, saved, file system.
            user: field("Uid").and_then(|ids| ids.split_whitespace().nth(1)?.parse().ok()),
            tracer: field("TracerPid").and_then(|pid| pid.parse().ok()).filter(|pid| *pid != 0),
            speculation_store_bypass: words("Speculation_Store_Bypass"),
            speculation_indirect_branch: words("SpeculationIndirectBranch"),
        })
    }

    /// The calling thread.
    ///
    /// # Errors
    ///
    /// When `/proc` is not mounted.
    pub fn of_this_thread() -> io::Result<ThreadStatus> {
        read("/proc/thread-self/status")
    }

    /// One thread of any process, by its own number.
    ///
    /// # Errors
    ///
    /// [`ThreadStatus::is_gone`] tells of a thread that is not there; anything else means that
    /// `/proc` is not mounted, or hides it.
    pub fn of_thread(thread: i32) -> io::Result<ThreadStatus> {
        // `/proc` lists processes alone, and yet opens every thread by its number.
        match read(&format!("/proc/{thread}/status")) {
            Err(error) if is_gone(&error) && !fs::exists("/proc/self/status")? => {
                Err(io::Error::other("/proc is not mounted"))
            }
            other => other,
        }
    }

    /// Whether an error of these functions says that the thread or process is not there.
    pub fn is_gone(error: &io::Error) -> bool {
        is_gone(error)
    }

    /// The numbers of a process's threads, rising.
    pub(crate) fn numbers_of(pid: i32) -> io::Result<Vec<i32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Every thread of a process, in the order of their numbers: filters belong to threads, so
    /// one process may have several answers. A thread that ends while being read is left out.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such process, or `/proc` is not mounted.
    pub fn of_process(pid: i32) -> io::Result<Vec<ThreadStatus>> {
        let mut threads = Vec::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = entry?.path().join("status");
            match path.to_str().map(read) {
                Some(Ok(status)) => threads.push(status),
                Some(Err(error)) if is_gone(&error) => {}
                Some(Err(error)) => return Err(error),
                None => {}
            }
        }
        if threads.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        threads.sort_by_key(|status| status.thread);
        Ok(threads)
    }
}

fn read(path: &str) -> io::Result<ThreadStatus> {
    let text = fs::read(path)?;
    // A thread may give itself any bytes for a name.
    let text = String::from_utf8_lossy(&text);
    ThreadStatus::parse(&text).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{path} is not a status file"))
    })
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Name:\tweb: one\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t70\nPid:\t71\n\
        TracerPid:\t12\nUid:\t0\t33\t0\t33\nCapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n\
        CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000400\n\
        NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n\
        Speculation_Store_Bypass:\tthread force mitigated\n\
        SpeculationIndirectBranch:\tconditional enabled\n";

    #[test]
    fn every_field_is_read() {
        let status = ThreadStatus::parse(TEXT).unwrap();
        assert_eq!(status.thread, 71);
        assert_eq!(status.name, "web: one");
        assert_eq!(status.mode, Some(Mode::Filter));
        assert_eq!(status.filters, Some(3));
        assert_eq!(status.no_new_privs, Some(true));
        assert_eq!(status.capabilities.bounding, CapabilitySet::DOCKER_DEFAULT);
        assert_eq!(status.capabilities.ambient.bits(), 0x400);
        assert_eq!((status.user, status.tracer), (Some(33), Some(12)));
        assert_eq!(status.speculation_store_bypass.as_deref(), Some("thread force mitigated"));
    }

    #[test]
    fn what_an_old_kernel_lacks_is_absent() {
        let old: String = TEXT
            .lines()
            .filter(|line| {
                !["Seccomp", "NoNew", "CapAmb", "Spec"].iter().any(|p| line.starts_with(p))
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let status = ThreadStatus::parse(&old).unwrap();
        assert_eq!((status.mode, status.filters, status.no_new_privs), (None, None, None));
        assert!(status.capabilities.ambient.is_empty());
        assert_eq!(ThreadStatus::parse("Name:\tx\n"), None);
        let other = TEXT.replace("Seccomp:\t2", "Seccomp:\t3");
        assert_eq!(ThreadStatus::parse(&other).unwrap().mode, Some(Mode::Other(3)));
    }

    #[test]
    fn each_thread_of_a_process_is_read() {
        let own = ThreadStatus::of_this_thread().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let all = ThreadStatus::of_process(pid).unwrap();
        assert!(all.iter().any(|status| status.thread == own.thread));
        assert_eq!(all[0].thread, pid);
        assert!(ThreadStatus::of_process(i32::MAX).is_err());
    }
}
