//! A thread that wakes another now and then.

use std::{
    io::{self, PipeReader, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// The thread, which writes into a pipe, until this is dropped.
pub struct Ticker {
    pipe: PipeReader,
    ticks: Arc<AtomicU64>,
    taken: AtomicU64,
    ended: Arc<AtomicBool>,
}

impl Ticker {
    /// Starts it; it has this thread's mask of signals.
    pub fn start(every: Duration) -> io::Result<Ticker> {
        let (pipe, mut writer) = io::pipe()?;
        let (ticks, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, over) = (Arc::clone(&ticks), Arc::clone(&ended));
        thread::Builder::new().name("ticker".to_owned()).spawn(move || {
            while !over.load(Ordering::Relaxed) {
                thread::sleep(every);
                if writer.write_all(&[0]).is_err() {
                    break;
                }
                counted.fetch_add(1, Ordering::Release);
            }
        })?;
        Ok(Ticker { pipe, ticks, taken: AtomicU64::new(0), ended })
    }

    /// Can be read when it has ticked.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Whether it has ticked since this was asked last.
    pub fn has_ticked(&self) -> bool {
        let ticks = self.ticks.load(Ordering::Acquire);
        let taken = self.taken.swap(ticks, Ordering::Relaxed);
        // Each tick that is counted has its byte in the pipe.
        let bytes = usize::try_from(ticks - taken).unwrap_or(0);
        (&self.pipe).read_exact(&mut vec![0; bytes]).is_ok() && bytes > 0
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
