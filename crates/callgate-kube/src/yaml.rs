//! Manifests as trees in which every value knows its place.
//!
//! Kubernetes turns YAML into JSON first, by a library of its own that follows YAML 1.1
//! (`sigs.k8s.io/yaml`, over go-yaml's second version), and so does this:
//!
//! - `yes`, `on` and `y` are booleans where they are not quoted, also as keys; `017` and `1_000`
//!   are numbers. What is typed otherwise than its field is refused, not converted.
//! - A merge key (`<<`) brings in another mapping at its place: what comes later counts, be it the
//!   key or what is merged. Of a list of mappings the first counts.
//! - A text that is JSON is read as JSON.
//!
//! It is stricter than Kubernetes in three points: a key that stands twice in a mapping is an error
//! (`kubectl` takes the last without a word), lines in brackets and quotes are indented more than
//! the key before them, as YAML asks, and collections are nested [`MAX_DEPTH`] deep at most.
//!
//! Documents are read one by one, so that a stream of many takes the memory of the largest. A tree
//! is one flat list with sixteen bytes a value; an alias is a reference, and what all aliases of a
//! document stand for is counted before anybody walks through it.
//!
//! ```
//! use callgate_kube::yaml;
//!
//! let text = "kind: Pod\nspec:\n  hostPID: yes\n---\nkind: Job\n";
//! let documents: Vec<_> = yaml::documents(text).map(Result::unwrap).collect();
//! let pod = documents[0].root();
//! assert_eq!(pod.get("kind").and_then(|kind| kind.as_str()), Some("Pod"));
//! let host = pod.get("spec").and_then(|spec| spec.get("hostPID")).unwrap();
//! assert_eq!(host.as_bool(), Some(true));
//! assert_eq!(host.span().of(text), "yes");
//!
//! let twice = yaml::documents("a: 1\na: 2\n").next().unwrap().unwrap_err();
//! assert_eq!((twice.id, twice.labels.len()), ("yaml-duplicate-key", 2));
//! ```

mod events;
mod json;
mod place;
mod scalar;
mod tree;

use std::collections::BTreeMap;

use callgate_diagnostic::{Diagnostic, Span};

use self::{
    events::Events,
    tree::{Form, Node, usize_of},
};

/// The longest text that is read, in bytes. A cluster with some ten thousand pods answers with
/// fewer.
pub const MAX_LENGTH: usize = 64 << 20;

/// The deepest nesting of lists and mappings. The objects of Kubernetes come to some thirty.
pub const MAX_DEPTH: usize = 255;

/// The most values of one document, each counted as often as aliases stand for it.
pub const MAX_VALUES: u64 = 10_000_000;

/// The most values of one document that aliases stand for.
pub const MAX_ALIASED: u64 = 1_000_000;

/// The bytes of a file as text.
///
/// # Errors
///
/// `yaml-not-utf8`, with the place of the first byte that is wrong.
pub fn text(bytes: &[u8]) -> Result<&str, Diagnostic> {
    std::str::from_utf8(bytes).map_err(|error| {
        let start = error.valid_up_to();
        let end = error.error_len().map_or(bytes.len(), |length| start + length);
        Diagnostic::error("yaml-not-utf8", format!("byte {start} is not UTF-8"))
            .at(Span::new(start, end), "not UTF-8 from here")
            .help("save the file as UTF-8")
    })
}

/// The documents of a text, one by one. Behind an error there is none.
///
/// A document without content, such as one of comments alone, is `null`.
pub fn documents(text: &str) -> Documents<'_> {
    if let Err(error) = acceptable(text) {
        return Documents { rest: Rest::Error(Some(error)) };
    }
    let rest = match json::document(text) {
        Some(Ok(document)) => Rest::Json(Some(document)),
        Some(Err(error)) => Rest::Error(Some(error)),
        None => Rest::Events(Box::new(Events::new(text))),
    };
    Documents { rest }
}

/// What [`documents`] gives.
pub struct Documents<'t> {
    rest: Rest<'t>,
}

