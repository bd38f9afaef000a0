//! The probe: a program that tries system calls, built here.

use std::{env, path::Path, process::Command};

use super::command;

/// Without a C library, start files or stack protector: it makes the calls that it names, only.
const FLAGS: &[&str] = &[
    "-std=c11",
    "-O1",
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-pie",
    "-no-pie",
    "-mno-red-zone",
];

/// Builds the probe as `to`.
pub fn build(to: &Path) {
    compile("probe.c", to, FLAGS, &[]);
}

/// Builds a program that only ends as `to`.
pub fn build_nothing(to: &Path) {
    compile("nothing.c", to, FLAGS, &[]);
}

/// Compiles one of this folder's C files.
pub fn compile(source: &str, to: &Path, flags: &[&str], libraries: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab").join(source);
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    command::run(
        Command::new(compiler).args(flags).arg("-o").arg(to).arg(source).args(libraries),
        "",
    )
    .expect("the C compiler");
}
