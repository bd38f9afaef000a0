//! `callgate run`: statuses, refusals, kills, order, and what reaches the command.

#![cfg(target_os = "linux")]

mod common;

#[path = "run/environment.rs"]
mod environment;
#[path = "run/kill.rs"]
mod kill;
#[path = "run/profile.rs"]
mod profile;
#[path = "run/start.rs"]
mod start;

use common::{Scratch, field, is_root, root_for};

/// Refuses mkdir in a way that no permission of a file gives: ENOLCK.
const NO_MKDIR: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 37 }
  ]
}
"#;

#[test]
fn the_commands_own_status_is_passed_on() {
    let scratch = Scratch::new();
    for status in [0, 1, 42, 125, 126, 127, 255] {
        let script = format!("exit {status}");
        scratch.callgate(&["run", "--", "sh", "-c", &script]).run().is(status, "", "");
    }
}

#[test]
fn death_by_a_signal_is_128_and_its_number() {
    let scratch = Scratch::new();
    for (signal, status) in [("HUP", 129), ("ABRT", 134), ("KILL", 137), ("TERM", 143)] {
        let script = format!("kill -{signal} $$");
        scratch.callgate(&["run", "--", "sh", "-c", &script]).run().is(status, "", "");
    }
}

#[test]
fn a_command_that_is_not_there_is_127() {
    let scratch = Scratch::new();
    let run = |command: &str| scratch.callgate(&["run", "--", command]).run();
    run("no-such-command").is(127, "", "error: no-such-command: not found in PATH\n");
    run("./no-such-file").is_like(127, "", "error: ./no-such-file: …(ENOENT)…\n");
    let script = scratch.file("script", "#!/no/such/interpreter\n");
    scratch.copy(scratch.join(script), "ready", 0o755);
    run("./ready").is_like(127, "", "error: ./ready: …interpreter…\n");
}

#[test]
fn a_command_that_cannot_be_executed_is_126() {
    let scratch = Scratch::new();
    let run = |command: &str| scratch.callgate(&["run", "--", command]);
    scratch.file("plain", "text");
    run("./plain").run().is(126, "", "error: ./plain: Permission denied (EACCES)\n");
    run("/").run().is(126, "", "error: /: Permission denied (EACCES)\n");
    run("plain").env("PATH", scratch.path()).run().is(
        126,
        "",
        "error: plain: found in PATH, but not as a file that this user may execute\n",
    );
}

#[test]
fn callgates_own_errors_are_125() {
    let scratch = Scratch::new();
    let run = |args: &[&str]| scratch.callgate(args).run();
    run(&["run", "--profile", "no-such.json", "--", "true"]).is(
        125,
        "",
        "error: no-such.json: no such file, and no built-in source of this name \
         (built in: docker-default, strict, strict-exit-group, audit, violation, fine-grained)\n",
    );
    scratch.file("bad.json", "{");
    run(&["run", "--profile", "bad.json", "--", "true"]).is_like(
        125,
        "",
        "error[json-syntax]: …bad.json: 1 error; nothing was loaded\n",
    );
    // A wrong command line is callgate's error too: 2 could be the command's.
    run(&["run"]).is_like(125, "", "error: …<COMMAND>…");
    run(&["run", "--no-such-option", "--", "true"]).is_like(125, "", "error: …--no-such-option…");
    run(&["run", "--cap-drop", "nonsense", "--", "true"]).is_like(
        125,
        "",
        "error: invalid value 'nonsense' for '--cap-drop <NAME>': not a capability; \
         `callgate caps` lists them\n…",
    );
}

#[test]
fn the_default_profile_refuses_what_docker_refuses() {
    let scratch = Scratch::new();
    let script = "unshare -U true || echo refused";
    let plain = scratch.command("sh").args(&["-c", script]).run();
    if plain.stdout.contains("refused") {
        common::skip("that the default profile refuses unshare: user namespaces are off here");
        return;
    }
    let refusal = "unshare: unshare failed: Operation not permitted\n";
    let args = ["run", "--", "sh", "-c", script];
    scratch.callgate(&args).run().is(0, "refused\n", refusal);
    scratch.callgate_as_user(&args).run().is(0, "refused\n", refusal);
}

#[test]
fn a_profile_decides_what_is_refused() {
    let scratch = Scratch::new();
    scratch.file("p.json", NO_MKDIR);
    let made = || scratch.join("made").exists();
    let refusal = "mkdir: cannot create directory 'made': No locks available\n";
    scratch
        .callgate(&["run", "--profile", "p.json", "--", "mkdir", "made"])
        .run()
        .is(1, "", refusal);
    assert!(!made());
    let user = scratch.callgate_as_user(&["run", "--profile", "p.json", "--", "mkdir", "made"]);
    user.run().is(1, "", refusal);
    assert!(!made());
    scratch.callgate(&["run", "--", "mkdir", "made"]).run().is(0, "", "");
    assert!(made());
}

