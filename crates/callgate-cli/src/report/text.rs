//! Findings as a person reads them: the place underlined, the next step below.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    ops::Range,
};

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use callgate_diagnostic::{Diagnostic, Label, Severity, Span};

use super::places::Places;

/// Longest piece of a text that is drawn; drawing takes time for all of its lines' length.
const EXCERPT_LIMIT: usize = 1 << 16;

/// Prints findings with excerpts of the text that they speak of.
pub fn diagnostics(name: &str, text: &str, diagnostics: &[Diagnostic]) {
    if diagnostics.is_empty() {
        return;
    }
    let name = &printable_name(name);
    let places = Places::new(text);
    let mut stderr = io::stderr().lock();
    for diagnostic in diagnostics {
        let report = drawing(name, &places, diagnostic, &[], &renderer(stderr.is_terminal()));
        // Standard error going away leaves nobody to tell.
        let _ = writeln!(stderr, "{report}");
    }
}

/// Findings for standard output, each with more that is to be said of it, by a word.
pub fn findings<'f>(
    name: &str,
    text: &str,
    findings: impl IntoIterator<Item = (&'f Diagnostic, Vec<(&'static str, String)>)>,
) -> String {
    let name = &printable_name(name);
    let places = Places::new(text);
    let renderer = renderer(io::stdout().is_terminal());
    let mut all = String::new();
    for (diagnostic, said) in findings {
        all.push_str(&drawing(name, &places, diagnostic, &said, &renderer));
        all.push_str("\n\n");
    }
    all
}

fn drawing(
    name: &str,
    places: &Places,
    diagnostic: &Diagnostic,
    said: &[(&'static str, String)],
    renderer: &Renderer,
) -> String {
    excerpt(name, places, diagnostic, said, renderer)
        .unwrap_or_else(|| concise(name, places, diagnostic, said))
}

/// `callgate: message` for what has no place in a text.
pub fn error(message: impl std::fmt::Display) {
    line(Level::ERROR, &message.to_string());
}

/// A warning without a place.
pub fn warning(message: impl std::fmt::Display) {
    line(Level::WARNING, &message.to_string());
}

/// Talk of several lines, as it is. A reader that went away is no error: what a command's status
/// or its file says counts, not who listens.
pub fn say(text: impl std::fmt::Display) {
    let _ = write!(io::stderr().lock(), "{text}");
}

/// As [`say`], and ends the line.
pub fn say_line(text: impl std::fmt::Display) {
    say(format_args!("{text}\n"));
}

/// A note without a place.
pub fn note(message: impl std::fmt::Display) {
    line(Level::NOTE, &message.to_string());
}

fn line(level: Level<'_>, message: &str) {
    let message = printable(message);
    let report = [Group::with_title(level.primary_title(message))];
    let renderer = renderer(io::stderr().is_terminal());
    let _ = writeln!(io::stderr().lock(), "{}", renderer.render(&report));
}

/// None where the lines are too long to draw.
fn excerpt(
    name: &str,
    places: &Places,
    diagnostic: &Diagnostic,
    said: &[(&'static str, String)],
    renderer: &Renderer,
) -> Option<String> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(printable(&diagnostic.message)).id(diagnostic.id);
    let mut group = Group::with_title(title);
    // All places in one picture, or else the first alone, with the others told.
    let labels = &diagnostic.labels[..];
    let near = |labels: &[Label]| {
        let lines = places.lines_around(labels.iter().map(|label| label.span))?;
        (lines.len() <= EXCERPT_LIMIT).then_some(lines)
    };
    let (drawn, told) = match near(labels) {
        Some(_) => (labels, &[][..]),
        None => labels.split_at(labels.len().min(1)),
    };
    if !drawn.is_empty() {
        let lines = near(drawn)?;
        let mut snippet = piece(name, places, &lines);
        for (index, label) in drawn.iter().enumerate() {
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let mut annotation = kind.span(inside(places, &lines, label.span));
            if !label.text.is_empty() {
                annotation = annotation.label(printable(&label.text));
            }
            snippet = snippet.annotation(annotation);
        }
        group = group.element(snippet);
    }
    for label in told {
        let (line, column) = places.line_and_column(label.span);
        let place = format!("line {line}, column {column}: {}", printable(&label.text));
        group = group.element(Level::NOTE.message(place));
    }
    for (word, sentence) in said {
        group = group.element(Level::NOTE.with_name(*word).message(printable(sentence)));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(printable(help)));
    }
    let mut groups = vec![group];
    // A label of a reader already says what a single word should have been.
    let least = if said.is_empty() { 2 } else { 1 };
    let edits = &diagnostic.edits;
    let lines = places.lines_around(edits.iter().map(|edit| edit.span));
    if let Some(lines) = lines.filter(|lines| edits.len() >= least && lines.len() <= EXCERPT_LIMIT)
    {
        let mut snippet = piece(name, places, &lines);
        for edit in edits {
            let range = inside(places, &lines, edit.span);
            snippet = snippet.patch(Patch::new(range, edit.replacement.clone()));
        }
        groups.push(Level::HELP.secondary_title("this would mend it").element(snippet));
    }
    Some(renderer.render(&groups))
}

/// Lines of the text, which know their numbers.
fn piece<'t, T: Clone>(name: &'t str, places: &Places<'t>, lines: &Range<usize>) -> Snippet<'t, T> {
    Snippet::source(harmless(&places.text()[lines.clone()]))
        .line_start(places.line(lines.start))
        .path(name)
        .fold(true)
}

/// The renderer shows ASCII's control characters as pictures and knows most others; what it would
/// let through is replaced by a character of as many bytes, so that places stay.
fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| !char::is_ascii(&c) && moves_the_cursor(c)) {
        return Cow::Borrowed(text);
    }
    let replace = |c: char| match c.len_utf8() {
        2 if moves_the_cursor(c) => '\u{bf}',
        3 if moves_the_cursor(c) => char::REPLACEMENT_CHARACTER,
        _ => c,
    };
    Cow::Owned(text.chars().map(replace).collect())
}

/// A span's range in a piece; it cuts no character.
fn inside(places: &Places, lines: &Range<usize>, span: Span) -> Range<usize> {
    let start = places.floor(span.start) - lines.start;
    start..(places.floor(span.end) - lines.start).max(start)
}

fn concise(
    name: &str,
    places: &Places,
    diagnostic: &Diagnostic,
    said: &[(&'static str, String)],
) -> String {
    let place = diagnostic.primary().map_or_else(String::new, |label| {
        let (line, column) = places.line_and_column(label.span);
        format!(":{line}:{column}")
    });
    let mut text = format!("{name}{place}: {}", printable(&diagnostic.to_string()));
    for (word, sentence) in said {
        text.push_str(&format!("\n  = {word}: {}", printable(sentence)));
    }
    text
}

fn renderer(terminal: bool) -> Renderer {
    if terminal && std::env::var_os("NO_COLOR").is_none() {
        Renderer::styled()
    } else {
        Renderer::plain()
    }
}

/// Text from elsewhere, such as a file's name, made harmless: it must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escape = moves_the_cursor(c) && c != '\n' && c != '\t';
            let (escaped, plain) =
                if escape { (Some(c.escape_default()), None) } else { (None, Some(c)) };
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// Control characters, and those that change the direction or hide.
pub fn moves_the_cursor(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A name on one line.
pub fn printable_name(name: &str) -> String {
    printable(name).replace('\n', "\\n").replace('\t', "\\t")
}
