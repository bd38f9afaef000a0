//! The options that say for which machine a policy is meant, shared by every verb that compiles.

use callgate_bpf::ByteOrder;
use callgate_diagnostic::Diagnostic;
use callgate_policy::{NewerCalls, Ruleset, Target};
use callgate_syscalls::{Abi, Capability, CapabilitySet, KernelVersion};
use clap::{
    Args, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser},
};

use crate::{
    formats::{self, Format},
    source::Profile,
};

/// How to read a profile.
#[derive(Args, Debug, Default)]
pub struct ReadingArgs {
    #[command(flatten)]
    dialect: DialectArgs,

    /// Treat every warning as an error
    #[arg(long)]
    pub pedantic: bool,

    /// Compare an argument of 32 bits, such as an int, on 32 bits, as the kernel reads it; a
    /// container profile means all 64 bits of the register
    #[arg(long)]
    pub typed_args: bool,
}

impl ReadingArgs {
    pub fn dialect(&self) -> Option<&'static Format> {
        self.dialect.format()
    }
}

/// In whose language a profile is.
#[derive(Args, Debug, Default)]
pub struct DialectArgs {
    /// Who is to read the profile; its text decides otherwise
    #[arg(long, value_name = "WHO", value_parser = PossibleValuesParser::new(readable()))]
    dialect: Option<String>,
}

impl DialectArgs {
    pub fn format(&self) -> Option<&'static Format> {
        self.dialect.as_deref().and_then(formats::named)
    }
}

fn readable() -> Vec<PossibleValue> {
    let formats = formats::all().filter(|format| format.read.is_some());
    formats.map(|format| PossibleValue::new(format.name).help(format.summary)).collect()
}

/// What becomes of system calls newer than the profile.
#[derive(Args, Debug)]
pub struct NewerArgs {
    /// Give system calls newer than any that the profile names its default, instead of ENOSYS
    #[arg(long)]
    pub no_enosys: bool,

    /// Follow this runtime in what becomes of newer system calls
    #[arg(long, value_name = "RUNTIME", conflicts_with = "no_enosys")]
    pub like: Option<Runtime>,
}

