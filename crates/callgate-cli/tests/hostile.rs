//! Every reader on inputs that nobody would write, a second's worth each. The bodies are those of
//! the fuzz targets in `fuzz/`, which run as long as one likes.
#![cfg(target_os = "linux")]

#[path = "hostile/calls.rs"]
mod calls;
#[path = "hostile/formats.rs"]
mod formats;
#[path = "hostile/listing.rs"]
mod listing;
#[path = "hostile/manifest.rs"]
mod manifest;
#[path = "hostile/mutate.rs"]
mod mutate;
#[path = "hostile/program.rs"]
mod program;
#[path = "hostile/record.rs"]
mod record;

use std::panic;

use callgate_bpf::{
    ByteOrder, Layout,
    generate::{self, Rng},
};

/// Runs a check on texts near these; a failure shows the text. A share of the texts must be good.
fn run(seeds: &[&str], rounds: u32, check: fn(&str) -> bool) {
    let mut rng = Rng::new(31);
    let mut good = 0;
    for _ in 0..rounds {
        let text = mutate::text(&mut rng, seeds);
        match panic::catch_unwind(|| check(&text)) {
            Ok(read) => good += u32::from(read),
            Err(panic) => {
                eprintln!("on the text {text:?}");
                panic::resume_unwind(panic);
            }
        }
    }
    assert!(good > rounds / 20 && good < rounds, "{good} of {rounds} were good");
}

