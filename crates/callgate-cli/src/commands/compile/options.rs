//! What the program is to be good at.

use std::{fs, path::Path};

use callgate_compile::{Goal, Options, Weights};
use clap::{Args, ValueEnum};

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
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Weights::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}
