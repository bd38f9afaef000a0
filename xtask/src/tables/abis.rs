//! Which table, which lines of it and which names beside it make up each ABI.

use std::collections::BTreeMap;
use std::fs;

use super::Result;
use super::sources::Kernel;
use super::tbl::{self, Row};

/// Where an ABI's numbers stand in the kernel's source tree.
pub struct Recipe {
    /// The static's name in the generated file.
    pub table: &'static str,
    /// The directory below `arch/`.
    arch: &'static str,
    /// Whether registers and longs have 64 bits.
    wide: bool,
    /// Whether it is big-endian and nothing else.
    big_endian: bool,
    /// The table's path below the source root.
    path: &'static str,
    /// The file that extends `columns` with words of `syscall_abis_32` or `_64`, where the
    /// architecture shares `scripts/syscall.tbl`.
    makefile: Option<(&'static str, &'static str)>,
    /// A table that names the functions which a 64-bit kernel has for this ABI, where that is
    /// another file.
    compat_table: Option<&'static str>,
    /// The words of the second column that belong to the ABI; empty for all.
    columns: &'static [&'static str],
    /// Added to every number.
    offset: u32,
    /// Names that `unistd.h` adds, with the name whose number each has.
    aliases: &'static [(&'static str, &'static str)],
    /// Names that `unistd.h` takes away.
    removed: &'static [&'static str],
    /// Numbers that stand in no table.
    private: &'static [(&'static str, u32)],
}

const PLAIN: Recipe = Recipe {
    table: "",
    arch: "",
    wide: false,
    big_endian: false,
    path: "scripts/syscall.tbl",
    makefile: None,
    compat_table: None,
    columns: &[],
    offset: 0,
    aliases: &[],
    removed: &[],
    private: &[],
};

/// `arch/arm/include/uapi/asm/unistd.h`.
const ARM_PRIVATE: &[(&str, u32)] = &[
    ("breakpoint", 0xf0001),
    ("cacheflush", 0xf0002),
    ("usr26", 0xf0003),
    ("usr32", 0xf0004),
    ("set_tls", 0xf0005),
    ("get_tls", 0xf0006),
];

/// `arch/alpha/include/uapi/asm/unistd.h`.
const ALPHA_ALIASES: &[(&str, &str)] = &[
    ("umount", "umount2"),
    ("osf_shmat", "shmat"),
    ("getpid", "getxpid"),
    ("getuid", "getxuid"),
    ("getgid", "getxgid"),
];

