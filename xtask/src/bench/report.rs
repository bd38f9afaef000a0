//! The table of figures, as text and as JSON.

use std::{fmt::Write, time::Duration};

use serde_json::{Value, json};

use crate::{Result, timing::Samples};

/// All that one run has measured.
pub struct Report {
    facts: Vec<(String, String)>,
    sections: Vec<Section>,
    missing: Vec<String>,
}

/// Figures that belong together.
pub struct Section {
    title: &'static str,
    rows: Vec<Row>,
}

/// One figure.
pub struct Row {
    what: String,
    value: Quantity,
    median: Option<Quantity>,
    ratio: Option<f64>,
    target: Option<(String, bool)>,
}

/// A figure with its unit.
#[derive(Clone, Debug)]
pub enum Quantity {
    /// How long it took.
    Time(Duration),
    /// How long it took, where that is far below a microsecond.
    Nanoseconds(f64),
    /// How many there are.
    Count(usize),
    /// How many there are on average.
    Mean(f64),
    /// Memory.
    Bytes(usize),
    /// How many a second.
    Rate(f64),
    /// How many times as much as something else.
    Ratio(f64),
    /// Whether it is so.
    Answer(bool),
    /// No answer, and why.
    None(String),
}

impl Report {
    /// A report without figures, on this machine.
    pub fn new(facts: Vec<(String, String)>) -> Report {
        Report { facts, sections: Vec::new(), missing: Vec::new() }
    }

    /// Adds a circumstance.
    pub fn fact(&mut self, name: &str, value: String) {
        self.facts.push((name.to_owned(), value));
    }

    /// Adds what could not be measured, and why; says it at once, too.
    pub fn missing(&mut self, what: String) {
        eprintln!("MISSING: {what}");
        self.missing.push(what);
    }

    /// Adds figures, or that they are missing.
    pub fn try_add(&mut self, what: &str, section: Result<Section>) {
        match section {
            Ok(section) => self.add(section),
            Err(why) => self.missing(format!("{what}: {why}")),
        }
    }

    /// Adds figures.
    pub fn add(&mut self, section: Section) {
        self.sections.push(section);
    }

    /// Whether every figure that has a target met it.
    pub fn all_met(&self) -> bool {
        let rows = self.sections.iter().flat_map(|section| &section.rows);
        rows.filter_map(|row| row.target.as_ref()).all(|(_, met)| *met)
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.facts {
            let _ = writeln!(text, "{name:12} {value}");
        }
        for missing in &self.missing {
            let _ = writeln!(text, "MISSING      {missing}");
        }
        let width = |cell: &str| cell.chars().count();
        let rows = || self.sections.iter().flat_map(|section| &section.rows);
        // Rows stand two places to the right of their title.
        let names = rows().map(|row| 2 + width(&row.what));
        let titles = self.sections.iter().map(|section| width(section.title));
        let widest = names.chain(titles).max().unwrap_or(0);
        for section in &self.sections {
            let _ = write!(
                text,
                "\n{:widest$}  {:>11}  {:>11}  {:>7}  target\n",
                section.title, "minimum", "median", "ratio"
            );
            for row in &section.rows {
                let _ = write!(text, "  {:1$}", row.what, widest - 2);
                let median = row.median.as_ref().map(Quantity::text).unwrap_or_default();
                let ratio = row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
                let target = row.target.as_ref().map_or(String::new(), |(target, met)| {
                    format!("{target}: {}", if *met { "met" } else { "NOT MET" })
                });
                let line =
                    format!("  {:>11}  {median:>11}  {ratio:>7}  {target}", row.value.text());
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
        text
    }

    /// The report for programs: times in seconds, memory in bytes.
    pub fn json(&self) -> String {
        let section = |section: &Section| {
            let rows: Vec<Value> = section.rows.iter().map(Row::json).collect();
            json!({ "title": section.title, "rows": rows })
        };
        let facts: serde_json::Map<String, Value> =
            self.facts.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let value = json!({
            "machine": facts,
            "missing": self.missing,
            "sections": self.sections.iter().map(section).collect::<Vec<_>>(),
            "all_met": self.all_met(),
        });
        format!("{value:#}")
    }
}

impl Section {
    /// A section without figures.
    pub fn new(title: &'static str) -> Section {
        Section { title, rows: Vec::new() }
    }

    /// Adds a figure.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }
}

impl Row {
    /// A figure that every run gives again.
    pub fn new(what: impl Into<String>, value: Quantity) -> Row {
        Row { what: what.into(), value, median: None, ratio: None, target: None }
    }

    /// Times.
    pub fn times(what: impl Into<String>, samples: &Samples) -> Row {
        Row::new(what, Quantity::Time(samples.minimum())).median(Quantity::Time(samples.median()))
    }

    /// The median, beside the minimum that the row was made with.
    pub fn median(mut self, median: Quantity) -> Row {
        self.median = Some(median);
        self
    }

    /// How many times as much this is as another; of times, the minima are compared.
    pub fn against(mut self, other: f64) -> Row {
        if let Some(own) = self.value.number()
            && other > 0.0
        {
            self.ratio = Some(own / other);
        }
        self
    }

    /// What the figure should be, and whether it is.
    pub fn target(mut self, text: &str, met: bool) -> Row {
        self.target = Some((text.to_owned(), met));
        self
    }

    /// The ratio, if there is one.
    pub fn ratio(&self) -> Option<f64> {
        self.ratio
    }

    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "unit": self.value.unit(),
            "value": self.value.json(),
            "median": self.median.as_ref().map(Quantity::json),
            "ratio": self.ratio,
            "target": self.target.as_ref().map(|(text, _)| text),
            "met": self.target.as_ref().map(|(_, met)| met),
        })
    }
}