impl NewerArgs {
    pub fn newer(&self) -> NewerCalls {
        match (self.no_enosys, self.like) {
            (true, _) | (_, Some(Runtime::Crun)) => NewerCalls::Default,
            (_, Some(Runtime::Runc)) => NewerCalls::LikeRunc,
            (false, None) => NewerCalls::Enosys,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Runtime {
    /// ENOSYS on the architectures that the profile lists by name
    Runc,
    /// The profile's default, everywhere
    Crun,
}

/// The machine to compile for.
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// Architecture, instead of those that the profile names for this machine; may be repeated
    #[arg(long, value_name = "ARCH", value_parser = parse_abi)]
    pub arch: Vec<Abi>,

    /// Kernel version, for a profile's `minKernel` [default: the running kernel]
    #[arg(long, value_name = "X.Y", value_parser = parse_kernel)]
    pub kernel: Option<KernelVersion>,

    /// Capability that the command has: a name, `ALL`, `none`, or `default` for Docker's 14; may
    /// be repeated [default: default]
    #[arg(long, value_name = "NAME", value_parser = parse_caps)]
    pub cap: Vec<CapabilitySet>,

    #[command(flatten)]
    pub newer: NewerArgs,
}

impl TargetArgs {
    /// # Errors
    ///
    /// When this machine's own ABI or kernel is asked for and not known.
    pub fn target(&self) -> Result<Target, String> {
        let native = match self.arch.first() {
            Some(&first) => first,
            None => native()?,
        };
        let kernel = match self.kernel {
            Some(kernel) => kernel,
            None => running_kernel()?,
        };
        let capabilities = if self.cap.is_empty() {
            CapabilitySet::DOCKER_DEFAULT
        } else {
            self.cap.iter().fold(CapabilitySet::EMPTY, |all, &some| all.union(some))
        };
        Ok(Target {
            native,
            abis: (!self.arch.is_empty()).then(|| without_repeats(&self.arch)),
            capabilities,
            kernel,
            newer: self.newer.newer(),
        })
    }
}

/// All that the reading of a source depends on.
#[derive(Args, Debug)]
pub struct SourceArgs {
    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub target: TargetArgs,

    #[command(flatten)]
    pub order: ByteOrderArgs,
}

/// How to read the bytes of a program.
#[derive(Args, Debug)]
pub struct ByteOrderArgs {
    /// Byte order of a program's bytes [default: that of --arch, or of this machine]
    #[arg(long)]
    endian: Option<Endian>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Endian {
    Little,
    Big,
}

impl ByteOrderArgs {
    pub fn order(&self, arch: Option<Abi>) -> ByteOrder {
        match self.endian {
            Some(Endian::Little) => ByteOrder::Little,
            Some(Endian::Big) => ByteOrder::Big,
            None => arch.or(Abi::native()).map_or(ByteOrder::NATIVE, Abi::byte_order),
        }
    }
}

/// The rules of a profile, when neither it nor its resolution has an error; all findings are
/// added to the profile's.
pub fn resolve(profile: &mut Profile, reading: &ReadingArgs, target: &Target) -> Option<Ruleset> {
    let target = target_of(profile, target);
    let resolution = profile.policy.as_ref().map(|policy| policy.resolve(&target));
    let ruleset = resolution.and_then(|resolution| {
        profile.diagnostics.extend(resolution.diagnostics);
        resolution.ruleset
    });
    let ruleset = match ruleset {
        Some(ruleset) if reading.typed_args => Some(ruleset.with_typed_arguments()),
        other => other,
    };
    if let Some(salvaged) = &profile.salvaged {
        profile.diagnostics.extend(salvaged.unknown_names(&target));
    }
    if reading.pedantic {
        profile.be_pedantic();
    }
    ruleset.filter(|_| !profile.diagnostics.iter().any(Diagnostic::is_error))
}

/// The target with what the profile itself says of newer calls.
pub fn target_of(profile: &Profile, target: &Target) -> Target {
    let mut target = target.clone();
    if profile.builtin.is_some_and(|builtin| !builtin.ages) {
        target.newer = NewerCalls::Default;
    }
    target
}

/// The ABI of this machine.
///
/// # Errors
///
/// When callgate has no table for it.
pub fn native() -> Result<Abi, String> {
    Abi::native().ok_or_else(|| {
        format!(
            "no system call table for this machine ({}); name one with --arch",
            std::env::consts::ARCH
        )
    })
}

/// The version of the kernel underneath.
///
/// # Errors
///
/// On other systems than Linux, and when the kernel's name for itself cannot be read.
pub fn running_kernel() -> Result<KernelVersion, String> {
    #[cfg(target_os = "linux")]
    {
        let release = callgate_kernel::release();
        release
            .parse()
            .map_err(|_| format!("kernel release `{release}` has no version; give --kernel"))
    }
    #[cfg(not(target_os = "linux"))]
    Err("this is not Linux; say for which kernel with --kernel X.Y".to_owned())
}

fn without_repeats(abis: &[Abi]) -> Vec<Abi> {
    let mut unique = Vec::new();
    for &abi in abis {
        if !unique.contains(&abi) {
            unique.push(abi);
        }
    }
    unique
}

pub fn parse_abi(text: &str) -> Result<Abi, String> {
    Abi::from_name(text).ok_or_else(|| {
        let known: Vec<&str> = Abi::ALL.iter().map(|abi| abi.name()).collect();
        format!("not an architecture; known: {}", known.join(", "))
    })
}

/// A version, as `--kernel` takes it.
pub fn parse_kernel(text: &str) -> Result<KernelVersion, String> {
    text.parse().map_err(|_| "not a kernel version such as 6.1".to_owned())
}

/// One capability, or a word for several.
pub fn parse_caps(text: &str) -> Result<CapabilitySet, String> {
    match text {
        "ALL" | "all" => Ok(CapabilitySet::ALL),
        "none" => Ok(CapabilitySet::EMPTY),
        "default" => Ok(CapabilitySet::DOCKER_DEFAULT),
        name => Capability::from_name(name)
            .map(|capability| CapabilitySet::of(&[capability]))
            .ok_or_else(|| "not a capability; `callgate caps` lists them".to_owned()),
    }
}
