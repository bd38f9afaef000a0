//! The smallest edit of a profile's text that allows a call, checked by reading what it makes.

use std::{ffi::OsStr, fs, path::Path};

use callgate_bpf::{Action, SeccompData};
use callgate_diagnostic::{self as diagnostic, Span};
use callgate_policy::{Dialect, Policy, Target, formats::profile, json};
use callgate_verdict::lint::remove_name;

use super::Args;
use crate::{
    commands::Failure,
    meaning::Origin,
    output,
    refusals::{Known, Refusal},
    report::printable_name,
    source::{Profile, plural},
    target::target_of,
};

/// An edit that allows one kind of call.
#[derive(Clone, Debug)]
pub struct Edit {
    /// An entry to add.
    pub rule: Option<String>,
    /// A name to take out of an entry, which refuses it.
    pub remove: Option<(String, usize)>,
}

/// The edits of one profile, and its text with all of them.
pub struct Fixes<'r> {
    origin: &'r Origin,
    target: &'r Target,
    text: String,
}

/// What can be edited: a profile in JSON.
struct Editable<'r> {
    profile: &'r Profile,
    dialect: Dialect,
    target: Target,
}

impl<'r> Fixes<'r> {
    pub fn new(origin: &'r Origin, target: &'r Target) -> Fixes<'r> {
        let text = match origin {
            Origin::Profile { profile, .. } => profile.text.clone(),
            _ => String::new(),
        };
        Fixes { origin, target, text }
    }

    fn editable(&self) -> Result<Editable<'r>, String> {
        match self.origin {
            Origin::Profile { profile, .. } => match written_for(profile) {
                Some(dialect) => {
                    let target = target_of(profile, self.target);
                    Ok(Editable { profile, dialect, target })
                }
                None => Err("no edit: it is no JSON profile".to_owned()),
            },
            _ => Err("no edit: a program has no entries; `callgate convert` makes a profile of it"
                .to_owned()),
        }
    }

    /// The edit for one kind of call. The next ones are worked out on top of it.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn smallest(&mut self, row: &Refusal) -> Result<Edit, String> {
        let editable = self.editable()?;
        if editable.allows(&self.text, &row.data) {
            // An edit before it does.
            return Ok(Edit { rule: None, remove: None });
        }
        let name = row.call.name.ok_or("no edit: no system call has this number")?;
        let rule = rule(name, row);
        let policy =
            editable.read(&self.text).ok_or("no edit: the text has no meaning any more")?;
        // Entries keep their numbers unless one before them went; the one that refuses is found
        // by its name.
        let refusing = row.by.refuses.then(|| {
            policy.entries.iter().position(|entry| {
                !entry.action.value.runs_call() && entry.names.iter().any(|n| n.value == name)
            })
        });
        let refusing = refusing.flatten();
        let without = |text: &str| -> Option<String> {
            let entry = policy.entries.get(refusing?)?;
            let edit = match (policy.entries.len(), entry.names.len()) {
                // The profile stays with its default alone.
                (1, 1) => diagnostic::Edit { span: entry.span, replacement: String::new() },
                _ => remove_name(text, &policy, entry, name)?,
            };
            Some(apply(text, &edit))
        };
        let removal = refusing.map(|entry| (name.to_owned(), entry));
        let candidates = [
            (insert_entry(&self.text, &rule), Edit { rule: Some(rule.clone()), remove: None }),
            (without(&self.text), Edit { rule: None, remove: removal.clone() }),
            (
                without(&self.text).and_then(|text| insert_entry(&text, &rule)),
                Edit { rule: Some(rule.clone()), remove: removal },
            ),
        ];
        for (text, edit) in candidates {
            if let Some(text) = text
                && editable.allows(&text, &row.data)
            {
                self.text = text;
                return Ok(edit);
            }
        }
        Err(format!("no single edit: another rule refuses {name}, see `by`"))
    }

    /// Whether `--fix` may change the file.
    ///
    /// # Errors
    ///
    /// When it is no file, or not JSON.
    pub fn may_be_written(&self, name: &str) -> Result<(), Failure> {
        let shown = printable_name(name);
        let editable = self.editable().map_err(|why| format!("{shown}: --fix: {why}"))?;
        if editable.profile.builtin.is_some() || name == "-" {
            return Err(Failure::Message(format!(
                "{shown} is no file that --fix could change; `callgate convert {shown} --to docker -o my.json` makes one"
            )));
        }
        Ok(())
    }

    /// Writes the file with all edits, and says what was done.
    ///
    /// # Errors
    ///
    /// When one of the edits could not be made, the file has changed meanwhile, or it cannot be
    /// written; nothing is written then.
    pub fn write(&self, name: &str, edits: &[Result<Edit, String>]) -> Result<String, Failure> {
        let shown = printable_name(name);
        let editable = self.editable()?;
        let missing = edits.iter().filter(|edit| edit.is_err()).count();
        if missing > 0 {
            return Err(Failure::Message(format!(
                "{shown}: nothing was written, as there is no edit for {} of {}",
                missing,
                plural(edits.len(), "refused call"),
            )));
        }
        let now = fs::read_to_string(name).map_err(|error| format!("{shown}: {error}"))?;
        if now != editable.profile.text {
            return Err(Failure::Message(format!(
                "{shown}: nothing was written, as the file has changed since it was read"
            )));
        }
        output::write_file(Path::new(name), self.text.as_bytes())?;
        Ok(format!("{shown}: {} written; run it again", plural(edits.len(), "edit")))
    }

    /// How to have the edits written, where they could be.
    pub fn hint(&self, args: &Args) -> Option<String> {
        let editable = self.editable().ok()?;
        let words: Option<Vec<String>> = args.command.iter().map(|word| shell_word(word)).collect();
        let command = words.map_or_else(|| "COMMAND".to_owned(), |words| words.join(" "));
        let name = args.filter.profile();
        Some(if editable.profile.builtin.is_some() {
            format!(
                "to allow it, make a profile of your own, and have it changed:\n  callgate convert {name} --to docker -o my.json\n  callgate why --profile my.json --fix -- {command}"
            )
        } else if name == "-" {
            return None;
        } else {
            let name = shell_word(OsStr::new(name))?;
            format!(
                "`callgate why --profile {name} --fix -- {command}` writes the edits into {name}"
            )
        })
    }
}

