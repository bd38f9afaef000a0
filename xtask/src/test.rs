//! `cargo xtask test`: every test, with what they need installed.

use std::{
    env,
    error::Error,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
    sync::mpsc::{self, Sender},
    thread,
    time::Instant,
};

use crate::packages;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: cargo xtask test [--full] [--no-install] [-- ARGUMENTS OF CARGO TEST]

Runs every test of the workspace. As root it installs the Debian packages that they need first,
and a part that cannot be tested is a failure; another user is told what was skipped and why.

  --full         random tests at full size: minutes instead of seconds
  --no-install   take the machine as it is";

/// Runs the verb; the value is whether every test passed.
pub fn run(args: &[String]) -> Result<bool> {
    let (mut full, mut install) = (false, true);
    let mut forwarded: &[String] = &[];
    for (index, arg) in args.iter().enumerate() {
        match arg.as_str() {
            "--full" => full = true,
            "--no-install" => install = false,
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(true);
            }
            "--" => {
                forwarded = &args[index + 1..];
                break;
            }
            other => return Err(format!("unknown option {other}\n{USAGE}").into()),
        }
    }
    let root = is_root();
    if root && install {
        packages::install(packages::TESTS)?;
        packages::add_static_target();
    } else if !root {
        packages::explain_missing(packages::TESTS);
        println!(
            "not root: the container runtimes, and what only root may ask of the kernel, are skipped"
        );
    }

    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The output of tests that pass is shown: it says what they measured and what they skipped.
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    if !forwarded.iter().any(|argument| argument == "--") {
        cargo.args(forwarded).args(["--", "--show-output"]);
    } else {
        cargo.args(forwarded);
    }
    if root && install {
        cargo.env("CALLGATE_REQUIRE_LAB", "1");
    }
    if full {
        cargo.env("CALLGATE_FULL", "1");
    }
    let begin = Instant::now();
    let mut tally = Tally::default();
    let success = follow(&mut cargo, |line| tally.take(line))?;
    println!("\n{}", tally.summary(begin.elapsed().as_secs()));
    Ok(success)
}

/// What cargo's lines add up to.
#[derive(Default)]
struct Tally {
    programs: u32,
    passed: u64,
    failed: u64,
    ignored: u64,
    skipped: Vec<String>,
}

impl Tally {
    fn take(&mut self, line: &str) {
        if let Some(result) = line.trim_start().strip_prefix("test result: ") {
            self.programs += 1;
            self.passed += count(result, "passed");
            self.failed += count(result, "failed");
            self.ignored += count(result, "ignored");
        } else if let Some(why) = line.trim_start().strip_prefix("skipped: ")
            && !self.skipped.iter().any(|known| known == why)
        {
            self.skipped.push(why.to_owned());
        }
    }

    fn summary(&self, seconds: u64) -> String {
        let Tally { programs, passed, failed, ignored, .. } = self;
        let mut text = format!(
            "{passed} passed, {failed} failed, {ignored} ignored, in {programs} test programs and {seconds} s"
        );
        if self.skipped.is_empty() {
            text.push_str("; nothing was skipped");
        } else {
            text.push_str("; skipped, so not tested:");
            for why in &self.skipped {
                text.push_str("\n  ");
                text.push_str(why);
            }
        }
        text
    }
}

/// The number in front of `word` in `ok. 12 passed; 0 failed; …`.
fn count(result: &str, word: &str) -> u64 {
    let words: Vec<&str> = result.split([' ', ';', '.']).filter(|part| !part.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

/// Runs `command`, passes its output on, and shows each line to `see`.
fn follow(command: &mut Command, mut see: impl FnMut(&str)) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (sender, lines) = mpsc::channel();
    let stdout = child.stdout.take().ok_or("cargo has no output")?;
    let stderr = child.stderr.take().ok_or("cargo has no error output")?;
    let errors = sender.clone();
    thread::spawn(move || copy(stdout, io::stdout(), &sender));
    thread::spawn(move || copy(stderr, io::stderr(), &errors));
    for line in lines {
        see(&line);
    }
    Ok(child.wait()?.success())
}

fn copy(from: impl Read, mut to: impl Write, lines: &Sender<String>) {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // A closed terminal does not end the tests.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        let _ = lines.send(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
}

/// Whether this is the superuser.
pub fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up() {
        let mut tally = Tally::default();
        tally.take("test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        tally.take("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s");
        tally.take("test a ... ok");
        assert_eq!((tally.passed, tally.failed, tally.ignored, tally.programs), (13, 2, 3, 2));
    }

    #[test]
    fn a_reason_is_told_once() {
        let mut tally = Tally::default();
        tally.take("skipped: no root");
        tally.take("    skipped: no root");
        assert!(tally.summary(1).ends_with("skipped, so not tested:\n  no root"));
    }
}
