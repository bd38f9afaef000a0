//! The machine's package manager, with every path of its state below one directory.

use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The machine's package manager with every path of its state below one directory.
pub struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// Writes the private configuration: the machine's Debian mirrors, with these suites, for
    /// packages of this kind (`deb` or `deb-src`).
    pub fn new(work: &Path, kind: &str, suites: &[&str]) -> Result<Apt> {
        let dir = work.join("apt");
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(part))?;
        }
        let mut list = String::new();
        for (mirror, signed) in mirrors()? {
            let suites =
                if mirror.ends_with("-security") { &["bookworm-security"][..] } else { suites };
            for suite in suites {
                list += &format!("{kind} [signed-by={signed}] {mirror} {suite} main\n");
            }
        }
        fs::write(dir.join("sources.list"), list)?;
        fs::write(dir.join("status"), "")?;
        let path = dir.display();
        // The machine's configuration has hooks that clean its own caches, so it is left out but
        // for how to reach a mirror.
        let config = format!(
            "Dir::Etc::main \"/dev/null\";\n\
             Dir::Etc::parts \"/dev/null\";\n\
             Dir::Etc::sourcelist \"{path}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::State::lists \"{path}/lists\";\n\
             Dir::State::status \"{path}/status\";\n\
             Dir::Cache \"{path}/cache\";\n\
             APT::Sandbox::User \"\";\n\
             {}\
             Acquire::Languages \"none\";\n",
            acquisition()?
        );
        fs::write(dir.join("apt.conf"), config)?;
        Ok(Apt { dir })
    }

    /// The directory of the state.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A program of the package manager's, with this state.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.dir.join("apt.conf"));
        command
    }

    /// `apt-get ARGS…` to its end.
    ///
    /// # Errors
    ///
    /// When it does not start, or fails.
    pub fn run(&self, args: &[&str]) -> Result<()> {
        let status = self.command("apt-get").args(args).status()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("apt-get {}: {status}", args.join(" ")).into())
        }
    }
}

/// How the machine's configuration reaches its mirrors: proxies, what it accepts, in its own form.
fn acquisition() -> Result<String> {
    let output = Command::new("apt-config").args(["dump", "Acquire"]).output()?;
    Ok(String::from_utf8(output.stdout)?)
}

/// The Debian mirrors of the machine's own configuration, each with its keyring: those of the
/// distribution and of its security updates.
fn mirrors() -> Result<Vec<(String, String)>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(dir) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(dir.filter_map(|e| Some(e.ok()?.path())));
    }
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let mut found = BTreeSet::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for word in text.lines().filter(|l| !l.starts_with('#')).flat_map(str::split_whitespace) {
            let url = word.trim_end_matches('/');
            if url.contains("://") && (url.ends_with("/debian") || url.ends_with("-security")) {
                found.insert((url.to_owned(), keyring.to_owned()));
            }
        }
    }
    if found.is_empty() {
        return Err("the package manager's sources name no Debian mirror".into());
    }
    Ok(found.into_iter().collect())
}