/// Every distinct table. 31-bit s390 is [`s390`], since the newest kernels have no such column.
pub const RECIPES: &[Recipe] = &[
    Recipe {
        table: "X86_64",
        arch: "x86",
        wide: true,
        path: "arch/x86/entry/syscalls/syscall_64.tbl",
        columns: &["common", "64"],
        ..PLAIN
    },
    Recipe { table: "X86", arch: "x86", path: "arch/x86/entry/syscalls/syscall_32.tbl", ..PLAIN },
    Recipe {
        table: "X32",
        arch: "x86",
        wide: true,
        path: "arch/x86/entry/syscalls/syscall_64.tbl",
        columns: &["common", "x32"],
        offset: 0x4000_0000,
        ..PLAIN
    },
    Recipe {
        table: "AARCH64",
        arch: "arm64",
        wide: true,
        makefile: Some(("arch/arm64/kernel/Makefile.syscalls", "syscall_abis_64")),
        columns: &["common", "64"],
        ..PLAIN
    },
    Recipe {
        table: "ARM",
        arch: "arm",
        path: "arch/arm/tools/syscall.tbl",
        compat_table: Some("arch/arm64/tools/syscall_32.tbl"),
        columns: &["common", "eabi"],
        aliases: &[("sync_file_range2", "arm_sync_file_range")],
        private: ARM_PRIVATE,
        ..PLAIN
    },
    Recipe {
        table: "RISCV64",
        arch: "riscv",
        wide: true,
        makefile: Some(("arch/riscv/kernel/Makefile.syscalls", "syscall_abis_64")),
        columns: &["common", "64"],
        ..PLAIN
    },
    Recipe {
        table: "RISCV32",
        arch: "riscv",
        makefile: Some(("arch/riscv/kernel/Makefile.syscalls", "syscall_abis_32")),
        columns: &["common", "32"],
        ..PLAIN
    },
    Recipe {
        table: "S390X",
        arch: "s390",
        wide: true,
        path: "arch/s390/kernel/syscalls/syscall.tbl",
        columns: &["common", "64"],
        ..PLAIN
    },
    Recipe {
        table: "PPC64",
        arch: "powerpc",
        wide: true,
        path: "arch/powerpc/kernel/syscalls/syscall.tbl",
        columns: &["common", "nospu", "64"],
        ..PLAIN
    },
    Recipe {
        table: "PPC",
        arch: "powerpc",
        big_endian: true,
        path: "arch/powerpc/kernel/syscalls/syscall.tbl",
        columns: &["common", "nospu", "32"],
        ..PLAIN
    },
    Recipe {
        table: "MIPS_O32",
        arch: "mips",
        path: "arch/mips/kernel/syscalls/syscall_o32.tbl",
        offset: 4000,
        ..PLAIN
    },
    Recipe {
        table: "MIPS_N64",
        arch: "mips",
        wide: true,
        path: "arch/mips/kernel/syscalls/syscall_n64.tbl",
        offset: 5000,
        ..PLAIN
    },
    Recipe {
        table: "MIPS_N32",
        arch: "mips",
        wide: true,
        path: "arch/mips/kernel/syscalls/syscall_n32.tbl",
        offset: 6000,
        ..PLAIN
    },
    Recipe {
        table: "LOONGARCH64",
        arch: "loongarch",
        wide: true,
        makefile: Some(("arch/loongarch/kernel/Makefile.syscalls", "syscall_abis_64")),
        columns: &["common", "64"],
        ..PLAIN
    },
    Recipe {
        table: "LOONGARCH32",
        arch: "loongarch",
        makefile: Some(("arch/loongarch/kernel/Makefile.syscalls", "syscall_abis_32")),
        columns: &["common", "32"],
        ..PLAIN
    },
    Recipe {
        table: "PARISC",
        arch: "parisc",
        big_endian: true,
        path: "arch/parisc/kernel/syscalls/syscall.tbl",
        columns: &["common", "32"],
        ..PLAIN
    },
    Recipe {
        table: "PARISC64",
        arch: "parisc",
        wide: true,
        path: "arch/parisc/kernel/syscalls/syscall.tbl",
        columns: &["common", "64"],
        ..PLAIN
    },
    Recipe {
        table: "M68K",
        arch: "m68k",
        big_endian: true,
        path: "arch/m68k/kernel/syscalls/syscall.tbl",
        ..PLAIN
    },
    Recipe { table: "SH", arch: "sh", path: "arch/sh/kernel/syscalls/syscall.tbl", ..PLAIN },
    Recipe {
        table: "ALPHA",
        arch: "alpha",
        wide: true,
        path: "arch/alpha/kernel/syscalls/syscall.tbl",
        aliases: ALPHA_ALIASES,
        ..PLAIN
    },
    Recipe {
        table: "SPARC",
        arch: "sparc",
        big_endian: true,
        path: "arch/sparc/kernel/syscalls/syscall.tbl",
        columns: &["common", "32"],
        ..PLAIN
    },
    Recipe {
        table: "SPARC64",
        arch: "sparc",
        wide: true,
        path: "arch/sparc/kernel/syscalls/syscall.tbl",
        columns: &["common", "64"],
        ..PLAIN
    },
    Recipe {
        table: "XTENSA",
        arch: "xtensa",
        path: "arch/xtensa/kernel/syscalls/syscall.tbl",
        ..PLAIN
    },
    Recipe {
        table: "CSKY",
        arch: "csky",
        makefile: Some(("arch/csky/kernel/Makefile.syscalls", "syscall_abis_32")),
        columns: &["common", "32"],
        // arch/csky/include/uapi/asm/unistd.h
        aliases: &[("sync_file_range2", "sync_file_range")],
        removed: &["sync_file_range"],
        ..PLAIN
    },
    Recipe {
        table: "ARC",
        arch: "arc",
        makefile: Some(("arch/arc/kernel/Makefile.syscalls", "syscall_abis_32")),
        columns: &["common", "32"],
        ..PLAIN
    },
];

