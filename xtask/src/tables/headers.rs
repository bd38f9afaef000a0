//! Reads constants out of the kernel's headers: macros with integer values, and enumerations.

mod expression;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::Result;
use super::prototypes::without_comments;

/// The constants that some headers define, as one architecture sees them.
pub struct Headers {
    root: PathBuf,
    arch: String,
    /// Text of each macro; the value of each enumerator is one too.
    macros: BTreeMap<String, String>,
    /// Order of definition.
    order: Vec<String>,
    read: BTreeSet<PathBuf>,
}

impl Headers {
    /// Nothing read yet.
    pub fn new(root: &Path, arch: &str, wide: bool) -> Headers {
        let mut headers = Headers {
            root: root.to_owned(),
            arch: arch.to_owned(),
            macros: BTreeMap::new(),
            order: Vec::new(),
            read: BTreeSet::new(),
        };
        let bits = if wide { "64" } else { "32" };
        headers.define("__BITS_PER_LONG", bits);
        if wide {
            for name in ["CONFIG_64BIT", "__LP64__", "__arch64__", "__powerpc64__"] {
                headers.define(name, "1");
            }
        }
        match (arch, wide) {
            ("x86", true) => headers.define("__x86_64__", "1"),
            ("x86", false) => headers.define("__i386__", "1"),
            _ => {}
        }
        headers.order.clear();
        headers
    }

    /// Reads a header, `linux/sched.h`, and those that it includes from the same few directories.
    /// A header that is not there is an error only when `required`.
    pub fn read(&mut self, name: &str, required: bool) -> Result<()> {
        let Some(path) = self.locate(name) else {
            return if required { Err(format!("no header {name}").into()) } else { Ok(()) };
        };
        if !self.read.insert(path.clone()) {
            return Ok(());
        }
        let text = without_comments(&fs::read_to_string(&path)?).replace("\\\n", " ");
        let mut active = Vec::new();
        let mut code = String::new();
        for line in text.lines() {
            let Some(directive) = line.trim_start().strip_prefix('#') else {
                if active.iter().all(|level: &Level| level.on) {
                    code.push_str(line);
                    code.push('\n');
                }
                continue;
            };
            // Enumerations before an #include may be used behind it.
            self.enumerations(&std::mem::take(&mut code));
            self.directive(directive.trim(), &mut active)?;
        }
        self.enumerations(&code);
        Ok(())
    }

    /// The value of a constant.
    pub fn value(&self, name: &str) -> Option<u64> {
        self.macros.get(name)?;
        expression::evaluate(name, &self.macros)
    }

    /// The constants whose name a pattern matches: a name, or a beginning before `*`.
    pub fn matching(&self, pattern: &str) -> Vec<&str> {
        let matches = |name: &&String| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => *name == pattern,
        };
        self.order.iter().filter(matches).map(String::as_str).collect()
    }

    /// Where the architecture's build finds a header: its own before the generic one, the public
    /// before the internal.
    fn locate(&self, name: &str) -> Option<PathBuf> {
        let arch = self.root.join("arch").join(&self.arch).join("include");
        let include = self.root.join("include");
        let generic = name.strip_prefix("asm/").map(|rest| format!("asm-generic/{rest}"));
        let mut candidates = vec![arch.join("uapi").join(name), include.join("uapi").join(name)];
        if let Some(generic) = generic {
            candidates.push(include.join("uapi").join(generic));
        }
        // Named so by the caller alone: the internal header of a public one's name.
        if let Some(internal) = name.strip_prefix("internal/") {
            candidates = vec![include.join(internal)];
        }
        if let Some(internal) = name.strip_prefix("internal-asm/") {
            candidates = vec![arch.join("asm").join(internal)];
        }
        candidates.into_iter().find(|path| path.exists())
    }

    fn directive(&mut self, directive: &str, active: &mut Vec<Level>) -> Result<()> {
        let end = directive.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(directive.len());
        let (word, rest) = (&directive[..end], directive[end..].trim());
        let on = active.iter().all(|level| level.on);
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
        match word {
            "if" => active.push(Level::new(on && self.holds(rest))),
            "ifdef" => active.push(Level::new(on && self.macros.contains_key(name))),
            "ifndef" => active.push(Level::new(on && !self.macros.contains_key(name))),
            "elif" | "else" => {
                let outer = active.len() < 2 || active[..active.len() - 1].iter().all(|l| l.on);
                let holds = word == "else" || self.holds(rest);
                if let Some(level) = active.last_mut() {
                    level.on = outer && !level.taken && holds;
                    level.taken |= level.on;
                }
            }
            "endif" => {
                active.pop();
            }
            "include" if on => {
                if let Some(file) = rest.strip_prefix('<').and_then(|r| r.split('>').next()) {
                    self.read(file, false)?;
                }
            }
            "undef" if on => {
                self.macros.remove(name);
            }
            // Macros with parameters are expressions of another kind.
            "define" if on && !rest[name.len()..].starts_with('(') => {
                self.define(name, rest[name.len()..].trim());
            }
            _ => {}
        }
        Ok(())
    }

    fn define(&mut self, name: &str, text: &str) {
        // `#define A A` repeats an enumerator for the preprocessor.
        if text != name && self.macros.insert(name.to_owned(), text.to_owned()).is_none() {
            self.order.push(name.to_owned());
        }
    }

    fn holds(&self, condition: &str) -> bool {
        expression::condition(condition, &self.macros)
    }

    /// `enum … { A, B = 2, C }` in a stretch of code.
    fn enumerations(&mut self, code: &str) {
        let mut rest = code;
        while let Some(at) = rest.find("enum") {
            rest = &rest[at + 4..];
            let Some(open) = rest.find(['{', ';', ')', ',']) else { return };
            if !rest[open..].starts_with('{') {
                continue;
            }
            let Some(close) = rest[open..].find('}') else { return };
            let mut previous = String::new();
            for item in rest[open + 1..open + close].split(',') {
                let (name, text) = match item.split_once('=') {
                    Some((name, text)) => (name.trim(), format!("({})", text.trim())),
                    None if previous.is_empty() => (item.trim(), "0".to_owned()),
                    None => (item.trim(), format!("({previous} + 1)")),
                };
                if !name.is_empty() {
                    self.define(name, &text);
                    // Kept as a number, since a long enumeration would nest deeply.
                    if let Some(value) = self.value(name) {
                        self.macros.insert(name.to_owned(), value.to_string());
                    }
                    name.clone_into(&mut previous);
                }
            }
            rest = &rest[open + close..];
        }
    }
}

/// One `#if` with its branches.
struct Level {
    /// Whether the branch at hand counts.
    on: bool,
    /// Whether a branch has counted already.
    taken: bool,
}

impl Level {
    fn new(on: bool) -> Level {
        Level { on, taken: on }
    }
}
