//! What is said of a profile's file to those who name it.

use callgate_diagnostic::{Diagnostic, Severity};
use callgate_kube::{ProfileFile, Runtime, missing_profile};
use callgate_policy::formats::profile;

fn findings(text: &str, runtime: Runtime) -> Vec<Diagnostic> {
    let reading = profile::read(text, Some(runtime.dialect()));
    let said: Vec<&Diagnostic> = reading.diagnostics.iter().collect();
    let is_understood = reading.policy.is_some();
    let file = "/var/lib/kubelet/seccomp/web.json";
    ProfileFile { path: "web.json", file, runtime, text, said: &said, is_understood }.findings()
}

const CONDITIONAL: &str = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "archMap": [], "syscalls": [
    { "names": ["read"], "action": "SCMP_ACT_ALLOW" },
    { "names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } },
    { "names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_BPF"] } } ] }"#;

#[test]
fn containerd_drops_conditions_and_cri_o_reads_them() {
    let found = findings(CONDITIONAL, Runtime::Containerd);
    let [dialect] = &found[..] else { panic!("{found:?}") };
    assert_eq!((dialect.id, dialect.severity), ("kube-dialect", Severity::Error));
    assert_eq!(
        dialect.message,
        "containerd reads another profile in `web.json` than is written there: entries with conditions always apply, for it drops `includes`"
    );
    let help = dialect.help.as_deref().expect("there is a way out");
    assert!(
        help.contains("callgate compile /var/lib/kubelet/seccomp/web.json --format oci"),
        "{help}"
    );
    assert_eq!(findings(CONDITIONAL, Runtime::CriO), []);
}

#[test]
fn a_profile_that_is_none_is_told_with_its_first_error() {
    let found = findings("{ \"defaultAction\": \"SCMP_ACT_ERNO\" }", Runtime::Containerd);
    let [wrong] = &found[..] else { panic!("{found:?}") };
    assert_eq!((wrong.id, wrong.severity), ("kube-profile", Severity::Error));
    let message = "containerd refuses or misreads `web.json`: `SCMP_ACT_ERNO` is not an action";
    assert_eq!(wrong.message, message);
}

#[test]
fn lints_are_counted_and_named() {
    let text = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [] }"#;
    let file = |said: &[&Diagnostic]| {
        let (path, file, runtime) = ("a.json", "/r/a.json", Runtime::CriO);
        ProfileFile { path, file, runtime, text, said, is_understood: true }.findings()
    };
    assert_eq!(file(&[&Diagnostic::note("n", "nothing is wrong")]), []);
    let (one, other) = (Diagnostic::warning("b", ""), Diagnostic::warning("a", ""));
    let found = file(&[&one, &other, &one]);
    assert_eq!(found[0].to_string(), "warning[kube-lint]: `a.json` has 3 findings: a, b");
    assert_eq!(
        found[0].help.as_deref(),
        Some("`callgate lint /r/a.json --dialect containers` shows them")
    );
    let found = file(&[&one, &Diagnostic::error("c", "")]);
    assert_eq!(found[0].severity, Severity::Error);
}

#[test]
fn a_missing_profile_is_told_as_the_event_will_tell_it() {
    let found = missing_profile("a.json", "/r/a.json", "no such file or directory");
    assert_eq!((found.id, found.severity), ("kube-missing-profile", Severity::Error));
    let help = found.help.expect("there is a way out");
    assert!(help.contains("/r/a.json: no such file or directory"), "{help}");
    assert!(help.contains("CreateContainerError"), "{help}");
}
