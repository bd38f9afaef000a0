//! Capabilities beside the filter: what `run` does to the five sets, and what a profile's
//! conditions make of it.

#![cfg(target_os = "linux")]

mod common;

use common::{NOBODY, Scratch, field, is_root, root_for, skip, tool_for};

/// Docker's 14, as `/proc/PID/status` writes them.
const DOCKER: &str = "00000000a80425fb";

const NONE: &str = "0000000000000000";

const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

const SYS_TIME: u64 = 1 << 25;
const SYS_ADMIN: u64 = 1 << 21;
const NET_BIND_SERVICE: u64 = 1 << 10;
const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;

/// The sets in a `/proc/PID/status`: inheritable, permitted, effective, bounding, ambient.
fn sets(status: &str) -> [&str; 5] {
    SETS.map(|name| field(status, name, 0))
}

fn hex(set: u64) -> String {
    format!("{set:016x}")
}

/// The sets of the tests themselves, as numbers.
fn own_sets() -> [u64; 5] {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    sets(&status).map(|set| u64::from_str_radix(set, 16).expect("the kernel writes hex"))
}

/// Root with at least Docker's 14 and SYS_ADMIN; says what goes untested otherwise.
fn full_root_for(what: &str) -> bool {
    if !root_for(what) {
        return false;
    }
    let needed = 0xa804_25fb | SYS_ADMIN | SYS_TIME;
    let [_, permitted, _, bounding, _] = own_sets();
    let full = permitted & bounding & needed == needed;
    if !full {
        skip(&format!("{what} is not tested: this root lacks capabilities"));
    }
    full
}

/// Runs `cat /proc/self/status` under `run` with these options; the five sets.
#[track_caller]
fn sets_under(scratch: &Scratch, options: &[&str]) -> [String; 5] {
    let args = [&["run"], options, &["--", "cat", "/proc/self/status"]].concat();
    let outcome = scratch.callgate(&args).run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{options:?}");
    sets(&outcome.stdout).map(str::to_owned)
}

#[test]
fn docker_default_leaves_root_exactly_dockers_fourteen() {
    if full_root_for("the capabilities that docker-default leaves to root") {
        let scratch = Scratch::new();
        let expected = [NONE, DOCKER, DOCKER, DOCKER, NONE];
        assert_eq!(sets_under(&scratch, &[]), expected);
        assert_eq!(sets_under(&scratch, &["--profile", "docker-default"]), expected);
        assert_eq!(sets_under(&scratch, &["--keep-privileges"]), expected);
    }
}

#[test]
fn cap_keep_and_other_profiles_leave_the_sets_alone() {
    let scratch = Scratch::new();
    scratch.file("allow.json", r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [] }"#);
    let own = own_sets().map(hex);
    assert_eq!(sets_under(&scratch, &["--cap-keep"]), own);
    assert_eq!(sets_under(&scratch, &["--profile", "allow.json"]), own);
    scratch.callgate(&["run", "--cap-keep", "--cap-drop", "ALL", "--", "true"]).run().is_like(
        125,
        "",
        "error: the argument '--cap-keep' cannot be used with '--cap-drop <NAME>'\n…",
    );
}

#[test]
fn options_change_all_sets_and_add_comes_after_drop() {
    if !full_root_for("--cap-drop and --cap-add for root") {
        return;
    }
    let scratch = Scratch::new();
    let check = |options: &[&str], wanted: u64| {
        let wanted = hex(wanted);
        let expected = [NONE, &wanted, &wanted, &wanted, NONE];
        assert_eq!(sets_under(&scratch, options), expected, "{options:?}");
    };
    check(&["--cap-drop", "ALL"], 0);
    check(&["--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"], NET_BIND_SERVICE);
    check(&["--cap-add", "NET_BIND_SERVICE", "--cap-drop", "ALL"], NET_BIND_SERVICE);
    check(&["--cap-drop", "CAP_CHOWN", "--cap-drop", "kill"], 0xa804_25fb & !(CHOWN | KILL));
    check(&["--cap-add", "SYS_ADMIN"], 0xa804_25fb | SYS_ADMIN);
    let [_, permitted, _, bounding, _] = own_sets();
    check(&["--cap-add", "ALL"], permitted & bounding);
    check(&["--cap-add", "ALL", "--cap-drop", "SYS_TIME"], permitted & bounding);
    // With another profile it starts from what the caller has.
    scratch.file("allow.json", r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [] }"#);
    let profile = ["--profile", "allow.json"];
    let drop = |name| [&profile[..], &["--cap-drop", name]].concat();
    check(&drop("SYS_TIME"), permitted & bounding & !SYS_TIME);
    check(&drop("ALL"), 0);
}

