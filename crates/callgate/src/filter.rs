//! A filter that is ready to be loaded.

use callgate_bpf::{Action, ByteOrder, Invalid, Layout, Program, SeccompData, ShiftRule};
use callgate_diagnostic::Diagnostic;
use callgate_policy::FilterFlag;

use crate::FilterBuilder;

/// A filter that the kernel would accept.
///
/// It holds a [`Program`], which only the validator makes: bytes or instructions that the kernel
/// would refuse do not become a filter, and nothing else can be loaded.
///
/// ```compile_fail,E0277
/// let bytes: [u8; 8] = 0x7fff_0000_0000_0006_u64.to_ne_bytes();
/// let filter = callgate::Filter::from(bytes);
/// ```
///
/// ```
/// # #[cfg(target_endian = "little")] {
/// // One instruction: return ALLOW.
/// let bytes: [u8; 8] = 0x7fff_0000_0000_0006_u64.to_ne_bytes();
/// let filter = callgate::Filter::from_bytes(&bytes)?;
/// # }
/// # Ok::<(), callgate::Invalid>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    program: Program,
    flags: Vec<FilterFlag>,
    warnings: Vec<Diagnostic>,
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
    /// ```
    /// use callgate::Filter;
    ///
    /// let error = Filter::from_bytes(b"#!/bin/sh").unwrap_err();
    /// assert!(error.is_length(), "no multiple of 8");
    /// ```
    ///
    /// # Errors
    ///
    /// Exactly where the kernel would refuse it with EINVAL; the error says which instruction, and
    /// why.
    pub fn from_bytes(bytes: &[u8]) -> Result<Filter, Invalid> {
        let order = ByteOrder::NATIVE;
        Program::from_bytes(bytes, order, Layout::seccomp(order)).map(Filter::from)
    }

    pub(crate) fn of_profile(
        program: Program,
        flags: Vec<FilterFlag>,
        warnings: Vec<Diagnostic>,
    ) -> Filter {
        Filter { program, flags, warnings }
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What the profile that the filter comes from asks for when it is loaded.
    pub fn flags(&self) -> &[FilterFlag] {
        &self.flags
    }

    /// What there was to say of the profile that the filter comes from, none of it an error.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// What this filter alone answers a call, as the running kernel would have it: the program is
    /// interpreted.
    pub fn answer(&self, call: &SeccompData) -> Action {
        let words = call.words(self.program.layout().byte_order);
        self.program.run(&words, ShiftRule::default()).action()
    }
}

/// A filter of a program from elsewhere, such as the assembler of `callgate-bpf`.
impl From<Program> for Filter {
    fn from(program: Program) -> Filter {
        Filter { program, flags: Vec::new(), warnings: Vec::new() }
    }
}

#[cfg(target_os = "linux")]
mod load {
    use callgate_kernel::{LoadError, LoadOptions, Loaded, Scope, load};

    use super::{Filter, FilterFlag};

    impl Filter {
        /// Loads the filter for the calling thread, with [`Filter::options`].
        ///
        /// It holds from now on, and for every thread and process that this thread starts. Threads
        /// that exist already go on as they are: load before starting them, or take them along
        /// with [`Scope::Process`]. There is no way back.
        ///
        /// First it sets no_new_privs, by which an ordinary user may load filters: setuid programs
        /// that are executed later gain nothing. **It stays set when the load fails.**
        ///
        /// The filter holds this very program, and standard library, allocator and panic handler
        /// make calls of their own (`mmap`, `futex`, `sigaltstack`, `exit_group`, …). What nobody
        /// answers fails with ENOSYS: USER_NOTIF without [`LoadOptions::listener`], TRACE without
        /// a tracer.
        ///
        /// ```
        /// use callgate::{Action, Filter, Syscall, ThreadStatus};
        ///
        /// let filter = Filter::builder()
        ///     .otherwise(Action::Allow)
        ///     .rule(Syscall::mkdir, [], Action::Errno(1))
        ///     .rule(Syscall::mkdirat, [], Action::Errno(1))
        ///     .build()?;
        /// filter.load()?;
        ///
        /// let error = std::fs::create_dir("/tmp/new").unwrap_err();
        /// assert_eq!(error.raw_os_error(), Some(1));
        /// assert_eq!(ThreadStatus::of_this_thread()?.no_new_privs, Some(true));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// # Errors
        ///
        /// No thread has the filter. [`LoadError`] has a question for each reason.
        pub fn load(&self) -> Result<Loaded, LoadError> {
            self.load_with(&self.options())
        }

        /// Loads the filter as the options say.
        ///
        /// ```no_run
        /// # use callgate::{Filter, Scope};
        /// # fn example(filter: Filter) -> Result<(), callgate::LoadError> {
        /// match filter.load_with(&filter.options().scope(Scope::Process)) {
        ///     Err(error) if error.is_diverged() => eprintln!("thread {:?}: {error}", error.thread()),
        ///     other => _ = other?,
        /// }
        /// # Ok(()) }
        /// ```
        ///
        /// # Errors
        ///
        /// As [`Filter::load`].
        pub fn load_with(&self, options: &LoadOptions) -> Result<Loaded, LoadError> {
            load(self.program(), options)
        }

        /// The default options, and what [`Filter::flags`] ask for: LOG, SPEC_ALLOW, and with TSYNC
        /// [`Scope::Process`].
        ///
        /// WAIT_KILLABLE_RECV is nothing without a listener: [`LoadOptions::killable_listener`].
        pub fn options(&self) -> LoadOptions {
            let mut options = LoadOptions::default();
            for flag in self.flags() {
                options = match flag {
                    FilterFlag::Log => options.log(),
                    FilterFlag::SpecAllow => options.spec_allow(),
                    FilterFlag::Tsync => options.scope(Scope::Process),
                    _ => options,
                };
            }
            options
        }
    }
}