#[test]
fn the_command_has_one_filter_and_no_new_privs_as_root_and_as_a_user() {
    let scratch = Scratch::new();
    let args = ["run", "--", "cat", "/proc/self/status"];
    for call in [scratch.callgate(&args), scratch.callgate_as_user(&args)] {
        let outcome = call.run();
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
        let value = |name| field(&outcome.stdout, name, 0);
        assert_eq!(value("NoNewPrivs"), "1");
        assert_eq!(value("Seccomp"), "2");
        assert_eq!(value("Seccomp_filters"), "1");
    }
}

#[test]
fn keep_privileges_takes_cap_sys_admin() {
    let scratch = Scratch::new();
    let args = ["run", "--keep-privileges", "--", "cat", "/proc/self/status"];
    scratch.callgate_as_user(&args).run().is(
        125,
        "",
        "error: --keep-privileges takes CAP_SYS_ADMIN, which this process does not have: who has \
         neither that nor no_new_privs may not load a filter (EACCES). Leave the option out, and \
         no_new_privs is set\n",
    );
    if root_for("`run --keep-privileges`") {
        let outcome = scratch.callgate(&args).run();
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
        assert_eq!(field(&outcome.stdout, "NoNewPrivs", 0), "0");
        assert_eq!(field(&outcome.stdout, "Seccomp", 0), "2");
    }
}

#[test]
fn no_new_privs_alone_is_enough() {
    let scratch = Scratch::new();
    // Who has it already may load a filter without setting it.
    let args = ["run", "--keep-privileges", "--", "cat", "/proc/self/status"];
    let program = scratch.copy(common::CALLGATE, "callgate", 0o755);
    let outcome =
        scratch.as_user("setpriv").args(&["--no-new-privs", "--"]).arg(program).args(&args).run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
    assert_eq!(field(&outcome.stdout, "NoNewPrivs", 0), "1");
    assert_eq!(field(&outcome.stdout, "Seccomp", 0), "2");
}

#[test]
fn cap_sys_admin_in_a_user_namespace_is_enough() {
    let scratch = Scratch::new();
    let program = scratch.copy(common::CALLGATE, "callgate", 0o755);
    let inside = |command: &[&str]| {
        scratch.as_user("unshare").args(&["--user", "--map-root-user", "--"]).args(command).run()
    };
    if inside(&["true"]).status != 0 {
        common::skip("CAP_SYS_ADMIN in a user namespace: user namespaces are off here");
        return;
    }
    let program = program.to_str().expect("a plain path");
    let outcome = inside(&[program, "run", "--keep-privileges", "--", "cat", "/proc/self/status"]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
    assert_eq!(field(&outcome.stdout, "NoNewPrivs", 0), "0");
    assert_eq!(field(&outcome.stdout, "Seccomp", 0), "2");
}

#[test]
fn a_filter_inside_a_filter_only_adds() {
    let scratch = Scratch::new();
    scratch.file("p.json", NO_MKDIR);
    let program = scratch.copy(common::CALLGATE, "callgate", 0o755);
    let program = program.to_str().expect("a plain path");
    let nested = |command: &[&str]| {
        let outer = ["run", "--profile", "p.json", "--", program, "run", "--"];
        scratch.callgate(&[&outer, command].concat()).run()
    };
    let status = nested(&["cat", "/proc/self/status"]);
    assert_eq!((status.status, field(&status.stdout, "Seccomp_filters", 0)), (0, "2"));
    // docker-default, the inner one, allows mkdir.
    nested(&["mkdir", "made"]).is(
        1,
        "",
        "mkdir: cannot create directory 'made': No locks available\n",
    );
}

#[test]
fn the_help_explains_the_kernels_rule() {
    let scratch = Scratch::new();
    scratch.callgate(&["run", "--help"]).run().is_like(
        0,
        "Run a command under a filter\n\nUsage: callgate run [OPTIONS] <COMMAND>...\n…\
         The kernel's rule: a filter can be loaded by who has no_new_privs or CAP_SYS_ADMIN.…\
         setuid bits and\nfile capabilities have no effect. Only with --keep-privileges…\
         Order: bounding set, no_new_privs, filter, the other capability sets, exec.…\
         125 callgate failed, 126 not executable,\n127 not found.\n…",
        "",
    );
}

#[test]
fn a_setuid_callgate_lends_its_rights_to_nobody() {
    if !root_for("a setuid callgate") {
        return;
    }
    let scratch = Scratch::new();
    scratch.copy("/usr/bin/id", "id", 0o4755);
    if scratch.as_user("./id").arg("-u").run().stdout != "0\n" {
        common::skip("a setuid callgate: setuid bits have no effect in the temporary folder");
        return;
    }
    assert!(is_root());
    for mode in [0o4755, 0o2755] {
        let name = format!("callgate-{mode:o}");
        scratch.copy(common::CALLGATE, &name, mode);
        let run = |args: &[&str]| scratch.as_user(format!("./{name}")).args(args).run();
        run(&["run", "--", "id", "-u"]).is(
            125,
            "",
            "error: callgate was started setuid, setgid or with file capabilities; it does not \
             lend its rights to a command. Remove the bit or the capabilities from the file\n",
        );
        run(&["run", "--strict", "--", "id", "-u"]).is_like(
            125,
            "",
            "error: callgate was started setuid…",
        );
    }
}
