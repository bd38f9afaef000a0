//! The lines of a unit file: sections and assignments, as systemd's parser takes them.
//!
//! Source: `config_parse` in `src/shared/conf-parser.c` of systemd, systemd.syntax(7).

use alloc::{format, vec::Vec};

use callgate_diagnostic::{Diagnostic, Severity, Span, Spanned};

use super::super::report::Report;
use crate::quote::quoted;

/// The longest line that systemd reads (`LONG_LINE_MAX`), continuations included.
const LONGEST_LINE: usize = 1 << 20;

/// `Key=value`, with the value in pieces: one for each line that it goes over.
pub(super) struct Assignment<'t> {
    /// The section that it stands in; none in a text without sections.
    pub section: Option<&'t str>,
    pub key: Spanned<&'t str>,
    value: Vec<Spanned<&'t str>>,
}

impl<'t> Assignment<'t> {
    /// The words of the value.
    pub fn words(&self) -> impl Iterator<Item = Spanned<&'t str>> {
        self.value.iter().flat_map(|piece| {
            piece.value.split_ascii_whitespace().map(|word| {
                let start = piece.span.start + offset(piece.value, word);
                Spanned::new(word, Span::new(start, start + word.len()))
            })
        })
    }

    /// Where the value stands; where it would, when it is empty.
    pub fn value_span(&self) -> Span {
        let end = Span::new(self.key.span.end + 1, self.key.span.end + 1);
        self.words().map(|word| word.span).reduce(Span::to).unwrap_or(end)
    }
}

/// Where a part of a text begins in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// Goes through the assignments of a text in order.
pub(super) fn each_assignment<'t>(
    text: &'t str,
    report: &mut Report,
    mut take: impl FnMut(Assignment<'t>, &mut Report),
) {
    let mut parser = Parser { text, section: None, sections: has_section(text) };
    let mut pieces: Vec<Spanned<&str>> = Vec::new();
    let mut length = 0;
    for line in without_mark(text).split('\n') {
        let trimmed = line.trim_ascii();
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        let start = offset(text, trimmed);
        length += trimmed.len();
        let continued = ends_in_backslash(trimmed);
        let kept = if continued { &trimmed[..trimmed.len() - 1] } else { trimmed };
        pieces.push(Spanned::new(kept, Span::new(start, start + kept.len())));
        if continued {
            continue;
        }
        parser.logical_line(&pieces, length, report, &mut take);
        pieces.clear();
        length = 0;
    }
    parser.logical_line(&pieces, length, report, &mut take);
}

/// The text behind a byte order mark.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Whether any line begins a section.
fn has_section(text: &str) -> bool {
    without_mark(text).split('\n').any(|line| line.trim_ascii_start().starts_with('['))
}

/// Whether the last backslash is not itself behind one.
fn ends_in_backslash(line: &str) -> bool {
    let count = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
    count % 2 == 1
}

struct Parser<'t> {
    text: &'t str,
    section: Option<&'t str>,
    /// Whether the text has sections.
    sections: bool,
}

impl<'t> Parser<'t> {
    fn logical_line(
        &mut self,
        pieces: &[Spanned<&'t str>],
        length: usize,
        report: &mut Report,
        take: &mut impl FnMut(Assignment<'t>, &mut Report),
    ) {
        // A line that goes on may begin with nothing.
        let Some(first) = pieces.iter().position(|piece| !piece.value.trim_ascii().is_empty())
        else {
            return;
        };
        let head = pieces[first];
        if length > LONGEST_LINE {
            report.error(|| {
                Diagnostic::error("unit-syntax", "a line is longer than 1 MiB")
                    .at(Span::new(head.span.start, head.span.start), "systemd refuses the file")
            });
            return;
        }
        if let Some(nul) =
            pieces.iter().find_map(|piece| piece.value.find('\0').map(|at| at + piece.span.start))
        {
            report.error(|| {
                Diagnostic::error("unit-syntax", "a line has a NUL character in it")
                    .at(Span::new(nul, nul + 1), "this is no text")
            });
            return;
        }
        if head.value.starts_with('[') {
            self.section_header(head, report);
            return;
        }
        let Some(equals) = head.value.find('=') else {
            self.no_assignment(head, report);
            return;
        };
        let word = head.value[..equals].trim_ascii_end();
        let start = head.span.start;
        let key = Spanned::new(word, Span::new(start, start + word.len()));
        let after = start + equals + 1;
        let mut value = Vec::from([Spanned::new(
            &self.text[after..head.span.end],
            Span::new(after, head.span.end),
        )]);
        value.extend_from_slice(&pieces[first + 1..]);
        if self.sections && self.section.is_none() {
            report.warning(|| {
                let message = format!("{} stands in front of every section", quoted(word));
                Diagnostic::warning("no-effect", message)
                    .at(key.span, "systemd ignores it")
                    .help("it belongs under `[Service]`")
            });
            return;
        }
        take(Assignment { section: self.section, key, value }, report);
    }

    fn section_header(&mut self, head: Spanned<&'t str>, report: &mut Report) {
        let line = head.value.trim_ascii_end();
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => self.section = Some(name),
            None => {
                self.section = Some("");
                let end = head.span.start + line.len();
                report.error(|| {
                    Diagnostic::error("unit-syntax", "the head of a section has no end")
                        .at(Span::new(head.span.start, end), "systemd refuses the file")
                        .replace(Span::new(end, end), "]")
                });
            }
        }
    }

    fn no_assignment(&self, head: Spanned<&str>, report: &mut Report) {
        let line = head.value.trim_ascii_end();
        let span = Span::new(head.span.start, head.span.start + line.len());
        // Without any section it is not even sure that this is a unit file.
        let severity = if self.sections { Severity::Warning } else { Severity::Error };
        report.add(severity, || {
            Diagnostic::new("unit-syntax", severity, "the line is no assignment")
                .at(span, "expected `Key=value`; systemd ignores the line")
        });
    }
}

/// Whether the first line that says something is the head of a unit's section, or one of the
/// settings that are read.
pub(super) fn looks_like_a_unit(text: &str) -> bool {
    const HEADS: [&str; 6] = ["[Unit]", "[Service]", "[Socket]", "[Mount]", "[Swap]", "[Install]"];
    let mut lines = without_mark(text).split('\n').map(str::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    first.is_some_and(|line| {
        let key = line.split_once('=').map_or("", |(key, _)| key.trim_ascii_end());
        HEADS.contains(&line) || super::reader::KEYS.contains(&key)
    })
}
