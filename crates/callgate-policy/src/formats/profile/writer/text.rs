//! JSON as a person would lay it out: what fits on a line stands on one.

use alloc::{format, string::String, vec::Vec};

/// The width that a line may have.
const WIDTH: usize = 100;

/// An object that is being written. A value is rendered on one line, and again if that is too
/// long: an element or a member a line. Profiles are six levels deep, so this stays linear.
pub(super) struct Json {
    members: Vec<Member>,
}

struct Member {
    key: String,
    value: Node,
}

enum Node {
    Scalar(String),
    List(Vec<Node>),
    Object(Json),
}

impl Json {
    pub fn object() -> Json {
        Json { members: Vec::new() }
    }

    pub fn text(&mut self, key: &str, value: &str) {
        self.push(key, Node::Scalar(quote(value)));
    }

    pub fn number(&mut self, key: &str, value: u64) {
        self.push(key, Node::Scalar(format!("{value}")));
    }

    /// A list of strings.
    pub fn list<'s>(&mut self, key: &str, values: impl Iterator<Item = &'s str>) {
        self.push(key, Node::List(values.map(|value| Node::Scalar(quote(value))).collect()));
    }

    /// A list of objects.
    pub fn objects<T>(&mut self, key: &str, items: &[T], write: impl Fn(&mut Json, &T)) {
        let objects = items.iter().map(|item| {
            let mut object = Json::object();
            write(&mut object, item);
            Node::Object(object)
        });
        self.push(key, Node::List(objects.collect()));
    }

    /// An object.
    pub fn member(&mut self, key: &str, write: impl FnOnce(&mut Json)) {
        let mut object = Json::object();
        write(&mut object);
        self.push(key, Node::Object(object));
    }

    /// The whole text, a member a line, with a line break at its end.
    pub fn finish(self) -> String {
        let mut out = String::new();
        self.lines(&mut out, 0);
        out.push('\n');
        out
    }

    fn push(&mut self, key: &str, value: Node) {
        self.members.push(Member { key: quote(key), value });
    }

    fn lines(&self, out: &mut String, depth: usize) {
        bracketed(out, depth, ['{', '}'], &self.members, |out, member| {
            out.push_str(&member.key);
            out.push_str(": ");
            let taken = out.len() - out.rfind('\n').map_or(0, |at| at + 1);
            member.value.write(out, depth + 1, taken);
        });
    }

    fn line(&self, out: &mut String) {
        if self.members.is_empty() {
            out.push_str("{}");
            return;
        }
        out.push_str("{ ");
        for (place, member) in self.members.iter().enumerate() {
            if place > 0 {
                out.push_str(", ");
            }
            out.push_str(&member.key);
            out.push_str(": ");
            member.value.line(out);
        }
        out.push_str(" }");
    }
}

impl Node {
    /// Writes the value where `taken` columns of the line are used.
    fn write(&self, out: &mut String, depth: usize, taken: usize) {
        let start = out.len();
        if self.is_flat() {
            self.line(out);
            if taken + (out.len() - start) <= WIDTH {
                return;
            }
            out.truncate(start);
        }
        match self {
            Node::Scalar(text) => out.push_str(text),
            Node::List(nodes) => bracketed(out, depth, ['[', ']'], nodes, |out, node| {
                node.write(out, depth + 1, 2 * (depth + 1));
            }),
            Node::Object(object) => object.lines(out, depth),
        }
    }

    /// Whether it may stand on one line. A list of objects that hold lists may not: those are
    /// the entries, and each is easier to find on its own line.
    fn is_flat(&self) -> bool {
        match self {
            Node::Scalar(_) => true,
            Node::List(nodes) => nodes.iter().all(|node| match node {
                Node::Scalar(_) => true,
                Node::List(_) => false,
                Node::Object(object) => {
                    object.members.iter().all(|member| matches!(member.value, Node::Scalar(_)))
                }
            }),
            Node::Object(object) => object.members.iter().all(|member| member.value.is_flat()),
        }
    }

    fn line(&self, out: &mut String) {
        match self {
            Node::Scalar(text) => out.push_str(text),
            Node::Object(object) => object.line(out),
            Node::List(nodes) => {
                out.push('[');
                for (place, node) in nodes.iter().enumerate() {
                    if place > 0 {
                        out.push_str(", ");
                    }
                    node.line(out);
                }
                out.push(']');
            }
        }
    }
}

/// Writes items between brackets, one a line.
fn bracketed<T>(
    out: &mut String,
    depth: usize,
    [open, close]: [char; 2],
    items: &[T],
    write: impl Fn(&mut String, &T),
) {
    out.push(open);
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        new_line(out, depth + 1);
        write(out, item);
    }
    if !items.is_empty() {
        new_line(out, depth);
    }
    out.push(close);
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(core::iter::repeat_n("  ", depth));
}

/// A string with its quotes, escaping what JSON demands and nothing else.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}
