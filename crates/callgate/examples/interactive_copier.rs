//! Asks whether to start strict mode, and then copies a file.
//!
//! ```console
//! $ cargo build -p callgate --example interactive_copier
//! $ target/debug/examples/interactive_copier /etc/hostname copy
//! start strict mode? [y/n] y
//! Killed
//! $ ls copy
//! ls: cannot access 'copy': No such file or directory
//! $ target/debug/examples/interactive_copier /etc/hostname copy
//! start strict mode? [y/n] n
//! copied 9 bytes
//! ```
//!
//! With `y` it dies by SIGKILL when it opens the first file: the files have to be open before
//! strict mode begins, as `strict_copier` has it. Without arguments it asks for the names too.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

/// Copies the first argument to the second, or asks for what is missing.
pub fn main() -> ExitCode {
    match copy() {
        Ok(length) => {
            println!("copied {length} bytes");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("interactive_copier: {error}");
            ExitCode::FAILURE
        }
    }
}

fn copy() -> io::Result<u64> {
    let mut arguments = env::args_os().skip(1);
    let mut argument = |question| arguments.next().map_or_else(|| ask(question), Ok);
    let from = argument("copy from? ")?;
    let to = argument("to? ")?;
    if ask("start strict mode? [y/n] ")? == "y" {
        callgate::strict().map_err(io::Error::other)?;
    }
    let mut input = File::open(from)?;
    let mut output = File::create(to)?;
    io::copy(&mut input, &mut output)
}

fn ask(question: &str) -> io::Result<OsString> {
    print!("{question}");
    io::stdout().flush()?;
    let mut answer = String::new();
    if io::stdin().lock().read_line(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer.trim_end().into())
}
