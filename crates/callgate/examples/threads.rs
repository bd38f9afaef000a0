//! Filters belong to threads: who gets one, and what the kernel says of each.
//!
//! ```console
//! $ cargo run -p callgate --example threads
//! filters at first: main 0, worker 0
//! loaded for this thread: main 1, worker 0
//! loaded for all threads: main 2, worker 2
//! a loner loads its own: main 2, worker 2, loner 3
//! for all threads again: refused, because of the loner
//! the same as before: main 2, worker 2, loner 3
//! ```

use std::error::Error;
use std::process;
use std::sync::mpsc::{self, Sender};
use std::thread;

use callgate::{Action, Filter, LoadError, LoadOptions, Scope, Syscall, ThreadStatus};

/// Starts threads, loads filters, and shows where they are after each step.
pub fn main() -> Result<(), Box<dyn Error>> {
    let filter = Filter::builder()
        .otherwise(Action::Allow)
        .rule(Syscall::reboot, [], Action::KillProcess)
        .build()?;
    let everybody = LoadOptions::new().scope(Scope::Process);

    let _worker = start("worker", || Ok(()))?;
    show("filters at first")?;

    filter.load()?;
    show("loaded for this thread")?;

    // What it lacks of this thread's filters, the worker gets too.
    filter.load_with(&everybody)?;
    show("loaded for all threads")?;

    let own = filter.clone();
    let _loner = start("loner", move || own.load().map(drop))?;
    show("a loner loads its own")?;

    // The loner has a filter that this thread lacks, so there is nothing common to build on.
    match filter.load_with(&everybody) {
        Ok(_) => println!("for all threads again: done"),
        Err(error) => {
            let culprit = threads()?.into_iter().find(|t| Some(t.thread) == error.thread());
            let name = culprit.map_or_else(|| error.to_string(), |status| status.name);
            println!("for all threads again: refused, because of the {name}");
        }
    }
    show("the same as before")
}

/// A thread that has done its work and lives on until the sender is dropped.
fn start(
    name: &str,
    work: impl FnOnce() -> Result<(), LoadError> + Send + 'static,
) -> Result<Sender<()>, Box<dyn Error>> {
    let (life, end) = mpsc::channel::<()>();
    let (tell, done) = mpsc::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        _ = tell.send(work());
        _ = end.recv();
    })?;
    done.recv()??;
    Ok(life)
}

/// One line on every thread of this process, the oldest first.
fn show(when: &str) -> Result<(), Box<dyn Error>> {
    let mut told = Vec::new();
    for status in threads()? {
        let is_main = status.thread.unsigned_abs() == process::id();
        let name = if is_main { "main" } else { &status.name };
        told.push(match status.filters {
            Some(count) => format!("{name} {count}"),
            None => format!("{name} unknown before Linux 5.11"),
        });
    }
    println!("{when}: {}", told.join(", "));
    Ok(())
}

fn threads() -> Result<Vec<ThreadStatus>, Box<dyn Error>> {
    Ok(ThreadStatus::of_process(i32::try_from(process::id())?)?)
}
