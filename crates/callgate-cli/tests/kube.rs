//! `callgate kube check`: which profile holds each container, whether its file is one to the
//! node's runtime, and what is said of manifests that are none. What is found in a manifest by
//! itself is tested beside the library.

#![cfg(target_os = "linux")]

mod common;

#[path = "kube/bad_input.rs"]
mod bad_input;
#[path = "kube/context.rs"]
mod context;
#[path = "kube/kubectl.rs"]
mod kubectl;
#[path = "kube/root.rs"]
mod root;

use common::{Outcome, Scratch};

/// A pod that nothing is wrong with.
const CLEAN: &str = "\
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: prod }
spec:
  securityContext: { seccompProfile: { type: RuntimeDefault } }
  containers:
  - name: nginx
";

/// A pod without a profile.
const SILENT: &str = "\
apiVersion: v1
kind: Pod
metadata: { name: silent }
spec: { containers: [{ name: web }] }
";

/// Runs the verb for a machine that the test does not depend on.
fn check(scratch: &Scratch, args: &[&str]) -> Outcome {
    let machine = ["kube", "check", "--arch", "x86_64", "--kernel", "6.12"];
    scratch.callgate(&machine).args(args).run()
}

#[test]
fn a_clean_pod_is_called_clean() {
    let scratch = Scratch::new();
    scratch.file("web.yaml", CLEAN);
    let said = |name: &str| {
        format!(
            "{name}:1: Pod prod/web; Pod Security as far as seccomp decides: restricted\n  \
             container nginx  RuntimeDefault: the pod says so\n{name}: 1 container, clean\n"
        )
    };
    check(&scratch, &["web.yaml", "--pod-security", "restricted"]).is(0, &said("web.yaml"), "");
    // As kustomize prints it, several to the text.
    let both = format!("{CLEAN}---\n{SILENT}");
    let piped = scratch.callgate(&["kube", "check", "-", "--seccomp-default"]).input(both).run();
    let more = "standard input:9: Pod silent; …: baseline\n  container web  RuntimeDefault: nothing \
                is said, and the node's default is the runtime's profile\n";
    let all = said("standard input").replace("standard input: 1 container, clean\n", more);
    piped.is_like(0, &format!("{all}standard input: 2 containers, clean\n"), "");
}

#[test]
fn a_finding_has_place_page_and_help_and_makes_the_status_one() {
    let scratch = Scratch::new();
    scratch.file("web.yaml", SILENT);
    let found = "web.yaml:1: Pod silent; Pod Security as far as seccomp decides: baseline\n  \
                 container web  Unconfined: nothing is said\n\n\
                 warning[kube-unconfined]: container `web` runs without a filter: nothing is said of seccomp\n…\
                 --> web.yaml:4:30\n…page: docs/diagnostics/kube-unconfined.md\n…= help: …RuntimeDefault…\n\n\
                 web.yaml: 1 container, 1 warning\n";
    check(&scratch, &["web.yaml"]).is_like(1, found, "");
    check(&scratch, &["web.yaml", "--allow", "kube-unconfined"]).is_like(0, "…clean\n", "");
    // A level that does not admit it.
    let refused = "…error[kube-pod-security]: Pod Security `restricted` does not admit this Pod\n…";
    check(&scratch, &["web.yaml", "--pod-security", "restricted"]).is_like(1, refused, "");
    check(&scratch, &["web.yaml", "--pod-security", "baseline"]).is_like(1, "…1 warning\n", "");
    // A note is none.
    let annotated = CLEAN.replace(
        "prod }",
        "prod, annotations: { seccomp.security.alpha.kubernetes.io/pod: runtime/default } }",
    );
    scratch.file("noted.yaml", annotated);
    check(&scratch, &["noted.yaml"]).is_like(0, "…note[kube-annotation]…1 container, 1 note\n", "");
}

#[test]
fn several_files_are_looked_at_each() {
    let scratch = Scratch::new();
    scratch.file("clean.yaml", CLEAN);
    scratch.file("silent.yaml", SILENT);
    scratch.file("empty.yaml", "# nothing\n");
    check(&scratch, &["clean.yaml", "silent.yaml", "empty.yaml"]).is_like(
        1,
        "clean.yaml:1: …clean.yaml: 1 container, clean\nsilent.yaml:1: …silent.yaml: 1 container, \
         1 warning\nempty.yaml: 0 containers, clean\n",
        "",
    );
    // One that is not there does not hide the others.
    check(&scratch, &["none.yaml", "clean.yaml"]).is_like(
        2,
        "clean.yaml:1: …clean\n",
        "error: none.yaml: No such file…\n",
    );
    scratch.callgate(&["kube", "check"]).run().is_like(2, "", "error: …<FILE>…");
    scratch.callgate(&["kube"]).run().is_like(2, "", "…Usage: callgate kube <COMMAND>…");
}

#[test]
fn programs_are_told_the_same() {
    let scratch = Scratch::new();
    scratch.file("a b.yaml", format!("{CLEAN}---\n{SILENT}"));
    let json = check(&scratch, &["a b.yaml", "--json"]).json(1);
    let file = &json["files"][0];
    assert_eq!((&file["source"], &file["whole"]), (&"a b.yaml".into(), &true.into()));
    let pods = file["pods"].as_array().expect("a list");
    assert_eq!(pods.len(), 2, "{json:#}");
    assert_eq!(pods[0]["namespace"], "prod");
    assert_eq!(pods[0]["pod_security"], "restricted");
    assert_eq!(pods[0]["containers"][0]["profile"], "RuntimeDefault");
    assert_eq!(pods[0]["containers"][0]["why"], "pod");
    assert_eq!(pods[1]["containers"][0]["why"], "nothing-said");
    assert_eq!(pods[1]["containers"][0]["line"], 12);
    let finding = &file["findings"][0];
    assert_eq!(
        (&finding["id"], &finding["severity"]),
        (&"kube-unconfined".into(), &"warning".into())
    );
    assert_eq!(finding["places"][0]["line"], 12);
    let sarif = check(&scratch, &["a b.yaml", "--sarif"]).json(1);
    assert_eq!(sarif["version"], "2.1.0");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "kube-unconfined");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%20b.yaml");
    assert_eq!(place["region"]["startLine"], 12);
    let rule = &sarif["runs"][0]["tool"]["driver"]["rules"][0];
    assert_eq!(rule["help"]["text"], "docs/diagnostics/kube-unconfined.md");
}
