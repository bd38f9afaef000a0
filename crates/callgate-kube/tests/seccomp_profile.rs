//! The SeccompProfile resource: what is read of it, with places, and what is written.

use callgate_bpf::{Action, generate::Rng};
use callgate_diagnostic::{Diagnostic, Severity};
use callgate_kube::{
    seccomp_profile::{self, detect, read, write, write_named},
    yaml,
};
use callgate_policy::{
    Architectures, Dialect, NewerCalls, Policy, Target,
    formats::profile,
    generate::{self, Shape},
};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};

/// A resource with this `spec`, indented by two.
fn resource(spec: &str) -> String {
    format!(
        "apiVersion: security-profiles-operator.x-k8s.io/v1beta1\nkind: SeccompProfile\n\
         metadata:\n  name: web\nspec:\n{spec}"
    )
}

fn policy(text: &str) -> Policy {
    let reading = read(text);
    reading.policy.unwrap_or_else(|| panic!("{:?}\n{text}", reading.diagnostics))
}

fn json(text: &str) -> Policy {
    profile::read(text, Some(Dialect::Oci)).policy.expect("it is right")
}

/// The one finding with this id: how bad, and what it is about.
#[track_caller]
fn finds(text: &str, severity: Severity, id: &str, place: &str) -> Diagnostic {
    let reading = read(text);
    let found: Vec<&Diagnostic> = reading.diagnostics.iter().filter(|d| d.id == id).collect();
    let [found] = found[..] else { panic!("expected one `{id}`: {:?}", reading.diagnostics) };
    assert_eq!(found.severity, severity, "{found}");
    assert_eq!(found.primary().unwrap().span.of(text), place, "{found}");
    assert_eq!(reading.policy.is_none(), reading.diagnostics.iter().any(Diagnostic::is_error));
    found.clone()
}