#[test]
fn inheritable_and_ambient_sets_are_cut_too() {
    if !full_root_for("the inheritable and ambient sets of root") {
        return;
    }
    let scratch = Scratch::new();
    let outcome = scratch
        .command("setpriv")
        .args(&["--inh-caps=+chown,+sys_time", "--ambient-caps=+chown,+sys_time", "--"])
        .args(&[common::CALLGATE, "run", "--", "cat", "/proc/self/status"])
        .run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
    let chown = hex(CHOWN);
    assert_eq!(sets(&outcome.stdout), [&chown, DOCKER, DOCKER, DOCKER, &chown]);
}

/// As user 65534 with CHOWN and KILL in every set, which a user's programs keep by the ambient
/// set alone.
fn user_with_capabilities(scratch: &Scratch, options: &[&str]) -> common::Outcome {
    let program = scratch.join("callgate");
    if !program.exists() {
        scratch.copy(common::CALLGATE, "callgate", 0o755);
    }
    let id = NOBODY.to_string();
    scratch
        .command("setpriv")
        .args(&["--reuid", &id, "--regid", &id, "--clear-groups"])
        .args(&["--inh-caps=+chown,+kill", "--ambient-caps=+chown,+kill", "--"])
        .arg(program)
        .args(&[&["run"], options, &["--", "cat", "/proc/self/status"]].concat())
        .run()
}

const BOUNDING_STAYS: &str = "\
note: the bounding set stays as it is, since changing it takes CAP_SETPCAP; with no_new_privs \
nothing that the command executes can gain from it
";

#[test]
fn a_user_keeps_and_loses_capabilities_by_the_ambient_set() {
    if !full_root_for("an ordinary user with capabilities") {
        return;
    }
    let scratch = Scratch::new();
    let bounding = hex(own_sets()[3]);
    let check = |options: &[&str], wanted: u64, stderr: &str| {
        let outcome = user_with_capabilities(&scratch, options);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, stderr), "{options:?}");
        let wanted = hex(wanted);
        assert_eq!(sets(&outcome.stdout), [&wanted, &wanted, &wanted, &bounding, &wanted]);
    };
    check(&[], CHOWN | KILL, "");
    check(&["--cap-drop", "KILL"], CHOWN, BOUNDING_STAYS);
    check(&["--cap-drop", "ALL"], 0, BOUNDING_STAYS);
    check(&["--cap-drop", "ALL", "--cap-add", "KILL"], KILL, BOUNDING_STAYS);
}

#[test]
fn an_ordinary_user_is_told_that_the_bounding_set_stays() {
    let scratch = Scratch::new();
    let [.., bounding, _] = own_sets().map(hex);
    let run = |options: &[&str]| {
        let args = [&["run"], options, &["--", "cat", "/proc/self/status"]].concat();
        scratch.callgate_as_user(&args).run()
    };
    for (options, stderr) in [(&[][..], ""), (&["--cap-drop", "ALL"], BOUNDING_STAYS)] {
        let outcome = run(options);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, stderr));
        assert_eq!(sets(&outcome.stdout), [NONE, NONE, NONE, &bounding, NONE]);
    }
}

#[test]
fn a_capability_that_is_not_held_cannot_be_given() {
    let scratch = Scratch::new();
    let args = ["run", "--cap-add", "CHOWN", "--", "true"];
    scratch.callgate_as_user(&args).run().is(
        125,
        "",
        "error: CAP_CHOWN cannot be given to the command: it is not in this process's permitted \
         set, or its bounding set forbids it; a process can only hand on what it holds\n",
    );
    // All that there is to give is nothing, and no error.
    scratch.callgate_as_user(&["run", "--cap-add", "ALL", "--", "true"]).run().is(0, "", "");
    if is_root() {
        let args = ["--bounding-set=-sys_time", "--", common::CALLGATE];
        let outcome = scratch
            .command("setpriv")
            .args(&args)
            .args(&["run", "--cap-add", "SYS_TIME", "--", "true"])
            .run();
        outcome.is_like(125, "", "error: CAP_SYS_TIME cannot be given to the command: …\n");
    }
}

