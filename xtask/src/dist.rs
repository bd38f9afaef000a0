//! `cargo xtask dist`: the static binary, and what a package ships beside it.

mod elf;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::cargo;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: cargo xtask dist

Builds callgate as one static binary and puts it into dist/ of the target directory, with shell
completions, man pages and the JSON Schema of profiles, all made by that binary.";

/// Runs the verb; the value is true.
///
/// # Errors
///
/// When something does not build, is not static, or does not run.
pub fn run(args: &[String]) -> Result<bool> {
    match args {
        [] => {}
        [help] if help == "--help" || help == "-h" => {
            println!("{USAGE}");
            return Ok(true);
        }
        [other, ..] => return Err(format!("unknown option {other}\n{USAGE}").into()),
    }
    let built = build()?;
    elf::check_static(&fs::read(&built)?).map_err(|why| format!("{}: {why}", built.display()))?;

    let folder = cargo::target_directory()?.join("dist");
    if folder.exists() {
        // What an older version made must not be shipped with this one.
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(folder.join("completions"))?;
    let binary = folder.join("callgate");
    fs::copy(&built, &binary)?;
    let version = output(&binary, &["--version"])?;
    println!("{} runs: {}", binary.display(), String::from_utf8_lossy(&version).trim());

    for (shell, file) in
        [("bash", "callgate.bash"), ("zsh", "_callgate"), ("fish", "callgate.fish")]
    {
        let completions = output(&binary, &["generate", "completions", shell])?;
        fs::write(folder.join("completions").join(file), completions)?;
    }
    let man = folder.join("man");
    let man_text = man.to_str().ok_or("the target directory's name is not UTF-8")?;
    output(&binary, &["generate", "man", man_text])?;
    fs::write(folder.join("profile.schema.json"), output(&binary, &["generate", "schema"])?)?;
    list(&folder, &folder)?;
    Ok(true)
}

/// Builds the binary and says where it is.
fn build() -> Result<PathBuf> {
    let host = cargo::host()?;
    let machine = host.split('-').next().unwrap_or("x86_64");
    let musl = format!("{machine}-unknown-linux-musl");
    let mut command = cargo::command();
    command.current_dir(cargo::workspace());
    command.args(["build", "--release", "--package", "callgate-cli", "--target"]);
    let target = if cargo::have_target(&musl) {
        command.arg(&musl);
        musl
    } else {
        eprintln!(
            "NOTE: the target {musl} cannot be installed; this binary has glibc linked in \
             statically, for machines like this one"
        );
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        command.arg(&host).env("RUSTFLAGS", format!("{flags} -C target-feature=+crt-static"));
        host
    };
    if !command.status()?.success() {
        return Err("callgate does not build".into());
    }
    Ok(cargo::target_directory()?.join(target).join("release/callgate"))
}

fn output(binary: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(binary).args(arguments).output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(format!("callgate {}: {}\n{errors}", arguments.join(" "), output.status).into())
    }
}

/// Prints the files below a folder with their sizes.
fn list(folder: &Path, root: &Path) -> Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    entries.sort_unstable();
    for path in entries {
        if path.is_dir() {
            list(&path, root)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).display();
            println!("{:>9}  {name}", fs::metadata(&path)?.len());
        }
    }
    Ok(())
}
