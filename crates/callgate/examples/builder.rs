//! A filter made in code: the program may open sockets of its own machine and nothing else.
//!
//! ```console
//! $ cargo run -p callgate --example builder
//! before
//!   a unix socket: allowed
//!   an internet socket: allowed
//!   /dev/null: allowed
//! under the filter
//!   a unix socket: allowed
//!   an internet socket: Operation not permitted (os error 1)
//!   /dev/null: Operation not permitted (os error 1)
//! ```

use std::error::Error;
use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use callgate::{Action, Filter, Syscall, arg};

/// The address families of `socket(2)`, from `bits/socket.h`.
const AF_UNIX: i32 = 1;

/// Builds the filter, tries, loads it, and tries again.
pub fn main() -> Result<(), Box<dyn Error>> {
    let mut filter = Filter::builder()
        .allow_if(Syscall::socket, [arg(0).eq(AF_UNIX)])
        // Standard output, and nothing else that may be open.
        .allow_if(Syscall::write, [arg(0).eq(1)])
        .otherwise(Action::Errno(1));
    // Closing, allocating, locking, and what Rust does at the end of a program.
    for call in [
        Syscall::close,
        Syscall::brk,
        Syscall::mmap,
        Syscall::munmap,
        Syscall::mprotect,
        Syscall::madvise,
        Syscall::futex,
        Syscall::sigaltstack,
        Syscall::rt_sigreturn,
        Syscall::exit,
        Syscall::exit_group,
    ] {
        filter = filter.allow(call);
    }
    let filter = filter.build()?;

    println!("before");
    attempt();
    filter.load()?;
    println!("under the filter");
    attempt();
    Ok(())
}

fn attempt() {
    tell("a unix socket", &UnixDatagram::unbound());
    tell("an internet socket", &UdpSocket::bind("127.0.0.1:0"));
    tell("/dev/null", &File::open("/dev/null"));
}

fn tell<T>(what: &str, result: &io::Result<T>) {
    match result {
        Ok(_) => println!("  {what}: allowed"),
        Err(error) => println!("  {what}: {error}"),
    }
}
