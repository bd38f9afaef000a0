//! `ctr` against the containerd that the Docker engine brings up.

use std::{fs, path::PathBuf};

use super::{Lab, command, docker};

/// The image's name in containerd's store.
pub const IMAGE: &str = "docker.io/library/lab:1";

/// The socket, once the image is in the store.
pub fn with_image(lab: &Lab) -> PathBuf {
    let docker = lab.docker();
    let socket = docker.containerd();
    let archive = lab.path().join("image.tar");
    docker
        .run(&["save", "--output", &archive.display().to_string(), docker::IMAGE], "")
        .expect("docker save");
    command::run(
        lab.cell
            .command("ctr")
            .arg("--address")
            .arg(&socket)
            .args(["images", "import"])
            .arg(&archive),
        "",
    )
    .expect("ctr images import");
    let _ = fs::remove_file(&archive);
    socket
}
