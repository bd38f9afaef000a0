//! `cargo xtask tables`: the system call tables of `callgate-syscalls`, from Debian's kernel
//! source packages, manual pages and systemd.

mod abis;
mod constants;
mod emit;
mod groups;
mod headers;
mod prototypes;
mod signatures;
mod since;
mod sources;
mod tbl;
mod types;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use self::abis::Table;
use self::prototypes::Prototypes;
use self::since::Release;
use self::sources::Sources;
use crate::cargo;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: cargo xtask tables [--work DIR] [--offline] [--check]

Generates crates/callgate-syscalls/src/generated.

  --work DIR   where packages are fetched and unpacked
               (default: callgate-tables in the user's cache directory)
  --offline    use what DIR holds, fetch nothing
  --check      write nothing; compare with what is checked in (implies --offline)";

/// Runs the verb; the value is whether all is well.
pub fn run(args: &[String]) -> Result<bool> {
    let (mut work, mut offline, mut check) = (default_work(), false, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--work" => work = PathBuf::from(args.next().ok_or("--work needs a directory")?),
            "--offline" => offline = true,
            "--check" => check = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(true);
            }
            other => return Err(format!("unknown option {other}\n{USAGE}").into()),
        }
    }
    let sources =
        if offline || check { Sources::open(&work)? } else { Some(Sources::fetch(&work)?) };
    let Some(sources) = sources else {
        if check {
            eprintln!("skipped: tables not compared, {} has no sources", work.display());
            return Ok(true);
        }
        return Err(format!("{} lacks sources; run without --offline", work.display()).into());
    };
    let dir = generated_dir();
    let mut same = true;
    for (name, text) in generate(&sources)? {
        let path = dir.join(name);
        let differs = fs::read_to_string(&path).ok().as_deref() != Some(&text);
        if check && differs {
            eprintln!("{} is not what the generator makes", path.display());
            same = false;
        } else if differs {
            let new = path.with_extension("new");
            fs::write(&new, text)?;
            fs::rename(new, &path)?;
            eprintln!("wrote {}", path.display());
        }
    }
    Ok(same)
}

fn generated_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/callgate-syscalls/src/generated")
}

fn default_work() -> PathBuf {
    cargo::user_cache().join("callgate-tables")
}

/// The files by name.
fn generate(sources: &Sources) -> Result<Vec<(&'static str, String)>> {
    let newest = sources.kernels.last().ok_or("no kernel source")?;
    let mut tables = Vec::new();
    for recipe in abis::RECIPES {
        let table = recipe.read(newest)?;
        tables.push(table.ok_or_else(|| format!("no table for {}", recipe.table))?);
    }
    let since = since::read(&sources.manual.1, &names_of(&tables))?;
    let s390x = tables.iter().find(|t| t.name == "S390X").ok_or("no s390x")?;
    for kernel in sources.kernels.iter().rev() {
        if let Some(s390) = abis::s390(kernel, s390x, &since)? {
            tables.push(s390);
            break;
        }
    }
    let names = names_of(&tables);
    since::check(&since, &history(sources)?)?;

    let trees: Vec<Prototypes> =
        sources.kernels.iter().rev().map(Prototypes::read).collect::<Result<_>>()?;
    let signatures = signatures::settle(&tables, &trees)?;
    let filter_sets = fs::read_to_string(sources.systemd.1.join(sources::FILTER_SETS))?;
    let groups = groups::read(&filter_sets, &names)?;
    let masks = groups::masks(&groups)?;

    let constants = constants::read(&newest.root, &tables)?;
    for set in &constants {
        for (call, _) in set.spec.uses {
            if !names.contains(*call) {
                return Err(
                    format!("constants {} for {call}, which is no call", set.spec.name).into()
                );
            }
        }
    }
    let errno = constants::errno(&newest.root, &tables)?;

    let names: Vec<String> = names.into_iter().collect();
    let kernels: Vec<String> = sources
        .kernels
        .iter()
        .rev()
        .map(|k| format!("linux-source-{}.{} {}", k.release.0, k.release.1, k.package))
        .collect();
    let kernels = format!("Debian's {}", kernels.join(", "));
    let more =
        format!("{kernels},\n// manpages-dev {}, systemd {}", sources.manual.0, sources.systemd.0);
    let numbers = emit::header("System call numbers, by ABI.", &kernels);
    let names_header = emit::header("Every system call name.", &kernels);
    let syscalls = emit::header("Arguments, first release and groups of system calls.", &more);
    let only_newest = format!(
        "Debian's linux-source-{}.{} {}",
        newest.release.0, newest.release.1, newest.package
    );
    let constants_header = emit::header("Constants of arguments.", &only_newest);
    let errno_header = emit::header("Error numbers.", &only_newest);
    let systemd = format!("Debian's systemd {}", sources.systemd.0);
    let groups_header = emit::header("systemd's groups of system calls.", &systemd);
    Ok(vec![
        ("numbers.rs", emit::numbers(&numbers, &tables)),
        ("names.rs", emit::names(&names_header, &names)),
        ("syscalls.rs", emit::syscalls(&syscalls, &names, &signatures, &since, &masks)?),
        ("constants.rs", emit::constants(&constants_header, &constants)),
        ("errno.rs", emit::errno(&errno_header, &errno)),
        ("groups.rs", emit::groups(&groups_header, &groups)),
    ])
}