#[test]
fn profiles_in_json() {
    let docker = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
  "archMap": [{ "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] }],
  "syscalls": [
    { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" },
    { "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 2114060288,
      "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }], "excludes": { "caps": ["CAP_SYS_ADMIN"] } },
    { "names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "4.8" } } ] }"#;
    let oci = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
  "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [{ "names": ["mkdir"], "errnoRet": 38,
  "action": "SCMP_ACT_ERRNO", "args": [{ "index": 5, "value": 1, "op": "SCMP_CMP_LE" }] }] }"#;
    let containers = r#"{ "defaultAction": "SCMP_ACT_KILL", "defaultErrno": "ENOSYS", "syscalls":
  [{ "names": ["bdflush"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM", "args": [] }] }"#;
    run(&[docker, oci, containers], 2_000, formats::check);
}

#[test]
fn policies_of_kafel() {
    let long = "#define MASK 0x7e020000 // é
/* two */ POLICY base { ALLOW { read, write(a, b) { a == 1 && (b & 7) != 0, !(a >= 3 || b < -1) } } }
POLICY all { USE base, ERRNO(1) { clone { (clone_flags & MASK) != 0 }, SYSCALL[39] ON { x86_64, arm64 } },
  TRAP(2) { chown }, TRACE(3) { SYSCALL[0x40000001] ON amd64 { } }, KILL_PROCESS { ptrace ON x86 } }
USE all DEFAULT USER_NOTIF
";
    let short = "ALLOW { read { fd <= 2 } } DEFAULT ERRNO(1)";
    run(&[long, short, "USE a"], 1_500, formats::check);
}

#[test]
fn resources_of_kubernetes() {
    let long = "# é
apiVersion: security-profiles-operator.x-k8s.io/v1beta1
kind: SeccompProfile
metadata: {name: web}
spec:
  defaultAction: SCMP_ACT_ERRNO
  architectures: [SCMP_ARCH_X86_64, SCMP_ARCH_X86]
  syscalls:
  - &some
    action: SCMP_ACT_ALLOW
    names: [read, 'write', \"close\"]
    args: [{index: 0, op: SCMP_CMP_EQ, value: 0x1_0}]
  - <<: *some
    action: SCMP_ACT_ERRNO
    errnoRet: 38
    names: |-
      exit
";
    let json = r#"{ "apiVersion": "security-profiles-operator.x-k8s.io/v1", "kind": "SeccompProfile",
  "spec": { "defaultAction": "SCMP_ACT_LOG", "syscalls": [{ "names": ["é"], "action": "x" }] } }"#;
    let good = long.replace("names: |-\n      exit", "names: [exit]");
    run(&[long, json, &good, &good], 1_500, formats::check);
}

#[test]
fn units_of_systemd() {
    let long = "[Unit]\nDescription=x\n[Service]\nSystemCallFilter=@system-service \\\n  bpf\n\
                SystemCallFilter=~@mount ptrace:EPERM reboot:kill\nSystemCallErrorNumber=EACCES\n\
                SystemCallArchitectures=native x86\nSystemCallLog=~@clock # no\n";
    let short = "SystemCallFilter=~@swap mount:1\n";
    run(&[long, short, "[Service]\nSystemCallLog=open"], 120, formats::check);
}

#[test]
fn listings() {
    let text = "start:\n  ld [arch]\n  jeq #0xc000003e, next, bad\nnext: ld [nr]\n\
                jset #0x40000000, bad, +1\n ja bad\n  ld [args[0].low]\n and #0x7e020000\n\
                tax\n st M[3]\n ldx M[3]\n jgt x, +1, bad\nret #0x7fff0000\n\
                bad: ret #0x80000000 ; end\n";
    run(&[text, "0000: 0x06 0x00 0x00 0x7fff0000  ret ALLOW\n"], 20_000, listing::check);
}

#[test]
fn programs() {
    let mut rng = Rng::new(32);
    let mut valid = 0;
    for _ in 0..400 {
        let order = rng.pick(&[ByteOrder::Little, ByteOrder::Big]);
        let instructions = generate::program(&mut rng, &Layout::seccomp(order), 40);
        let mut bytes: Vec<u8> =
            instructions.iter().flat_map(|instruction| instruction.to_bytes(order)).collect();
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len().max(1));
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.below(8));
        }
        if rng.one_in(8) {
            bytes.truncate(rng.below(bytes.len() + 1));
        }
        valid += u32::from(program::check(&bytes));
    }
    assert!(valid > 100 && valid < 400, "{valid} were valid");
}

#[test]
fn files_of_calls() {
    let text = "execve(\"/bin/ls\", [\"ls\", \"a)b\"], 0x7ffd /* 20 vars */) = 0\n\
                [pid  12] openat(AT_FDCWD, \"/etc\", O_RDONLY|O_CLOEXEC) = 3\n\
                77 clone(child_stack=NULL, flags=CLONE_NEWUSER|SIGCHLD) = -1 EPERM\n\
                77 +++ exited with 0 +++\n# x\n\nsocket 40 -1 017\n0x27\n";
    run(&[text, "read 1"], 1_500, calls::check);
    // As deep as it is long.
    assert!(!calls::check(&format!("read {}1", "-".repeat(1_000_000))));
    assert!(calls::check(&format!("read({}", "[(".repeat(500_000))));
}

#[test]
fn manifests_of_kubernetes() {
    let block = "apiVersion: apps/v1\nkind: Deployment # é\nmetadata: { name: web, labels: &l {a: yes} }\nspec:\n\
                 \x20 template:\n    metadata:\n      annotations:\n        <<: *l\n        \
                 seccomp.security.alpha.kubernetes.io/pod: runtime/default\n    spec:\n      \
                 securityContext:\n        seccompProfile:\n          type: Localhost\n          \
                 localhostProfile: 'a/''b''.json'\n      containers:\n      - name: \"a\\tb\"\n        \
                 args: |-\n          x\n          y\n      - &c {name: d, securityContext: {privileged: on}}\n\
                 \x20     initContainers:\n      - *c\n---\n- 0x1f\n- ~\n- [a: b, ? c]\n";
    let json = r#"{ "kind": "List", "items": [{ "kind": "Pod", "spec": { "os": { "name": "windows" },
  "containers": [{ "name": "\u00e9\n", "securityContext": { "seccompProfile": null } }] } }] }"#;
    run(&[block, json, "a: >\n  b\r\n\r\n  c\n...\n---\n!!str 1: *x\n"], 6_000, manifest::check);
}

#[test]
fn records_of_the_audit_system() {
    let text = "audit(1764000000.123:45): auid=4294967295 uid=1000 gid=1000 ses=4294967295 \
                pid=4711 comm=\"mkdir\" exe=\"/usr/bin/mkdir\" sig=31 arch=c000003e syscall=83 \
                compat=0 ip=0x7f00deadbeef code=0x80000000";
    run(&[text, "type=1326 pid=1 comm=6B exe=(null)", "a\nb", "a\"\n\u{1}b"], 6_000, record::check);
}
