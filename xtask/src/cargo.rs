//! Cargo, and what rustup has put beside it.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The cargo that runs this program.
pub fn command() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Builds and runs a part of xtask that needs the workspace's crates, which the main program does
/// without: it must work where they do not compile. The value is whether the part says yes.
///
/// # Errors
///
/// When the part does not build, or ends with another status than 0 and 1.
pub fn example(name: &str, options: &[&str], args: &[String]) -> Result<bool> {
    let mut command = command();
    command.args(["run", "--quiet", "--package", "xtask", "--example", name]).args(options);
    let status = command.arg("--").args(args).status()?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(format!("`{name}` ended with {status}").into()),
    }
}

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    // Cargo sets the variable for what it runs; the compiled-in one is for a copy run by hand.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or(package.clone(), Path::to_path_buf)
}

/// The folder that builds go to.
///
/// # Errors
///
/// When `cargo metadata` does not say.
pub fn target_directory() -> Result<PathBuf> {
    metadata("target_directory").map(PathBuf::from)
}

/// The folder that programs keep in what can be made again.
pub fn user_cache() -> PathBuf {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_else(env::temp_dir)
}

/// The oldest Rust that the workspace promises to build with.
///
/// # Errors
///
/// When `cargo metadata` does not say.
pub fn rust_version() -> Result<String> {
    metadata("rust_version")
}

fn metadata(key: &str) -> Result<String> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1"];
    let output = command().args(arguments).current_dir(workspace()).output()?;
    let text = String::from_utf8(output.stdout)?;
    string_value(&text, key).ok_or_else(|| format!("cargo metadata has no {key}").into())
}

/// The value of the first string of this key in a JSON text without spaces around colons.
fn string_value(json: &str, key: &str) -> Option<String> {
    let (_, rest) = json.split_once(&format!("\"{key}\":\""))?;
    let mut value = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            // In a path only the quote and the backslash are ever escaped.
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
}

/// Whether the standard library of a target is there, added by rustup if need be.
///
/// Where rustup does not manage the toolchain, or the network has none of it, the answer is no.
pub fn have_target(target: &str) -> bool {
    let there = || {
        Command::new("rustc")
            .args(["--print", "target-libdir", "--target", target])
            .output()
            .ok()
            .and_then(|output| String::from_utf8(output.stdout).ok())
            .is_some_and(|folder| Path::new(folder.trim()).exists())
    };
    there()
        || (Command::new("rustup")
            .args(["target", "add", target])
            .status()
            .is_ok_and(|status| status.success())
            && there())
}

/// The target that builds are for unless told otherwise: `x86_64-unknown-linux-gnu`.
///
/// # Errors
///
/// When rustc does not say.
pub fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.ok_or("rustc names no host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_unescaped() {
        let json = r#"{"a":1,"target_directory":"C:\\x \"y\"","b":"c"}"#;
        assert_eq!(string_value(json, "target_directory").as_deref(), Some(r#"C:\x "y""#));
        assert_eq!(string_value(json, "none"), None);
    }
}
