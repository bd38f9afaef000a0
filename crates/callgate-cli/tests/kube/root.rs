//! The files that Localhost profiles name.

use std::fs;

use super::check;
use crate::common::Scratch;

/// What every lint is content with.
const FLAT: &str = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
  "syscalls": [{ "names": ["read", "write", "exit_group", "rt_sigreturn"], "action": "SCMP_ACT_ALLOW" }] }
"#;

/// In Docker's dialect: mount for those with the capability.
const DOCKER: &str = r#"{ "defaultAction": "SCMP_ACT_ERRNO",
  "syscalls": [{ "names": ["read", "exit_group"], "action": "SCMP_ACT_ALLOW" },
    { "names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } }] }
"#;

fn pod(profile: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: web }}\nspec:\n  securityContext:\n    \
         seccompProfile: {{ type: Localhost, localhostProfile: {profile} }}\n  containers: \
         [{{ name: a }}, {{ name: b }}]\n"
    )
}

fn node() -> Scratch {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.join("root/profiles/folder.json")).expect("it is ours");
    scratch.file("root/flat.json", FLAT);
    scratch.file("root/profiles/docker.json", DOCKER);
    scratch.file("root/wrong.json", "{ \"defaultAction\": \"SCMP_ACT_ERNO\" }");
    scratch.file("root/poll.json", FLAT.replace("\"exit_group\", \"rt_sigreturn\"", "\"poll\""));
    scratch.file("root/binary.json", b"\0\x01\x02");
    scratch
}

#[test]
fn a_profile_that_is_there_is_fine() {
    let scratch = node();
    scratch.file("web.yaml", pod("flat.json"));
    let said = "web.yaml:1: Pod web; …: restricted\n  container a  Localhost flat.json: the pod says \
                so\n  container b  Localhost flat.json: the pod says so\nweb.yaml: 2 containers, clean\n";
    check(&scratch, &["web.yaml", "--root", "root"]).is_like(0, said, "");
}

#[test]
fn a_profile_that_is_missing_is_found_before_the_kubelet_misses_it() {
    let scratch = node();
    for (path, why) in [
        ("none.json", "No such file"),
        ("profiles/none.json", "No such file"),
        ("flat.json/x", "Not a directory"),
        ("profiles/folder.json", "it is no file"),
    ] {
        scratch.file("web.yaml", pod(path));
        let full = scratch.join("root").join(path);
        // Once, though two containers name it.
        let found = format!(
            "…\nerror[kube-missing-profile]: the node has no profile `{path}`, so no container is \
             created with it\n…--> web.yaml:6:58\n…help: {}: {why}…CreateContainerError…\
             web.yaml: 2 containers, 1 error\n",
            full.display()
        );
        check(&scratch, &["web.yaml", "--root", "root"]).is_like(1, &found, "");
    }
    // Nothing is known of a node, and nothing is said.
    if !std::path::Path::new(callgate_kube::DEFAULT_ROOT).exists() {
        check(&scratch, &["web.yaml"]).is_like(0, "…clean\n", "");
    }
}

#[test]
fn a_profile_that_the_runtime_would_open_is_stopped() {
    let scratch = node();
    scratch.file("web.yaml", pod("profiles/docker.json"));
    let found = "…\nerror[kube-dialect]: containerd reads another profile in `profiles/docker.json` than \
                 is written there: entries with conditions always apply, for it drops `includes`\n…\
                 --> web.yaml:6:58\n…help: `callgate compile …/root/profiles/docker.json --format oci` \
                 …web.yaml: 2 containers, 1 error\n";
    check(&scratch, &["web.yaml", "--root", "root"]).is_like(1, found, "");
    // CRI-O reads conditions.
    let cri_o = check(&scratch, &["web.yaml", "--root", "root", "--runtime", "cri-o"]);
    assert!(!cri_o.stdout.contains("kube-dialect"), "{}", cri_o.stdout);
    // What the help says mends it.
    let compile = ["compile", "root/profiles/docker.json", "--format", "oci", "-o"];
    scratch.callgate(&compile).arg("root/profiles/docker.json").run();
    let mended = check(&scratch, &["web.yaml", "--root", "root"]);
    assert!(!mended.stdout.contains("kube-dialect"), "{}", mended.stdout);
}

#[test]
fn a_profile_that_is_wrong_or_says_little_is_told() {
    let scratch = node();
    scratch.file("wrong.yaml", pod("wrong.json"));
    let found = "…\nerror[kube-profile]: containerd refuses or misreads `wrong.json`: `SCMP_ACT_ERNO` is \
                 not an action\n…`callgate check …/root/wrong.json --dialect oci` shows where\n…";
    check(&scratch, &["wrong.yaml", "--root", "root"]).is_like(1, found, "");
    scratch.file("poll.yaml", pod("poll.json"));
    let found =
        "…[kube-lint]: `poll.json` has …: …\n…`callgate lint …/root/poll.json --dialect oci` …";
    check(&scratch, &["poll.yaml", "--root", "root"]).is_like(1, found, "");
    scratch.file("binary.yaml", pod("binary.json"));
    check(&scratch, &["binary.yaml", "--root", "root"]).is_like(1, "…error[kube-…", "");
}

/// What leads out of the folder is never opened.
#[test]
fn a_path_out_of_the_folder_is_not_followed() {
    let scratch = node();
    scratch.file("secret.json", "{ \"defaultAction\": \"SCMP_ACT_ERNO\" }");
    let absolute = scratch.join("secret.json").display().to_string();
    for path in ["../secret.json", "profiles/../../secret.json", absolute.as_str()] {
        scratch.file("web.yaml", pod(path));
        let outcome = check(&scratch, &["web.yaml", "--root", "root"]);
        outcome.is_like(1, "…\nerror[kube-localhost-profile]: …2 containers, 1 error\n", "");
        assert!(!outcome.stdout.contains("ERNO"), "{}", outcome.stdout);
    }
}
