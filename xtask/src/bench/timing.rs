//! Times of many runs, and what makes them comparable.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The times of one contender.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one run.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The shortest: what the work takes when nothing disturbs it. 0 without samples.
    pub fn minimum(&self) -> Duration {
        self.0.iter().min().copied().unwrap_or_default()
    }

    /// The median, the upper one of an even number. 0 without samples.
    pub fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// What these take more than others, by the minima and by the medians.
    pub fn added_to(&self, others: &Samples) -> [Duration; 2] {
        [
            self.minimum().saturating_sub(others.minimum()),
            self.median().saturating_sub(others.median()),
        ]
    }
}

/// Runs the work once.
pub fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let result = work();
    (begin.elapsed(), result)
}

/// Keeps this process, and what it starts, on the last core that it may use; `None` where the
/// kernel does not let it. Changing cores costs more than some of what is measured.
pub fn pin() -> Option<usize> {
    let allowed = sched_getaffinity(None).ok()?;
    let last = (0..CpuSet::MAX_CPU).rfind(|&core| allowed.is_set(core))?;
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one).ok()?;
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_and_median() {
        let mut samples = Samples::default();
        for millis in [5, 1, 9, 3] {
            samples.add(Duration::from_millis(millis));
        }
        assert_eq!(samples.minimum(), Duration::from_millis(1));
        assert_eq!(samples.median(), Duration::from_millis(5));
    }
}
