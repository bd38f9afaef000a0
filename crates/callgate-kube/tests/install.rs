//! The script of the DaemonSet's container, in the shells that images have.
#![cfg(unix)]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use callgate_kube::install::SCRIPT;

const FIRST: &str = "{ \"defaultAction\": \"SCMP_ACT_LOG\" }\n";
const SECOND: &str = "{ \"defaultAction\": \"SCMP_ACT_ERRNO\",\n  \"syscalls\": [] }\n";

/// Each shell with the arguments that make it run a script, if it is there.
fn shells() -> Vec<Vec<&'static str>> {
    let all = [vec!["dash", "-c"], vec!["busybox", "sh", "-c"], vec!["bash", "-c"]];
    let there = |shell: &Vec<&str>| {
        let tried = Command::new(shell[0]).args(&shell[1..]).arg("exit 0").output();
        let found = tried.is_ok_and(|output| output.status.success());
        if !found {
            // Not a print macro: the test harness would keep it.
            let _ =
                writeln!(std::io::stderr(), "skipped: the script in {}: it is not here", shell[0]);
        }
        found
    };
    all.into_iter().filter(there).collect()
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("callgate-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("to")).unwrap();
        Folder(path)
    }

    fn from(&self) -> PathBuf {
        self.0.join("from.json")
    }

    fn to(&self) -> PathBuf {
        self.0.join("to/web.json")
    }

    /// The names in the node's folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.join("to")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn start(&self, shell: &[&str]) -> Child {
        Command::new(shell[0])
            .args(&shell[1..])
            .args([SCRIPT, "install"])
            .args([self.from(), self.to()])
            .arg("0.1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until the file has this text; a minute is for machines that are busy.
#[track_caller]
fn wait_for(path: &Path, text: &str) {
    for _ in 0..1200 {
        if fs::read_to_string(path).is_ok_and(|now| now == text) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{} does not become {text:?}", path.display());
}

/// Ends it as the kubelet ends a container.
fn terminate(child: Child) -> Output {
    let status = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
    assert!(status.unwrap().success());
    child.wait_with_output().unwrap()
}

#[test]
fn the_file_is_installed_follows_its_source_and_goes_at_the_end() {
    for shell in shells() {
        let folder = Folder::new("install");
        fs::write(folder.from(), FIRST).unwrap();
        let child = folder.start(&shell);
        wait_for(&folder.to(), FIRST);
        fs::write(folder.from(), SECOND).unwrap();
        wait_for(&folder.to(), SECOND);
        // Whoever removes it by hand gets it back.
        fs::remove_file(folder.to()).unwrap();
        wait_for(&folder.to(), SECOND);
        let output = terminate(child);
        assert_eq!(output.status.code(), Some(0), "{shell:?}: {output:?}");
        assert_eq!(folder.names(), [""; 0], "{shell:?}");
        assert!(String::from_utf8_lossy(&output.stdout).ends_with("removed web.json\n"));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell:?}");
    }
}

#[test]
fn a_reader_never_sees_a_part_of_the_file() {
    // Long enough for several writes.
    let texts = ["a", "b"].map(|letter| format!("{}\n", letter.repeat(300_000)));
    for shell in shells() {
        let folder = Folder::new("whole");
        fs::write(folder.from(), &texts[0]).unwrap();
        let child = folder.start(&shell);
        wait_for(&folder.to(), &texts[0]);
        for round in 1..4 {
            let next = &texts[round % 2];
            // As the kubelet does it: a link that comes to lead elsewhere.
            fs::write(folder.0.join("next"), next).unwrap();
            fs::rename(folder.0.join("next"), folder.from()).unwrap();
            loop {
                let now = fs::read_to_string(folder.to()).unwrap();
                assert!(texts.contains(&now), "{shell:?}: {} bytes", now.len());
                if now == *next {
                    break;
                }
            }
        }
        terminate(child);
    }
}

#[test]
fn a_file_of_somebody_else_stays() {
    for shell in shells() {
        let folder = Folder::new("foreign");
        fs::write(folder.from(), FIRST).unwrap();
        let child = folder.start(&shell);
        wait_for(&folder.to(), FIRST);
        // Between two looks, and the end comes before the next one.
        let stopped = Command::new("kill").args(["-s", "STOP", &child.id().to_string()]).status();
        assert!(stopped.unwrap().success());
        fs::write(folder.to(), SECOND).unwrap();
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(sent.unwrap().success());
        assert!(Command::new("kill").args(["-s", "CONT", &id]).status().unwrap().success());
        child.wait_with_output().unwrap();
        assert_eq!(fs::read_to_string(folder.to()).unwrap(), SECOND, "{shell:?}");
        assert_eq!(folder.names(), ["web.json"], "{shell:?}");
    }
}

#[test]
fn what_cannot_be_installed_ends_the_container_with_a_reason() {
    for shell in shells() {
        let folder = Folder::new("missing");
        let output = folder.start(&shell).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{shell:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("web.json is not installed"));
        assert_eq!(folder.names(), [""; 0], "{shell:?}");

        fs::write(folder.from(), FIRST).unwrap();
        fs::create_dir(folder.to()).unwrap();
        let output = folder.start(&shell).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{shell:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("web.json is a folder"));
        assert_eq!(folder.names(), ["web.json"], "{shell:?}");
    }
}
