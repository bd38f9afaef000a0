//! What is worth how much, in 1/256 of an instruction executed for every call.
//!
//! Found by trying: `docs/compiler.md` has the figures.

use crate::{Goal, Options, dispatch::Price};

/// The longest chain of equalities.
const CHAIN: usize = 24;

/// Of the tree over numbers.
pub(super) fn numbers(options: &Options, is_native: bool) -> Price {
    let (size, worst) = match options.goal {
        Goal::Size => (1 << 12, 64),
        // Where the kernel's cache answers, few calls are executed at all.
        Goal::Speed if options.weights.expects_cache() => (48, 128),
        // Programs of another architecture are rare where they can run at all.
        Goal::Speed if is_native => (6, 8),
        Goal::Speed => (28, 0),
    };
    of(options, size, worst)
}

/// Of the tree over x32's numbers, which hardly any system runs.
pub(super) fn x32(options: &Options) -> Price {
    of(options, numbers(options, false).size.max(128), 0)
}

/// Of decisions on arguments.
pub(super) fn arguments(options: &Options) -> Price {
    let (size, worst) = match options.goal {
        Goal::Size => (1 << 12, 64),
        Goal::Speed if options.weights.expects_cache() => (128, 32),
        Goal::Speed => (24, 8),
    };
    of(options, size, worst)
}

fn of(options: &Options, size: u64, worst: u64) -> Price {
    let passes = options.passes;
    Price { size, worst, chain: if passes.chains { CHAIN } else { 0 }, pairs: passes.pairs }
}
