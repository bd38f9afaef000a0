//! `callgate compile` and `disasm`: every format, every target, and nothing after an error.

mod common;

#[path = "compile/formats.rs"]
mod formats;
#[path = "compile/graph.rs"]
mod graph;
#[path = "compile/options.rs"]
mod options;
#[path = "compile/output.rs"]
mod output;
#[path = "compile/targets.rs"]
mod targets;

/// Refuses mkdir, and one ioctl by its argument, with ENOLCK.
const PROFILE: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  "syscalls": [
    { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 37 },
    {
      "names": ["ioctl"],
      "action": "SCMP_ACT_ERRNO",
      "errnoRet": 37,
      "args": [{ "index": 1, "op": "SCMP_CMP_EQ", "value": 21522 }]
    }
  ]
}
"#;

/// The options that make a target the same on every machine.
const TARGET: [&str; 4] = ["--arch", "x86_64", "--kernel", "6.1"];
