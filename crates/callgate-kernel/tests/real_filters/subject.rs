//! Programs of Debian's packages, started so that they filter themselves, or are filtered. Tests
//! of the command include this file too.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::{
    env,
    fmt::Write as _,
    fs, io,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixStream,
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use callgate_kernel::{DumpedFilter, Mode, ThreadStatus, filters_of};

/// Says loudly that something is not tested. With `CALLGATE_REQUIRE_LAB=1` nothing may be missing.
pub fn skip(why: &str) {
    assert!(
        env::var_os("CALLGATE_REQUIRE_LAB").is_none_or(|value| value != "1"),
        "CALLGATE_REQUIRE_LAB=1, but {why}"
    );
    eprintln!("skipped: {why}");
}

/// A folder of its own, which goes with it.
pub struct Folder(PathBuf);

impl Folder {
    fn create(name: &str) -> Folder {
        let path = env::temp_dir().join(format!("callgate-real-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Something that runs until it is dropped.
pub struct Subject {
    name: &'static str,
    child: Child,
    /// The other end of its standard input and output, where it has one.
    _peer: Option<UnixStream>,
    /// What ends more than the child.
    end: Option<Command>,
    folder: Folder,
    /// A folder that it needs elsewhere and that was not there.
    _made: Option<Folder>,
}

/// Finds a program; says what to install where there is none.
fn program(name: &str, package: &str) -> Option<PathBuf> {
    let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists());
    if found.is_none() {
        skip(&format!("the filters of {name} are not read: install {package}"));
    }
    found
}

impl Subject {
    fn start(name: &'static str, folder: Folder, command: &mut Command) -> Subject {
        let log = fs::File::create(folder.0.join("log")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Subject { name, child, _peer: None, end: None, folder, _made: None }
    }

    /// tor with its sandbox, off the network.
    pub fn tor() -> Option<Subject> {
        let program = program("tor", "tor")?;
        let folder = Folder::create("tor");
        let data = folder.0.join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, PermissionsExt::from_mode(0o700)).unwrap();
        let settings =
            format!("DataDirectory {}\nSocksPort 0\nDisableNetwork 1\nSandbox 1\n", data.display());
        let settings = folder.file("torrc", &settings);
        let mut command = Command::new(program);
        command.arg("-f").arg(settings).args(["--defaults-torrc", "/dev/null"]);
        Some(Subject::start("tor", folder, &mut command))
    }

    /// chronyd, which only listens to a socket of its own and leaves the clock alone.
    pub fn chrony() -> Option<Subject> {
        let program = program("chronyd", "chrony")?;
        let folder = Folder::create("chrony");
        let here = folder.0.display();
        let settings = format!(
            "cmdport 0\nport 0\nbindcmdaddress /\npidfile {here}/pid\nrefclock SOCK {here}/clock\n"
        );
        let settings = folder.file("chrony.conf", &settings);
        let mut command = Command::new(program);
        command.args(["-d", "-F", "1", "-x", "-u", "root", "-f"]).arg(settings);
        Some(Subject::start("chronyd", folder, &mut command))
    }

    /// sshd with a client that has said its version and no more: the part that talks to it is
    /// filtered.
    pub fn sshd() -> Option<Subject> {
        let program = program("sshd", "openssh-server")?;
        let folder = Folder::create("sshd");
        // Where the unprivileged part is locked in; Debian's service makes it at each start.
        let made = fs::create_dir("/run/sshd").is_ok().then(|| Folder("/run/sshd".into()));
        let key = folder.0.join("key");
        let keygen = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status()
            .expect("it comes with sshd");
        assert!(keygen.success(), "ssh-keygen");
        let settings = format!("HostKey {}\nUsePAM no\nPidFile none\n", key.display());
        let settings = folder.file("sshd_config", &settings);
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        io::Write::write_all(&mut ours, b"SSH-2.0-test\r\n").unwrap();
        let child = Command::new(program)
            .args(["-i", "-e", "-f"])
            .arg(settings)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs.try_clone().unwrap())))
            .stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stderr(fs::File::create(folder.0.join("log")).unwrap())
            .process_group(0)
            .spawn()
            .expect("it was found");
        Some(Subject { name: "sshd", child, _peer: Some(ours), end: None, folder, _made: made })
    }

