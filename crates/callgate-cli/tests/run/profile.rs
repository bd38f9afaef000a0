//! Which source `run` takes, and for which target it resolves a profile.

use super::NO_MKDIR;
use crate::common::Scratch;

const REFUSAL: &str = "mkdir: cannot create directory 'made': No locks available\n";

#[test]
fn a_profile_may_come_from_standard_input() {
    let scratch = Scratch::new();
    let run = ["run", "--profile", "-", "--", "mkdir", "made"];
    scratch.callgate(&run).input(NO_MKDIR).run().is(1, "", REFUSAL);
    // The command finds its end there.
    scratch.callgate(&["run", "--profile", "-", "--", "cat"]).input(NO_MKDIR).run().is(0, "", "");
    scratch.callgate(&run).input("nonsense").run().is_like(
        125,
        "",
        "error[json-syntax]: … --> standard input:1:…standard input: 1 error; nothing was loaded\n",
    );
}

#[test]
fn a_program_is_a_profile_too() {
    let scratch = Scratch::new();
    scratch.file("p.json", NO_MKDIR);
    scratch.callgate(&["compile", "p.json", "-o", "p.bpf"]).run().is(0, "", "");
    let run = ["run", "-v", "--profile", "p.bpf", "--", "mkdir", "made"];
    scratch.callgate(&run).run().is_like(
        1,
        "",
        &format!("note: p.bpf: … instructions\nnote: capabilities left at: …\n{REFUSAL}"),
    );
    let run = ["run", "--profile", "-", "--", "mkdir", "made"];
    scratch.callgate(&run).input(scratch.read("p.bpf")).run().is(1, "", REFUSAL);
}

#[test]
fn a_program_that_the_kernel_would_refuse_is_refused_before() {
    let scratch = Scratch::new();
    let run = ["run", "--profile", "p.bpf", "--", "true"];
    // `ld [3]`: no field of the context stands there.
    scratch.file("p.bpf", [0x20, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0xff, 0x7f]);
    scratch.callgate(&run).run().is_like(
        125,
        "",
        "error: p.bpf: the kernel would refuse this program: instruction 0: …\n",
    );
    // A return of ALLOW, of the other byte order.
    scratch.file(
        "p.bpf",
        if cfg!(target_endian = "little") {
            [0, 6, 0, 0, 0x7f, 0xff, 0, 0]
        } else {
            [6, 0, 0, 0, 0, 0, 0xff, 0x7f]
        },
    );
    scratch.callgate(&run).run().is_like(
        125,
        "",
        "error: p.bpf: the kernel would refuse this program: …; its bytes are a program in \
         …-endian order, for another machine\n",
    );
}

#[test]
fn verbose_prints_the_resolved_target() {
    let scratch = Scratch::new();
    let release = scratch.command("uname").arg("-r").run().stdout;
    let version: Vec<&str> = release.split(['.', '-']).take(2).collect();
    let version = version.join(".");
    let run = scratch.callgate_as_user(&["run", "-v", "--", "true"]).run();
    run.is_like(
        0,
        "",
        &format!(
            "note: docker-default: for …, kernel {version}…, newer calls get ENOSYS; … \
             instructions, proved\nnote: capabilities left at: none\n"
        ),
    );
    scratch.file("p.json", NO_MKDIR);
    let run = ["run", "-v", "--no-enosys", "--profile", "p.json", "--", "true"];
    scratch.callgate_as_user(&run).run().is_like(
        0,
        "",
        "note[dialect]: read in the dialect `oci` …note: p.json: for …, newer calls get the \
         default; … instructions, proved\nnote: capabilities left at: none\n",
    );
    // Notes are for who asks.
    scratch.callgate(&["run", "--profile", "p.json", "--", "true"]).run().is(0, "", "");
}

#[test]
fn calls_newer_than_the_profile_get_enosys_unless_asked_otherwise() {
    let scratch = Scratch::new();
    let source = "#include <errno.h>\n#include <stdio.h>\n#include <unistd.h>\n\
                  int main(void) { long r = syscall(900); printf(\"%ld %d\\n\", r, errno); return 0; }\n";
    let Some(_) = scratch.cc("newer", source, &[]) else { return };
    let run =
        |args: &[&str]| scratch.callgate(&[&["run"], args, &["--", "./newer"]].concat()).run();
    // The kernel has no such call, so without a filter it is ENOSYS (38) as well.
    run(&[]).is(0, "-1 38\n", "");
    run(&["--no-enosys"]).is(0, "-1 1\n", "");
    run(&["--like", "crun"]).is(0, "-1 1\n", "");
    run(&["--like", "runc"]).is(0, "-1 38\n", "");
    run(&["--like", "runc", "--no-enosys"]).is_like(125, "", "error: …cannot be used with…");
}

#[test]
fn warnings_are_shown_and_do_not_keep_the_command_from_starting() {
    let scratch = Scratch::new();
    scratch.file(
        "p.json",
        r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "colour": "red",
  "syscalls": [
    { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 37 }
  ]
}
"#,
    );
    let run = |args: &[&str]| {
        let args = [&["run", "--profile", "p.json"], args, &["--", "mkdir", "made"]].concat();
        scratch.callgate(&args).run()
    };
    run(&[]).is_like(1, "", &format!("warning[unknown-key]: … --> p.json:3:4\n…{REFUSAL}"));
    run(&["--pedantic"]).is_like(
        125,
        "",
        "error[unknown-key]: … --> p.json:3:4\n…p.json: 1 error; nothing was loaded\n",
    );
}
