//! What the command knows: system calls, capabilities, this kernel.

mod common;

#[cfg(target_os = "linux")]
#[path = "facts/doctor.rs"]
mod doctor;

use common::Scratch;
use serde_json::{Value, json};

#[test]
fn a_system_call_is_shown_with_numbers_arguments_and_age() {
    let scratch = Scratch::new();
    scratch.callgate(&["syscall", "openat"]).run().is_like(
        0,
        "openat
  since      Linux 2.6…
  arguments  0: int dfd (32 bits count)
             1: const char * filename (an address)
             2: int flags (32 bits count)
             3: umode_t mode (16 bits count)
  numbers    257        x86_64
             295        x86, …
             0x40000101 x32
             56         aarch64, riscv64, …
             322        arm
…
  groups     …@file-system…
",
        "",
    );
    scratch.callgate(&["syscall", "getpid", "--arch", "aarch64"]).run().is_like(
        0,
        "getpid\n  since      Linux 1.0\n  arguments  none\n  numbers    172        aarch64\n  groups     …\n",
        "",
    );
}

#[test]
fn a_number_is_of_the_architecture_that_is_named() {
    let scratch = Scratch::new();
    let name = |args: &[&str]| {
        let json = scratch.callgate(&[&["syscall", "--json"], args].concat()).run().json(0);
        json["name"].as_str().expect("a name").to_owned()
    };
    assert_eq!(name(&["56", "--arch", "aarch64"]), "openat");
    assert_eq!(name(&["56", "--arch", "x86_64"]), "clone");
    assert_eq!(name(&["0x38", "--arch", "SCMP_ARCH_X86_64"]), "clone");
    // Bit 30 is x32's.
    assert_eq!(name(&["0x40000038", "--arch", "x86_64"]), "clone");
    assert_eq!(name(&["0x40000038", "--arch", "x32"]), "clone");
    if cfg!(target_arch = "x86_64") {
        assert_eq!(name(&["56"]), "clone");
    }
}

#[test]
fn what_is_no_system_call_is_told_with_the_nearest() {
    let scratch = Scratch::new();
    let syscall = |args: &[&str]| scratch.callgate(&[&["syscall"], args].concat()).run();
    syscall(&["mkidr"]).is(
        2,
        "",
        "error: no architecture has a system call `mkidr`; did you mean `mkdir`?\n",
    );
    syscall(&["9999", "--arch", "arm"]).is(2, "", "error: arm has no system call of number 9999\n");
    syscall(&["mkdir", "--arch", "aarch64"]).is(
        2,
        "",
        "error: aarch64 has no system call `mkdir`\n",
    );
    syscall(&["mkdir", "--arch", "z80"]).is_like(
        2,
        "",
        "error: invalid value 'z80' for '--arch <ARCH>': …",
    );
}

#[test]
fn a_system_call_in_json_has_the_documented_fields() {
    let scratch = Scratch::new();
    let json = scratch.callgate(&["syscall", "clone3", "--json"]).run().json(0);
    assert_eq!(json["name"], "clone3");
    assert_eq!(json["since"], "5.3");
    let number = |arch: &str| {
        let mut list = json["numbers"].as_array().expect("a list").iter();
        list.find(|row| row["arch"] == arch).map(|row| row["number"].clone())
    };
    assert_eq!(number("x86_64"), Some(json!(435)));
    assert_eq!(number("x86"), Some(json!(435)));
    assert_eq!(number("x32"), Some(json!(0x4000_0000 + 435)));
    let arguments = json["arguments"].as_array().expect("a list");
    assert_eq!(arguments.len(), 2);
    assert_eq!(arguments[0]["pointer"], true);
    assert_eq!(arguments[1]["name"], "size");
    assert_eq!((&arguments[1]["bits"], &arguments[1]["pointer"]), (&json!(64), &json!(false)));
    assert!(arguments[0]["type"].as_str().expect("a type").contains("clone_args"));
    assert!(json["groups"].as_array().expect("a list").contains(&json!("@process")));
}

#[test]
fn all_capabilities_are_listed_and_each_is_explained() {
    let scratch = Scratch::new();
    let list = scratch.callgate(&["caps", "--json"]).run().json(0);
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), 41);
    for (number, row) in list.iter().enumerate() {
        assert_eq!(row["number"], json!(number));
        for field in ["name", "since", "description"] {
            assert!(row[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {row}");
        }
        assert!(row["name"].as_str().is_some_and(|name| name.starts_with("CAP_")));
        assert!(row["opens"].is_array());
    }
    let text = scratch.callgate(&["caps"]).run();
    assert_eq!((text.status, text.stderr.as_str()), (0, ""));
    assert_eq!(text.stdout.lines().count(), 41);
    assert!(
        text.stdout.starts_with(" 0  CAP_CHOWN              2.2     change "),
        "{}",
        text.stdout
    );
}

#[test]
fn a_capability_says_what_the_default_profile_opens_with_it() {
    let scratch = Scratch::new();
    let opens = |name: &str| {
        let json = scratch.callgate(&["caps", name, "--json"]).run().json(0);
        let list = json[0]["opens"].as_array().expect("a list").clone();
        list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let sys_admin = opens("SYS_ADMIN");
    for name in ["mount", "unshare", "setns", "clone", "bpf"] {
        assert!(sys_admin.iter().any(|opened| opened == name), "{name}");
    }
    assert_eq!(opens("cap_sys_chroot"), ["chroot"]);
    assert!(opens("CHOWN").is_empty());
    scratch.callgate(&["caps", "CHOWN"]).run().is(
        0,
        "CAP_CHOWN (number 0, since Linux 2.2)\n  change owner and group of any file\n  \
         docker-default opens with it: nothing more\n",
        "",
    );
    scratch.callgate(&["caps", "CAP_CHWON"]).run().is_like(
        2,
        "",
        "error: no capability `CAP_CHWON`; `callgate caps` lists them\n",
    );
}

#[test]
fn what_caps_says_is_what_compile_does() {
    let scratch = Scratch::new();
    let allowed = |caps: &str| {
        let args = ["compile", "docker-default", "--format", "oci", "--arch", "x86_64"];
        let args = [&args[..], &["--kernel", "6.12", "--cap", caps]].concat();
        let json = scratch.callgate(&args).run().json(0);
        let entries = json["syscalls"].as_array().expect("a list").clone();
        let plain =
            entries.iter().filter(|e| e["args"].is_null() && e["action"] == "SCMP_ACT_ALLOW");
        let mut names: Vec<Value> =
            plain.flat_map(|e| e["names"].as_array().expect("a list").clone()).collect();
        names.sort_by_key(|name| name.to_string());
        names.dedup();
        names
    };
    let (without, with) = (allowed("none"), allowed("SYS_ADMIN"));
    let more: Vec<Value> = with.into_iter().filter(|name| !without.contains(name)).collect();
    let said = scratch.callgate(&["caps", "SYS_ADMIN", "--json"]).run().json(0);
    let said = said[0]["opens"].as_array().expect("a list");
    for name in &more {
        assert!(said.contains(name), "{name} is opened and not said to be");
    }
    assert!(more.contains(&json!("mount")) && more.contains(&json!("unshare")));
}
