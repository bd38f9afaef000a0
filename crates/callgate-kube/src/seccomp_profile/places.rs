//! A JSON text that is made of YAML values, and where each of its values comes from.

use std::collections::BTreeMap;

use callgate_diagnostic::{Diagnostic, Span};
use callgate_policy::{Policy, json};

use crate::yaml::{Kind, Value};

/// The text so far, and its places.
#[derive(Default)]
pub(super) struct Made {
    pub json: String,
    /// By start and end in the JSON, the places in the YAML: of values with and without quotes,
    /// and the first characters of lists and mappings.
    places: BTreeMap<(usize, usize), Span>,
}

impl Made {
    /// Adds a value as JSON that stands in the YAML at `value`; none when it becomes longer than
    /// `limit`.
    pub fn value(&mut self, text: &str, value: Value<'_>, limit: usize) -> Option<()> {
        match value.kind() {
            Kind::Sequence => self.collection(text, value, '[', |made| {
                value.elements().enumerate().try_for_each(|(index, element)| {
                    made.comma(index);
                    made.value(text, element, limit)
                })
            }),
            Kind::Mapping => self.collection(text, value, '{', |made| {
                value.members().enumerate().try_for_each(|(index, (key, value))| {
                    made.comma(index);
                    made.key(text, key);
                    made.value(text, value, limit)
                })
            }),
            Kind::Null => self.word("null", value),
            Kind::Bool => {
                self.word(if value.as_bool() == Some(true) { "true" } else { "false" }, value)
            }
            Kind::Number => match value.as_u64() {
                Some(number) => self.word(&number.to_string(), value),
                // What JSON spells alike; the rest is no number to whoever reads it.
                None if json::parse(value.content())
                    .is_ok_and(|document| document.root().kind() == json::Kind::Number) =>
                {
                    self.word(value.content(), value);
                }
                None => self.string(text, value.content(), value.span()),
            },
            Kind::String => self.string(text, value.content(), value.span()),
        }
        (self.json.len() <= limit).then_some(())
    }

    /// Adds what a list or a mapping holds, between its brackets.
    pub fn collection(
        &mut self,
        text: &str,
        value: Value<'_>,
        open: char,
        content: impl FnOnce(&mut Made) -> Option<()>,
    ) {
        let span = value.span();
        let start = self.json.len();
        self.json.push(open);
        // Whoever finds it too long asks for the length.
        let _ = content(self);
        self.json.push(if open == '[' { ']' } else { '}' });
        self.places.insert((start, self.json.len()), span);
        let first = text.get(span.start..).and_then(|rest| rest.chars().next());
        let end = span.start + first.map_or(0, char::len_utf8);
        self.places.insert((start, start + 1), Span::new(span.start, end));
    }

    /// Adds a key.
    pub fn key(&mut self, text: &str, key: Value<'_>) {
        self.string(text, key.as_key(), key.span());
        self.json.push(':');
    }

    /// Adds the comma before every element but the first.
    pub fn comma(&mut self, index: usize) {
        if index > 0 {
            self.json.push(',');
        }
    }

    fn word(&mut self, word: &str, value: Value<'_>) {
        let start = self.json.len();
        self.json.push_str(word);
        self.places.insert((start, self.json.len()), value.span());
    }

    fn string(&mut self, text: &str, content: &str, span: Span) {
        let start = self.json.len();
        self.json.push('"');
        for c in content.chars() {
            match c {
                '"' | '\\' => self.json.extend(['\\', c]),
                '\0'..='\u{1f}' => self.json.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => self.json.push(c),
            }
        }
        self.json.push('"');
        let end = self.json.len();
        self.places.insert((start, end), span);
        let quoted = span.of(text).starts_with(['"', '\'']) && span.end > span.start + 1;
        let inner = if quoted { Span::new(span.start + 1, span.end - 1) } else { span };
        self.places.insert((start + 1, end - 1), inner);
    }

    /// Where a range of the JSON comes from: the value itself, or the smallest around it.
    pub fn place(&self, span: Span) -> Span {
        if let Some(exact) = self.places.get(&(span.start, span.end)) {
            return *exact;
        }
        let around =
            self.places.iter().filter(|((start, end), _)| *start <= span.start && span.end <= *end);
        around
            .min_by_key(|((start, end), _)| end - start)
            .map_or(Span::default(), |(_, place)| *place)
    }

    /// Puts the places of a diagnostic into the YAML.
    pub fn relocate(&self, diagnostic: &mut Diagnostic) {
        for label in &mut diagnostic.labels {
            label.span = self.place(label.span);
        }
        for edit in &mut diagnostic.edits {
            edit.span = self.place(edit.span);
        }
    }

    /// Puts the places of a policy into the YAML.
    pub fn relocate_policy(&self, mut policy: Policy) -> Policy {
        policy.relocate(|span| self.place(span));
        policy
    }
}
