//! Copies a file in strict mode: opens both files, gives everything else up, copies.
//!
//! ```console
//! $ cargo run -p callgate --example strict_copier -- /etc/hostname copy
//! $ cmp /etc/hostname copy && echo the same
//! the same
//! ```
//!
//! From [`callgate::strict()`] on, the process may only read, write and exit. Should the code that
//! handles the data be taken over, there is no file that it could open and nobody that it could
//! call.

use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::process::ExitCode;

/// Copies the first argument to the second.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [from, to] = &arguments[..] else {
        eprintln!("usage: strict_copier FROM TO");
        return ExitCode::from(2);
    };
    let (mut input, mut output) = match (File::open(from), File::create(to)) {
        (Ok(input), Ok(output)) => (input, output),
        (Err(error), _) => return fail(&from.display(), &error),
        (_, Err(error)) => return fail(&to.display(), &error),
    };
    if let Err(error) = callgate::strict() {
        return fail(&"strict", &error);
    }

    // No allocation from here on: it could need brk or mmap.
    let mut buffer = [0; 8192];
    let status = loop {
        match input.read(&mut buffer) {
            Ok(0) => break 0,
            Ok(length) => match output.write_all(&buffer[..length]) {
                Ok(()) => {}
                Err(_) => break 1,
            },
            Err(_) => break 1,
        }
    };
    // Returning from main would call exit_group, which kills.
    callgate::exit_strict(status)
}

fn fail(what: &dyn std::fmt::Display, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("strict_copier: {what}: {error}");
    ExitCode::FAILURE
}