impl Quantity {
    /// The figure as a number, to compare with others of its kind.
    pub fn number(&self) -> Option<f64> {
        match self {
            Quantity::Time(time) => Some(time.as_secs_f64()),
            Quantity::Count(count) | Quantity::Bytes(count) => Some(float(*count)),
            Quantity::Mean(number)
            | Quantity::Rate(number)
            | Quantity::Ratio(number)
            | Quantity::Nanoseconds(number) => Some(*number),
            Quantity::Answer(_) | Quantity::None(_) => None,
        }
    }

    fn unit(&self) -> &'static str {
        match self {
            Quantity::Time(_) => "seconds",
            Quantity::Nanoseconds(_) => "nanoseconds",
            Quantity::Count(_) | Quantity::Mean(_) => "count",
            Quantity::Bytes(_) => "bytes",
            Quantity::Rate(_) => "per second",
            Quantity::Ratio(_) => "times",
            Quantity::Answer(_) => "yes or no",
            Quantity::None(_) => "none",
        }
    }

    fn json(&self) -> Value {
        match self {
            Quantity::Count(count) | Quantity::Bytes(count) => json!(count),
            Quantity::Answer(answer) => json!(answer),
            Quantity::None(why) => json!(why),
            _ => json!(self.number()),
        }
    }

    fn text(&self) -> String {
        match self {
            Quantity::Time(time) => {
                let seconds = time.as_secs_f64();
                let (scaled, unit) = match seconds {
                    s if s < 1e-3 => (s * 1e6, "µs"),
                    s if s < 1.0 => (s * 1e3, "ms"),
                    s => (s, "s"),
                };
                let places = if scaled < 10.0 { 2 } else { usize::from(scaled < 100.0) };
                format!("{scaled:.places$} {unit}")
            }
            Quantity::Nanoseconds(time) => format!("{time:.2} ns"),
            Quantity::Count(count) => count.to_string(),
            Quantity::Mean(mean) => format!("{mean:.1}"),
            Quantity::Bytes(bytes) => format!("{:.1} MB", float(*bytes) / 1e6),
            Quantity::Rate(rate) => format!("{:.1} M/s", rate / 1e6),
            Quantity::Ratio(times) => format!("{times:.3}"),
            Quantity::Answer(true) => "yes".to_owned(),
            Quantity::Answer(false) => "no".to_owned(),
            Quantity::None(why) => why.clone(),
        }
    }
}

/// A count as a floating-point number; counts here are far below 2^32.
pub fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missed_target_is_a_no() {
        let mut report = Report::new(Vec::new());
        let mut section = Section::new("counts");
        section.add(Row::new("a", Quantity::Count(30)).against(20.0).target("at least 1", true));
        report.add(section);
        assert!(report.all_met());
        assert!(report.text().contains("1.50  at least 1: met"), "{}", report.text());
        let mut section = Section::new("more counts");
        section.add(Row::new("b", Quantity::Count(3)).target("2", false));
        report.add(section);
        assert!(!report.all_met());
        assert!(report.json().contains("\"all_met\": false"));
    }

    #[test]
    fn times_keep_three_digits() {
        let text = |nanoseconds| Quantity::Time(Duration::from_nanos(nanoseconds)).text();
        assert_eq!(text(1_234), "1.23 µs");
        assert_eq!(text(12_345), "12.3 µs");
        assert_eq!(text(123_456_789), "123 ms");
    }
}
