//! Edits of a JSON profile's text: what to put where so that a finding is mended.
//!
//! A name's span lies between its quotes, an entry's and a comparison's from brace to brace.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use callgate_diagnostic::{Edit, Span, Spanned};
use callgate_policy::{Comparison, Entry, Policy};

/// Names beside one that stands in the text.
pub(super) fn add_names(after: Span, names: &[&str]) -> Edit {
    let more: String = names.iter().map(|name| format!("\", \"{name}")).collect();
    Edit { span: Span::new(after.end, after.end), replacement: more }
}

/// The edit of a JSON profile's text that takes a name out of an entry, or the entry where it has
/// no other; none where the entry has no such name, or it is the profile's only entry.
pub fn remove_name(text: &str, policy: &Policy, entry: &Entry, name: &str) -> Option<Edit> {
    let named = entry.names.iter().find(|n| n.value == name)?;
    if entry.names.len() == 1 {
        return remove_entry(text, policy, entry);
    }
    let quoted = Span::new(named.span.start.checked_sub(1)?, named.span.end + 1);
    remove_element(text, quoted)
}

/// Takes an entry out; none when it is the only one.
pub(super) fn remove_entry(text: &str, policy: &Policy, entry: &Entry) -> Option<Edit> {
    if policy.entries.len() == 1 {
        return None;
    }
    remove_element(text, entry.span)
}

/// A refusal of a call with ENOSYS behind the last entry.
pub(super) fn add_enosys(policy: &Policy, names: &[&str], enosys: u16) -> Option<Edit> {
    let last = policy.entries.iter().map(|entry| entry.span.end).max()?;
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    Some(Edit {
        span: Span::new(last, last),
        replacement: format!(
            ",\n    {{ \"names\": [{}], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": {enosys} }}",
            names.join(", ")
        ),
    })
}

/// The entry once for each mask, with the comparison replaced by it.
pub(super) fn entry_by_masks(
    text: &str,
    entry: &Entry,
    comparison: &Spanned<Comparison>,
    masks: &[(u64, u64)],
) -> Option<Edit> {
    let before = Span::new(entry.span.start, comparison.span.start);
    let after = Span::new(comparison.span.end, entry.span.end);
    let (before, after) = (part(text, before)?, part(text, after)?);
    let index = comparison.value.arg.get();
    let written = |&(mask, value): &(u64, u64)| {
        format!(
            "{{ \"index\": {index}, \"value\": {mask}, \"valueTwo\": {value}, \"op\": \"SCMP_CMP_MASKED_EQ\" }}"
        )
    };
    if let [only] = masks {
        return Some(Edit { span: comparison.span, replacement: written(only) });
    }
    let entries: Vec<String> =
        masks.iter().map(|mask| format!("{before}{}{after}", written(mask))).collect();
    Some(Edit { span: entry.span, replacement: entries.join(",\n    ") })
}

/// An element of a list, with the comma that belongs to it.
fn remove_element(text: &str, span: Span) -> Option<Edit> {
    let bytes = text.as_bytes();
    let is_space = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_whitespace);
    let (mut start, mut end) = (span.start, span.end);
    if start >= end || end > bytes.len() {
        return None;
    }
    while is_space(end) {
        end += 1;
    }
    if bytes.get(end) == Some(&b',') {
        end += 1;
        while is_space(end) {
            end += 1;
        }
    } else {
        // The last one: the comma before it goes.
        end = span.end;
        while start > 0 && is_space(start - 1) {
            start -= 1;
        }
        if start > 0 && bytes[start - 1] == b',' {
            start -= 1;
        } else {
            start = span.start;
        }
    }
    Some(Edit { span: Span::new(start, end), replacement: String::new() })
}

fn part(text: &str, span: Span) -> Option<String> {
    text.get(span.start..span.end).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(text: &str, element: &str) -> String {
        let start = text.find(element).unwrap();
        let edit = remove_element(text, Span::new(start, start + element.len())).unwrap();
        format!("{}{}{}", &text[..edit.span.start], edit.replacement, &text[edit.span.end..])
    }

    #[test]
    fn an_element_goes_with_its_comma() {
        let list = "[\"a\", \"b\",\n \"c\"]";
        assert_eq!(removed(list, "\"a\""), "[\"b\",\n \"c\"]");
        assert_eq!(removed(list, "\"b\""), "[\"a\", \"c\"]");
        assert_eq!(removed(list, "\"c\""), "[\"a\", \"b\"]");
        assert_eq!(removed("[ \"a\" ]", "\"a\""), "[  ]");
    }
}