#[test]
fn it_says_what_the_same_profile_in_json_says() {
    let text = resource(
        "  defaultAction: SCMP_ACT_ERRNO
  architectures: [SCMP_ARCH_X86_64, SCMP_ARCH_X86]
  flags:
  - SECCOMP_FILTER_FLAG_LOG
  listenerPath: /var/run/security-profiles-operator/a.sock
  state: Enabled
  syscalls:
  - &some
    action: SCMP_ACT_ALLOW
    names: [read, 'write', \"close\"]
  - action: SCMP_ACT_ERRNO
    errnoRet: 0x26
    names:
    - socket
    args:
    - {index: 0, op: SCMP_CMP_EQ, value: 1_0}
    - index: 1
      op: SCMP_CMP_MASKED_EQ
      value: 15
      valueTwo: 2
  - <<: *some
    names: [exit]
",
    );
    let read = policy(&text);
    let same = json(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO",
             "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
             "flags": ["SECCOMP_FILTER_FLAG_LOG"],
             "listenerPath": "/var/run/security-profiles-operator/a.sock",
             "syscalls": [
               { "names": ["read", "write", "close"], "action": "SCMP_ACT_ALLOW" },
               { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "args": [
                 { "index": 0, "op": "SCMP_CMP_EQ", "value": 10 },
                 { "index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 15, "valueTwo": 2 } ] },
               { "names": ["exit"], "action": "SCMP_ACT_ALLOW" } ] }"#,
    );
    let placeless = |mut policy: Policy| {
        policy.relocate(|_| callgate_diagnostic::Span::default());
        policy
    };
    assert_eq!(placeless(read.clone()), placeless(same));
    // Places are those of the YAML.
    assert_eq!(read.default.span.of(&text), "SCMP_ACT_ERRNO");
    let names: Vec<&str> = read.entries[0].names.iter().map(|name| name.span.of(&text)).collect();
    assert_eq!(names, ["read", "write", "close"]);
    assert_eq!(
        read.entries[1].comparisons[0].span.of(&text),
        "{index: 0, op: SCMP_CMP_EQ, value: 1_0}"
    );
    assert!(read.entries[1].span.of(&text).starts_with("action: SCMP_ACT_ERRNO\n"));
    let Architectures::List(list) = &read.architectures else { panic!("a list") };
    assert_eq!(list[1].span.of(&text), "SCMP_ARCH_X86");
}

#[test]
fn it_is_told_from_other_texts_and_found_among_other_objects() {
    let text = resource("  defaultAction: SCMP_ACT_LOG\n");
    assert!(detect(&text));
    assert!(!detect("kind: Pod\n") && !detect("{ \"defaultAction\": \"SCMP_ACT_LOG\" }"));
    assert_eq!(policy(&format!("kind: Pod\n---\n{text}---\n")).default.value, Action::Log);
    let json = r#"{ "kind": "List", "apiVersion": "v1", "items": [ { "kind": "Pod" },
      { "apiVersion": "security-profiles-operator.x-k8s.io/v1", "kind": "SeccompProfile",
        "spec": { "defaultAction": "SCMP_ACT_LOG" } } ] }"#;
    assert!(detect(json));
    assert_eq!(policy(json).default.value, Action::Log);
    let twice = format!("{text}---\n{text}");
    let found = finds(&twice, Severity::Error, "several-seccomp-profiles", "SeccompProfile");
    assert_ne!(found.labels[0].span, found.labels[1].span);
    finds("kind: Pod\n", Severity::Error, "no-seccomp-profile", "");
    let other = text.replace("security-profiles-operator.x-k8s.io", "example.org");
    finds(&other, Severity::Error, "no-seccomp-profile", "");
    let none = resource("").replace("spec:\n", "");
    finds(&none, Severity::Error, "missing-key", "SeccompProfile");
    finds(
        &text.replace("  name: web", "  a: 1\n  a: 2"),
        Severity::Error,
        "yaml-duplicate-key",
        "a",
    );
}

#[test]
fn what_the_api_server_drops_is_an_error_where_it_would_mean_something() {
    let with = |line: &str| resource(&format!("  defaultAction: SCMP_ACT_ERRNO\n{line}\n"));
    let error = Severity::Error;
    finds(&with("  defaultErrnoRet: 38"), error, "dropped-key", "defaultErrnoRet");
    finds(&with("  archMap: []"), error, "dropped-key", "archMap");
    finds(&with("  Syscalls: []"), error, "dropped-key", "Syscalls");
    let entry = |more: &str| {
        with(&format!("  syscalls:\n  - action: SCMP_ACT_ALLOW\n    names: [read]\n    {more}"))
    };
    finds(&entry("includes: {caps: [CAP_SYS_ADMIN]}"), error, "dropped-key", "includes");
    finds(&entry("name: write"), error, "dropped-key", "name");
    finds(&entry("comment: x"), Severity::Warning, "unknown-key", "comment");
    finds(&with("  defaultErrnoRet: 1"), Severity::Warning, "unknown-key", "defaultErrnoRet");
    finds(&with("  other: 1"), Severity::Warning, "unknown-key", "other");
    assert!(read(&with("  includes: null")).diagnostics.is_empty());
}

#[test]
fn what_the_operator_does_with_a_profile_is_said() {
    let with = |line: &str| resource(&format!("  defaultAction: SCMP_ACT_ERRNO\n{line}\n"));
    finds(&with("  baseProfileName: runc"), Severity::Error, "base-profile", "runc");
    assert!(read(&with("  baseProfileName: ''")).diagnostics.is_empty());
    finds(&with("  disabled: yes"), Severity::Warning, "disabled-profile", "yes");
    finds(&with("  state: Disabled"), Severity::Warning, "disabled-profile", "Disabled");
    let entry = |errno: &str| {
        with(&format!(
            "  syscalls:\n  - action: SCMP_ACT_ERRNO\n    names: [read]\n    errnoRet: {errno}"
        ))
    };
    finds(&entry("0"), Severity::Warning, "no-effect", "0");
    assert_eq!(policy(&entry("0")).entries[0].action.value, Action::Errno(1));
    // A string, as the resource's first versions had it, no runtime reads.
    finds(&entry("'1'"), Severity::Error, "wrong-type", "'1'");
    finds(&entry("1e3"), Severity::Error, "bad-number", "1e3");
    finds(&entry(".inf"), Severity::Error, "wrong-type", ".inf");
    let value = |value: &str| {
        with(&format!(
            "  syscalls:\n  - action: SCMP_ACT_ALLOW\n    names: [read]\n    args:\n    \
             - {{index: 0, op: SCMP_CMP_EQ, value: {value}}}"
        ))
    };
    finds(&value("9223372036854775808"), Severity::Error, "bad-number", "9223372036854775808");
    policy(&value("9223372036854775807"));
}

#[test]
fn mistakes_have_their_place_and_their_edit() {
    let text = resource("  defaultAction: \"SCMP_ACT_ERNO\"\n  syscalls: [1]\n");
    let found = finds(&text, Severity::Error, "unknown-action", "SCMP_ACT_ERNO");
    assert_eq!(found.edits[0].span.of(&text), "SCMP_ACT_ERNO");
    assert_eq!(found.edits[0].replacement, "SCMP_ACT_ERRNO");
    finds(&text, Severity::Error, "wrong-type", "1");
    finds(&resource("  syscalls: []\n"), Severity::Error, "no-default-action", "s");
    let none =
        resource("  defaultAction: SCMP_ACT_LOG\n  syscalls:\n  - names: ['']\n    action: x\n");
    finds(&none, Severity::Error, "empty-name", "''");
    // Among the findings on a text with many, none is lost without a word.
    let many: String = (0..1000).map(|n| format!("  key{n}: 1\n")).collect();
    let reading = read(&resource(&format!("  defaultAction: SCMP_ACT_LOG\n{many}")));
    assert_eq!(reading.diagnostics.len(), 101);
    assert!(reading.policy.is_some());
}

#[test]
fn aliases_do_not_make_a_profile_of_any_size() {
    let names = "rt_sigprocmask, ".repeat(1000);
    let aliases = "  - {names: *all, action: SCMP_ACT_ALLOW}\n".repeat(400);
    let text = resource(&format!(
        "  defaultAction: SCMP_ACT_LOG\n  syscalls:\n  \
         - {{names: &all [{names}], action: SCMP_ACT_ALLOW}}\n{aliases}"
    ));
    finds(&text, Severity::Error, "text-size", text.split_once("spec:\n  ").unwrap().1.trim_end());
}

#[test]
fn what_is_written_is_read_as_the_same_rules() {
    const SHAPE: Shape = Shape {
        abis: &[Abi::X86_64, Abi::X86, Abi::X32],
        first_number: 0,
        numbers: 6,
        rules: 3,
        default: None,
    };
    let target = Target {
        native: Abi::X86_64,
        abis: None,
        capabilities: CapabilitySet::EMPTY,
        kernel: KernelVersion::new(6, 1),
        newer: NewerCalls::Enosys,
    };
    let mut rng = Rng::new(7);
    let (mut written, mut refused) = (0, 0);
    for _ in 0..2000 {
        let rules = generate::ruleset(&mut rng, &SHAPE);
        let Ok(policy) = Policy::from_rules(&rules, Some(Dialect::Oci)) else { continue };
        let Ok(text) = write(&policy) else {
            refused += 1;
            continue;
        };
        let again = self::policy(&text);
        // A comparison of the low word becomes one with a mask, in JSON too.
        let policy = json(&profile::write(&policy, Dialect::Oci).unwrap());
        assert_eq!(again.resolve(&target).ruleset, policy.resolve(&target).ruleset, "{text}");
        written += 1;
    }
    assert!(written > 20 && refused > 20, "{written} written, {refused} refused");
}

#[test]
fn a_name_of_its_own_can_be_given_and_sets_have_each_word_once() {
    let policy = json(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
             { "names": ["read", "read"], "action": "SCMP_ACT_ALLOW" },
             { "names": [], "action": "SCMP_ACT_LOG" } ] }"#,
    );
    let text = write_named(&policy, "web").unwrap();
    let document = yaml::documents(&text).next().unwrap().unwrap();
    let metadata = document.root().get("metadata").unwrap();
    assert_eq!(metadata.get("name").unwrap().as_str(), Some("web"));
    let syscalls = document.root().get("spec").unwrap().get("syscalls").unwrap();
    assert_eq!(syscalls.elements().count(), 1);
    assert_eq!(syscalls.elements().next().unwrap().get("names").unwrap().elements().count(), 1);
    assert_eq!(seccomp_profile::FORMAT.name, "spo");
}

