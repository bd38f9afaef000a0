//! The flat list of a document's values, and what is checked while it grows.

use std::collections::HashMap;

use callgate_diagnostic::{Diagnostic, Span};

use super::{Document, Kind, MAX_ALIASED, MAX_DEPTH, MAX_VALUES};
use crate::field::short;

/// A value: sixteen bytes, for there may be millions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub start: u32,
    pub end: u32,
    /// Of a collection, the place in the list behind it; of an alias, the place of what it stands
    /// for; of a string that is elsewhere, its place there.
    pub link: u32,
    pub kind: Kind,
    pub form: Form,
}

impl Node {
    pub fn span(self) -> Span {
        Span::new(usize_of(self.start), usize_of(self.end))
    }
}

/// Where the content of a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In the text as it is.
    Verbatim,
    /// In the text between quotes.
    Quoted,
    /// In the document's strings.
    Elsewhere,
    /// Behind the value.
    Collection,
    /// At another place of the list.
    Alias,
    /// Nowhere: it is the key `<<`.
    Merge,
}

/// The name of an anchor, as the parser counts them; 0 is none.
pub(super) type Anchor = usize;

/// Makes a document, value by value.
pub(super) struct Tree<'t> {
    document: Document<'t>,
    open: Vec<Open>,
    anchors: HashMap<Anchor, Anchored>,
    /// Values so far, each as often as aliases stand for it.
    values: u64,
    /// Those of them that aliases stand for.
    aliased: u64,
    /// Where the last value ended.
    last_end: usize,
}

/// A collection that goes on.
struct Open {
    node: usize,
    anchor: Anchor,
    /// The values before it.
    before: u64,
    /// Keys and values, or elements, so far.
    children: usize,
}

struct Anchored {
    node: usize,
    values: u64,
}

impl<'t> Tree<'t> {
    pub fn new(text: &'t str) -> Tree<'t> {
        let document = Document { text, nodes: Vec::new(), strings: Vec::new() };
        Tree {
            document,
            open: Vec::new(),
            anchors: HashMap::new(),
            values: 0,
            aliased: 0,
            last_end: 0,
        }
    }

    /// The document, when its outermost value is whole.
    pub fn finish(self) -> Document<'t> {
        self.document
    }

    /// Adds a scalar whose content is `content`. `span` holds its quotes, if it has some, and
    /// nothing else.
    pub fn scalar(
        &mut self,
        kind: Kind,
        span: Span,
        content: &str,
        anchor: Anchor,
    ) -> Result<(), Diagnostic> {
        self.count(1, span)?;
        let written = span.of(self.document.text);
        let inner = written.len().checked_sub(1).and_then(|end| written.get(1..end));
        let (form, link) = if written == content {
            (Form::Verbatim, 0)
        } else if inner == Some(content) && written.starts_with(['"', '\'']) {
            (Form::Quoted, 0)
        } else {
            self.document.strings.push(content.into());
            (Form::Elsewhere, self.document.strings.len() - 1)
        };
        self.anchored(anchor, self.document.nodes.len(), 1);
        self.push(kind, form, span, link);
        Ok(())
    }

    /// Adds a merge key.
    pub fn merge_key(&mut self, span: Span) -> Result<(), Diagnostic> {
        self.count(1, span)?;
        self.push(Kind::String, Form::Merge, span, 0);
        Ok(())
    }

    /// Whether the next value is a key.
    pub fn expects_key(&self) -> bool {
        self.open.last().is_some_and(|open| {
            let mapping = self.document.nodes[open.node].kind == Kind::Mapping;
            mapping && open.children.is_multiple_of(2)
        })
    }