fn names_of(tables: &[Table]) -> BTreeSet<String> {
    tables.iter().flat_map(|t| t.entries.iter().map(|e| e.name.clone())).collect()
}

/// The names that each tree's table files have.
fn history(sources: &Sources) -> Result<Vec<(Release, BTreeSet<String>)>> {
    let mut history = Vec::new();
    for kernel in &sources.kernels {
        let mut tables = Vec::new();
        for recipe in abis::RECIPES {
            tables.extend(recipe.read(kernel)?);
        }
        let mut names = names_of(&tables);
        // Before 6.11 the younger architectures had a header in place of a table.
        let header = kernel.root.join("include/uapi/asm-generic/unistd.h");
        for line in fs::read_to_string(header)?.lines() {
            let defined =
                line.strip_prefix("#define __NR_").and_then(|l| l.split_whitespace().next());
            names.extend(defined.map(str::to_owned));
        }
        history.push((kernel.release, names));
    }
    Ok(history)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The unpacked sources, of `CALLGATE_TABLES` or the default directory.
    fn sources() -> Option<Sources> {
        let work = std::env::var_os("CALLGATE_TABLES").map_or_else(default_work, PathBuf::from);
        let sources = Sources::open(&work).unwrap();
        if sources.is_none() {
            eprintln!(
                "skipped: {} has no sources; `cargo xtask tables` puts them there",
                work.display()
            );
        }
        sources
    }

    /// Names of each ABI in 6.1 and 6.12, counted by exporting those kernels' headers and
    /// preprocessing them. Where 6.1 has no table but a header, there is nothing to count here.
    const COUNTS: &[(&str, Option<usize>, usize)] = &[
        ("X86_64", Some(362), 375),
        ("X32", Some(351), 364),
        ("X86", Some(440), 452),
        ("AARCH64", None, 318),
        ("ARM", Some(410), 422),
        ("RISCV64", None, 319),
        ("S390X", Some(368), 381),
        ("PPC64", Some(403), 415),
        ("MIPS_N64", Some(354), 366),
        ("LOONGARCH64", None, 314),
        ("PPC", Some(431), 443),
        ("MIPS_O32", Some(424), 436),
        ("MIPS_N32", Some(378), 390),
        ("ALPHA", Some(482), 495),
        ("M68K", Some(422), 434),
        ("PARISC", Some(385), 398),
        ("SH", Some(415), 427),
        ("SPARC64", Some(382), 394),
        ("XTENSA", Some(396), 408),
    ];

    #[test]
    fn older_kernels_have_as_many_names_as_their_headers() {
        let Some(sources) = sources() else { return };
        for kernel in &sources.kernels {
            for recipe in abis::RECIPES {
                let expected = COUNTS.iter().find(|(table, ..)| *table == recipe.table);
                let expected = match (kernel.release, expected) {
                    ((6, 1), Some((_, count, _))) => *count,
                    ((6, 12), Some((.., count))) => Some(*count),
                    _ => continue,
                };
                let table = recipe.read(kernel).unwrap();
                let names = table.map(|t| names_of(&[t]).len());
                assert_eq!(names, expected, "{} in {:?}", recipe.table, kernel.release);
            }
        }
    }

    #[test]
    fn checked_in_tables_are_what_the_generator_makes() {
        let Some(sources) = sources() else { return };
        for (name, text) in generate(&sources).unwrap() {
            let path = generated_dir().join(name);
            let checked_in = fs::read_to_string(&path).unwrap();
            assert!(checked_in == text, "{} is old: run `cargo xtask tables`", path.display());
        }
    }
}
