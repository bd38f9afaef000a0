//! A process's threads by the filters that hold them.

use std::collections::BTreeSet;

use super::error::{DumpError, Kind};
use super::{DumpedFilter, Holds, in_a_thread, look, may_read, read};
use crate::status::ThreadStatus;

/// Threads of a process that the same filters hold, in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadGroup {
    /// Their numbers, rising.
    pub threads: Vec<i32>,
    /// Whether they are in strict mode; there are no filters then.
    pub strict: bool,
    /// Their filters, **oldest first**.
    pub filters: Vec<DumpedFilter>,
}

/// All threads of a process, grouped by what holds them; the group of the lowest number, as a rule
/// the process's first thread, comes first. A process whose threads are held alike has one group.
///
/// Threads are stopped one after the other, each as by [`filters_of`](super::filters_of); one
/// that ends meanwhile is left out, one that begins is read.
///
/// # Errors
///
/// As [`filters_of`](super::filters_of); threads in strict mode are a group here, not an error.
pub fn threads_of(pid: i32) -> Result<Vec<ThreadGroup>, DumpError> {
    in_a_thread(move || {
        let mut groups: Vec<ThreadGroup> = Vec::new();
        let mut seen = BTreeSet::new();
        loop {
            let new: Vec<i32> = numbers(pid)?.into_iter().filter(|tid| seen.insert(*tid)).collect();
            if new.is_empty() {
                break;
            }
            for tid in new {
                match held(tid) {
                    Ok((strict, filters)) => {
                        let same =
                            |g: &&mut ThreadGroup| g.strict == strict && g.filters == filters;
                        match groups.iter_mut().find(same) {
                            Some(group) => group.threads.push(tid),
                            None => {
                                groups.push(ThreadGroup { threads: vec![tid], strict, filters })
                            }
                        }
                    }
                    Err(error) if error.is_gone() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        groups.iter_mut().for_each(|group| group.threads.sort_unstable());
        groups.sort_by_key(|group| group.threads.first().copied());
        if groups.is_empty() { Err(Kind::Gone(pid).into()) } else { Ok(groups) }
    })
}

fn numbers(pid: i32) -> Result<Vec<i32>, DumpError> {
    match ThreadStatus::numbers_of(pid) {
        Ok(threads) => Ok(threads),
        Err(error) if ThreadStatus::is_gone(&error) => Err(Kind::Gone(pid).into()),
        Err(error) => Err(Kind::Proc(pid, (&error).into()).into()),
    }
}

/// Whether a thread is in strict mode, and its filters.
fn held(tid: i32) -> Result<(bool, Vec<DumpedFilter>), DumpError> {
    match look(tid)? {
        Holds::Nothing => Ok((false, Vec::new())),
        Holds::Strict => Ok((true, Vec::new())),
        Holds::Filters => {
            may_read()?;
            read(tid).map(|filters| (false, filters))
        }
    }
}
