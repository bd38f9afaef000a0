//! The ring of events, read where the kernel writes it ("BPF ring buffer" of its documentation).

use std::os::fd::{AsFd, BorrowedFd};

use super::map::{Access, Memory};
use super::programs::{EVENT_SIZE, refusal};
use crate::errno::Errno;

/// The reading end.
pub(super) struct Ring {
    /// A page with the reader's position, which the kernel reads.
    consumer: Memory,
    /// A page with the writer's position.
    producer: Memory,
    /// The records, twice in a row, so that each lies in one piece.
    data: Memory,
    size: u64,
}

/// An event as the programs write it.
pub(super) enum RawEvent {
    News([u64; NEWS_WORDS]),
    Refusal(Box<[u64; REFUSAL_WORDS]>),
}

const NEWS_WORDS: usize = EVENT_SIZE as usize / 8;
pub(super) const REFUSAL_WORDS: usize = refusal::WORDS.cast_unsigned() as usize;

/// Bits of a record's length: being written, and given up.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
const HEADER: u64 = 8;

impl Ring {
    /// Of a map of `size` bytes, a power of 2 and a multiple of the page size.
    pub(super) fn new(map: BorrowedFd<'_>, size: u32) -> Result<Ring, Errno> {
        let page = rustix::param::page_size();
        let bytes = usize::try_from(size).map_err(|_| Errno(libc::EINVAL))?;
        Ok(Ring {
            consumer: Memory::new(map.as_fd(), 0, page, Access::ReadWrite)?,
            producer: Memory::new(map.as_fd(), page, page, Access::Read)?,
            data: Memory::new(map.as_fd(), 2 * page, 2 * bytes, Access::Read)?,
            size: u64::from(size),
        })
    }

    /// The next event, without waiting.
    pub(super) fn next(&mut self) -> Option<RawEvent> {
        use std::sync::atomic::Ordering::Acquire;
        loop {
            let position = self.consumer.double(0).load(Acquire);
            if position == self.producer.double(0).load(Acquire) {
                return None;
            }
            let place = |at: u64| usize::try_from((position & (self.size - 1)) + at).unwrap_or(0);
            let header = self.data.word(place(0)).load(Acquire);
            if header & BUSY != 0 {
                return None;
            }
            let length = u64::from(header & !DISCARDED);
            let word = |index: usize| {
                let at = u64::try_from(index).unwrap_or(0) * 8;
                self.data.double(place(HEADER + at)).load(Acquire)
            };
            let event = match length {
                _ if header & DISCARDED != 0 => None,
                length if length == u64::from(EVENT_SIZE) => {
                    Some(RawEvent::News(std::array::from_fn(word)))
                }
                length if usize::try_from(length) == Ok(8 * REFUSAL_WORDS) => {
                    Some(RawEvent::Refusal(Box::new(std::array::from_fn(word))))
                }
                _ => None,
            };
            let next = position + (length + HEADER).next_multiple_of(8);
            self.consumer.set_double(0, next);
            if event.is_some() {
                return event;
            }
        }
    }
}
