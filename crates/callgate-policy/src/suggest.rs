//! What may have been meant by a word that nobody knows.

use alloc::vec::Vec;

/// Longer words are not looked at: no known one comes near, and the work grows with the length.
const LONGEST: usize = 64;

/// More slips than this make another word.
const MOST_SLIPS: usize = 3;

/// The system call whose name comes closest.
///
/// ```
/// assert_eq!(callgate_policy::suggest::syscall("mkidr"), Some("mkdir"));
/// assert_eq!(callgate_policy::suggest::syscall("frobnicate"), None);
/// ```
pub fn syscall(name: &str) -> Option<&'static str> {
    closest(name, callgate_syscalls::all_names())
}

/// The candidate that comes closest to a word, if one is close.
///
/// Close is: the same in another letter case; the same without the front that its kind begins
/// with (`ALLOW` for `SCMP_ACT_ALLOW`); or so few slips away (a letter too many, too few, another
/// one, two swapped) that they are at most three, and at most a third of the letters behind the
/// front that the two share.
///
/// ```
/// use callgate_policy::suggest::closest;
///
/// assert_eq!(closest("SCMP_ACT_ERNO", ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"]), Some("SCMP_ACT_ERRNO"));
/// assert_eq!(closest("read", ["write"]), None);
/// ```
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > LONGEST {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    let mut tail: Option<&str> = None;
    let mut rows = Rows::default();
    for candidate in candidates {
        if candidate.eq_ignore_ascii_case(word) {
            return Some(candidate);
        }
        if is_tail(candidate, word) && tail.is_none_or(|t| candidate.len() < t.len()) {
            tail = Some(candidate);
        }
        let limit = best.map_or(MOST_SLIPS, |(distance, _)| distance - 1);
        let limit = limit.min(slips_between(word, candidate));
        if let Some(distance) = rows.distance(word, candidate, limit).filter(|d| *d > 0) {
            best = Some((distance, candidate));
        }
    }
    // A lone letter off beats a front that is missing, and nothing else does.
    match (best, tail) {
        (Some((1, candidate)), _) | (Some((_, candidate)), None) => Some(candidate),
        (_, tail) => tail,
    }
}

/// How many slips between two words leave the one recognisable in the other.
fn slips_between(word: &str, candidate: &str) -> usize {
    let shared = word.bytes().zip(candidate.bytes()).take_while(|(a, b)| a == b).count();
    let front = word.as_bytes()[..shared].iter().rposition(|byte| *byte == b'_');
    match (word[front.map_or(0, |at| at + 1)..].chars().count(), front) {
        (0, _) | (1..3, None) => 0,
        (1..6, _) => 1,
        (length, _) => (length / 3).min(MOST_SLIPS),
    }
}

/// Whether a candidate ends with the word, in any letter case, behind an underscore.
fn is_tail(candidate: &str, word: &str) -> bool {
    let (candidate, word) = (candidate.as_bytes(), word.as_bytes());
    !word.is_empty()
        && candidate.len() > word.len() + 1
        && candidate[candidate.len() - word.len()..].eq_ignore_ascii_case(word)
        && candidate[candidate.len() - word.len() - 1] == b'_'
}

/// Three rows of the table of distances between prefixes, kept for their memory.
#[derive(Default)]
struct Rows {
    before: Vec<usize>,
    last: Vec<usize>,
    this: Vec<usize>,
}

impl Rows {
    /// The number of slips between two words, if it is within a limit (Damerau and Levenshtein's
    /// distance, no letter touched twice).
    fn distance(&mut self, a: &str, b: &str, limit: usize) -> Option<usize> {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        if a.len().abs_diff(b.len()) > limit {
            return None;
        }
        let same = |x: u8, y: u8| x.eq_ignore_ascii_case(&y);
        self.last.clear();
        self.last.extend(0..=b.len());
        for i in 1..=a.len() {
            self.this.clear();
            self.this.push(i);
            for j in 1..=b.len() {
                let mut cost = self.last[j - 1] + usize::from(!same(a[i - 1], b[j - 1]));
                cost = cost.min(self.last[j] + 1).min(self.this[j - 1] + 1);
                if i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]) {
                    cost = cost.min(self.before[j - 2] + 1);
                }
                self.this.push(cost);
            }
            if self.this.iter().all(|cost| *cost > limit) {
                return None;
            }
            core::mem::swap(&mut self.before, &mut self.last);
            core::mem::swap(&mut self.last, &mut self.this);
        }
        self.last.last().copied().filter(|distance| *distance <= limit)
    }
}
