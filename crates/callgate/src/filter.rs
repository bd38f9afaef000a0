//! A filter that is ready to be loaded.

use callgate_bpf::{ByteOrder, Invalid, Layout, Program};
use callgate_compile::Compiled;
use callgate_policy::FilterFlag;

use crate::FilterBuilder;

/// A filter that the kernel would accept.
#[derive(Clone, Debug)]
pub struct Filter {
    program: Program,
    flags: Vec<FilterFlag>,
}

impl Filter {
    /// Begins a filter in code.
    pub fn builder() -> FilterBuilder {
        FilterBuilder::new()
    }

    /// Takes a program: an array of `struct sock_filter` in this machine's byte order.
    ///
    /// Nothing is known of its meaning but that the kernel would accept it.
    ///
    /// # Errors
    ///
    /// Exactly where the kernel would refuse it with EINVAL.
    pub fn from_bytes(bytes: &[u8]) -> Result<Filter, Invalid> {
        let order = ByteOrder::NATIVE;
        let program = Program::from_bytes(bytes, order, Layout::seccomp(order))?;
        Ok(Filter { program, flags: Vec::new() })
    }

    pub(crate) fn proved(compiled: Compiled, flags: Vec<FilterFlag>) -> Filter {
        Filter { program: compiled.into_program(), flags }
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }
}

#[cfg(target_os = "linux")]
mod load {
    use callgate_kernel::{LoadError, LoadOptions, Loaded, load};

    use super::{Filter, FilterFlag};

    impl Filter {
        /// Sets no_new_privs and loads the filter for the calling thread and what it will start:
        /// threads that exist already are not changed ([`LoadOptions`] can take them along).
        ///
        /// There is no way back. A filter that refuses what the program needs next ends it.
        ///
        /// # Errors
        ///
        /// As [`load`]. no_new_privs stays set.
        pub fn load(&self) -> Result<Loaded, LoadError> {
            self.load_with(&self.options())
        }

        /// Loads the filter as the options say.
        ///
        /// # Errors
        ///
        /// As [`load`].
        pub fn load_with(&self, options: &LoadOptions) -> Result<Loaded, LoadError> {
            load(self.program(), options)
        }

        /// What the profile asks for, where the filter comes from one.
        pub fn options(&self) -> LoadOptions {
            let has = |flag| self.flags.contains(&flag);
            let mut options = LoadOptions::default();
            if has(FilterFlag::Log) {
                options = options.log();
            }
            if has(FilterFlag::SpecAllow) {
                options = options.spec_allow();
            }
            options
        }
    }
}
