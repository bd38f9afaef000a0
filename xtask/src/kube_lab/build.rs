//! Kubernetes 1.20 from Debian 12's source package: the newest of which Debian has the whole.
//!
//! The package's own makefile generates code that the package already has, for minutes. Only one
//! generated file is not in it; that one is made here, and the rest is left to Go.

use std::{
    collections::BTreeSet,
    error::Error,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::apt::Apt;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The name of the folder in the cache. It changes with what this file makes.
const KEPT: &str = "kubernetes-1.20-1";

const PROGRAMS: [&str; 5] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet"];

/// Where Debian's packages have Go libraries.
const DEBIAN_GO: &str = "/usr/share/gocode/src";

/// The library that the source package has in a version which reads the Go runtime's maps as they
/// were before Go 1.18: the API server dies of it.
const REFLECT: &str = "github.com/modern-go/reflect2";

/// What Go calls the tree.
const IMPORT: &str = "k8s.io/kubernetes";

/// The folder of generated code that the source package lacks.
const SCHEMA: &str = "pkg/generated/openapi";

/// How often a long step says how far it is.
const PROGRESS: Duration = Duration::from_secs(20);

/// The folder with the programs, built if need be. Builders at the same time wait for each other.
///
/// # Errors
///
/// When a step fails; nothing of it is kept then.
pub fn programs(cache: &Path) -> Result<PathBuf> {
    keep(cache, build)
}

/// What `build` makes below the folder that it is given, kept under its name in the cache.
fn keep(cache: &Path, build: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<PathBuf> {
    let kept = cache.join(KEPT);
    if kept.exists() {
        return Ok(kept);
    }
    fs::create_dir_all(cache)?;
    let lock = File::create(cache.join("lock"))?;
    if lock.try_lock().is_err() {
        println!("kube-lab: waiting for another build in {}", cache.display());
        lock.lock()?;
    }
    if kept.exists() {
        return Ok(kept);
    }
    // Old versions, and what was being built when a machine stopped.
    for entry in fs::read_dir(cache)? {
        let path = entry?.path();
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        }
    }
    let work = Work { path: cache.join("building") };
    fs::create_dir(&work.path)?;
    let begin = Instant::now();
    let made = build(&work.path)?;
    fs::rename(made, &kept)?;
    println!("kube-lab: built in {} s, kept in {}", begin.elapsed().as_secs(), kept.display());
    Ok(kept)
}

/// The folder of a build, removed with all that is in it.
struct Work {
    path: PathBuf,
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("left behind: {} ({error})", self.path.display());
        }
    }
}

/// Builds below `work`; the folder with the programs.
fn build(work: &Path) -> Result<PathBuf> {
    println!("kube-lab: fetching the source package of Kubernetes");
    let apt = Apt::new(work, "deb-src", &["bookworm"])?;
    apt.run(&["update", "--quiet=2"])?;
    // Checks the archive's signature and each file's hash on the way.
    run(apt.command("apt-get").args(["source", "--quiet=2", "kubernetes"]).current_dir(work))?;
    let tree = Tree::open(work)?;
    tree.replace_reflect()?;

    println!("kube-lab: generating the schema of the API");
    tree.generate_schema(work)?;

    let made = work.join("programs");
    tree.compile(&made)?;
    fs::write(made.join("version"), format!("Kubernetes {}, {}", tree.version, go_version()?))?;
    Ok(made)
}

/// The unpacked source package, where Go finds it.
struct Tree {
    /// Go's workspace; the tree is where an import looks for it.
    gopath: PathBuf,
    root: PathBuf,
    /// `1.20.2`.
    version: String,
}

