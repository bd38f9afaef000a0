//! Compiles C with libseccomp and runs it.

use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Command};

use callgate_bpf::{ByteOrder, Layout, Program};

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

    /// The names that the installed libseccomp has.
    pub fn known_names(&self) -> BTreeSet<String> {
        let text = "#include <seccomp.h>\n";
        let source = self.folder.join("names.c");
        fs::write(&source, text).unwrap();
        let output = Command::new("cc").args(["-E", "-dM"]).arg(&source).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("#define __SNR_"));
        names.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
    }

    fn compile(&self, text: &str) -> Result<PathBuf, String> {
        let (source, program) = (self.folder.join("filter.c"), self.folder.join("filter"));
        fs::write(&source, text).unwrap();
        let output = Command::new("cc")
            .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-cpp", "-DFILTER_MAIN", "-o"])
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
