//! `cargo xtask kube-lab`: the tests that take a Kubernetes node, which is built here once.

mod build;

use std::{
    env,
    error::Error,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::{cargo, packages, test};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: cargo xtask kube-lab [build | run] [--no-install] [-- ARGUMENTS OF THE TESTS]

Runs the tests of `callgate kube` on a Kubernetes node of its own: etcd, API server, controller
manager, scheduler, kubelet, containerd and runc, all in namespaces that end with the tests. Takes
root. Kubernetes is built from Debian 12's source package, once, which takes four minutes on two
quiet cores, 4 GB of disk while it lasts and 0.4 GB for good.

  build          only build what the tests need, and say where it is
  run            build it if need be, then run the tests (the default)
  --no-install   take the machine as it is: install no package

The programs are kept in callgate-kube-lab of the user's cache directory; remove it at will.";

/// Runs the verb; the value is whether every test passed.
pub fn run(args: &[String]) -> Result<bool> {
    let (mut only_build, mut install) = (false, true);
    let mut forwarded: &[String] = &[];
    for (index, arg) in args.iter().enumerate() {
        match arg.as_str() {
            "build" => only_build = true,
            "run" => only_build = false,
            "--no-install" => install = false,
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(true);
            }
            "--" => {
                forwarded = &args[index + 1..];
                break;
            }
            other => return Err(format!("unknown argument {other}\n{USAGE}").into()),
        }
    }
    let root = test::is_root();
    if root && install {
        packages::install(packages::KUBE_LAB)?;
    } else if !root {
        packages::explain_missing(packages::KUBE_LAB);
    }
    let programs = build::programs(&cache())?;
    if only_build {
        println!("{}", programs.display());
        return Ok(true);
    }
    let mut command = cargo::command();
    command.args(["test", "--package", "callgate-cli", "--test", "real_cluster", "--"]);
    // The tests wait for one node most of the time: all at once they take as long as the longest.
    command.args(["--show-output", "--test-threads", "16"]).args(forwarded);
    command.env("CALLGATE_KUBE_LAB", &programs);
    if root && install {
        command.env("CALLGATE_REQUIRE_LAB", "1");
    }
    Ok(command.status()?.success())
}

/// A build that goes on beside other work.
pub struct Background(Child);

/// Begins to build what the tests need, in a process that gives way to all others. Whoever wants
/// the result meanwhile waits for it.
///
/// # Errors
///
/// When a package cannot be installed: that is done before this returns, for two package managers
/// at a time do not get on.
pub fn build_in_background() -> Result<Background> {
    packages::install(packages::KUBE_LAB)?;
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(env::current_exe()?);
    command.args(["kube-lab", "build", "--no-install"]);
    // It goes wrong again, and is seen to, in the process that wants the result.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(Background(command.spawn()?))
}

impl Drop for Background {
    fn drop(&mut self) {
        // It has ended long ago, unless something else failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn cache() -> PathBuf {
    cargo::user_cache().join("callgate-kube-lab")
}
