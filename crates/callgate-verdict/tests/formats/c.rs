//! Compiles C with libseccomp and runs it.

use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Command};

use callgate_bpf::{ByteOrder, Layout, Program};
use callgate_syscalls::{Abi, all_names};

/// A C compiler with libseccomp, and a folder to work in.
pub struct Compiler {
    folder: PathBuf,
}

impl Compiler {
    /// None, said loudly, where a compiler or libseccomp is missing. With `CALLGATE_REQUIRE_LAB=1`
    /// neither may be.
    pub fn find(name: &str) -> Option<Compiler> {
        let folder =
            env::temp_dir().join(format!("callgate-formats-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let compiler = Compiler { folder };
        let probe = "#include <seccomp.h>\nint main(void) { seccomp_release(seccomp_init(SCMP_ACT_ALLOW)); }";
        let why = match compiler.compile(probe) {
            Ok(_) => return Some(compiler),
            Err(why) => why,
        };
        let required = env::var_os("CALLGATE_REQUIRE_LAB").is_some_and(|value| value == "1");
        assert!(!required, "CALLGATE_REQUIRE_LAB=1, but cc or libseccomp-dev is missing: {why}");
        eprintln!("skipped: C for libseccomp is not compiled: no cc or libseccomp-dev");
        None
    }

    /// The program that a file writes.
    pub fn filter(&self, text: &str) -> Program {
        let program = self.compile(text).unwrap_or_else(|why| panic!("{why}\n{text}"));
        let output = Command::new(program).output().expect("it was just built");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}\n{text}");
        let layout = Layout::seccomp(ByteOrder::NATIVE);
        Program::from_bytes(&output.stdout, ByteOrder::NATIVE, layout).expect("a program")
    }

    /// What a file's program says when it fails, as it must.
    pub fn complaint(&self, text: &str) -> String {
        let program = self.compile(text).unwrap_or_else(|why| panic!("{why}\n{text}"));
        let output = Command::new(program).output().expect("it was just built");
        assert_eq!(output.status.code(), Some(1), "{text}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The names that the installed libseccomp knows, with the numbers that these ABIs have here;
    /// those behind `socketcall` and `ipc` have one of its own.
    pub fn common_names(&self, abis: &[Abi]) -> BTreeSet<String> {
        let mut text = String::from("#include <seccomp.h>\n#include <stdio.h>\nint main(void) {\n");
        for name in all_names() {
            let same: Vec<String> = abis
                .iter()
                .map(|abi| {
                    let arch = abi.oci_name().unwrap();
                    let theirs = format!("seccomp_syscall_resolve_name_arch({arch}, \"{name}\")");
                    match abi.number(name) {
                        _ if abi.multiplexer(name).is_some() => format!("{theirs} != -1"),
                        Some(nr) => format!("{theirs} == {}", nr.0),
                        None => format!("{theirs} < -1"),
                    }
                })
                .chain([format!("seccomp_syscall_resolve_name(\"{name}\") != -1")])
                .collect();
            text.push_str(&format!("if ({}) puts(\"{name}\");\n", same.join(" && ")));
        }
        text.push_str("}\n");
        let program = self.compile(&text).unwrap_or_else(|why| panic!("{why}"));
        let output = Command::new(program).output().expect("it was just built");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn compile(&self, text: &str) -> Result<PathBuf, String> {
        let (source, program) = (self.folder.join("filter.c"), self.folder.join("filter"));
        fs::write(&source, text).unwrap();
        let output = Command::new("cc")
            .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-DFILTER_MAIN", "-o"])
            .args([&program, &source])
            .arg("-lseccomp")
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(program)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
