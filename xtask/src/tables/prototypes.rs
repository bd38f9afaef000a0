//! Reads the kernel's system call definitions: names and C types of arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::Result;
use super::sources::Kernel;

/// One argument as the kernel's source has it: type (tidied) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Argument {
    /// `const char *`.
    pub c_type: String,
    /// `filename`.
    pub name: String,
}

/// One definition of a system call function.
#[derive(Clone, Debug)]
struct Definition {
    arguments: Vec<Argument>,
    /// The `arch/` directory it stands in, if any.
    arch: Option<String>,
    /// The preprocessor conditions around it.
    guards: Vec<Guard>,
}

/// A preprocessor condition that speaks of one configuration option.
#[derive(Clone, Debug)]
struct Guard {
    option: String,
    wanted: bool,
}

/// Every definition of one kernel tree, by function: `sys_openat`, `compat_sys_openat`.
pub struct Prototypes {
    definitions: BTreeMap<String, Vec<Definition>>,
    /// What each architecture's Kconfig selects, `CLONE_BACKWARDS` among it, and whether only
    /// for 32-bit kernels.
    selects: BTreeMap<String, BTreeSet<(String, bool)>>,
}

impl Prototypes {
    /// Reads all C files of the tree.
    pub fn read(kernel: &Kernel) -> Result<Prototypes> {
        let mut prototypes = Prototypes { definitions: BTreeMap::new(), selects: BTreeMap::new() };
        prototypes.walk(&kernel.root, &kernel.root)?;
        Ok(prototypes)
    }

    /// The arguments of a function as the given architecture builds it.
    ///
    /// The architecture's own definition wins over the generic one, and that over another
    /// architecture's; of several left, conditions on options with a known value decide.
    pub fn find(&self, function: &str, arch: &str, wide: bool) -> Option<&[Argument]> {
        let candidates: Vec<&Definition> = self
            .definitions
            .get(function)?
            .iter()
            .filter(|d| d.guards.iter().all(|g| self.may_hold(g, arch, wide)))
            .collect();
        let own = |d: &&&Definition| d.arch.as_deref() == Some(arch);
        let generic = |d: &&&Definition| d.arch.is_none();
        let chosen = candidates
            .iter()
            .find(own)
            .or_else(|| candidates.iter().find(generic))
            .or_else(|| candidates.first())?;
        Some(&chosen.arguments)
    }

    fn may_hold(&self, guard: &Guard, arch: &str, wide: bool) -> bool {
        let value = match guard.option.as_str() {
            "64BIT" => wide,
            "MMU" | "SYSVIPC" | "NET" | "FUTEX" => true,
            option if option.starts_with("CLONE_BACKWARDS") || option == "ODD_RT_SIGACTION" => {
                self.selects.get(arch).is_some_and(|selects| {
                    selects.iter().any(|(o, narrow)| o == option && !(*narrow && wide))
                })
            }
            _ => return true,
        };
        value == guard.wanted
    }

    fn walk(&mut self, root: &Path, dir: &Path) -> Result<()> {
        let mut entries: Vec<_> = fs::read_dir(dir)?.collect::<std::io::Result<_>>()?;
        entries.sort_by_key(|e| e.file_name());
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type()?;
            let relative = path.strip_prefix(root)?;
            let arch = relative
                .strip_prefix("arch")
                .ok()
                .and_then(|p| Some(p.iter().next()?.to_str()?.to_owned()));
            if kind.is_dir() {
                if !["tools", "Documentation", "samples"].iter().any(|d| relative == Path::new(d)) {
                    self.walk(root, &path)?;
                }
            } else if path.extension().is_some_and(|e| e == "c") {
                let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
                self.read_file(&without_comments(&text), arch.as_deref());
            } else if let (Some(arch), Some("Kconfig")) =
                (&arch, path.file_name().and_then(|n| n.to_str()))
            {
                let selects = self.selects.entry(arch.clone()).or_default();
                let mut narrow = false;
                for line in fs::read_to_string(&path)?.lines() {
                    if let Some(config) = line.strip_prefix("config ") {
                        narrow = config.trim().ends_with("_32");
                    } else if let Some(option) = line.trim().strip_prefix("select ") {
                        let option = option.split_whitespace().next().unwrap_or_default();
                        selects.insert((option.to_owned(), narrow));
                    }
                }
            }
        }
        Ok(())
    }

    fn read_file(&mut self, text: &str, arch: Option<&str>) {
        let mut guards: Vec<Vec<Guard>> = Vec::new();
        let mut at = 0;
        let mut next_previous = "";
        for line in text.split_inclusive('\n') {
            let start = at;
            at += line.len();
            let previous = std::mem::replace(&mut next_previous, line);
            if let Some(directive) = line.trim_start().strip_prefix('#') {
                follow(&mut guards, directive.trim());
                continue;
            }
            if let Some((functions, open)) = definition_start(line, previous) {
                let Some(inside) = parenthesised(&text[start + open..]) else { continue };
                let (name, arguments) = if functions.is_empty() {
                    // An `asmlinkage` function: its name was taken from the line.
                    (None, c_parameters(inside))
                } else {
                    macro_arguments(inside)
                };
                // What the entry code hands over is no argument of the caller's.
                let own = !arguments.iter().any(|a| a.c_type.contains("pt_regs"));
                let arguments = if own { arguments } else { Vec::new() };
                let functions: Vec<String> = match name {
                    Some(name) => functions.iter().map(|f| format!("{f}{name}")).collect(),
                    None => asmlinkage_name(line, previous).into_iter().collect(),
                };
                for function in functions {
                    self.definitions.entry(function).or_default().push(Definition {
                        arguments: arguments.clone(),
                        arch: arch.map(str::to_owned),
                        guards: guards.iter().flatten().cloned().collect(),
                    });
                }
            }
        }
    }
}

