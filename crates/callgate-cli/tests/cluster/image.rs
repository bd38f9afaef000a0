//! The one image of the cluster: busybox, in the form that `docker save` writes.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::json;

use super::command;

/// The image's name. Its tag is not `latest`, so nobody tries to pull it.
pub const IMAGE: &str = "localhost/lab:1";

/// Commands of busybox that pods use.
const APPLETS: &[&str] = &[
    "cat", "chmod", "cp", "echo", "grep", "ls", "mkdir", "mktemp", "mv", "rm", "sh", "sleep",
    "test", "touch", "true", "unshare",
];

/// Ends when told to: the process of a pod's sandbox.
const PAUSE: &str = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done";

/// Writes the image as `LAB/image.tar`.
pub fn write(lab: &Path) {
    let root = lab.join("image");
    for folder in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir_all(root.join(folder)).expect("the folder takes a folder");
    }
    let busybox = command::find("busybox").expect("it was looked for");
    fs::copy(busybox, root.join("bin/busybox")).expect("the folder takes a file");
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).expect("the folder takes a link");
    }

    let archive = lab.join("archive");
    fs::create_dir_all(&archive).expect("the folder takes a folder");
    tar(&root, &archive.join("layer.tar"));
    let layer = digest(&archive.join("layer.tar"));
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Cmd": ["/bin/sh", "-c", PAUSE] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
    });
    fs::write(archive.join("config.json"), config.to_string()).expect("the folder takes a file");
    let name = format!("{}.json", digest(&archive.join("config.json")));
    fs::rename(archive.join("config.json"), archive.join(&name)).expect("it was just written");
    let manifest = json!([{ "Config": name, "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]);
    fs::write(archive.join("manifest.json"), manifest.to_string())
        .expect("the folder takes a file");
    tar(&archive, &lab.join("image.tar"));
}

fn tar(folder: &Path, archive: &Path) {
    command::run(Command::new("tar").arg("-C").arg(folder).arg("-cf").arg(archive).arg("."), "")
        .expect("tar");
}

fn digest(file: &Path) -> String {
    let line = command::run(Command::new("sha256sum").arg(file), "").expect("sha256sum");
    line.split_whitespace().next().unwrap_or_default().to_owned()
}