enum Rest<'t> {
    Error(Option<Diagnostic>),
    Json(Option<Document<'t>>),
    Events(Box<Events<'t>>),
}

impl<'t> Iterator for Documents<'t> {
    type Item = Result<Document<'t>, Diagnostic>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.rest {
            Rest::Error(error) => error.take().map(Err),
            Rest::Json(document) => document.take().map(Ok),
            Rest::Events(events) => events.document().transpose(),
        };
        if matches!(next, Some(Err(_))) {
            self.rest = Rest::Error(None);
        }
        next
    }
}

/// A document that was read.
#[derive(Clone, Debug)]
pub struct Document<'t> {
    text: &'t str,
    /// In the order of the text; a mapping's keys stand before their values. Never empty.
    nodes: Vec<Node>,
    /// The strings that stand nowhere in the text as they are.
    strings: Vec<Box<str>>,
}

impl Document<'_> {
    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { document: self, index: 0 }
    }
}

/// What a value is, after JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "JSON has no other")]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// `true`, `false`, and YAML 1.1's other words for them.
    Bool,
    /// A number, of any form and size.
    Number,
    /// A string; a date is one, too.
    String,
    /// A list.
    Sequence,
    /// Keys with values.
    Mapping,
}

impl Kind {
    /// With its article: `a string`.
    pub const fn describe(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Bool => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Sequence => "a list",
            Kind::Mapping => "a mapping",
        }
    }
}

/// A value or a key of a [`Document`]; what an alias stands for, where there is one.
#[derive(Clone, Copy)]
pub struct Value<'d> {
    document: &'d Document<'d>,
    index: usize,
}

impl<'d> Value<'d> {
    /// What it is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// Where it is written, quotes and brackets included: where the anchor stands, if it was
    /// reached by an alias.
    pub fn span(self) -> Span {
        self.node().span()
    }

    /// The part of its place between quotes; elsewhere as [`Value::span`].
    pub fn inner(self) -> Span {
        let span = self.span();
        match self.node().form {
            Form::Quoted => Span::new(span.start + 1, span.end - 1),
            _ => span,
        }
    }

