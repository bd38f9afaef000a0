//! Containers of runc, crun and podman, under the profile that each gets from us or brings along.

use std::{fs, path::Path, process::Stdio, thread, time::Duration, time::Instant};

use callgate_kernel::{Mode, ThreadStatus};
use serde_json::json;

use crate::{
    NAME,
    cell::{self, Cell},
    common::{Scratch, find, tool_for},
};

/// How long a container may take to start on a loaded machine.
const LIMIT: Duration = Duration::from_secs(90);

/// Limits that a machine without CAP_SYS_RESOURCE can give; podman's own are higher.
const PODMAN: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
"#;

/// Calls back with each container's name and process.
pub fn each(look: impl Fn(&str, i32)) {
    let what = "the filters of containers";
    if ["busybox", "unshare", "nsenter", "ip"]
        .into_iter()
        .zip(["busybox-static", "util-linux", "util-linux", "iproute2"])
        .any(|(program, package)| !tool_for(program, package, what))
    {
        return;
    }
    let scratch = Scratch::new();
    let root = scratch.join("root");
    for folder in ["bin", "dev", "etc", "proc", "run", "sys", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    scratch.copy(find("busybox").unwrap(), "root/bin/busybox", 0o755);
    let flat = scratch.callgate(&["convert", "docker-default", "--to", "oci"]).run();
    assert_eq!(flat.status, 0, "{}", flat.stderr);
    fs::write(scratch.join("containers.conf"), PODMAN).unwrap();

    cell::remove_leftovers();
    let cell = Cell::open(&format!("{NAME}{}-0", std::process::id()));
    for runtime in ["runc", "crun"] {
        if tool_for(runtime, runtime, what) {
            let mark = format!("callgate-{runtime}-{}", std::process::id());
            bundle(&scratch, &cell, &root, &mark, &flat.stdout);
            let state = scratch.join(format!("{runtime}-state"));
            let state = state.to_str().unwrap();
            let bundle = scratch.path().to_str().unwrap();
            let args = ["--root", state, "run", "--bundle", bundle, &mark];
            start(&scratch, &cell, runtime, &mark, &args, &look);
        }
    }
    if tool_for("podman", "podman", what) {
        let mark = format!("callgate-podman-{}", std::process::id());
        let (store, cgroup) = (scratch.join("store"), format!("/{}", cell.cgroup()));
        let line = waits(&mark);
        let mut args =
            vec!["--root", store.to_str().unwrap(), "--runroot", "/run/callgate-filters"];
        args.extend(["--runtime", "runc", "run", "--rm", "--network", "none"]);
        args.extend(["--cgroup-parent", &cgroup, "--rootfs", root.to_str().unwrap()]);
        args.extend(["/bin/busybox", "sh", "-c", &line]);
        start(&scratch, &cell, "podman", &mark, &args, &look);
    }
}

/// What the container runs: it waits, and has the mark on its command line.
fn waits(mark: &str) -> String {
    format!("while :; do /bin/busybox sleep 300; done # {mark}")
}

fn bundle(scratch: &Scratch, cell: &Cell, root: &Path, mark: &str, seccomp: &str) {
    let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({ "type": kind }));
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": { "uid": 0, "gid": 0 }, "cwd": "/", "noNewPrivileges": true,
            "args": ["/bin/busybox", "sh", "-c", waits(mark)], "env": ["PATH=/bin"],
        },
        "root": { "path": root, "readonly": true },
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "linux": {
            "cgroupsPath": format!("/{}/{mark}", cell.cgroup()),
            "namespaces": namespaces,
            "seccomp": serde_json::from_str::<serde_json::Value>(seccomp).unwrap(),
        },
    });
    scratch.file("config.json", config.to_string());
}

/// Starts a container and looks at its process, which ends with the cell.
fn start(
    scratch: &Scratch,
    cell: &Cell,
    program: &str,
    mark: &str,
    args: &[&str],
    look: &impl Fn(&str, i32),
) {
    let log = fs::File::create(scratch.join(mark)).unwrap();
    let mut child = cell
        .command(program)
        .args(args)
        .env("CONTAINERS_CONF", scratch.join("containers.conf"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let pid = loop {
        if let Some(pid) = marked(mark) {
            break pid;
        }
        let ended = child.try_wait().unwrap();
        let log = || String::from_utf8_lossy(&scratch.read(mark)).into_owned();
        assert!(ended.is_none(), "{program} ended: {ended:?}\n{}", log());
        assert!(begin.elapsed() < LIMIT, "{program} starts nothing\n{}", log());
        thread::sleep(Duration::from_millis(20));
    };
    look(&format!("a container of {program}"), pid);
    let _ = child.kill();
    let _ = child.wait();
}

/// The filtered process that executes busybox with this on its command line.
fn marked(mark: &str) -> Option<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.find(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(mark)
            && exe.ends_with("bin/busybox")
            && ThreadStatus::of_thread(*pid).is_ok_and(|s| s.mode == Some(Mode::Filter))
    })
}
