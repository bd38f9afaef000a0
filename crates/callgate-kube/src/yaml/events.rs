//! From the parser's events to documents.

use callgate_diagnostic::{Diagnostic, Span};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::{Document, Kind, place::Places, scalar, tree::Tree};

/// The events of a text.
pub(super) struct Events<'t> {
    parser: Parser<'t, StrInput<'t>>,
    places: Places<'t>,
}

impl<'t> Events<'t> {
    pub fn new(text: &'t str) -> Events<'t> {
        Events { parser: Parser::new_from_str(text), places: Places::new(text) }
    }

    /// The next document.
    pub fn document(&mut self) -> Result<Option<Document<'t>>, Diagnostic> {
        let mut tree = Tree::new(self.places.text());
        while let Some(event) = self.parser.next_event() {
            let (event, marks) = event.map_err(|error| self.refusal(&error))?;
            let (from, to) = (marks.start.index(), marks.end.index());
            match event {
                Event::Scalar(content, style, anchor, tag) => {
                    let bare = anchor == 0 && tag.is_none();
                    let span = self.places.span(from, to);
                    let span = written(self.places.text(), span, style, bare);
                    if &*content == "<<" && is_merge(style, tag.as_deref()) && tree.expects_key() {
                        tree.merge_key(span)?;
                    } else {
                        let kind = kind(&content, style, tag.as_deref());
                        tree.scalar(kind, span, &content, anchor)?;
                    }
                }
                Event::Alias(anchor) => tree.alias(anchor, self.places.span(from, to))?,
                Event::SequenceStart(anchor, _) => {
                    tree.open(Kind::Sequence, self.places.span(from, from), anchor)?;
                }
                Event::MappingStart(anchor, _) => {
                    tree.open(Kind::Mapping, self.places.span(from, from), anchor)?;
                }
                // Collections without brackets end with their last value.
                Event::SequenceEnd | Event::MappingEnd => {
                    let bracket = (from < to).then(|| self.places.byte(from));
                    tree.close(bracket)?;
                }
                Event::DocumentEnd => return Ok(Some(tree.finish())),
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            }
        }
        Ok(None)
    }

    fn refusal(&mut self, error: &ScanError) -> Diagnostic {
        let start = self.places.byte(error.marker().index());
        let rest = &self.places.text()[start..];
        let length =
            rest.chars().next().filter(|&c| c != '\n' && c != '\r').map_or(0, char::len_utf8);
        let span = Span::new(start, start + length);
        if error.info().contains("recursion limit") {
            return super::tree::too_deep(span);
        }
        if error.info().contains("unknown anchor") {
            return Diagnostic::error("yaml-alias", "the alias stands for nothing")
                .at(span, "no anchor of this name stands before it in its document");
        }
        let tab = rest.starts_with('\t') || self.places.text()[..start].ends_with('\t');
        let refusal = syntax(error.info().to_owned(), span);
        if tab {
            refusal.help("YAML is indented by spaces, never by tabs")
        } else if error.info().contains("invalid indentation") {
            refusal.help("indent the lines of a value more than its key, also in brackets")
        } else {
            refusal
        }
    }
}

/// The refusal of a text that is not YAML.
pub(super) fn syntax(message: String, span: Span) -> Diagnostic {
    Diagnostic::error("yaml-syntax", message).at(span, "not YAML from here")
}

fn is_merge(style: ScalarStyle, tag: Option<&Tag>) -> bool {
    match tag {
        Some(tag) => tag.is_yaml_core_schema() && tag.suffix == "merge",
        None => style == ScalarStyle::Plain,
    }
}

fn kind(content: &str, style: ScalarStyle, tag: Option<&Tag>) -> Kind {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "bool" | "int" | "float" | "null" => scalar::kind(content),
            _ => Kind::String,
        },
        Some(_) => Kind::String,
        None if style == ScalarStyle::Plain => scalar::kind(content),
        None => Kind::String,
    }
}

/// The place of a scalar without the blanks and the comment behind it, which the parser counts
/// among it; and, where it is `bare` of tag and anchor, no further than its closing quote.
fn written(text: &str, span: Span, style: ScalarStyle, bare: bool) -> Span {
    let all = span.of(text);
    let length = match style {
        ScalarStyle::SingleQuoted if bare => closing(all, '\'', false),
        ScalarStyle::DoubleQuoted if bare => closing(all, '"', true),
        _ => all.trim_end().len(),
    };
    Span::new(span.start, span.start + length)
}

/// The length of a quoted string at the beginning of a text.
fn closing(text: &str, quote: char, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if escapes && c == '\\' {
            characters.next();
        } else if c == quote {
            // A single quote stands for itself when it is doubled.
            if escapes || characters.next_if(|&(_, next)| next == quote).is_none() {
                return at + c.len_utf8();
            }
        }
    }
    text.trim_end().len()
}
