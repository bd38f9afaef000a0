//! Gathers what is found, in bounded memory: a list of a cluster can hold a million of anything.

use std::collections::HashSet;

use callgate_diagnostic::{Diagnostic, Severity, Span};

/// The most findings of one severity that are kept. Each severity has its own share, so that
/// warnings never push out an error.
const MOST: usize = 100;

/// What was found in a text.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    shown: Vec<Diagnostic>,
    /// The ids and places of those: most of a million findings are new at a glance.
    known: HashSet<(&'static str, Option<Span>)>,
    /// How many there are of each severity, and how many of them are not shown.
    count: [usize; 3],
    hidden: [usize; 3],
    left_out: Vec<String>,
}

impl Findings {
    /// None yet; those of the ids of `left_out` are never kept.
    pub fn without(left_out: &[String]) -> Findings {
        Findings { left_out: left_out.to_owned(), ..Findings::default() }
    }

    /// Adds one, unless it is there already: aliases lead to one place many times.
    pub fn push(&mut self, finding: Diagnostic) {
        let key = (finding.id, finding.primary().map(|label| label.span));
        let known = self.known.contains(&key) && self.shown.contains(&finding);
        if known || self.left_out.iter().any(|left| left == finding.id) {
            return;
        }
        let severity = index(finding.severity);
        self.count[severity] += 1;
        if self.count[severity] <= MOST {
            self.known.insert(key);
            self.shown.push(finding);
        } else {
            self.hidden[severity] += 1;
        }
    }

    /// Those that are kept, in the order of the text.
    pub fn in_order(&mut self) -> &[Diagnostic] {
        self.shown.sort_by_key(|finding| finding.primary().map(|label| label.span));
        &self.shown
    }

    /// How many of a severity there are, kept or not.
    pub fn count(&self, severity: Severity) -> usize {
        self.count[index(severity)]
    }

    /// How many are not kept.
    pub fn hidden(&self) -> usize {
        self.hidden.iter().sum()
    }
}

fn index(severity: Severity) -> usize {
    match severity {
        Severity::Note => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
    }
}

#[cfg(test)]
mod tests {
    use callgate_diagnostic::Span;

    use super::*;

    #[test]
    fn a_hundred_of_each_severity_are_kept_once_and_in_order() {
        let mut findings = Findings::without(&["left".to_owned()]);
        let at = |place| Diagnostic::warning("w", "").at(Span::new(place, place), "");
        for place in (0..150).rev().chain(0..150) {
            findings.push(at(place));
        }
        findings.push(Diagnostic::error("e", "").at(Span::new(60, 60), ""));
        findings.push(Diagnostic::error("left", ""));
        assert_eq!((findings.count(Severity::Error), findings.count(Severity::Note)), (1, 0));
        // Of what is not kept nobody knows whether it was there already.
        assert_eq!((findings.count(Severity::Warning), findings.hidden()), (200, 100));
        let shown = findings.in_order();
        assert_eq!((shown.len(), &shown[0]), (101, &at(50)));
        assert!(shown.windows(2).all(|two| two[0].labels[0].span <= two[1].labels[0].span));
    }
}
