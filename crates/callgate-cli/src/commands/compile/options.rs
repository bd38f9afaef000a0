//! What the program is to be good at.

use std::{fmt::Display, fs::File, path::Path};

use callgate_compile::{Goal, Options, Weights};
use clap::{Args, ValueEnum};

use crate::{report::printable_name, source::read_text};

/// How to compile.
#[derive(Args, Debug)]
pub struct OptionArgs {
    /// What counts more in the program
    #[arg(long, value_enum, default_value_t = Optimize::Speed)]
    optimize: Optimize,

    /// How often each call is made: a file with a name and a count on each line, or what
    /// `strace -c` printed; or the word `uniform`, for a kernel older than 5.11 [default: for a
    /// kernel that answers what is always allowed from its cache]
    #[arg(long, value_name = "FILE")]
    weights: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Optimize {
    /// Instructions executed
    Speed,
    /// Instructions in the program
    Size,
}

impl OptionArgs {
    /// # Errors
    ///
    /// When the file of weights cannot be read.
    pub fn options(&self) -> Result<Options, String> {
        let mut options = Options::default();
        options.goal = match self.optimize {
            Optimize::Speed => Goal::Speed,
            Optimize::Size => Goal::Size,
        };
        options.weights = match self.weights.as_deref() {
            None => Weights::default(),
            Some("uniform") => Weights::uniform(),
            Some(file) => weights(Path::new(file))?,
        };
        Ok(options)
    }
}

fn weights(path: &Path) -> Result<Weights, String> {
    let of = |error: &dyn Display| format!("{}: {error}", printable_name(&path.to_string_lossy()));
    let text = File::open(path).and_then(read_text).map_err(|error| of(&error))?;
    Weights::parse(&text).map_err(|error| of(&error))
}