#[test]
fn what_the_command_will_have_decides_a_profiles_conditions() {
    if !full_root_for("conditions on CAP_SYS_ADMIN in docker-default") {
        return;
    }
    let scratch = Scratch::new();
    let run = |options: &[&str], command: &[&str]| {
        scratch.callgate(&[&["run"], options, &["--"], command].concat()).run()
    };
    // `unshare -m` needs CAP_SYS_ADMIN and the filter's leave, which hangs on it.
    let unshare = ["unshare", "-m", "true"];
    let refusal = "unshare: unshare failed: Operation not permitted\n";
    run(&[], &unshare).is(1, "", refusal);
    run(&["--cap-add", "SYS_ADMIN"], &unshare).is(0, "", "");
    run(&["--cap-add", "SYS_ADMIN", "--cap-drop", "ALL"], &unshare).is(0, "", "");
    run(&["--cap-keep"], &unshare).is(0, "", "");
    // A mount, which disappears with its namespace.
    let mount = "mount -t tmpfs none /mnt && grep -c '^none /mnt tmpfs' /proc/mounts";
    let mount = ["unshare", "-m", "sh", "-c", mount];
    run(&["--cap-add", "SYS_ADMIN"], &mount).is(0, "1\n", "");
    // Taking CAP_SYS_CHROOT away makes the filter refuse what it opens, and -v tells the set.
    let chroot = ["chroot", "/", "true"];
    run(&[], &chroot).is(0, "", "");
    run(&["-v", "--cap-drop", "SYS_CHROOT"], &chroot).is_like(
        125,
        "",
        "note: docker-default: …\nnote: capabilities set to: CAP_CHOWN,…\n\
         chroot: cannot change root directory to '/': Operation not permitted\n",
    );
}

#[test]
fn docker_default_without_capabilities_refuses_a_user_what_root_may_do() {
    let scratch = Scratch::new();
    let outcome = scratch.callgate_as_user(&["run", "--", "unshare", "-U", "true"]).run();
    outcome.is(1, "", "unshare: unshare failed: Operation not permitted\n");
}

/// Capability held or not, call filtered or not: `docs/capabilities.md` tells the four outcomes.
/// The filter's own error, ENOLCK, shows who refused.
#[test]
fn capabilities_and_filters_two_by_two() {
    if !full_root_for("capabilities beside filters, two by two") {
        return;
    }
    let scratch = Scratch::new();
    scratch.file("open.json", r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [] }"#);
    scratch.file(
        "closed.json",
        r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [ { "names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 37 } ]
}
"#,
    );
    let chroot = |profile: &str, options: &[&str]| {
        let args =
            [&["run", "--profile", profile], options, &["--", "chroot", "/", "echo", "works"]];
        scratch.callgate(&args.concat()).run()
    };
    let by = |error: &str| format!("chroot: cannot change root directory to '/': {error}\n");
    let held = &[];
    let not_held = &["--cap-drop", "SYS_CHROOT"];
    // Both agree.
    chroot("open.json", held).is(0, "works\n", "");
    // The kernel refuses what the filter lets pass.
    chroot("open.json", not_held).is(125, "", &by("Operation not permitted"));
    // The filter refuses what the capability would allow.
    chroot("closed.json", held).is(125, "", &by("No locks available"));
    // The filter comes first.
    chroot("closed.json", not_held).is(125, "", &by("No locks available"));
}

#[test]
fn a_setuid_program_gains_nothing_under_no_new_privs() {
    if !full_root_for("a setuid program under no_new_privs") {
        return;
    }
    let scratch = Scratch::new();
    scratch.copy("/usr/bin/id", "id", 0o4755);
    if scratch.as_user("./id").arg("-u").run().stdout != "0\n" {
        skip("a setuid program: setuid bits have no effect in the temporary folder");
        return;
    }
    let nobody = format!("{NOBODY}\n");
    scratch.callgate_as_user(&["run", "--", "./id", "-u"]).run().is(0, &nobody, "");
    scratch.callgate_as_user(&["run", "--cap-keep", "--", "./id", "-u"]).run().is(0, &nobody, "");
    // Root's command that becomes a user: only --keep-privileges lets the bit work.
    let id = NOBODY.to_string();
    let become_user =
        ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--", "./id", "-u"];
    let run = |options: &[&str]| {
        scratch.callgate(&[&["run"], options, &["--"], &become_user].concat()).run()
    };
    run(&[]).is(0, &nobody, "");
    run(&["--keep-privileges"]).is(0, "0\n", "");
}

#[test]
fn file_capabilities_give_nothing_under_no_new_privs() {
    if !full_root_for("file capabilities under no_new_privs")
        || !tool_for("setcap", "libcap2-bin", "file capabilities under no_new_privs")
    {
        return;
    }
    let scratch = Scratch::new();
    scratch.copy("/usr/bin/cat", "cat", 0o755);
    let set = scratch.command("setcap").args(&["cap_chown+ep", "cat"]).run();
    let status = |call: common::Call<'_>| {
        let outcome = call.run();
        assert_eq!(outcome.status, 0, "{}", outcome.stderr);
        field(&outcome.stdout, "CapEff", 0).to_owned()
    };
    if set.status != 0 || status(scratch.as_user("./cat").arg("/proc/self/status")) != hex(CHOWN) {
        skip("file capabilities have no effect in the temporary folder");
        return;
    }
    let args = ["run", "--", "./cat", "/proc/self/status"];
    assert_eq!(status(scratch.callgate_as_user(&args)), NONE);
}
