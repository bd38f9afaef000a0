//! Where the result goes: whole, or not at all.

use std::fs;

use super::{PROFILE, TARGET};
use crate::common::{Scratch, tool_for};

/// What stands in a folder.
fn names(scratch: &Scratch, folder: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(scratch.join(folder))
        .expect("the folder is there")
        .map(|entry| entry.expect("it is readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn compile<'s>(scratch: &'s Scratch, profile: &str, output: &str) -> crate::common::Call<'s> {
    scratch.callgate(&[&["compile", profile, "-o", output], &TARGET[..]].concat())
}

#[test]
fn a_file_is_replaced_as_a_whole_and_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    scratch.file("p.json", PROFILE);
    fs::create_dir(scratch.join("out")).expect("the folder takes one");
    compile(&scratch, "p.json", "out/p.bpf").run().is(0, "", "");
    let first = scratch.read("out/p.bpf");
    assert_eq!(names(&scratch, "out"), ["p.bpf"]);
    scratch.file("out/p.bpf", "something longer than a program, ".repeat(1000));
    let path = scratch.join("out/p.bpf");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("it is ours");
    std::os::unix::fs::symlink("p.bpf", scratch.join("out/link")).expect("the folder takes it");
    compile(&scratch, "p.json", "out/link").run().is(0, "", "");
    assert_eq!(scratch.read("out/p.bpf"), first);
    assert_eq!(names(&scratch, "out"), ["link", "p.bpf"]);
    assert!(fs::symlink_metadata(scratch.join("out/link")).expect("it is there").is_symlink());
    let mode = fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn after_an_error_a_file_is_as_it_was() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("out")).expect("the folder takes one");
    scratch.file("out/p.bpf", "as it was");
    scratch.file("p.json", PROFILE.replace("SCMP_ACT_ERRNO", "SCMP_ACT_ERNO"));
    compile(&scratch, "p.json", "out/p.bpf").run().is_like(
        2,
        "",
        "error[unknown-action]: …p.json: 2 errors; nothing was written\n",
    );
    assert_eq!(scratch.read("out/p.bpf"), b"as it was");
    compile(&scratch, "p.json", "out/new.bpf").run().is_like(2, "", "error…");
    assert_eq!(names(&scratch, "out"), ["p.bpf"]);
}

#[test]
fn where_nothing_can_be_written_nothing_is() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    scratch.file("p.json", PROFILE);
    compile(&scratch, "p.json", "none/p.bpf").run().is(
        2,
        "",
        "error: none/p.bpf: No such file or directory (os error 2)\n",
    );
    compile(&scratch, "p.json", "p.json/p.bpf").run().is(
        2,
        "",
        "error: p.json/p.bpf: Not a directory (os error 20)\n",
    );
    compile(&scratch, "p.json", ".").run().is(2, "", "error: .: Is a directory (os error 21)\n");
    // A folder that this user may not change, with a file that the user could.
    fs::create_dir(scratch.join("shut")).expect("the folder takes one");
    scratch.file("shut/p.bpf", "as it was");
    let mode = |name: &str, mode| {
        fs::set_permissions(scratch.join(name), PermissionsExt::from_mode(mode)).expect("ours");
    };
    mode("shut/p.bpf", 0o666);
    mode("shut", 0o555);
    for output in ["shut/new.bpf", "shut/p.bpf"] {
        let args = [&["compile", "p.json", "-o", output], &TARGET[..]].concat();
        let denied = format!("error: {output}: Permission denied (os error 13)\n");
        scratch.callgate_as_user(&args).run().is(2, "", &denied);
    }
    mode("shut", 0o755);
    assert_eq!(names(&scratch, "shut"), ["p.bpf"]);
    assert_eq!(scratch.read("shut/p.bpf"), b"as it was");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error_and_a_reader_that_left_is_none() {
    let scratch = Scratch::new();
    scratch.file("p.json", PROFILE);
    let full = "error: …No space left on device (os error 28)\n";
    compile(&scratch, "p.json", "/dev/full").run().is_like(2, "", full);
    compile(&scratch, "p.json", "/dev/null").run().is(0, "", "");
    let callgate = crate::common::CALLGATE;
    let sh = |script: &str| {
        let script = script.replace("callgate", callgate);
        scratch.command("sh").args(&["-c", &script]).run()
    };
    sh("callgate compile docker-default --format c > /dev/full").is_like(2, "", full);
    sh("callgate caps > /dev/full").is_like(2, "", full);
    sh("{ callgate compile docker-default --format c; echo $? >&2; } | true").is(0, "", "0\n");
    sh("{ callgate caps; echo $? >&2; } | head -n 1").is_like(0, " 0  CAP_CHOWN …\n", "0\n");
}

#[test]
fn raw_bytes_do_not_go_to_a_terminal() {
    let scratch = Scratch::new();
    if !tool_for("script", "bsdutils", "raw bytes on a terminal") {
        return;
    }
    scratch.file("p.json", PROFILE);
    let on_a_terminal = |args: &str| {
        let command = format!("'{}' {args}", crate::common::CALLGATE);
        scratch.command("script").args(&["-qec", &command, "/dev/null"]).env("NO_COLOR", "1").run()
    };
    on_a_terminal("compile p.json --arch x86_64 --kernel 6.1").is(
        2,
        "error: raw bytes would be written to a terminal; name a file with -o, or choose another \
         --format\r\n",
        "",
    );
    on_a_terminal("compile p.json --arch x86_64 --kernel 6.1 --format asm").is_like(
        0,
        "0000: …",
        "",
    );
}

#[test]
fn colour_is_for_terminals_alone() {
    let scratch = Scratch::new();
    if !tool_for("script", "bsdutils", "colour on a terminal") {
        return;
    }
    scratch.file("p.json", "{ ]");
    let plain = scratch.callgate(&["check", "p.json"]).run();
    assert!(!plain.stderr.contains('\u{1b}'));
    let on_a_terminal = |environment: &str| {
        let command = format!("{environment} '{}' check p.json", crate::common::CALLGATE);
        scratch.command("script").args(&["-qec", &command, "/dev/null"]).env("TERM", "xterm").run()
    };
    assert!(on_a_terminal("env").stdout.contains('\u{1b}'));
    let without = on_a_terminal("env NO_COLOR=1");
    assert_eq!(without.stdout.replace("\r\n", "\n"), plain.stderr);
}

#[test]
fn a_profile_from_standard_input_compiles_alike() {
    let scratch = Scratch::new();
    scratch.file("p.json", PROFILE);
    let args = |source| [&["compile", source], &TARGET[..]].concat();
    let file = scratch.callgate(&args("p.json")).run();
    let stdin = scratch.callgate(&args("-")).input(PROFILE).run();
    assert_eq!(file, stdin);
    assert_eq!(file.status, 0);
}
