//! The members of an object as Go's decoder would put them into a struct.

use alloc::{borrow::Cow, format, string::String, vec::Vec};

use callgate_diagnostic::{Diagnostic, Span, Spanned};

use crate::{
    Dialect,
    json::{Kind, Value},
    quote::quoted,
    suggest,
};

use super::{
    super::report::Report,
    words::{Holds, Key, Keys},
};

/// No kind of object has more keys.
const MOST_KEYS: usize = 10;

/// The values of an object's keys, each of the type that its key holds.
pub(super) struct Fields<'d> {
    keys: &'static Keys,
    members: [Option<Member<'d>>; MOST_KEYS],
    /// Which had a value of another type; that was reported.
    broken: [bool; MOST_KEYS],
}

/// A key and its value.
#[derive(Clone, Copy)]
pub(super) struct Member<'d> {
    pub key: Value<'d>,
    pub value: Value<'d>,
}

impl<'d> Member<'d> {
    /// A string and where it stands; the empty one if it is none.
    pub fn text(self) -> Spanned<Cow<'d, str>> {
        Spanned::new(self.value.as_str().unwrap_or_default(), self.value.inner())
    }

    /// The strings of a list.
    pub fn texts(self) -> impl Iterator<Item = Spanned<Cow<'d, str>>> {
        self.value
            .elements()
            .map(|value| Spanned::new(value.as_str().unwrap_or_default(), value.inner()))
    }

    /// A number, if it is one in range.
    pub fn number(self) -> Option<Spanned<u64>> {
        Some(Spanned::new(self.value.as_u64()?, self.value.span()))
    }

    /// The place of the key.
    pub fn key_span(self) -> Span {
        self.key.inner()
    }
}

impl<'d> Fields<'d> {
    /// Sorts the members of an object, and reports those that do not fit. Keys that the dialect's
    /// consumer drops are kept as they are: the consumer doesn't look at their values either.
    pub fn of(
        object: Value<'d>,
        keys: &'static Keys,
        dialect: Dialect,
        report: &mut Report,
    ) -> Fields<'d> {
        let mut fields = Fields { keys, members: [None; MOST_KEYS], broken: [false; MOST_KEYS] };
        for (key, value) in object.members() {
            let word = key.as_str().unwrap_or_default();
            let Some(place) = keys.place(&word) else {
                report.warning(|| unknown_key(keys, key, &word));
                continue;
            };
            let known = &keys.keys[place];
            let member = Member { key, value };
            if !known.readers.contains(&dialect) {
                if !value.is_null() {
                    fields.members[place] = Some(member);
                }
                continue;
            }
            if word != known.name {
                report.warning(|| key_case(known, key, &word));
            }
            if let Err(wrong) = check_type(known, value) {
                report.error(|| wrong.diagnostic(known));
                fields.broken[place] = true;
                continue;
            }
            fields.members[place] = match fields.members[place] {
                None => Some(member),
                Some(first) => Some(second_occurrence(known, first, member, report)),
            };
        }
        fields
    }

    /// The value of a key, if it has one; `null` is none.
    pub fn get(&self, name: &str) -> Option<Member<'d>> {
        self.members[self.place(name)].filter(|member| !member.value.is_null())
    }

    /// Whether a key had a value that was reported and is not here.
    pub fn is_broken(&self, name: &str) -> bool {
        self.broken[self.place(name)]
    }

    fn place(&self, name: &str) -> usize {
        let place = self.keys.keys.iter().position(|key| key.name == name);
        place.unwrap_or_else(|| unreachable!("{name} is no key of {}", self.keys.what))
    }
}

impl Keys {
    /// The place of a key in any letter case, the exact one first.
    pub fn place(&self, word: &str) -> Option<usize> {
        self.keys
            .iter()
            .position(|key| key.name == word)
            .or_else(|| self.keys.iter().position(|key| folds_to(word, key.name)))
    }
}

/// Whether Go takes a key for a field whose name has ASCII letters: the same in any letter case,
/// where the long s and the Kelvin sign count as letters too (`encoding/json/fold.go`).
pub(super) fn folds_to(word: &str, name: &str) -> bool {
    let folded = word.chars().map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    });
    folded.eq(name.chars().map(|c| c.to_ascii_lowercase()))
}

/// A value that is not what its key holds.
struct WrongType<'d> {
    value: Value<'d>,
    /// Whether it is an element of the key's list.
    element: bool,
}

