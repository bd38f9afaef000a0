//! Callgate's compiler as a contender: the one place that knows how it is told what to be good at.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use callgate_bpf::Program;
use callgate_compile::{Goal, Options, Weights, compile_with};
use callgate_policy::Ruleset;

use crate::Result;

/// How often each call is made, by name.
pub type Frequencies = BTreeMap<String, u64>;

/// What a program is to be good at.
#[derive(Clone, Copy, Debug)]
pub enum Good<'a> {
    /// What `callgate compile` makes unless told otherwise.
    Default,
    /// Every call that the rules name counts alike.
    Uniform,
    /// Calls count as often as they are made.
    Often(&'a Frequencies),
    /// Few instructions.
    Short,
}

/// The program, proved.
///
/// # Errors
///
/// Those of the compiler.
pub fn compile(ruleset: &Ruleset, good: Good<'_>) -> Result<Program> {
    let mut options = Options::default();
    match good {
        Good::Default => {}
        Good::Uniform => options.weights = Weights::uniform(),
        Good::Often(often) => {
            options.weights =
                Weights::counted(often.iter().map(|(name, &count)| (name.clone(), count)));
        }
        Good::Short => options.goal = Goal::Size,
    }
    Ok(compile_with(ruleset, &options)?.into_program())
}

/// A file of the folder that the tests take data from.
///
/// # Errors
///
/// When it cannot be read; says which variable would help.
pub fn data(name: &str) -> Result<String> {
    const FOLDER: &str = "CALLGATE_TEST_DATA";
    let folder = env::var_os(FOLDER).map_or_else(
        || {
            let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
            PathBuf::from(package).join("../../shared/data")
        },
        PathBuf::from,
    );
    let path = folder.join(name);
    fs::read_to_string(&path)
        .map_err(|error| format!("{} ({error}); set {FOLDER}", path.display()).into())
}

/// The counts of `syscall-frequency.txt`: a name, a colon and a number a line.
///
/// # Errors
///
/// When there is no such file, or a line is none.
pub fn frequencies() -> Result<Frequencies> {
    let text = data("syscall-frequency.txt")?;
    let line = |line: &str| -> Result<(String, u64)> {
        let (name, count) = line.split_once(':').ok_or("a line without a colon")?;
        Ok((name.trim().to_owned(), count.trim().parse()?))
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(line).collect()
}
