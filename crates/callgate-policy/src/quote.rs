//! How words from a text are shown in messages.

use alloc::string::String;

/// The most characters that a message repeats of a text.
const LONGEST: usize = 48;

/// A word in backticks, fit for one line of any terminal: what is long is cut, and a character
/// that would move the cursor or hide is written as its escape.
///
/// A profile may come from a stranger, and what it holds ends up on a screen.
pub(crate) fn quoted(word: &str) -> String {
    let mut out = String::with_capacity(word.len().min(LONGEST) + 2);
    out.push('`');
    for (count, character) in word.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        if is_invisible(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out.push('`');
    out
}

/// Controls, spaces other than the space, and marks that change the direction of a line.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_is_escaped() {
        assert_eq!(quoted("a\u{1b}[31m\n"), r"`a\u{1b}[31m\u{a}`");
        assert_eq!(quoted("\u{202e}dlihc"), r"`\u{202e}dlihc`");
        assert_eq!(quoted("é €"), "`é €`");
    }

    #[test]
    fn what_is_long_is_cut() {
        let long = quoted(&"x".repeat(1_000_000));
        assert_eq!(long, alloc::format!("`{}…`", "x".repeat(LONGEST)));
    }
}