impl Tree {
    fn open(work: &Path) -> Result<Tree> {
        let unpacked = fs::read_dir(work)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.is_dir() && name_of(path).starts_with("kubernetes-"))
            .ok_or("the source package has no folder")?;
        let version = upstream(name_of(&unpacked)).to_owned();
        if !version.starts_with("1.20.") {
            return Err(format!("this is Kubernetes {version}; 1.20 was expected").into());
        }
        let gopath = work.join("go");
        let root = gopath.join("src").join(IMPORT);
        fs::create_dir_all(root.parent().ok_or("the path is one word")?)?;
        fs::rename(unpacked, &root)?;
        Ok(Tree { gopath, root, version })
    }

    fn replace_reflect(&self) -> Result<()> {
        let theirs = Path::new(DEBIAN_GO).join(REFLECT);
        if !theirs.is_dir() {
            return Err(format!(
                "{} is not there: install golang-github-modern-go-reflect2-dev",
                theirs.display()
            )
            .into());
        }
        let ours = self.root.join("vendor").join(REFLECT);
        fs::remove_dir_all(&ours)?;
        run(Command::new("cp").arg("-r").arg(theirs).arg(ours))
    }

    /// What the API server says of its types: from marks in their sources, by a generator that is
    /// in the tree.
    fn generate_schema(&self, work: &Path) -> Result<()> {
        let generator = work.join("openapi-gen");
        let package = "./vendor/k8s.io/kube-openapi/cmd/openapi-gen";
        run(self.go().arg("build").arg("-o").arg(&generator).arg(package))?;
        // Much of `vendor` are links to folders of the tree.
        let marked = Command::new("grep")
            .args(["-Rl", "--include=*.go", "+k8s:openapi-gen=", "vendor/k8s.io/", "pkg", "cmd"])
            .current_dir(&self.root)
            .output()?;
        let marked = String::from_utf8(marked.stdout)?;
        let other = ["vendor/k8s.io/code-generator/", "vendor/k8s.io/sample-apiserver/"];
        let packages: BTreeSet<String> = marked
            .lines()
            .filter(|file| !other.iter().any(|folder| file.starts_with(folder)))
            .filter_map(|file| Some(format!("{IMPORT}/{}", file.rsplit_once('/')?.0)))
            .collect();
        let packages: Vec<String> = packages.into_iter().collect();
        let file = "zz_generated.openapi";
        run(self
            .environment(&mut Command::new(&generator))
            .args(["--logtostderr", "--input-dirs", &packages.join(",")])
            .args(["--output-package", &format!("{IMPORT}/{SCHEMA}")])
            .args(["--output-file-base", file])
            .args(["--go-header-file", "hack/boilerplate/boilerplate.generatego.txt"])
            .arg("--report-filename")
            .arg(work.join("violations")))?;
        // The server would not start, after minutes of compiling.
        let schema = fs::read_to_string(self.root.join(SCHEMA).join(format!("{file}.go")))?;
        if !schema.contains("\"k8s.io/api/core/v1.Pod\"") {
            return Err(format!("the schema of {} packages knows no pods", packages.len()).into());
        }
        Ok(())
    }

    fn compile(&self, into: &Path) -> Result<()> {
        let sources: Vec<String> = PROGRAMS.iter().map(|name| format!("./cmd/{name}")).collect();
        let listed = self.go().args(["list", "-deps"]).args(&sources).output()?;
        let total = listed.stdout.split(|byte| *byte == b'\n').count();
        println!("kube-lab: compiling {} programs of {total} Go packages", PROGRAMS.len());

        let mut child = self
            .go()
            .args(["build", "-v", "-ldflags", &self.link_flags(), "-o"])
            // With a slash Go takes it for a folder.
            .arg(into.join(""))
            .args(&sources)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("go does not start ({error}): install golang-go"))?;
        let lines = BufReader::new(child.stderr.take().ok_or("go has no error output")?).lines();
        let (begin, mut told, mut done, mut said) = (Instant::now(), Instant::now(), 0, Vec::new());
        // Each package is a line when it begins; what is wrong is a line too.
        for line in lines {
            said.push(line?);
            done += 1;
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                println!("kube-lab: package {done} of {total}, {} s", begin.elapsed().as_secs());
            }
        }
        let status = child.wait()?;
        if !status.success() {
            let last = &said[said.len().saturating_sub(30)..];
            return Err(format!("go build: {status}\n{}", last.join("\n")).into());
        }
        Ok(())
    }

    /// The version that the programs tell, without which clients do not talk to the server; no
    /// symbols, which are half of a program.
    fn link_flags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        let minor = self.version.split('.').nth(1).unwrap_or_default();
        for package in ["client-go/pkg", "component-base"] {
            for (key, value) in [
                ("gitVersion", format!("v{}", self.version)),
                ("gitMajor", "1".to_owned()),
                ("gitMinor", minor.to_owned()),
                ("gitTreeState", "clean".to_owned()),
            ] {
                flags += &format!(" -X {IMPORT}/vendor/k8s.io/{package}/version.{key}={value}");
            }
        }
        flags
    }

    fn go(&self) -> Command {
        let mut command = Command::new("go");
        self.environment(&mut command);
        command
    }

    /// In the tree, with all that Go writes below the folder of the build and nothing fetched.
    fn environment<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let temporary = self.gopath.join("tmp");
        // Go makes no folder for this itself; when it cannot be made, Go says so.
        let _ = fs::create_dir_all(&temporary);
        command
            .current_dir(&self.root)
            .env("GOPATH", &self.gopath)
            .env("GOCACHE", self.gopath.join("cache"))
            .env("GOTMPDIR", temporary)
            .env("GO111MODULE", "off")
            .env("GOPROXY", "off")
            .env("GOFLAGS", "")
            .env("CGO_ENABLED", "0")
            // The compilers collect less garbage: more memory, less time.
            .env("GOGC", "400")
    }
}

/// The version in a folder's name: Debian's `kubernetes-1.20.5+really1.20.2` is 1.20.2.
fn upstream(folder: &str) -> &str {
    let version = folder.trim_start_matches("kubernetes-");
    version.rsplit("+really").next().unwrap_or(version)
}

fn go_version() -> Result<String> {
    let output = Command::new("go").arg("version").output()?;
    Ok(String::from_utf8(output.stdout)?)
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Runs a step whose output interests only when it fails.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program} does not start: {error}"))?;
    let mut said = String::new();
    child.stderr.take().ok_or("there is no error output")?.read_to_string(&mut said)?;
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("{program}: {status}\n{said}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_the_sources_are_of() {
        assert_eq!(upstream("kubernetes-1.20.5+really1.20.2"), "1.20.2");
        assert_eq!(upstream("kubernetes-1.20.7"), "1.20.7");
    }

    #[test]
    fn a_build_that_fails_leaves_nothing_to_be_taken_for_one() {
        let cache = std::env::temp_dir().join(format!("callgate-xtask-{}", std::process::id()));
        let failing = |work: &Path| {
            fs::write(work.join("half"), "")?;
            Err("no disk".into())
        };
        assert!(keep(&cache, failing).is_err());
        let left: Vec<_> = fs::read_dir(&cache).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["lock"]);

        let working = |work: &Path| {
            let made = work.join("programs");
            fs::create_dir(&made)?;
            Ok(made)
        };
        let kept = keep(&cache, working).unwrap();
        assert!(kept.is_dir());
        assert_eq!(keep(&cache, failing).unwrap(), kept, "what is there is not built again");
        fs::remove_dir_all(cache).unwrap();
    }
}
