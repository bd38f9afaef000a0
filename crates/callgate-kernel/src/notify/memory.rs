//! The memory of a thread that waits.
//!
//! Read through `/proc/PID/mem`, which takes the right to trace that process. What is read is what
//! stood there at that moment: another thread, or a process with the same memory, may change it
//! before the kernel looks, so it tells what a call is about and decides nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Notification;
use crate::errno::Errno;

/// A string out of a thread's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Text {
    /// Its bytes, without the NUL.
    pub bytes: Vec<u8>,
    /// Whether it goes on after these.
    pub cut: bool,
}

impl Text {
    /// Of bytes that were read of a string, as far as its NUL if it is among them.
    pub fn of(bytes: &[u8]) -> Text {
        let end = bytes.iter().position(|byte| *byte == 0);
        Text { bytes: bytes[..end.unwrap_or(bytes.len())].to_vec(), cut: end.is_none() }
    }
}

/// The smallest page of any architecture: reads don't cross its border, since the page behind it
/// may be missing.
const PAGE: u64 = 4096;

impl Notification<'_> {
    /// Fills the buffer from this address on, and says how much could be read.
    ///
    /// # Errors
    ///
    /// ESRCH when the thread does not wait any more; EACCES or EPERM when this process may not
    /// trace that one; EIO or EFAULT when there is no memory at that address.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let read = read(self.memory()?, address, buffer)?;
        self.still(read)
    }

    /// The string at this address, up to its NUL or the limit.
    ///
    /// # Errors
    ///
    /// As [`Notification::read`].
    pub fn read_string(&self, address: u64, limit: usize) -> Result<Text, Errno> {
        let text = read_string(&self.memory()?, address, limit)?;
        self.still(text)
    }

    fn memory(&self) -> Result<File, Errno> {
        let thread = self.thread().ok_or(Errno(libc::ESRCH))?;
        File::open(format!("/proc/{thread}/mem")).map_err(|error| Errno::from(&error))
    }

    /// What was read, when the number was that thread's all the while.
    fn still<T>(&self, read: T) -> Result<T, Errno> {
        if self.is_waiting() { Ok(read) } else { Err(Errno(libc::ESRCH)) }
    }
}

fn read(memory: File, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        let at = u64::try_from(filled).ok().and_then(|filled| address.checked_add(filled));
        let Some(at) = at else { break };
        match memory.read_at(&mut buffer[filled..], at) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if filled > 0 => break,
            Err(error) => return Err(Errno::from(&error)),
        }
    }
    Ok(filled)
}

fn read_string(memory: &File, address: u64, limit: usize) -> Result<Text, Errno> {
    let mut bytes = Vec::new();
    let mut at = address;
    while bytes.len() < limit {
        let to_border = usize::try_from(PAGE - at % PAGE).unwrap_or(1);
        let mut piece = vec![0; to_border.min(limit - bytes.len())];
        let count = match memory.read_at(&mut piece, at) {
            Ok(count) => count,
            Err(error) if bytes.is_empty() => return Err(Errno::from(&error)),
            Err(_) => 0,
        };
        let piece = &piece[..count];
        if let Some(end) = piece.iter().position(|&byte| byte == 0) {
            bytes.extend_from_slice(&piece[..end]);
            return Ok(Text { bytes, cut: false });
        }
        bytes.extend_from_slice(piece);
        let Some(next) = u64::try_from(count).ok().and_then(|count| at.checked_add(count)) else {
            break;
        };
        if count == 0 {
            break;
        }
        at = next;
    }
    Ok(Text { bytes, cut: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> File {
        File::open("/proc/self/mem").unwrap()
    }

    fn address(bytes: &[u8]) -> u64 {
        u64::try_from(bytes.as_ptr().addr()).unwrap()
    }

    #[test]
    fn a_string_ends_at_its_nul_or_at_the_limit() {
        let mut bytes = vec![b'a'; 10_000];
        bytes[9_000] = 0;
        let text = read_string(&own(), address(&bytes), 9_500).unwrap();
        assert_eq!((text.bytes.len(), text.cut), (9_000, false));
        let text = read_string(&own(), address(&bytes), 100).unwrap();
        assert_eq!((text.bytes.len(), text.cut), (100, true));
    }

    #[test]
    fn an_address_without_memory_is_an_error() {
        assert!(read_string(&own(), 0, 10).is_err());
        assert!(read(own(), u64::MAX - 3, &mut [0; 10]).is_err());
    }

    #[test]
    fn a_buffer_is_filled() {
        let bytes = *b"0123456789";
        let mut copy = [0; 10];
        assert_eq!(read(own(), address(&bytes), &mut copy), Ok(10));
        assert_eq!(copy, bytes);
    }
}
