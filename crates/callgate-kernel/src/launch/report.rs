//! What the child of a launch tells its parent: a page of memory that both see.
//!
//! A page rather than a pipe: writing to it is no system call, so a filter that refuses `write`
//! cannot silence the child, and there is no descriptor that could reach the command.
//!
//! # Safety
//!
//! The page is mapped once, never moved, and unmapped when its owner is dropped. Only atomics
//! live in it, so parent and child may access it at any time.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::process::{Pid, getppid};

use crate::errno::Errno;
use crate::privileges::CapSet;

/// The child's steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the order is the promise that the launch makes")]
pub enum Stage {
    /// Signals are put back to what the command should find.
    Signals,
    /// The bounding set is shrunk.
    BoundingSet,
    /// no_new_privs is set.
    NoNewPrivs,
    /// The filter is loaded. What follows runs under it.
    Filter,
    /// The permitted, effective, inheritable and ambient sets are changed.
    Capabilities,
    /// The command is executed.
    Exec,
}

const STAGES: [Stage; 6] = [
    Stage::Signals,
    Stage::BoundingSet,
    Stage::NoNewPrivs,
    Stage::Filter,
    Stage::Capabilities,
    Stage::Exec,
];

const SETS: [CapSet; 5] =
    [CapSet::Bounding, CapSet::Permitted, CapSet::Effective, CapSet::Inheritable, CapSet::Ambient];

#[derive(Default)]
#[repr(C)]
struct Words {
    stage: AtomicU32,
    /// 0 while nothing has failed.
    errno: AtomicI32,
    set: AtomicU32,
    /// A capability and 1, or 0.
    capability: AtomicU32,
    /// What a child that is held waits for.
    gate: AtomicU32,
    /// The listener's descriptor and 1, or 0.
    listener: AtomicU32,
}

const CLOSED: u32 = 0;
const OPEN: u32 = 1;

/// The page.
pub(super) struct Report {
    words: NonNull<Words>,
}

// SAFETY: the page holds nothing but atomics, see above; the pointer itself never changes.
unsafe impl Sync for Report {}

/// How far the child came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// The last step that it began.
    pub(super) stage: Stage,
    /// The error that ended it there.
    pub(super) errno: Option<Errno>,
    /// The capability set that could not be changed, and for which capability.
    pub(super) capability: Option<(CapSet, Option<u8>)>,
}

impl Report {
    pub(super) fn new() -> Result<Report, Errno> {
        // SAFETY: a new anonymous mapping, zeroed by the kernel, touches no memory in use.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<Words>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        NonNull::new(page.cast()).map(|words| Report { words }).ok_or(Errno(libc::ENOMEM))
    }

    fn words(&self) -> &Words {
        // SAFETY: the mapping is page-aligned, large enough, lives as long as `self`, and all
        // bit patterns, the kernel's zeros too, are valid atomics.
        unsafe { self.words.as_ref() }
    }

    /// The child begins a step.
    pub(super) fn enter(&self, stage: Stage) {
        let number = STAGES.iter().position(|s| *s == stage).unwrap_or(0);
        self.words().stage.store(u32::try_from(number).unwrap_or(0), Ordering::SeqCst);
    }

    /// The child waits until it is let go; whether it was. A parent that dies is noticed.
    pub(super) fn wait_at_gate(&self, parent: Pid) -> bool {
        let second = libc::timespec { tv_sec: 1, tv_nsec: 0 };
        let gate = &self.words().gate;
        while gate.load(Ordering::SeqCst) == CLOSED {
            // SAFETY: the word lives in the page; the kernel only reads the timeout. A wake-up
            // that comes too early or too late is met by the loop.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    gate.as_ptr(),
                    libc::FUTEX_WAIT,
                    CLOSED,
                    &raw const second,
                )
            };
            if getppid() != Some(parent) {
                return false;
            }
        }
        true
    }

    /// The child may go on.
    pub(super) fn open_gate(&self) {
        let gate = &self.words().gate;
        gate.store(OPEN, Ordering::SeqCst);
        // SAFETY: the word lives in the page.
        unsafe { libc::syscall(libc::SYS_futex, gate.as_ptr(), libc::FUTEX_WAKE, 1) };
    }

    /// The child has loaded a filter whose listener has this number.
    pub(super) fn leave_listener(&self, result: i64) {
        let number = u32::try_from(result).map_or(0, |number| number.saturating_add(1));
        self.words().listener.store(number, Ordering::SeqCst);
    }

    /// The number of the listener, once it is there.
    pub(super) fn listener(&self) -> Option<i32> {
        let number = self.words().listener.load(Ordering::SeqCst).checked_sub(1)?;
        i32::try_from(number).ok()
    }

    /// The step that it began has failed.
    pub(super) fn fail(&self, errno: Errno, capability: Option<(CapSet, Option<u8>)>) {
        if let Some((set, capability)) = capability {
            let set = SETS.iter().position(|s| *s == set).unwrap_or(0);
            let capability = capability.map_or(0, |capability| u32::from(capability) + 1);
            self.words().set.store(u32::try_from(set).unwrap_or(0) + 1, Ordering::SeqCst);
            self.words().capability.store(capability, Ordering::SeqCst);
        }
        self.words().errno.store(errno.0, Ordering::SeqCst);
    }

    /// What the parent finds.
    pub(super) fn progress(&self) -> Progress {
        let index = |word: &AtomicU32| usize::try_from(word.load(Ordering::SeqCst)).unwrap_or(0);
        let words = self.words();
        let errno = words.errno.load(Ordering::SeqCst);
        let set = index(&words.set).checked_sub(1).and_then(|i| SETS.get(i).copied());
        let capability = words.capability.load(Ordering::SeqCst).checked_sub(1);
        Progress {
            stage: STAGES.get(index(&words.stage)).copied().unwrap_or(Stage::Signals),
            errno: (errno != 0).then_some(Errno(errno)),
            capability: set
                .map(|set| (set, capability.and_then(|number| u8::try_from(number).ok()))),
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // SAFETY: unmaps the mapping that `new` made, to which no reference is left.
        unsafe { libc::munmap(self.words.as_ptr().cast(), size_of::<Words>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_with_its_place() {
        let report = Report::new().unwrap();
        assert_eq!(
            report.progress(),
            Progress { stage: Stage::Signals, errno: None, capability: None }
        );
        report.enter(Stage::Capabilities);
        report.fail(Errno(libc::EPERM), Some((CapSet::Ambient, Some(0))));
        let progress = report.progress();
        assert_eq!(progress.stage, Stage::Capabilities);
        assert_eq!(progress.errno, Some(Errno(libc::EPERM)));
        assert_eq!(progress.capability, Some((CapSet::Ambient, Some(0))));
    }
}
