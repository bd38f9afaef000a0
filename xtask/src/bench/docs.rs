//! The measured table in the benchmarks' page.

use std::{env, fs, path::PathBuf};

use crate::Result;

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// Puts the table in place of the one that the page has.
///
/// # Errors
///
/// When the page or its marks are not there.
pub fn write(table: &str) -> Result<()> {
    let package = env::var_os("CARGO_MANIFEST_DIR").ok_or("start with `cargo xtask bench`")?;
    let workspace = PathBuf::from(package).join("..").canonicalize()?;
    let page = workspace.join("docs/benchmarks.md");
    let text = fs::read_to_string(&page)?;
    let replaced = replace(&text, table)
        .ok_or_else(|| format!("{} lacks the lines `{BEGIN}` and `{END}`", page.display()))?;
    fs::write(&page, replaced)?;
    eprintln!("written: {}", page.display());
    Ok(())
}

fn replace(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n```text\n{}\n```\n{END}{after}", table.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = replace(&page, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n```text\nnew\n```\n{END}\nb\n"));
        assert_eq!(replace(&new, "new"), Some(new));
        assert_eq!(replace("a", "new"), None);
    }
}
