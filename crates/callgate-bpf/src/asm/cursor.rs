//! A place in a line of text.

use super::error::{Error, Kind, excerpt};

/// Reads one line from left to right.
#[derive(Clone)]
pub(super) struct Cursor<'t> {
    rest: &'t str,
    line: usize,
    /// Kept rather than counted on demand: a line may have millions of words.
    column: usize,
}

/// A word, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    pub(super) column: usize,
}

/// Labels, mnemonics, names of fields and actions.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

impl<'t> Cursor<'t> {
    /// The start of this line, counted from 1; what a comment says is cut off.
    pub(super) fn new(line: &'t str, number: usize) -> Cursor<'t> {
        let code = line.split_once(';').map_or(line, |(code, _)| code);
        let mut cursor = Cursor { rest: code, line: number, column: 1 };
        cursor.advance(0);
        cursor
    }

    /// Where the cursor stands, in characters from 1.
    pub(super) fn column(&self) -> usize {
        self.column
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Whether nothing but space remains.
    pub(super) fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes a word if one stands here.
    pub(super) fn word(&mut self) -> Option<&'t str> {
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        (end > 0).then(|| self.advance(end))
    }

    /// Takes a word and its colon if they stand here.
    pub(super) fn label(&mut self) -> Option<Word<'t>> {
        let end = self.rest.find(|c| !is_word(c))?;
        if end == 0 || !self.rest[end..].trim_start().starts_with(':') {
            return None;
        }
        let column = self.column();
        let text = self.advance(end);
        self.take(':');
        Some(Word { text, column })
    }

    /// Takes this character if it stands here.
    pub(super) fn take(&mut self, wanted: char) -> bool {
        let found = self.rest.starts_with(wanted);
        if found {
            self.advance(wanted.len_utf8());
        }
        found
    }

    /// Takes this character, which must stand here.
    pub(super) fn require(&mut self, wanted: char, what: &'static str) -> Result<(), Error> {
        if self.take(wanted) { Ok(()) } else { Err(self.expected(what)) }
    }

    /// Takes everything up to this character and the character, if it is there.
    pub(super) fn until(&mut self, end: char) -> Option<&'t str> {
        let found = self.rest.rfind(end)?;
        let text = self.advance(found).trim_end();
        self.take(end);
        Some(text)
    }

    /// Takes a number of at most `most`.
    pub(super) fn number(&mut self, what: &'static str, most: u32) -> Result<u32, Error> {
        let before = self.clone();
        let word = match self.word() {
            Some(word) if word.starts_with(|c: char| c.is_ascii_digit()) => word,
            _ => {
                *self = before;
                return Err(self.expected(what));
            }
        };
        let hexadecimal = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
        let (digits, radix) = hexadecimal.map_or((word, 10), |digits| (digits, 16));
        let all_digits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        match u32::from_str_radix(digits, radix) {
            Ok(value) if value <= most && all_digits => Ok(value),
            _ => {
                *self = before;
                Err(if all_digits {
                    self.error(Kind::NumberTooLarge { found: excerpt(word), most })
                } else {
                    self.expected(what)
                })
            }
        }
    }

    /// An error about what stands here.
    pub(super) fn expected(&self, what: &'static str) -> Error {
        let end = match self.rest.find(|c| !is_word(c)) {
            Some(0) => self.rest.chars().next().map_or(0, char::len_utf8),
            Some(end) => end,
            None => self.rest.len(),
        };
        self.error(Kind::Expected { what, found: excerpt(&self.rest[..end]) })
    }

    /// An error at this place.
    pub(super) fn error(&self, kind: Kind) -> Error {
        self.error_at(self.column(), kind)
    }

    /// An error elsewhere in this line.
    pub(super) fn error_at(&self, column: usize, kind: Kind) -> Error {
        Error::new(self.line, column, kind)
    }

    /// Goes on by so many bytes and the space after them.
    fn advance(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        let next = rest.trim_start();
        let space = &rest[..rest.len() - next.len()];
        self.column += taken.chars().count() + space.chars().count();
        self.rest = next;
        taken
    }
}
