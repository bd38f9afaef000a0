//! From the parser's places, which count characters, to bytes.

use super::Span;

/// Walks along the text with the parser, so that no place is counted from the beginning.
#[derive(Debug)]
pub(super) struct Places<'t> {
    text: &'t str,
    characters: usize,
    bytes: usize,
}

impl<'t> Places<'t> {
    pub fn new(text: &'t str) -> Places<'t> {
        Places { text, characters: 0, bytes: 0 }
    }

    pub fn text(&self) -> &'t str {
        self.text
    }

    /// The bytes between two characters.
    pub fn span(&mut self, from: usize, to: usize) -> Span {
        let start = self.byte(from);
        Span::new(start, self.byte(to).max(start))
    }

    /// The byte that a character begins at; the text's end for one behind it.
    pub fn byte(&mut self, character: usize) -> usize {
        while self.characters < character
            && let Some(next) = self.text[self.bytes..].chars().next()
        {
            self.characters += 1;
            self.bytes += next.len_utf8();
        }
        while self.characters > character
            && let Some(before) = self.text[..self.bytes].chars().next_back()
        {
            self.characters -= 1;
            self.bytes -= before.len_utf8();
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_character_is_found_forwards_and_backwards() {
        let text = "\u{feff}aä€😀\r\nz";
        let starts: Vec<usize> =
            text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let mut places = Places::new(text);
        for character in (0..starts.len()).chain((0..starts.len()).rev()) {
            assert_eq!(places.byte(character), starts[character], "{character}");
        }
        assert_eq!(places.byte(99), text.len());
        assert_eq!(places.span(2, 1), Span::new(4, 4), "never backwards");
    }
}
