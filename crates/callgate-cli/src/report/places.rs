//! Lines and columns of places in a text.
//!
//! A text may have 60 MB and hundreds of findings, so no place is counted from the beginning:
//! the lines before each block are counted once, and columns go on from the place before.

use std::{cell::Cell, ops::Range};

use callgate_diagnostic::Span;

/// Bytes between places whose line is known.
const BLOCK: usize = 1 << 12;

/// A text, prepared for questions.
pub struct Places<'t> {
    text: &'t str,
    /// Line ends before each block.
    before: Vec<usize>,
    /// The last place asked for, and its column.
    last: Cell<(usize, usize)>,
}

impl<'t> Places<'t> {
    pub fn new(text: &'t str) -> Places<'t> {
        let blocks = text.as_bytes().chunks(BLOCK);
        let before = blocks
            .scan(0, |count, block| {
                let before = *count;
                *count += line_ends(block);
                Some(before)
            })
            .collect();
        Places { text, before, last: Cell::new((0, 1)) }
    }

    pub fn text(&self) -> &'t str {
        self.text
    }

    /// Line and column of the start of a span, both from 1; the column counts characters.
    pub fn line_and_column(&self, span: Span) -> (usize, usize) {
        let at = self.floor(span.start);
        let start = self.line_start(at);
        let (from, column) = match self.last.get() {
            (from, column) if from >= start && from <= at => (from, column),
            _ => (start, 1),
        };
        let column = column + self.text[from..at].chars().count();
        self.last.set((at, column));
        (self.line(at), column)
    }

    /// The number of the line that an offset lies in.
    pub fn line(&self, at: usize) -> usize {
        let block = (at / BLOCK).min(self.before.len().saturating_sub(1));
        let before = self.before.get(block).copied().unwrap_or(0);
        let rest = self.text.as_bytes().get(block * BLOCK..at).unwrap_or_default();
        before + line_ends(rest) + 1
    }

    /// The whole lines around some spans; nothing where there is none.
    pub fn lines_around(&self, spans: impl IntoIterator<Item = Span>) -> Option<Range<usize>> {
        let span = spans.into_iter().reduce(Span::to)?;
        let (start, end) = (self.floor(span.start), self.floor(span.end.max(span.start)));
        let rest = &self.text[end..];
        Some(self.line_start(start)..end + rest.find('\n').map_or(rest.len(), |at| at + 1))
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The last place inside the text, at or before this one, that cuts no character.
    pub fn floor(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

fn line_ends(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_where_counting_from_the_beginning_finds_it() {
        let line = "é, and more of it\n\n";
        let text = line.repeat(2 * BLOCK / line.len()) + "the end";
        let places = Places::new(&text);
        let step = |from: usize| (from..text.len() + 3).step_by(7);
        // Forwards, backwards, and again.
        for at in step(0).chain([1, 0]).chain(step(3)) {
            let span = Span::new(at, at);
            assert_eq!(places.line_and_column(span), span.line_and_column(&text), "{at}");
        }
        assert_eq!(Places::new("").line_and_column(Span::new(0, 0)), (1, 1));
    }

    #[test]
    fn whole_lines_are_cut_out() {
        let places = Places::new("one\ntwo\nthree\nfour");
        let around = |spans: &[(usize, usize)]| {
            let spans = spans.iter().map(|&(start, end)| Span::new(start, end));
            places.lines_around(spans).map(|range| &places.text()[range])
        };
        assert_eq!(around(&[(5, 6)]), Some("two\n"));
        assert_eq!(around(&[(9, 10), (5, 6)]), Some("two\nthree\n"));
        assert_eq!(around(&[(18, 18)]), Some("four"));
        assert_eq!(around(&[]), None);
    }
}