    /// The key that stands first in a mapping.
    pub fn first_key(self) -> Option<Value<'d>> {
        self.children(Kind::Mapping).next().map(|index| self.resolve(index))
    }

    /// The characters of a scalar that count: without quotes, escapes resolved. Empty for lists
    /// and mappings.
    pub fn content(self) -> &'d str {
        let node = self.node();
        let (start, end) = (usize_of(node.start), usize_of(node.end));
        let text = self.document.text;
        match node.form {
            Form::Verbatim => text.get(start..end).unwrap_or(""),
            Form::Quoted => text.get(start + 1..end - 1).unwrap_or(""),
            Form::Elsewhere => &self.document.strings[usize_of(node.link)],
            Form::Collection | Form::Alias | Form::Merge => "",
        }
    }

    /// The string that it is.
    pub fn as_str(self) -> Option<&'d str> {
        (self.kind() == Kind::String).then(|| self.content())
    }

    /// The boolean that it is.
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| scalar::is_true(self.content()))
    }

    /// The number that it is, if it is a whole one from 0 to 2^64−1; the prefixes `0x`, `0o`, `0b`
    /// and `0` choose another base, and `_` may stand between digits.
    pub fn as_u64(self) -> Option<u64> {
        if self.kind() == Kind::Number { scalar::unsigned(self.content()) } else { None }
    }

    /// A key as Kubernetes spells it: YAML 1.1's booleans are `true` or `false`.
    pub fn as_key(self) -> &'d str {
        match self.as_bool() {
            Some(true) => "true",
            Some(false) => "false",
            None => self.content(),
        }
    }

    /// The elements of a list; nothing for another value.
    pub fn elements(self) -> impl Iterator<Item = Value<'d>> {
        self.children(Kind::Sequence).map(move |index| self.resolve(index))
    }

    /// The keys and values of a mapping, what is merged into it included; nothing for another
    /// value. Each key stands once.
    pub fn members(self) -> impl Iterator<Item = (Value<'d>, Value<'d>)> {
        let merges = self.pairs().any(|pair| matches!(pair, Pair::Merge(_)));
        let mut places = BTreeMap::new();
        let mut all: Vec<(Value<'d>, Value<'d>)> = Vec::new();
        let mut add = |key: Value<'d>, value: Value<'d>| {
            let place =
                if merges { *places.entry(key.as_key()).or_insert(all.len()) } else { all.len() };
            if place == all.len() {
                all.push((key, value));
            } else {
                all[place] = (key, value);
            }
        };
        for pair in self.pairs() {
            match pair {
                Pair::Member(key, value) => add(key, value),
                Pair::Merge(value) => {
                    for merged in value.merged() {
                        merged.members().for_each(|(key, value)| add(key, value));
                    }
                }
            }
        }
        all.into_iter()
    }

    /// The value of a key of a mapping.
    pub fn get(self, name: &str) -> Option<Value<'d>> {
        self.member(name).map(|(_, value)| value)
    }

    /// A key of a mapping, with its value.
    pub fn member(self, name: &str) -> Option<(Value<'d>, Value<'d>)> {
        let found = self.pairs().filter_map(|pair| match pair {
            Pair::Member(key, value) => (key.as_key() == name).then_some((key, value)),
            Pair::Merge(value) => value.merged().filter_map(|merged| merged.member(name)).last(),
        });
        found.last()
    }

    /// The mappings that a merge key brings in, the one that counts least first.
    fn merged(self) -> impl Iterator<Item = Value<'d>> {
        let one = (self.kind() == Kind::Mapping).then_some(self);
        let mut several: Vec<Value<'d>> = self.elements().collect();
        several.reverse();
        one.into_iter().chain(several)
    }

    fn pairs(self) -> impl Iterator<Item = Pair<'d>> {
        let mut rest = self.children(Kind::Mapping);
        std::iter::from_fn(move || {
            let (key, value) = (rest.next()?, rest.next()?);
            let value = self.resolve(value);
            Some(match self.document.nodes[key].form {
                Form::Merge => Pair::Merge(value),
                _ => Pair::Member(self.resolve(key), value),
            })
        })
    }

    fn children(self, kind: Kind) -> Children<'d> {
        let node = self.node();
        let end = if node.kind == kind { usize_of(node.link) } else { self.index + 1 };
        Children { nodes: &self.document.nodes, index: self.index + 1, end }
    }

    /// The value at a place of the list, behind an alias.
    fn resolve(self, index: usize) -> Value<'d> {
        let node = self.document.nodes[index];
        let index = if node.form == Form::Alias { usize_of(node.link) } else { index };
        Value { document: self.document, index }
    }

    fn node(self) -> Node {
        self.document.nodes[self.index]
    }
}

/// What stands in a mapping.
enum Pair<'d> {
    Member(Value<'d>, Value<'d>),
    /// The value of a merge key.
    Merge(Value<'d>),
}

/// Walks from sibling to sibling.
struct Children<'d> {
    nodes: &'d [Node],
    index: usize,
    end: usize,
}

impl Iterator for Children<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        (self.index < self.end).then(|| {
            let index = self.index;
            let node = self.nodes[index];
            self.index =
                if node.form == Form::Collection { usize_of(node.link) } else { index + 1 };
            index
        })
    }
}

/// Refuses what no parser should see.
fn acceptable(text: &str) -> Result<(), Diagnostic> {
    if text.len() > MAX_LENGTH {
        let limit = MAX_LENGTH >> 20;
        return Err(Diagnostic::error(
            "yaml-size",
            format!("the text has {} bytes, more than {limit} MiB", text.len()),
        )
        .help("give the manifests in several files"));
    }
    let control = |byte: &u8| matches!(byte, 0..=8 | 11 | 12 | 14..=31 | 127);
    match text.bytes().position(|byte| control(&byte)) {
        Some(at) => Err(events::syntax(
            format!("the control character U+{:04X} may not stand in YAML", text.as_bytes()[at]),
            Span::new(at, at + 1),
        )),
        None => Ok(()),
    }
}
