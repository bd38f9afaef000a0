//! What a program is to be good at.

use crate::Weights;

/// How to compile; the default suits a program that is loaded on a kernel with a cache.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// What counts more.
    pub goal: Goal,
    /// How often each system call is made.
    pub weights: Weights,
    /// Which optimisations are made: all, unless a test leaves some out.
    #[doc(hidden)]
    pub passes: Passes,
}

/// What counts more in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Goal {
    /// Instructions executed, those in the program breaking near ties.
    #[default]
    Speed,
    /// Instructions in the program, those executed breaking ties.
    Size,
}

/// Optimisations, each of which may be left out without changing what a program means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
#[non_exhaustive]
pub struct Passes {
    /// Equalities take single values out of a range (`dispatch/chain.rs`).
    pub chains: bool,
    /// One equality takes two values out, after a bit is cleared (`dispatch/chain.rs`).
    pub pairs: bool,
    /// x32 falls into the tree of x86_64 (`lower/fold.rs`).
    pub fold: bool,
    /// Conditions become a decision by words (`arguments.rs`); without it rule after rule is asked
    /// (`lower/chain.rs`).
    pub words: bool,
    /// Sets of values are covered by masks (`arguments/cubes.rs`).
    pub cubes: bool,
}

impl Default for Passes {
    fn default() -> Passes {
        Passes::ALL
    }
}

impl Passes {
    /// Every optimisation.
    pub const ALL: Passes =
        Passes { chains: true, pairs: true, fold: true, words: true, cubes: true };

    /// None.
    pub const NONE: Passes =
        Passes { chains: false, pairs: false, fold: false, words: false, cubes: false };

    /// All but one, each in turn, with its name.
    pub fn each_off() -> impl Iterator<Item = (&'static str, Passes)> {
        let all = Passes::ALL;
        [
            ("chains", Passes { chains: false, ..all }),
            ("pairs", Passes { pairs: false, ..all }),
            ("fold", Passes { fold: false, ..all }),
            ("words", Passes { words: false, ..all }),
            ("cubes", Passes { cubes: false, ..all }),
        ]
        .into_iter()
    }
}
