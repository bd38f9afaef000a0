//! How often each system call is made.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
};
use core::fmt;

/// How much each system call counts when a program is made.
///
/// The default suits a kernel with a cache (Linux 5.11, on most architectures): it answers what is
/// always allowed without running the program, so those calls count for the time that loading
/// takes and no more, as do those that no rule names. What counts is a call for which the program
/// is run and that a rule names: because an argument decides, or because the author refuses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    kind: Kind,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Cache,
    Uniform,
    Counted(BTreeMap<String, u64>),
}

/// What becomes of a call, as far as its weight depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The kernel's cache answers.
    Cached,
    /// A rule is asked for it.
    Asked,
    /// No rule speaks of it.
    Default,
}

/// The largest count, so that sums stay far from what a word holds.
const MOST: u64 = 1 << 40;

impl Weights {
    /// Every call that a rule names counts alike, as on a kernel without the cache.
    pub fn uniform() -> Weights {
        Weights { kind: Kind::Uniform }
    }

    /// These counts, by name, on every ABI. What has none counts very little.
    pub fn counted(counts: impl IntoIterator<Item = (String, u64)>) -> Weights {
        let mut table: BTreeMap<String, u64> = BTreeMap::new();
        for (name, count) in counts {
            let sum = table.entry(name).or_default();
            *sum = sum.saturating_add(count).min(MOST);
        }
        Weights { kind: Kind::Counted(table) }
    }

    /// Reads counts: lines of a name and a count, with or without a colon between them, and the
    /// table that `strace -c` prints. Empty lines and what follows a `#` are left out; a name that
    /// comes again adds to its count.
    ///
    /// ```
    /// use callgate_compile::Weights;
    ///
    /// let own = Weights::parse("read 125209\nopenat: 72831 # per million\n")?;
    /// let strace = "\
    /// % time     seconds  usecs/call     calls    errors syscall
    /// ------ ----------- ----------- --------- --------- ----------------
    ///  63.21    0.000067           0    125209           read
    ///  36.79    0.000039           2     72831        17 openat
    /// ------ ----------- ----------- --------- --------- ----------------
    /// 100.00    0.000106           0    198040        17 total
    /// ";
    /// assert_eq!(Weights::parse(strace)?, own);
    /// let error = Weights::parse("read often").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "line 1: `read often` is neither a name with a count nor a line of `strace -c`",
    /// );
    /// # Ok::<(), callgate_compile::WeightsError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// For the first line that is neither.
    pub fn parse(text: &str) -> Result<Weights, WeightsError> {
        let mut counts = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() || line.starts_with("% time") || line.starts_with("------") {
                continue;
            }
            let Some((name, count)) = counted_line(line) else {
                let text = line.chars().take(60).collect();
                return Err(WeightsError { line: index + 1, text });
            };
            if name != "total" {
                let sum: &mut u64 = counts.entry(name.to_string()).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        Ok(Weights::counted(counts))
    }

    /// Whether they suit a kernel that answers most calls from its cache.
    pub(crate) fn expects_cache(&self) -> bool {
        matches!(self.kind, Kind::Cache)
    }

    /// The weight of one call: at least 1, and at most 64 times the largest count.
    pub(crate) fn of(&self, name: &str, fate: Fate) -> u64 {
        match (&self.kind, fate) {
            // About what a run of the program costs beside its part of the loading.
            (Kind::Cache, Fate::Asked) => 600,
            (Kind::Cache, Fate::Cached) => 2,
            (Kind::Uniform, Fate::Cached | Fate::Asked) => 64,
            (Kind::Cache | Kind::Uniform, Fate::Default) => 1,
            (Kind::Counted(table), _) => table.get(name).copied().unwrap_or(0) * 64 + 1,
        }
    }
}

/// Name and count of a line of either kind.
fn counted_line(line: &str) -> Option<(&str, u64)> {
    let mut words = line.split_ascii_whitespace();
    let first = words.next()?;
    if first.starts_with(|c: char| c.is_ascii_digit()) {
        // Share, seconds, microseconds a call, calls, perhaps errors, name.
        let count = words.nth(2)?.parse().ok()?;
        let (next, last) = (words.next()?, words.next());
        return words.next().is_none().then_some((last.unwrap_or(next), count));
    }
    let (name, count) = match first.split_once(':') {
        Some((name, "")) => (name, words.next()?),
        Some((name, count)) => (name, count),
        None => (first, words.next()?),
    };
    words.next().is_none().then_some((name, count.parse().ok()?))
}

/// A line that tells no count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsError {
    line: usize,
    text: String,
}

impl WeightsError {
    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl core::error::Error for WeightsError {}

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WeightsError { line, text } = self;
        write!(f, "line {line}: `{text}` is neither a name with a count nor a line of `strace -c`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_again_adds_up() {
        let twice = Weights::parse("read 3\n\n# write 9\nread:4\n").unwrap();
        assert_eq!(twice, Weights::counted([("read".to_string(), 7)]));
        assert_eq!(twice.of("read", Fate::Cached), 7 * 64 + 1);
        assert_eq!(twice.of("write", Fate::Asked), 1);
    }

    #[test]
    fn huge_counts_stay_within_bounds() {
        let most = alloc::format!("read {}\nread {}", u64::MAX, u64::MAX);
        assert_eq!(Weights::parse(&most).unwrap().of("read", Fate::Cached), (MOST * 64) + 1);
    }

    #[test]
    fn other_lines_are_refused() {
        for text in ["read", "read write", "read 1 2", "read -1", "12.0 1 2", "1 2 3 4 5 6 7"] {
            assert_eq!(Weights::parse(text).unwrap_err().line(), 1, "{text}");
        }
    }
}
