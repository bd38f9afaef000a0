//! YAML that is written: a tree, and its text.
//!
//! Written is the part of YAML on which its versions agree: strings that could be taken for
//! anything else stand in double quotes, texts of several lines as literal
//! blocks where those say them exactly.

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "these are what manifests are made of")]
pub enum Node {
    /// A string.
    Text(String),
    /// A whole number.
    Number(u64),
    /// `true` or `false`.
    Bool(bool),
    /// A list.
    List(Vec<Node>),
    /// Keys with values, in this order.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A mapping of these members.
    pub fn map<K: Into<String>>(members: impl IntoIterator<Item = (K, Node)>) -> Node {
        Node::Map(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// A list of strings.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Node {
        Node::List(texts.into_iter().map(Node::from).collect())
    }

    /// The text of one document, with a line break at its end and without a separator.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        match self {
            Node::Map(members) if !members.is_empty() => map(&mut out, members, 0),
            Node::List(items) if !items.is_empty() => list(&mut out, items, 0),
            scalar => {
                inline(&mut out, scalar, 0);
                out.push('\n');
            }
        }
        out
    }
}

impl<T: Into<String>> From<T> for Node {
    fn from(text: T) -> Node {
        Node::Text(text.into())
    }
}

fn map(out: &mut String, members: &[(String, Node)], depth: usize) {
    for (index, (key, value)) in members.iter().enumerate() {
        // The first stands behind the dash of a list, or at the start of the text.
        if index > 0 {
            indent(out, depth);
        }
        text(out, key);
        out.push(':');
        behind(out, value, depth, |out, depth| {
            out.push('\n');
            indent(out, depth);
        });
    }
}

fn list(out: &mut String, items: &[Node], depth: usize) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            indent(out, depth);
        }
        out.push('-');
        behind(out, item, depth, |out, _| out.push(' '));
    }
}

/// What stands behind a key or a dash: a scalar in the same line, a collection after a gap.
fn behind(out: &mut String, value: &Node, depth: usize, gap: fn(&mut String, usize)) {
    match value {
        Node::Map(members) if !members.is_empty() => {
            gap(out, depth + 1);
            map(out, members, depth + 1);
        }
        Node::List(items) if !items.is_empty() => {
            gap(out, depth + 1);
            list(out, items, depth + 1);
        }
        scalar => {
            out.push(' ');
            inline(out, scalar, depth + 1);
            out.push('\n');
        }
    }
}

fn inline(out: &mut String, scalar: &Node, depth: usize) {
    match scalar {
        Node::Text(value) if is_block(value) => block(out, value, depth.max(1)),
        Node::Text(value) => text(out, value),
        Node::Number(value) => out.push_str(&value.to_string()),
        Node::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Node::List(_) => out.push_str("[]"),
        Node::Map(_) => out.push_str("{}"),
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// A literal block; it ends without its last line break, which follows every value.
fn block(out: &mut String, value: &str, depth: usize) {
    out.push('|');
    for line in value.lines() {
        out.push('\n');
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
    }
}

/// Whether a literal block with its usual end says exactly this text.
fn is_block(value: &str) -> bool {
    let mut lines = value.strip_suffix('\n').into_iter().flat_map(|text| text.split('\n'));
    let first = lines.next().unwrap_or("");
    // Of these the parser would take its indentation, or drop what is at the end.
    let starts = !first.is_empty() && !first.starts_with([' ', '\t']);
    starts
        && value.matches('\n').count() > 1
        && !value.ends_with("\n\n")
        && value.chars().all(|c| c == '\n' || is_printable(c))
}

/// What every version of YAML takes as it is, tabs aside.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}'
        | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}'
        | '\u{10000}'..)
}

/// A string, in quotes unless it can be nothing else.
fn text(out: &mut String, value: &str) {
    if is_plain(value) {
        return out.push_str(value);
    }
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            // All of these are below U+10000, which is as far as this escape goes.
            c => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    out.push('"');
}

/// Whether a word without quotes is this string to everybody: it begins with a letter, or as a path does,
/// is none of YAML 1.1's words, and no character that means something.
fn is_plain(value: &str) -> bool {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let lower = value.to_ascii_lowercase();
    value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !WORDS.contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_laid_out_as_people_do() {
        let node = Node::map([
            ("kind", "Pod".into()),
            ("list", Node::List(vec![Node::map([("a", "b".into()), ("c", Node::Number(1))])])),
            ("args", Node::texts(["sh", "-c", "one\ntwo\n"])),
            ("none", Node::Map(Vec::new())),
            ("deep", Node::map([("script", "a\n\nb\n".into())])),
        ]);
        let expected = "\
kind: Pod
list:
  - a: b
    c: 1
args:
  - sh
  - \"-c\"
  - |
    one
    two
none: {}
deep:
  script: |
    a

    b
";
        assert_eq!(node.to_yaml(), expected);
    }

    #[test]
    fn what_could_be_something_else_is_quoted() {
        for value in ["yes", "NO", "1", "0x1f", "1e3", "", "a: b", "#", "- a", "null", "~", "a b"] {
            let quoted = Node::from(value).to_yaml();
            assert_eq!(quoted, format!("\"{value}\"\n"));
        }
        assert_eq!(Node::from("\u{1}\u{1f600}").to_yaml(), "\"\\u0001\u{1f600}\"\n");
        assert_eq!(Node::from("SCMP_ACT_ALLOW").to_yaml(), "SCMP_ACT_ALLOW\n");
        assert_eq!(Node::from(" a\nb\n").to_yaml(), "\" a\\nb\\n\"\n");
        assert_eq!(Node::from("a\nb").to_yaml(), "\"a\\nb\"\n");
    }
}