fn check_type<'d>(key: &Key, value: Value<'d>) -> Result<(), WrongType<'d>> {
    if value.is_null() {
        return Ok(());
    }
    let wanted = match key.holds {
        Holds::Text | Holds::Version => Kind::String,
        Holds::Number | Holds::OptionalNumber => Kind::Number,
        Holds::Object => Kind::Object,
        Holds::Texts | Holds::Objects => Kind::Array,
    };
    let number = wanted == Kind::Number;
    if value.kind() != wanted || (number && value.as_u64().is_none()) {
        return Err(WrongType { value, element: false });
    }
    let element = if key.holds == Holds::Objects { Kind::Object } else { Kind::String };
    match value.elements().find(|value| value.kind() != element) {
        Some(value) => Err(WrongType { value, element: true }),
        None => Ok(()),
    }
}

impl WrongType<'_> {
    fn diagnostic(&self, key: &Key) -> Diagnostic {
        let value = self.value;
        let span = value.span();
        let number = matches!(key.holds, Holds::Number | Holds::OptionalNumber);
        if number && value.kind() == Kind::Number {
            return Diagnostic::error(
                "bad-number",
                format!("{} is not a whole number from 0 to {}", quoted(value.lexeme()), u64::MAX),
            )
            .at(span, format!("`{}` takes no other", key.name))
            .help("write it in digits alone: Go reads no sign, point or exponent here");
        }
        let wanted = match (key.holds, self.element) {
            (Holds::Texts, true) | (Holds::Text | Holds::Version, _) => "a string",
            (Holds::Objects, true) | (Holds::Object, _) => "an object",
            (Holds::Texts, false) => "a list of strings",
            (Holds::Objects, false) => "a list of objects",
            (Holds::Number | Holds::OptionalNumber, _) => "a number",
        };
        let subject = if self.element { "an element of " } else { "" };
        let found = value.kind().describe();
        let diagnostic = Diagnostic::error(
            "wrong-type",
            format!("{subject}`{}` must be {wanted}, not {found}", key.name),
        )
        .at(span, format!("expected {wanted}"));
        let text = value.as_str();
        match (key.holds, text) {
            (Holds::Texts, Some(_)) => diagnostic.replace(span, format!("[{}]", value.lexeme())),
            (_, Some(digits)) if number && digits.parse::<u64>().is_ok() => {
                diagnostic.replace(span, String::from(digits))
            }
            _ => diagnostic,
        }
    }
}

/// What counts of two members with the same key.
fn second_occurrence<'d>(
    key: &Key,
    first: Member<'d>,
    second: Member<'d>,
    report: &mut Report,
) -> Member<'d> {
    let holds_nothing = |value: Value| {
        value.is_null() || (value.elements().next().is_none() && value.members().next().is_none())
    };
    let merged = match key.holds {
        Holds::Objects | Holds::Object => !holds_nothing(first.value),
        // An empty one leaves the first, and Docker checks the first whatever comes behind it.
        Holds::Version => !first.value.is_null(),
        _ => false,
    };
    let name = key.name;
    if merged {
        report.error(|| {
            Diagnostic::error(
                "duplicate-key",
                format!("`{name}` is given twice, and Go's reader mixes the two"),
            )
            .at(second.key_span(), "decoded into what the first has left")
            .at(first.key_span(), "the first")
            .help("make one of them, or remove one")
        });
        return second;
    }
    let keeps_first = second.value.is_null() && matches!(key.holds, Holds::Text | Holds::Number);
    let (message, ignored, counts) = if keeps_first {
        (format!("`{name}` is given twice; null leaves what the first says"), second, first)
    } else {
        (format!("`{name}` is given twice; the last one counts"), first, second)
    };
    report.warning(|| {
        Diagnostic::warning("duplicate-key", message)
            .at(ignored.key_span(), "this one is ignored")
            .at(counts.key_span(), "this one counts")
            .help("remove the one that is not meant; crun, which does not read with Go, takes the first")
    });
    counts
}

fn key_case(known: &Key, key: Value<'_>, word: &str) -> Diagnostic {
    let span = key.inner();
    Diagnostic::warning("key-case", format!("{} is read as `{}`", quoted(word), known.name))
        .at(span, format!("written `{}`", known.name))
        .help("Go's reader takes any letter case; crun takes the exact one alone")
        .replace(span, known.name)
}

fn unknown_key(keys: &Keys, key: Value<'_>, word: &str) -> Diagnostic {
    let span = key.inner();
    let diagnostic = Diagnostic::warning(
        "unknown-key",
        format!("{} is not a key of {}; it is ignored", quoted(word), keys.what),
    );
    match suggest::closest(word, keys.keys.iter().map(|key| key.name)) {
        Some(near) => diagnostic.at(span, format!("did you mean `{near}`?")).replace(span, near),
        None => {
            let shown = keys.keys.iter().filter(|key| !key.readers.is_empty());
            let names: Vec<&str> = shown.map(|key| key.name).collect();
            diagnostic.at(span, "").help(format!("its keys are {}", names.join(", ")))
        }
    }
}