    /// Adds an alias.
    pub fn alias(&mut self, anchor: Anchor, span: Span) -> Result<(), Diagnostic> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(Diagnostic::error("yaml-alias", "the alias stands for nothing")
                .at(span, "no anchor of this name stands before it in its document"));
        };
        let (node, values) = (target.node, target.values);
        if self.open.iter().any(|open| open.node == node) {
            return Err(Diagnostic::error("yaml-alias", "the alias stands for a value around it")
                .at(span, "in itself")
                .at(self.document.nodes[node].span(), "the anchor"));
        }
        self.aliased += values;
        if self.aliased > MAX_ALIASED {
            let message =
                format!("the aliases of a document stand for more than {MAX_ALIASED} values");
            return Err(Diagnostic::error("yaml-alias", message)
                .at(span, "with this one it is too much")
                .help("aliases of values that hold aliases multiply; write the values out"));
        }
        self.count(values, span)?;
        self.push(Kind::Null, Form::Alias, span, node);
        Ok(())
    }

    /// Begins a list or a mapping.
    pub fn open(&mut self, kind: Kind, span: Span, anchor: Anchor) -> Result<(), Diagnostic> {
        if self.open.len() == MAX_DEPTH {
            return Err(too_deep(span));
        }
        let (node, before) = (self.document.nodes.len(), self.values);
        self.count(1, span)?;
        self.anchored(anchor, node, 0);
        self.push(kind, Form::Collection, span, node + 1);
        self.open.push(Open { node, anchor, before, children: 0 });
        Ok(())
    }

    /// Ends the list or mapping around this place, at its bracket or with its last value.
    pub fn close(&mut self, bracket: Option<usize>) -> Result<(), Diagnostic> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let end = bracket.map_or(self.last_end, |at| at + 1);
        let behind = self.document.nodes.len();
        let node = &mut self.document.nodes[open.node];
        node.link = place(behind);
        node.end = place(end).max(node.start);
        self.last_end = end;
        self.anchored(open.anchor, open.node, self.values - open.before);
        if self.document.nodes[open.node].kind == Kind::Mapping {
            self.check_keys(open.node)?;
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind, form: Form, span: Span, link: usize) {
        self.last_end = span.end;
        if let Some(open) = self.open.last_mut() {
            open.children += 1;
        }
        let (start, end) = (place(span.start), place(span.end));
        self.document.nodes.push(Node { start, end, link: place(link), kind, form });
    }

    fn anchored(&mut self, anchor: Anchor, node: usize, values: u64) {
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored { node, values });
        }
    }

    fn count(&mut self, values: u64, span: Span) -> Result<(), Diagnostic> {
        self.values += values;
        if self.values > MAX_VALUES {
            let message = format!("a document has more than {MAX_VALUES} values");
            return Err(Diagnostic::error("yaml-size", message)
                .at(span, "here it is too long")
                .help("give the manifests as several documents"));
        }
        Ok(())
    }

    /// Keys are strings, or become some, and each stands once; what is merged is a mapping.
    fn check_keys(&self, mapping: usize) -> Result<(), Diagnostic> {
        let root = self.document.root();
        let mut children = self.children(mapping);
        let mut keys: Vec<u32> = Vec::new();
        while let (Some(index), Some(value)) = (children.next(), children.next()) {
            let node = self.document.nodes[index];
            let value = root.resolve(value);
            if node.form == Form::Merge {
                let mapping = |value: super::Value<'_>| value.kind() == Kind::Mapping;
                let list = value.kind() == Kind::Sequence && value.elements().all(mapping);
                if !list && !mapping(value) {
                    return Err(Diagnostic::error(
                        "yaml-merge",
                        "only a mapping, or a list of mappings, can be merged into a mapping",
                    )
                    .at(value.span(), format!("this is {}", value.kind().describe()))
                    .at(node.span(), "merged here"));
                }
                continue;
            }
            let key = root.resolve(index);
            if matches!(key.kind(), Kind::Null | Kind::Sequence | Kind::Mapping) {
                let message = format!("{} cannot be a key", key.kind().describe());
                return Err(Diagnostic::error("yaml-key", message)
                    .at(node.span(), "a key is a string")
                    .help("a manifest becomes JSON, whose keys are strings"));
            }
            keys.push(place(index));
        }
        let key = |index: u32| root.resolve(usize_of(index));
        // By name, and of a name the first of the text first.
        keys.sort_by(|&a, &b| key(a).as_key().cmp(key(b).as_key()));
        let twice = keys.windows(2).filter(|two| key(two[0]).as_key() == key(two[1]).as_key());
        let Some(two) = twice.min_by_key(|two| two[1]) else { return Ok(()) };
        let span = |index: u32| self.document.nodes[usize_of(index)].span();
        let message = format!("the key `{}` stands twice", short(key(two[1]).as_key()));
        Err(Diagnostic::error("yaml-duplicate-key", message)
            .at(span(two[1]), "again")
            .at(span(two[0]), "first here")
            .help("kubectl takes the last without a word; remove one"))
    }

    fn children(&self, node: usize) -> super::Children<'_> {
        let nodes = &self.document.nodes[..];
        super::Children { nodes, index: node + 1, end: nodes.len() }
    }
}

/// The refusal of a collection in too many others.
pub(super) fn too_deep(span: Span) -> Diagnostic {
    let message = format!("lists and mappings are nested more than {MAX_DEPTH} deep");
    Diagnostic::error("yaml-depth", message)
        .at(span, "here it is too deep")
        .help("no object of Kubernetes comes near this; check that this is the file that was meant")
}

/// A place in a text or in a list, which [`super::MAX_LENGTH`] and [`MAX_VALUES`] keep small.
fn place(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Nothing is lost: a place in a text that is in memory.
pub(super) fn usize_of(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