/// The last release with 31-bit s390 programs.
const S390_LAST: (u16, u16) = (6, 18);

/// The numbers of one ABI.
pub struct Table {
    /// The static's name in the generated file.
    pub name: &'static str,
    /// The directory below `arch/`.
    pub arch: &'static str,
    /// Whether registers and longs have 64 bits.
    pub wide: bool,
    /// Whether it is big-endian and nothing else.
    pub big_endian: bool,
    /// By number, the preferred of several names first.
    pub entries: Vec<Entry>,
}

/// One name of an ABI.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The number, offset included.
    pub number: u32,
    /// The name.
    pub name: String,
    /// The kernel's function in a kernel of this ABI.
    pub native: Option<String>,
    /// The kernel's function for 32-bit callers of a 64-bit kernel.
    pub compat: Option<String>,
}

impl Recipe {
    /// The ABI's table in the given tree, `None` where that tree has no such table.
    pub fn read(&self, kernel: &Kernel) -> Result<Option<Table>> {
        let path = kernel.root.join(self.path);
        if !path.exists() {
            return Ok(None);
        }
        let mut columns: Vec<String> = self.columns.iter().map(|c| (*c).to_owned()).collect();
        if let Some((file, variable)) = self.makefile {
            let text = fs::read_to_string(kernel.root.join(file))?;
            columns.extend(makefile_words(&text, variable));
        }
        let rows = tbl::read(&path)?.into_iter();
        let rows = rows.filter(|r| columns.is_empty() || columns.contains(&r.abi));
        let mut table = self.assemble(rows);
        if let Some(path) = self.compat_table.map(|p| kernel.root.join(p)).filter(|p| p.exists()) {
            for row in tbl::read(&path)? {
                for entry in table.entries.iter_mut().filter(|e| e.name == row.name) {
                    entry.compat.clone_from(&row.compat);
                }
            }
        }
        Ok(Some(table))
    }

    fn assemble(&self, rows: impl Iterator<Item = Row>) -> Table {
        let mut entries: Vec<Entry> = rows
            .map(|row| Entry {
                number: self.offset + row.number,
                name: row.name,
                native: row.entry,
                compat: row.compat,
            })
            .collect();
        for (alias, of) in self.aliases {
            // An alias without its original is a mistake in the recipe; the counts would show it.
            if let Some(original) = entries.iter().find(|e| e.name == *of).cloned() {
                entries.push(Entry { name: (*alias).to_owned(), ..original });
            }
        }
        entries.retain(|e| !self.removed.contains(&e.name.as_str()));
        entries.extend(self.private.iter().map(|(name, number)| Entry {
            number: *number,
            name: (*name).to_owned(),
            native: None,
            compat: None,
        }));
        // Stable: the table's own name stays before its aliases.
        entries.sort_by_key(|e| e.number);
        Table {
            name: self.table,
            arch: self.arch,
            wide: self.wide,
            big_endian: self.big_endian,
            entries,
        }
    }
}

/// The words that `VARIABLE += a b c` adds in a makefile.
fn makefile_words(text: &str, variable: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix(variable)?.trim_start().strip_prefix("+="))
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

/// 31-bit s390: the column of the last tree that has it, and what the common part gained from
/// then until the kernel dropped the ABI.
pub fn s390(
    old: &Kernel,
    s390x: &Table,
    since: &BTreeMap<String, (u16, u16)>,
) -> Result<Option<Table>> {
    let path = old.root.join("arch/s390/kernel/syscalls/syscall.tbl");
    if !path.exists() {
        return Ok(None);
    }
    let rows = tbl::read(&path)?;
    if !rows.iter().any(|row| row.abi == "32") {
        return Ok(None);
    }
    let recipe = Recipe { table: "S390", arch: "s390", big_endian: true, ..PLAIN };
    let rows = rows.into_iter().filter(|row| row.abi == "common" || row.abi == "32");
    let mut table = recipe.assemble(rows);
    let last = table.entries.iter().map(|e| e.number).max().unwrap_or_default();
    let added = s390x.entries.iter().filter(|e| {
        e.number > last && since.get(&e.name).is_some_and(|version| *version <= S390_LAST)
    });
    table.entries.extend(added.cloned());
    Ok(Some(table))
}
