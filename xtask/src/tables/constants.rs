//! Which constants name the values of which arguments, and their values on each ABI.

mod specs;

use std::collections::BTreeMap;
use std::path::Path;

use super::Result;
use super::abis::Table;
use super::headers::Headers;

/// A set of constants for the arguments of some calls.
pub struct Spec {
    /// The set's name.
    pub name: &'static str,
    /// The bits in which the constants exclude each other; elsewhere each is a flag.
    pub field: u64,
    /// Headers that define them, as `#include` names them.
    headers: &'static [&'static str],
    /// Names, or beginnings of names before `*`.
    take: &'static [&'static str],
    /// What of these is something else.
    drop: &'static [&'static str],
    /// The calls and the places of their arguments, from 0.
    pub uses: &'static [(&'static str, u8)],
}

/// A set with its values.
pub struct Set {
    /// Name, field and uses.
    pub spec: &'static Spec,
    /// On most ABIs.
    pub common: Values,
    /// On tables where they are others.
    pub special: Vec<(Vec<&'static str>, Values)>,
}

/// Names and values, by value.
pub type Values = Vec<(String, u64)>;

/// Error numbers are no argument of a call, but vary in the same way.
const ERRNO: Spec = Spec {
    name: "errno",
    field: u64::MAX,
    headers: &["asm/errno.h"],
    take: &["E*"],
    drop: &[],
    uses: &[],
};

/// All sets with the values in the tree at `root`.
pub fn read(root: &Path, tables: &[Table]) -> Result<Vec<Set>> {
    specs::SPECS.iter().map(|spec| set(spec, root, tables)).collect()
}

/// The error numbers.
pub fn errno(root: &Path, tables: &[Table]) -> Result<Set> {
    set(&ERRNO, root, tables)
}

fn set(spec: &'static Spec, root: &Path, tables: &[Table]) -> Result<Set> {
    let common = values(spec, root, "x86", true)?;
    if common.is_empty() {
        return Err(format!("no constant found for {}", spec.name).into());
    }
    for pattern in spec.take.iter().filter(|p| !p.ends_with('*')) {
        if !common.iter().any(|(name, _)| name == pattern) {
            return Err(format!("{}: no value for {pattern}", spec.name).into());
        }
    }
    let mut special: BTreeMap<Values, Vec<&'static str>> = BTreeMap::new();
    for table in tables {
        let here = values(spec, root, table.arch, table.wide)?;
        if here != common {
            special.entry(here).or_default().push(table.name);
        }
    }
    let special = special.into_iter().map(|(values, tables)| (tables, values)).collect();
    Ok(Set { spec, common, special })
}

fn values(spec: &Spec, root: &Path, arch: &str, wide: bool) -> Result<Values> {
    let mut headers = Headers::new(root, arch, wide);
    for header in spec.headers {
        // The other architectures need not have every header that x86 has, nor x86 those of
        // one architecture alone.
        headers.read(header, arch == "x86" && !header.starts_with("internal-asm/"))?;
    }
    let mut values: Values = Vec::new();
    for pattern in spec.take {
        for name in headers.matching(pattern) {
            let dropped = spec.drop.iter().any(|drop| match drop.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => match drop.strip_prefix('*') {
                    Some(end) => name.ends_with(end),
                    None => name == *drop,
                },
            });
            let again = values.iter().any(|(n, _)| n == name);
            if let (false, false, Some(value)) = (dropped, again, headers.value(name)) {
                values.push((name.to_owned(), value));
            }
        }
    }
    // Stable: of two names for a value the first defined stays first.
    values.sort_by_key(|(_, value)| *value);
    Ok(values)
}