impl Editable<'_> {
    fn read(&self, text: &str) -> Option<Policy> {
        profile::read(text, Some(self.dialect)).policy
    }

    /// Whether the profile of this text lets the call run.
    fn allows(&self, text: &str, data: &SeccompData) -> bool {
        let ruleset = self.read(text).and_then(|policy| policy.resolve(&self.target).ruleset);
        ruleset.is_some_and(|ruleset| ruleset.decide(data).0 == Action::Allow)
    }
}

/// The container dialect that a profile is written in; none for another language.
fn written_for(profile: &Profile) -> Option<Dialect> {
    let dialect = profile.policy.as_ref()?.dialect?;
    (profile.format?.name == dialect.name()).then_some(dialect)
}

/// An edit in words.
pub fn words(edit: &Result<Edit, String>) -> String {
    match edit {
        Err(why) => why.clone(),
        Ok(Edit { rule: None, remove: None }) => "by the edit above".to_owned(),
        Ok(Edit { rule: Some(rule), remove: None }) => format!("just this: {rule}"),
        Ok(Edit { rule: None, remove: Some((name, entry)) }) => {
            format!("it: take \"{name}\" out of entry {entry}")
        }
        Ok(Edit { rule: Some(rule), remove: Some((name, entry)) }) => {
            format!("just this: take \"{name}\" out of entry {entry}, and add {rule}")
        }
    }
}

/// An entry for this call, with the flags and commands that it had.
fn rule(name: &str, row: &Refusal) -> String {
    let comparison = |(index, argument): (usize, &crate::refusals::Argument)| {
        if argument.known != Known::Names {
            return None;
        }
        let value = argument.value;
        // The kernel takes the low half of an int; which of the two forms of a negative number
        // stands in the register is the compiler's choice.
        Some(match u32::try_from(value) {
            Ok(low) if low.cast_signed() >= 0 => {
                format!("{{ \"index\": {index}, \"value\": {value}, \"op\": \"SCMP_CMP_EQ\" }}")
            }
            _ if is_int(value) => format!(
                "{{ \"index\": {index}, \"value\": 4294967295, \"valueTwo\": {}, \"op\": \"SCMP_CMP_MASKED_EQ\" }}",
                value & 0xffff_ffff
            ),
            _ => format!("{{ \"index\": {index}, \"value\": {value}, \"op\": \"SCMP_CMP_EQ\" }}"),
        })
    };
    let args: Vec<String> = row.call.arguments.iter().enumerate().filter_map(comparison).collect();
    let args = match args.is_empty() {
        true => String::new(),
        false => format!(", \"args\": [{}]", args.join(", ")),
    };
    format!("{{ \"names\": [\"{name}\"], \"action\": \"SCMP_ACT_ALLOW\"{args} }}")
}

