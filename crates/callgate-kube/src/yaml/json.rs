//! JSON, as `kubectl -o json` writes it. Kubernetes reads it as such and not as YAML, which it is
//! not quite: a character outside of the basic plane is two escapes in JSON, and none of YAML's.

use callgate_diagnostic::Diagnostic;
use callgate_policy::json::{self, Value};

use super::{Document, Kind, MAX_DEPTH, tree, tree::Tree};

/// The document of a text that is one value of JSON; none where it is not JSON.
pub(super) fn document(text: &str) -> Option<Result<Document<'_>, Diagnostic>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let document = json::parse(text).ok()?;
    let mut tree = Tree::new(text);
    Some(add(&mut tree, document.root(), 0).map(|()| tree.finish()))
}

/// Calls itself no deeper than [`MAX_DEPTH`].
fn add(tree: &mut Tree<'_>, value: Value<'_>, depth: usize) -> Result<(), Diagnostic> {
    let span = value.span();
    let kind = match value.kind() {
        json::Kind::Array => Kind::Sequence,
        json::Kind::Object => Kind::Mapping,
        json::Kind::Null => return tree.scalar(Kind::Null, span, value.lexeme(), 0),
        json::Kind::Bool => return tree.scalar(Kind::Bool, span, value.lexeme(), 0),
        json::Kind::Number => return tree.scalar(Kind::Number, span, value.lexeme(), 0),
        json::Kind::String => {
            let content = value.as_str().unwrap_or_default();
            return tree.scalar(Kind::String, span, &content, 0);
        }
    };
    if depth == MAX_DEPTH {
        return Err(tree::too_deep(span));
    }
    tree.open(kind, span, 0)?;
    for element in value.elements() {
        add(tree, element, depth + 1)?;
    }
    for (key, member) in value.members() {
        add(tree, key, depth + 1)?;
        add(tree, member, depth + 1)?;
    }
    tree.close(Some(span.end - 1))
}
