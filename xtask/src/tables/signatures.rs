//! Settles each name's arguments, and on which ABIs they are others.

use std::collections::BTreeMap;

use super::Result;
use super::abis::{Entry, Table};
use super::prototypes::{Argument, Prototypes};
use super::types;

/// The arguments of every name.
pub struct Signatures {
    /// What a 64-bit ABI has, or the first ABI of the list that knows the name. Names that no
    /// kernel source here implements are missing.
    pub common: BTreeMap<String, Vec<Argument>>,
    /// Where an ABI has other arguments or another order: by table, then by name.
    pub special: BTreeMap<&'static str, BTreeMap<String, Vec<Argument>>>,
}

/// Calls of the past that no source here defines any more, from their manual pages; and two of
/// m68k whose definitions have another form.
const BY_HAND: &[(&str, &[(&str, &str)])] = &[
    ("_sysctl", &[("struct __sysctl_args *", "args")]),
    ("atomic_barrier", &[]),
    ("bdflush", &[("int", "func"), ("long", "data")]),
    ("create_module", &[("const char *", "name"), ("size_t", "size")]),
    ("get_kernel_syms", &[("struct kernel_sym *", "table")]),
    ("lookup_dcookie", &[("u64", "cookie64"), ("char *", "buf"), ("size_t", "len")]),
    (
        "nfsservctl",
        &[("int", "cmd"), ("struct nfsctl_arg *", "argp"), ("union nfsctl_res *", "resp")],
    ),
    (
        "query_module",
        &[
            ("const char *", "name"),
            ("int", "which"),
            ("void *", "buf"),
            ("size_t", "bufsize"),
            ("size_t *", "ret"),
        ],
    ),
];

/// Works the arguments out. `trees` are newest first.
pub fn settle(tables: &[Table], trees: &[Prototypes]) -> Result<Signatures> {
    let mut common: BTreeMap<String, Vec<Argument>> = BTreeMap::new();
    let wide_first = || tables.iter().filter(|t| t.wide).chain(tables.iter().filter(|t| !t.wide));
    for prototypes in trees {
        for table in wide_first() {
            for entry in &table.entries {
                if common.contains_key(&entry.name) {
                    continue;
                }
                if let Some(arguments) = of_entry(table, entry, prototypes) {
                    common.insert(entry.name.clone(), arguments.to_vec());
                }
            }
        }
    }
    for (name, arguments) in BY_HAND {
        let argument = |(c_type, name): &(&str, &str)| Argument {
            c_type: (*c_type).to_owned(),
            name: (*name).to_owned(),
        };
        let arguments = || arguments.iter().map(argument).collect();
        common.entry((*name).to_owned()).or_insert_with(arguments);
    }
    // What the newest kernel dropped everywhere has an older one's definition, by its name.
    for entry in tables.iter().flat_map(|t| &t.entries) {
        if !common.contains_key(&entry.name) {
            let function = format!("sys_{}", entry.name);
            if let Some(arguments) = trees.iter().find_map(|p| p.find(&function, "x86", true)) {
                common.insert(entry.name.clone(), arguments.to_vec());
            }
        }
    }
    let mut special = BTreeMap::new();
    for table in tables {
        let mut here = BTreeMap::new();
        for entry in &table.entries {
            let found = trees.iter().find_map(|p| of_entry(table, entry, p));
            let (Some(found), Some(usual)) = (found, common.get(&entry.name)) else { continue };
            let found = in_register_order(table, found);
            if differs(&found, usual)? {
                here.insert(entry.name.clone(), found);
            }
        }
        special.insert(table.name, here);
    }
    Ok(Signatures { common, special })
}

/// 32-bit ABIs take the function for 32-bit callers where there is one: its arguments are the
/// registers, while the native one may have a 64-bit argument that fills two.
fn of_entry<'p>(
    table: &Table,
    entry: &Entry,
    prototypes: &'p Prototypes,
) -> Option<&'p [Argument]> {
    let functions = if table.wide {
        [entry.native.as_deref(), None]
    } else {
        [entry.compat.as_deref(), entry.native.as_deref()]
    };
    functions
        .into_iter()
        .flatten()
        .filter(|function| !["sys_ni_syscall", "sys_nis_syscall"].contains(function))
        .flat_map(spellings)
        .find_map(|function| prototypes.find(&function, table.arch, table.wide))
}

/// On a big-endian ABI the high half of a 64-bit argument comes first.
fn in_register_order(table: &Table, arguments: &[Argument]) -> Vec<Argument> {
    let mut arguments = arguments.to_vec();
    for i in 1..arguments.len() {
        let pair = arguments[i - 1]
            .name
            .strip_suffix("_lo")
            .is_some_and(|stem| arguments[i].name.strip_suffix("_hi") == Some(stem));
        if pair && table.big_endian {
            arguments.swap(i - 1, i);
        }
    }
    arguments
}

/// A function of a table and what it stands for: some architectures name an assembly stub that
/// saves registers and goes on to the C function.
fn spellings(function: &str) -> impl Iterator<Item = String> {
    let bare = function.trim_start_matches('_').trim_end_matches("_wrapper");
    [
        function.to_owned(),
        bare.to_owned(),
        bare.replacen("alpha_", "sys_", 1),
        bare.replacen("sys_sparc_", "sys_", 1),
    ]
    .into_iter()
}

/// Whether a policy would notice: another number of arguments, another order of the same ones, or
/// at some place a pointer instead of a value. Types that are merely narrower on a 32-bit ABI do
/// not count, nor do other names.
fn differs(a: &[Argument], b: &[Argument]) -> Result<bool> {
    if a.len() != b.len() {
        return Ok(true);
    }
    let names = |list: &[Argument]| list.iter().map(|a| a.name.clone()).collect::<Vec<_>>();
    let (in_a, in_b) = (names(a), names(b));
    if in_a != in_b && in_a.iter().all(|name| in_b.contains(name)) {
        return Ok(true);
    }
    for (a, b) in a.iter().zip(b) {
        if types::kind(&a.c_type)?.pointer != types::kind(&b.c_type)?.pointer {
            return Ok(true);
        }
    }
    Ok(false)
}
