//! Which processes a tree has when its recording begins.

use std::collections::BTreeSet;
use std::fs;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::map::Map;
use crate::errno::Errno;

/// Puts a process and all that it has started among the roots of the tree.
///
/// The programs that follow forks and ends run already. So a child of a process that is a root is
/// known to the kernel; one that was made just before is found by looking again, until a look finds
/// none.
pub(super) fn plant(process: i32, roots: &Map) -> Result<(), Errno> {
    let mut known = BTreeSet::new();
    let mut found = vec![process];
    while !found.is_empty() {
        for pid in found {
            let is_there = root(pid, roots)?;
            if !is_there && pid == process {
                return Err(Errno(libc::ESRCH));
            }
            known.insert(pid);
        }
        found =
            known.iter().flat_map(|&pid| children(pid)).filter(|c| !known.contains(c)).collect();
    }
    Ok(())
}

/// Makes a process a root, unless it has ended. The number cannot become another's meanwhile: the
/// end takes it off again, and one that came before is seen by its descriptor.
fn root(pid: i32, roots: &Map) -> Result<bool, Errno> {
    let handle = Pid::from_raw(pid).ok_or(Errno(libc::ESRCH))?;
    let handle = match pidfd_open(handle, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    roots.update(&pid.to_ne_bytes(), &0u32.to_ne_bytes())?;
    let mut fds = [PollFd::new(&handle, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut fds, Some(&now))? > 0 {
        roots.delete(&pid.to_ne_bytes())?;
        return Ok(false);
    }
    Ok(true)
}

/// The children of all threads of a process; none when it has ended.
fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of_thread = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).ok();
    let lists: Vec<String> = threads.flatten().filter_map(of_thread).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|p| p.parse().ok()).collect()
}
