//! The contenders that this machine has, and what each makes of rules for x86_64.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use callgate_bpf::{Action, Program, ShiftRule, SyscallNr};
use callgate_policy::{AbiRules, Ruleset};
use callgate_syscalls::Abi;
use callgate_verdict::Manager;

use crate::{
    Result,
    driver::{Driver, Peer},
    kafel::Kafel,
    libseccomp::{self, LEVELS, Library},
    report::{Quantity, Report},
    words,
};

/// Those that are there.
pub struct Peers {
    library: Option<Library>,
    seccompiler: Option<PathBuf>,
    kafel: Option<Kafel>,
}

/// What one made of rules.
pub struct Made {
    /// Who, and the program.
    pub peer: Peer,
    /// To have it made again; `None` where that takes a process of its own each time.
    again: Option<(Driver, u32)>,
}

impl Peers {
    /// Builds and looks for them; what is not to be had is reported as missing.
    pub fn find(report: &mut Report) -> Peers {
        let mut found = |what: &str, why: Box<dyn std::error::Error>| {
            report.missing(format!("{what}: {why}"));
        };
        Peers {
            library: Library::build().map_err(|why| found("libseccomp", why)).ok(),
            seccompiler: seccompiler().map_err(|why| found("seccompiler", why)).ok(),
            kafel: Kafel::find().map_err(|why| found("Kafel", why)).ok(),
        }
    }

    /// libseccomp, built.
    pub fn library(&self) -> Option<&Library> {
        self.library.as_ref()
    }

    /// What each makes of rules for x86_64 alone. One that refuses is left out, with its reason on
    /// standard error.
    pub fn make(&self, ruleset: &Ruleset) -> Vec<Made> {
        let text = words::of_one_abi(ruleset);
        let mut made = Vec::new();
        let mut add = |name: &str, one: Result<Made>| match one {
            Ok(one) => made.push(one),
            Err(why) => eprintln!("MISSING: {name}: {why}"),
        };
        if let Some(library) = &self.library {
            for level in LEVELS {
                let name = libseccomp::name(level);
                let driver = library.with(&text);
                add(&name, driver.and_then(|driver| Made::by(driver, level, &name)));
            }
        }
        if let Some(program) = &self.seccompiler {
            let driver = Driver::start(program, &text);
            add("seccompiler", driver.and_then(|driver| Made::by(driver, 0, "seccompiler")));
        }
        if let Some(kafel) = &self.kafel {
            let peer = kafel.make(ruleset);
            add("Kafel", peer.map(|peer| Made { peer, again: None }));
        }
        made
    }
}

impl Made {
    fn by(mut driver: Driver, level: u32, name: &str) -> Result<Made> {
        let peer = driver.peer(level, name)?;
        Ok(Made { peer, again: Some((driver, level)) })
    }

    /// How long it takes to make the program again, from the first rule to the program; `None`
    /// where that cannot be told.
    ///
    /// # Errors
    ///
    /// When it refuses.
    pub fn time(&mut self) -> Result<Option<Duration>> {
        let Some((driver, level)) = &mut self.again else { return Ok(None) };
        let [add, make] = driver.build(*level)?;
        Ok(Some(add + make))
    }
}

/// Whether a program answers the calls of x86_64 as the rules say, by the diagrams: `yes`, or the
/// names of calls for which it does not. What it says of x32 and of other architectures is each
/// contender's own affair.
///
/// # Errors
///
/// When a diagram is too complex.
pub fn means(ruleset: &Ruleset, program: &Program) -> Result<Quantity> {
    let abi = Abi::X86_64;
    let mut manager = Manager::new(*program.layout());
    let rules = manager.ruleset(ruleset)?;
    let answers = manager.program(program, ShiftRule::default())?;
    // The calls of x86_64, as those that a filter allows which refuses all others.
    let refused = manager.constant(Action::KillProcess.raw());
    let native = manager.ruleset(&native())?;
    let native = manager.differ(native, refused)?;
    let [rules, answers] =
        [manager.choose(native, rules, refused)?, manager.choose(native, answers, refused)?];
    if rules == answers {
        return Ok(Quantity::Answer(true));
    }
    let differs = |number: &SyscallNr| {
        let of = |diagram| manager.verdict(diagram, abi.audit(), *number);
        of(rules) != of(answers)
    };
    let name = |number: SyscallNr| abi.name_of(number).unwrap_or("a nameless number");
    let names: Vec<&str> = (0..1024).map(SyscallNr).filter(differs).map(name).collect();
    Ok(Quantity::None(match &names[..] {
        [] => "no".to_owned(),
        [one] => format!("but {one}"),
        [one, rest @ ..] => format!("but {one} +{}", rest.len()),
    }))
}

fn native() -> Ruleset {
    let table = |abi, default| AbiRules { abi, default, rules: BTreeMap::new(), newer: None };
    let refused = Action::KillProcess;
    Ruleset {
        abis: vec![table(Abi::X86_64, Action::Allow), table(Abi::X32, refused)],
        other: refused,
        flags: Vec::new(),
    }
}

/// Builds the package that drives the crate, apart from this workspace and its lock file.
fn seccompiler() -> Result<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").ok_or("start with `cargo xtask bench`")?;
    let manifest = Path::new(&package).join("peers/seccompiler/Cargo.toml");
    let own = env::current_exe()?;
    let target = own.ancestors().nth(3).ok_or("no folder above this program")?.join("peers");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    if !status.success() {
        return Err("its package does not build; the first time takes the network".into());
    }
    Ok(target.join("release/callgate-bench-seccompiler"))
}

#[cfg(test)]
mod tests {
    use callgate_policy::Rule;

    use super::*;

    #[test]
    fn what_a_program_says_of_other_abis_is_its_own_affair() {
        let rules = native();
        let program = |rules: &Ruleset| {
            callgate_compile::compile(rules).expect("a small program").into_program()
        };
        let mut other = rules.clone();
        other.other = Action::Allow;
        other.abis.truncate(1);
        assert!(matches!(means(&rules, &program(&other)), Ok(Quantity::Answer(true))));
        let number = Abi::X86_64.number("getppid").expect("every kernel has it");
        let rule = Rule { action: Action::Log, comparisons: Vec::new(), entry: 0 };
        other.abis[0].rules.insert(number, vec![rule]);
        let differs = means(&rules, &program(&other)).expect("a small diagram");
        assert!(matches!(differs, Quantity::None(text) if text == "but getppid"));
    }
}