    /// A program in a container of systemd-nspawn.
    pub fn nspawn() -> Option<Subject> {
        let program = program("systemd-nspawn", "systemd-container")?;
        let folder = Folder::create("nspawn");
        let root = root(&folder)?;
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("etc/os-release"), "ID=callgate\n").unwrap();
        let mut command = Command::new(program);
        command
            .args(["--quiet", "--register=no", "--keep-unit", "--private-network", "--as-pid2"])
            .arg(format!("--machine=callgate-{}", std::process::id()))
            .arg("--pipe")
            .arg("--directory")
            .arg(&root)
            .args(["/bin/busybox", "sleep", "300"]);
        Some(Subject::start("busybox", folder, &mut command))
    }

    /// A program in a container of runc, under this `linux.seccomp`.
    pub fn runc(seccomp: &str) -> Option<Subject> {
        let program = program("runc", "runc")?;
        let folder = Folder::create("runc");
        let root = root(&folder)?;
        let name = format!("callgate-real-{}", std::process::id());
        let mut config = String::new();
        let _ = write!(
            config,
            r#"{{ "ociVersion": "1.0.2",
                "process": {{ "args": ["/bin/busybox", "sleep", "300"], "cwd": "/", "user": {{}},
                              "noNewPrivileges": true }},
                "root": {{ "path": "{}", "readonly": true }},
                "mounts": [{{ "destination": "/proc", "type": "proc", "source": "proc" }}],
                "linux": {{ "cgroupsPath": "/{name}", "seccomp": {seccomp},
                            "namespaces": [{{ "type": "pid" }}, {{ "type": "mount" }},
                                           {{ "type": "ipc" }}, {{ "type": "uts" }},
                                           {{ "type": "network" }}] }} }}"#,
            root.display()
        );
        folder.file("config.json", &config);
        let with_state = |program: &Path| {
            let mut command = Command::new(program);
            command.arg("--root").arg(folder.0.join("state"));
            command
        };
        let mut command = with_state(&program);
        command.arg("run").arg("--bundle").arg(&folder.0).arg(&name);
        let mut end = with_state(&program);
        end.args(["delete", "--force", &name]);
        let mut subject = Subject::start("busybox", folder, &mut command);
        subject.end = Some(end);
        Some(subject)
    }

    /// A headless Chromium of an ordinary user; the named kind of its processes is waited for.
    /// It is large, so its absence is no failure.
    pub fn chromium() -> Option<Subject> {
        let program = Path::new("/usr/bin/chromium");
        if !program.exists() {
            eprintln!("skipped: Chromium's filters are not read: install chromium (300 MB)");
            return None;
        }
        const NOBODY: u32 = 65534;
        let folder = Folder::create("chromium");
        let home = folder.0.join("home");
        fs::create_dir(&home).unwrap();
        std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
        let mut command = Command::new(program);
        command
            .args(["--headless", "--disable-gpu", "--remote-debugging-port=0", "about:blank"])
            .arg(format!("--user-data-dir={}", home.join("data").display()))
            .env("HOME", &home)
            .env("TMPDIR", &home)
            .uid(NOBODY)
            .gid(NOBODY);
        Some(Subject::start("chromium", folder, &mut command))
    }

    /// `sleep` under a filter for each ABI and one more, with firejail's own list of refusals.
    pub fn firejail() -> Option<Subject> {
        let program = program("firejail", "firejail")?;
        let folder = Folder::create("firejail");
        let mut command = Command::new(program);
        command
            .args(["--quiet", "--noprofile", "--net=none", "--seccomp", "--protocol=unix"])
            .args(["--", "sleep", "300"])
            .env("HOME", &folder.0);
        Some(Subject::start("sleep", folder, &mut command))
    }

    /// Waits until a process of the subject's, of its name and with `argument` on its command
    /// line, is filtered and has stayed so, and reads its filters.
    pub fn filters(&mut self, argument: &str) -> Vec<DumpedFilter> {
        filters_of(self.process(argument)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits for such a process; its number.
    pub fn process(&mut self, argument: &str) -> i32 {
        let begin = Instant::now();
        let mut seen = 0;
        loop {
            let found = descendants(self.child.id())
                .into_iter()
                .filter(|pid| command_line(*pid).contains(argument))
                .find_map(|pid| {
                    let status = ThreadStatus::of_thread(pid).ok()?;
                    let filtered = status.mode == Some(Mode::Filter);
                    (filtered && status.name == self.name).then_some((pid, status.filters))
                });
            if let Some((pid, count)) = found {
                // Some load several, one after the other.
                let count = count.unwrap_or(1);
                if count == seen {
                    return pid;
                }
                seen = count;
            }
            if begin.elapsed() > Duration::from_secs(30)
                || self.child.try_wait().is_ok_and(|end| end.is_some())
            {
                let log = fs::read_to_string(self.folder.0.join("log")).unwrap_or_default();
                panic!("{} did not come to filter itself\n{log}", self.name);
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(end) = &mut self.end {
            let _ = end.status();
        }
        // What it started dies with it or is in its group, which has not been waited for yet.
        for pid in descendants(self.child.id()) {
            let mut kill = Command::new("kill");
            let _ = kill.args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A root file system of busybox alone.
fn root(folder: &Folder) -> Option<PathBuf> {
    let busybox = program("busybox", "busybox-static")?;
    let root = folder.0.join("root");
    for name in ["bin", "dev", "etc", "proc", "run", "sys", "tmp", "usr", "var"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    symlink("busybox", root.join("bin/sleep")).unwrap();
    Some(root)
}

/// The process and all that come from it, in no order.
fn descendants(of: u32) -> Vec<i32> {
    let of = i32::try_from(of).unwrap();
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in front may have anything in it, but no later parenthesis.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| pid));
        next += 1;
    }
    found
}

fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}
