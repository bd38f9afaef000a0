//! How many calls a command made in all, where the kernel can be asked to count them.

use std::{env, process};

use callgate_kernel::ebpf::{Recorder, RecorderOptions, Results, Scope};

/// Counts what this process starts, from now on; None without the privilege for it.
pub struct Counted(Option<Recorder>);

impl Counted {
    pub fn start() -> Counted {
        let scope = Scope::Tree(process::id().cast_signed());
        // The calls alone: their ends are of no interest here.
        Counted(RecorderOptions::new(scope).results(Results::UnderFilters).start().ok())
    }

    /// The calls of all but callgate itself.
    pub fn calls(&self) -> Option<u64> {
        let recorder = self.0.as_ref()?;
        let losses = recorder.losses();
        if losses.calls + losses.processes + losses.missed > 0 {
            return None;
        }
        let own = env::current_exe().ok()?;
        let executables = recorder.executables().ok()?;
        let is_own = |id| executables.iter().any(|e| e.id == id && e.path.as_ref() == Some(&own));
        let counts = recorder.counts().ok()?;
        Some(counts.iter().filter(|count| !is_own(count.executable)).map(|count| count.count).sum())
    }
}
