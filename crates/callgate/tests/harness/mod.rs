//! Test programs whose cases each run in a process of their own, since a filter cannot be taken
//! off again.
//!
//! A case whose name begins with an underscore is none: it is what another case runs.

use std::env;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use callgate::ThreadStatus;

/// A name and what to run.
pub type Case = (&'static str, fn());

const VARIABLE: &str = "CALLGATE_TEST_CASE";

/// The status of a case that could not check anything.
const SKIPPED: i32 = 77;

/// A case that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The test program.
pub fn main(cases: &[Case]) {
    if let Ok(name) = env::var(VARIABLE) {
        let case = cases.iter().find(|case| case.0 == name).expect("the parent knows the cases");
        (case.1)();
        return;
    }
    let filters: Vec<String> = env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let chosen = |name: &str| {
        !name.starts_with('_') && (filters.is_empty() || filters.iter().any(|f| name.contains(f)))
    };
    let (mut passed, mut skipped, mut failed) = (0, 0, 0);
    for (name, _) in cases.iter().filter(|case| chosen(case.0)) {
        print!("test {name} ... ");
        std::io::stdout().flush().unwrap();
        let output = finish(again(name).stdout(Stdio::piped()).stderr(Stdio::piped()));
        match output.status.code() {
            Some(0) => {
                passed += 1;
                println!("ok");
                continue;
            }
            Some(SKIPPED) => {
                skipped += 1;
                println!("ignored");
            }
            _ => {
                failed += 1;
                println!("FAILED ({})", output.status);
            }
        }
        print!("{}", String::from_utf8_lossy(&output.stdout));
        print!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed; {skipped} ignored");
    if failed != 0 {
        std::process::exit(1);
    }
}

/// This test program, to run a case.
pub fn again(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(VARIABLE, name).stdin(Stdio::null());
    command
}

/// Starts a command and waits for its end, which comes after a minute at the latest; what it wrote
/// on its piped streams.
pub fn finish(command: &mut Command) -> Output {
    let mut child = command.spawn().unwrap();
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let status = wait(&mut child);
    let join = |stream: Option<JoinHandle<Vec<u8>>>| {
        stream.map_or_else(Vec::new, |stream| stream.join().unwrap())
    };
    Output { status, stdout: join(stdout), stderr: join(stderr) }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Waits for a child, and ends one that hangs.
pub fn wait(child: &mut Child) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begin.elapsed() > PATIENCE {
            eprintln!("ended after {} s", PATIENCE.as_secs());
            child.kill().unwrap();
            return child.wait().unwrap();
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// How many filters hold all of this anyway, as in a container: those of the test program, whose
/// child a case is.
pub fn outer_filters() -> u32 {
    let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
    let status = ThreadStatus::of_process(parent).unwrap();
    status[0].filters.unwrap_or_else(|| skip("this kernel does not count filters (Linux 5.11)"))
}

/// Ends the case where [`outer_filters`] leave nothing to check.
pub fn skip_under_a_filter(why: &str) {
    if outer_filters() != 0 {
        skip(&format!("a filter holds the tests themselves, as in a container: {why}"));
    }
}

/// Ends the case without a verdict.
pub fn skip(why: &str) -> ! {
    eprintln!("skipped: {why}");
    std::process::exit(SKIPPED);
}