#[test]
fn what_the_resource_cannot_say_is_refused_with_its_place() {
    let refused = |text: &str, place: &str| {
        let errors = write(&json(text)).unwrap_err();
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!((error.id, error.primary().unwrap().span.of(text)), ("cannot-write", place));
    };
    let entry = |entry: &str| {
        format!(
            r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{ "names": ["read"], {entry} }}] }}"#
        )
    };
    refused(r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38 }"#, "SCMP_ACT_ERRNO");
    refused(
        r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_LOONGARCH64"] }"#,
        "SCMP_ARCH_LOONGARCH64",
    );
    refused(&entry(r#""action": "SCMP_ACT_ERRNO", "errnoRet": 0"#), "SCMP_ACT_ERRNO");
    refused(&entry(r#""action": "SCMP_ACT_TRACE", "errnoRet": 5000"#), "SCMP_ACT_TRACE");
    let wide = r#"{ "index": 0, "op": "SCMP_CMP_NE", "value": 18446744073709551615 }"#;
    refused(&entry(&format!(r#""action": "SCMP_ACT_LOG", "args": [{wide}]"#)), wide);
    refused(r#"{ "defaultAction": "SCMP_ACT_LOG", "listenerPath": "/run/a.sock" }"#, "/run/a.sock");
    // What no runtime's profile can say neither can the resource.
    let mut policy = json(r#"{ "defaultAction": "SCMP_ACT_LOG" }"#);
    policy.other = Action::Allow;
    assert_eq!(write(&policy).unwrap_err()[0].id, "cannot-write");
}
