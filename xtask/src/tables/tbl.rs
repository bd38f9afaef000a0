//! Reads the kernel's `syscall.tbl` files: `number abi name [entry] [compat entry] [noreturn]`.

use std::fs;
use std::path::Path;

use super::Result;

/// One line of a table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The number before any offset of the ABI.
    pub number: u32,
    /// The column that says which ABIs of the file have the line: `common`, `64`, `x32`, …
    pub abi: String,
    /// The name in `unistd.h`, without `__NR_`.
    pub name: String,
    /// The kernel function, `sys_ni_syscall` where there is none.
    pub entry: Option<String>,
    /// The kernel function for 32-bit callers of a 64-bit kernel.
    pub compat: Option<String>,
}

/// All lines of the file.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut rows = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(number) = words.next() else { continue };
        let row = (|| {
            Some(Row {
                number: number.parse().ok()?,
                abi: words.next()?.to_owned(),
                name: words.next()?.to_owned(),
                entry: words.next().filter(|w| *w != "-").map(str::to_owned),
                compat: words.next().filter(|w| *w != "-").map(str::to_owned),
            })
        })();
        rows.push(row.ok_or_else(|| format!("{}:{}: not a table line", path.display(), i + 1))?);
    }
    Ok(rows)
}