/// Whether the upper half is nothing but the sign of the lower, or empty.
fn is_int(value: u64) -> bool {
    matches!(value >> 32, 0 | 0xffff_ffff)
}

fn apply(text: &str, edit: &diagnostic::Edit) -> String {
    let Span { start, end, .. } = edit.span;
    format!("{}{}{}", &text[..start], edit.replacement, &text[end..])
}

/// The text with one more entry, behind the last and laid out as that one is.
pub fn insert_entry(text: &str, rule: &str) -> Option<String> {
    let document = json::parse(text).ok()?;
    let member = |value: json::Value<'_>, name: &str| {
        let of_name = |(key, _): &(json::Value<'_>, json::Value<'_>)| {
            key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(name))
        };
        value.members().filter(of_name).last().map(|(_, value)| value.span().start)
    };
    // Of a whole runtime configuration its filter.
    let mut root = document.root();
    for name in ["linux", "seccomp"] {
        let Some(start) = member(root, name) else { break };
        root = root.members().map(|(_, value)| value).find(|value| value.span().start == start)?;
    }
    let put = |at: Span, what: String| {
        let edit = diagnostic::Edit { span: at, replacement: what };
        Some(apply(text, &edit))
    };
    let behind = |end: usize| Span::new(end, end);
    let Some(start) = member(root, "syscalls") else {
        let (key, value) = root.members().last()?;
        let lead = lead(text, key.span().start).unwrap_or(" ");
        return put(behind(value.span().end), format!(",{lead}\"syscalls\": [{rule}]"));
    };
    let list = root.members().map(|(_, v)| v).find(|value| value.span().start == start)?;
    match list.elements().last() {
        Some(last) => {
            let lead = lead(text, last.span().start).unwrap_or(" ");
            put(behind(last.span().end), format!(",{lead}{rule}"))
        }
        None => put(list.span(), format!("[{rule}]")),
    }
}

/// The line break and the space before a value that begins its line.
fn lead(text: &str, start: usize) -> Option<&str> {
    let before = &text[..start];
    let space = before.trim_end_matches([' ', '\t']);
    let line = space.strip_suffix('\n')?;
    Some(&before[line.strip_suffix('\r').unwrap_or(line).len()..])
}

/// A word as a shell reads it again; none for one that no line of a terminal could show.
fn shell_word(word: &OsStr) -> Option<String> {
    let word = word.to_str().filter(|word| printable_name(word) == **word)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Some(word.to_owned());
    }
    Some(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = r#"{ "names": ["x"] }"#;

    #[test]
    fn an_entry_is_laid_out_as_its_neighbour() {
        let inserted = |text| insert_entry(text, RULE).unwrap();
        assert_eq!(
            inserted("{\n\t\"syscalls\": [\n\t\t{ \"a\": 1 }\n\t]\n}\n"),
            format!("{{\n\t\"syscalls\": [\n\t\t{{ \"a\": 1 }},\n\t\t{RULE}\n\t]\n}}\n")
        );
        assert_eq!(
            inserted(r#"{"syscalls":[{"a":1}],"b":2}"#),
            format!(r#"{{"syscalls":[{{"a":1}}, {RULE}],"b":2}}"#)
        );
        assert_eq!(inserted(r#"{"syscalls":[]}"#), format!(r#"{{"syscalls":[{RULE}]}}"#));
        assert_eq!(
            inserted("{\r\n  \"b\": 2\r\n}"),
            format!("{{\r\n  \"b\": 2,\r\n  \"syscalls\": [{RULE}]\r\n}}")
        );
        assert_eq!(
            inserted(r#"{"linux":{"seccomp":{"syscalls":[1]}}}"#),
            format!(r#"{{"linux":{{"seccomp":{{"syscalls":[1, {RULE}]}}}}}}"#)
        );
        assert_eq!(insert_entry("{", RULE), None);
        assert_eq!(insert_entry("{}", RULE), None);
    }

    #[test]
    fn words_survive_a_shell() {
        let word = |text: &str| shell_word(OsStr::new(text)).unwrap_or_default();
        assert_eq!(word("daemon off;"), "'daemon off;'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!((word("a=b"), word("")), ("a=b".to_owned(), "''".to_owned()));
        assert_eq!(shell_word(OsStr::new("a\nb")), None);
    }
}