/// The definition that begins on this line, if any: the prefixes of the functions it makes
/// (empty for a plain `asmlinkage` function) and where its parenthesis stands.
fn definition_start(line: &str, previous: &str) -> Option<(&'static [&'static str], usize)> {
    const MACROS: &[(&str, &[&str])] = &[
        ("PPC32_SYSCALL_DEFINE", &["sys_", "compat_sys_"]),
        ("SYSCALL32_DEFINE", &["sys_", "compat_sys_"]),
        ("COMPAT_SYSCALL_DEFINE", &["compat_sys_"]),
        ("SYSCALL_DEFINE", &["sys_"]),
    ];
    for (name, functions) in MACROS {
        if let Some(rest) = line.strip_prefix(name) {
            let digits = rest.find('(')?;
            return rest[..digits]
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then_some((*functions, name.len() + digits));
        }
    }
    let open = line.find('(')?;
    asmlinkage_name(line, previous).map(|_| (&[][..], open))
}

/// `sys_foo` of `asmlinkage long sys_foo(`, the name possibly on a line of its own.
fn asmlinkage_name(line: &str, previous: &str) -> Option<String> {
    if !line.starts_with("asmlinkage ") && !previous.starts_with("asmlinkage ") {
        return None;
    }
    let before = line.split('(').next()?;
    let name = before.split_whitespace().next_back()?.trim_start_matches('*');
    (name.starts_with("sys_") || name.starts_with("compat_sys_")).then(|| name.to_owned())
}

/// What stands between the parenthesis at the start and its partner.
fn parenthesised(text: &str) -> Option<&str> {
    let mut depth = 0;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(&text[1..i]);
                }
            }
            _ => {}
        }
    }
    None
}

/// `name, type, argument, type, argument, …` of the macros.
fn macro_arguments(inside: &str) -> (Option<String>, Vec<Argument>) {
    let mut parts = inside.split(',').map(str::trim);
    let name = parts.next().unwrap_or_default().to_owned();
    let mut arguments = Vec::new();
    while let Some(part) = parts.next() {
        // A 64-bit argument in two registers; the order of the halves follows the byte order, and
        // little-endian stands here, which all that matter have.
        let pair = ["compat_arg_u64_dual(", "SC_ARG64(", "arg_u32p("]
            .iter()
            .find_map(|m| part.strip_prefix(m)?.strip_suffix(')'));
        if let Some(base) = pair {
            for half in ["lo", "hi"] {
                arguments
                    .push(Argument { c_type: "u32".to_owned(), name: format!("{base}_{half}") });
            }
        } else if let Some(argument) = parts.next() {
            arguments.push(Argument { c_type: tidy(part), name: argument.to_owned() });
        }
    }
    (Some(name), arguments)
}

/// `type name, type name, …` of a C function.
fn c_parameters(inside: &str) -> Vec<Argument> {
    let inside = inside.trim();
    if inside == "void" || inside.is_empty() {
        return Vec::new();
    }
    inside
        .split(',')
        .map(|part| {
            let part = part.trim();
            let end = part.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
            Argument { c_type: tidy(&part[..end]), name: part[end..].to_owned() }
        })
        .collect()
}

/// One space between words, stars joined, neither address space marks nor a `const` that only
/// binds the kernel's own copy: `const char *`.
fn tidy(c_type: &str) -> String {
    let spaced = c_type.replace('*', " * ");
    let spaced = spaced.trim_end();
    let spaced = spaced.strip_suffix(" const").unwrap_or(spaced);
    let pointer = spaced.contains('*');
    let dropped = |word: &&str| match *word {
        "__user" | "__force" => false,
        "const" => pointer,
        _ => true,
    };
    let mut out = String::new();
    for word in spaced.split_whitespace().filter(dropped) {
        let joined = out.is_empty() || (word == "*" && out.ends_with('*'));
        if !joined {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Keeps the stack of conditions: `#ifdef CONFIG_X`, `#ifndef`, `#if defined(CONFIG_X)`,
/// `#else`, `#elif`. A condition of another form is taken as possible either way.
fn follow(guards: &mut Vec<Vec<Guard>>, directive: &str) {
    let (word, rest) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
    let single = |text: &str, wanted: bool| -> Vec<Guard> {
        let text = text.trim();
        let inner = text.strip_prefix("defined(").and_then(|t| t.strip_suffix(')')).unwrap_or(text);
        match inner.strip_prefix("CONFIG_") {
            Some(option) if option.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                vec![Guard { option: option.to_owned(), wanted }]
            }
            _ => Vec::new(),
        }
    };
    match word {
        "ifdef" => guards.push(single(rest, true)),
        "ifndef" => guards.push(single(rest, false)),
        "if" => guards.push(single(rest, true)),
        "elif" | "else" => {
            // Every earlier branch is refused, the new one wanted.
            let mut branch = guards.pop().unwrap_or_default();
            for guard in &mut branch {
                guard.wanted = false;
            }
            if word == "elif" {
                branch.extend(single(rest, true));
            }
            guards.push(branch);
        }
        "endif" => {
            guards.pop();
        }
        _ => {}
    }
}

/// Comments become spaces; line structure stays.
pub fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        out.push_str(&rest[..start]);
        let end = rest[start + 2..].find("*/").map_or(rest.len(), |e| start + 2 + e + 2);
        out.extend(rest[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}
