//! The smallest edit, and `--fix`.

use super::{NO_MKDIR, prepared};
use crate::common::Scratch;

#[test]
fn the_edit_is_written_and_the_rest_of_the_file_stays() {
    let Some(scratch) = prepared() else { return };
    let args = ["why", "--profile", "no-mkdir.json", "--fix", "--", "./make", "plain"];
    scratch.callgate(&args).run().is_like(
        7,
        "",
        "refused   …\nnote: no-mkdir.json: 1 edit written; run it again\n",
    );
    let text = String::from_utf8(scratch.read("no-mkdir.json")).expect("text");
    assert_eq!(text, NO_MKDIR.replace("\"mkdir\", \"mkdirat\"", "\"mkdir\""));
    // Now nothing is refused, so the program's own check fails; and the file stays.
    let outcome = scratch.callgate(&args).run();
    assert_eq!((outcome.status, scratch.join("made").is_dir()), (1, true));
    assert_eq!(scratch.read("no-mkdir.json"), text.as_bytes());
}

#[test]
fn a_call_is_allowed_with_the_flags_that_it_had_and_no_others() {
    let scratch = Scratch::new();
    let own = scratch.callgate(&["convert", "docker-default", "--to", "docker", "-o", "my.json"]);
    own.run().is(0, "", "");
    let before = String::from_utf8(scratch.read("my.json")).expect("text");
    let fix = |command: &[&str]| {
        scratch
            .callgate(
                &[&["why", "--profile", "my.json", "--cap-drop", "ALL", "--fix", "--"], command]
                    .concat(),
            )
            .run()
    };
    assert_eq!(fix(&["unshare", "-U", "true"]).status, 1);
    let after = String::from_utf8(scratch.read("my.json")).expect("text");
    let added = r#"{ "names": ["unshare"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 268435456, "op": "SCMP_CMP_EQ" }] }"#;
    assert!(after.contains(added), "{after}");
    // One line more, and a comma.
    let lines = |text: &str| text.lines().count();
    assert_eq!(lines(&after), lines(&before) + 1);
    let none = ["eval", "my.json", "--cap", "none", "--"];
    let eval = |flag| scratch.callgate(&[&none[..], &["unshare", flag]].concat()).run().status;
    assert_eq!((eval("CLONE_NEWUSER"), eval("CLONE_NEWNS")), (0, 1));
}

#[test]
fn what_is_no_file_of_the_users_is_not_changed() {
    let Some(scratch) = prepared() else { return };
    let fix = |profile: &str| {
        scratch.callgate(&["why", "--profile", profile, "--fix", "--", "./make", "plain"]).run()
    };
    fix("docker-default").is_like(
        125,
        "",
        "error: docker-default is no file that --fix could change; `callgate convert docker-default …\n",
    );
    scratch.callgate(&["compile", "no-mkdir.json", "-o", "filter.bpf"]).run();
    let before = scratch.read("filter.bpf");
    fix("filter.bpf").is_like(
        125,
        "",
        "error: filter.bpf: --fix: no edit: a program has no entries…\n",
    );
    assert_eq!(scratch.read("filter.bpf"), before);
}

#[test]
fn the_only_name_of_the_only_entry_goes_with_the_entry() {
    let Some(scratch) = prepared() else { return };
    scratch.file(
        "one.json",
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":37}]}"#,
    );
    let args = ["why", "--profile", "one.json", "--fix", "--", "./make", "plain"];
    scratch.callgate(&args).run().is_like(7, "", "…note: one.json: 1 edit written; run it again\n");
    assert_eq!(scratch.read("one.json"), br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}"#);
    scratch.callgate(&args).run().is_like(1, "", "note: the filter refused nothing; …");
}

#[test]
fn all_edits_are_written_or_none() {
    let Some(scratch) = prepared() else { return };
    // Two entries refuse it, and an edit is made of one.
    let entry = r#"{ "names": ["mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 37 }"#;
    let text =
        format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{entry}, {entry}] }}"#);
    scratch.file("two.json", &text);
    scratch.callgate(&["why", "--profile", "two.json", "--fix", "--", "./make", "plain"]).run().is_like(
        125,
        "",
        "refused   …  allow   no single edit: …\n…error: two.json: nothing was written, as there is no edit for 1 of 1 refused call\n",
    );
    assert_eq!(scratch.read("two.json"), text.as_bytes());
    // In a folder that takes no file nothing is run.
    std::fs::create_dir(scratch.join("shut")).expect("the folder is made");
    scratch.file("shut/p.json", NO_MKDIR);
    let shut = std::os::unix::fs::PermissionsExt::from_mode(0o555);
    std::fs::set_permissions(scratch.join("shut"), shut).expect("the folder is shut");
    let args = ["why", "--profile", "shut/p.json", "--fix", "--", "touch", "made"];
    scratch.callgate_as_user(&args).run().is_like(
        125,
        "",
        "error: shut/p.json: Permission denied …\n",
    );
    assert!(!scratch.join("made").exists());
    // A file that is changed while the command runs is somebody else's by then.
    let script = "./make plain; echo >> no-mkdir.json";
    scratch.callgate(&["why", "--profile", "no-mkdir.json", "--fix", "--", "sh", "-c", script]).run().is_like(
        125,
        "",
        "…error: no-mkdir.json: nothing was written, as the file has changed since it was read\n",
    );
    assert_eq!(scratch.read("no-mkdir.json"), format!("{NO_MKDIR}\n").as_bytes());
}
