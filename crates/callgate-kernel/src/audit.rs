//! What the kernel logs of seccomp, read as it happens.

mod record;

pub use self::record::SeccompRecord;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A listener to the audit records of the kernel, by multicast: no daemon is needed, none is
/// disturbed, and records come whether auditing is switched on or not.
///
/// While an audit daemon runs, it hears the same.
pub struct AuditLog {
    socket: OwnedFd,
}

/// `AUDIT_SECCOMP` of `linux/audit.h`.
const AUDIT_SECCOMP: u16 = 1326;
/// `AUDIT_NLGRP_READLOG` as a bit of `sockaddr_nl`.
const READLOG: u32 = 1;
/// `MAX_AUDIT_MESSAGE_LENGTH`, and a header.
const BUFFER: usize = 8970 + 16;

impl AuditLog {
    /// Begins to listen. Open it before the process starts whose records are wanted.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without CAP_AUDIT_READ in the initial user namespace, which an ordinary
    /// user and most containers lack; other kinds where the kernel has no audit system
    /// (`Unsupported`, EPROTONOSUPPORT) or where this is not its initial network namespace
    /// (ECONNREFUSED and the like).
    pub fn open() -> io::Result<AuditLog> {
        open_socket(READLOG).map(|socket| AuditLog { socket })
    }

    /// The seccomp records that have come since the last call, oldest first, without waiting.
    /// Records that are lost, because more came than the socket holds, are passed over.
    pub fn records(&mut self) -> Vec<SeccompRecord> {
        let mut records = Vec::new();
        loop {
            match receive(&self.socket) {
                Ok(Some((AUDIT_SECCOMP, text))) => records.extend(SeccompRecord::parse(&text)),
                Ok(Some(_)) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Ok(None) | Err(_) => return records,
            }
        }
    }

    /// The last record of a process, as far as one comes within `patience`: the kernel hands
    /// records to a thread of its own, which may send them a moment after the process has ended.
    pub fn last_of(&mut self, pid: i32, patience: Duration) -> Option<SeccompRecord> {
        let end = Instant::now() + patience;
        let mut last = None;
        loop {
            last = self.records().into_iter().rfind(|record| record.pid == pid).or(last);
            let left = end.saturating_duration_since(Instant::now());
            if last.is_some() || left.is_zero() {
                return last;
            }
            let timeout = Timespec::try_from(left).ok()?;
            let mut fds = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return last,
            }
        }
    }
}

/// Whether the audit system is switched on, as `auditctl -s` says. Seccomp records are made
/// either way; switched on, they go to the daemon if one runs.
///
/// # Errors
///
/// As [`AuditLog::open`]; asking takes CAP_AUDIT_CONTROL, where listening takes CAP_AUDIT_READ.
pub fn audit_enabled() -> io::Result<bool> {
    /// `AUDIT_GET` of `linux/audit.h`.
    const AUDIT_GET: u16 = 1000;
    let socket = open_socket(0)?;
    // The answer is sent before the request returns, but as a message of its own, perhaps after
    // an acknowledgement.
    send(&socket, AUDIT_GET)?;
    let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    loop {
        if poll(&mut fds, Some(&second))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match receive_bytes(&socket)? {
            Some((AUDIT_GET, body)) => {
                // `struct audit_status`: a mask, then whether it is enabled.
                let enabled = body.get(4..8).and_then(|b| b.try_into().ok());
                return enabled
                    .map(|bytes| u32::from_ne_bytes(bytes) != 0)
                    .ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
            Some((NLMSG_ERROR, body)) => {
                let code = body.get(..4).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes);
                match code {
                    Some(0) => {}
                    Some(code) => return Err(io::Error::from_raw_os_error(-code)),
                    None => return Err(io::ErrorKind::InvalidData.into()),
                }
            }
            _ => {}
        }
    }
}

const NLMSG_ERROR: u16 = 2;

/// # Safety
///
/// The descriptor is new; the address is a plain structure that the kernel reads.
#[allow(unsafe_code)]
fn open_socket(groups: u32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes numbers; a result that is not -1 is a descriptor that nobody else has.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_AUDIT);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    // SAFETY: all bit patterns are valid for `sockaddr_nl`, a structure of numbers.
    let mut address: libc::sockaddr_nl = unsafe { MaybeUninit::zeroed().assume_init() };
    address.nl_family = libc::sa_family_t::try_from(libc::AF_NETLINK).unwrap_or_default();
    address.nl_groups = groups;
    let size = libc::socklen_t::try_from(size_of::<libc::sockaddr_nl>()).unwrap_or_default();
    // SAFETY: the kernel reads `size` bytes of `address`, all of it.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

/// Sends a request without a body.
fn send(socket: &OwnedFd, kind: u16) -> io::Result<()> {
    const NLM_F_REQUEST: u16 = 1;
    let mut message = Vec::with_capacity(16);
    message.extend(16u32.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and port, which only matter to those who send more than one.
    message.extend([0; 8]);
    rustix::io::write(socket, &message)?;
    Ok(())
}

/// The type and text of the next message; `None` when there is none.
fn receive(socket: &OwnedFd) -> io::Result<Option<(u16, String)>> {
    Ok(receive_bytes(socket)?
        .map(|(kind, body)| (kind, String::from_utf8_lossy(&body).trim_end_matches('\0').into())))
}

fn receive_bytes(socket: &OwnedFd) -> io::Result<Option<(u16, Vec<u8>)>> {
    let mut buffer = vec![0; BUFFER];
    let length = match rustix::io::read(socket, &mut buffer) {
        Ok(length) => length,
        Err(rustix::io::Errno::AGAIN) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    buffer.truncate(length);
    // `struct nlmsghdr`: length, type, flags, sequence, port. The audit system sends one message
    // a datagram, and its length field has not always counted the header: the datagram's does.
    let Some(kind) = buffer.get(4..6).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes)
    else {
        return Ok(Some((0, Vec::new())));
    };
    Ok(Some((kind, buffer.split_off(16.min(length)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_works_or_is_denied() {
        match AuditLog::open() {
            Ok(mut log) => {
                log.records();
                assert!(audit_enabled().is_ok());
            }
            Err(error) => eprintln!("skipped: the audit log cannot be read here: {error}"),
        }
    }
}
