//! Several filters on one thread.

use alloc::vec::Vec;

use crate::cost::{ATTACHED_PENALTY, PATH_BUDGET};
use crate::{Action, Program, RawAction, ShiftRule};

/// The filters of a thread, newest first, as the kernel keeps and runs them.
///
/// ```
/// use callgate_bpf::*;
///
/// let layout = Layout::seccomp(ByteOrder::NATIVE);
/// let always = |action: Action| Program::new(vec![Op::Return(action.raw().0).into()], layout);
/// let (newest, oldest) = (always(Action::Errno(2))?, always(Action::Errno(1))?);
/// let stack: Stack = [&newest, &oldest].into_iter().collect();
/// let decision = stack.run(&[0; 16], ShiftRule::Low5);
/// // Equal rank: the newest keeps its data.
/// assert_eq!(decision.action.action(), Action::Errno(2));
/// assert_eq!(decision.filter, Some(0));
/// # Ok::<(), Invalid>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stack<'a> {
    newest_first: Vec<&'a Program>,
}

/// What a stack of filters answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// The word that the kernel acts on.
    pub action: RawAction,
    /// The filter whose word it is, counted from the newest; `None` when no filter said anything
    /// stronger than ALLOW.
    pub filter: Option<usize>,
}

impl<'a> Stack<'a> {
    /// Puts a filter on top: it becomes the newest.
    pub fn push(&mut self, program: &'a Program) {
        self.newest_first.insert(0, program);
    }

    /// The programs, newest first.
    pub fn programs(&self) -> &[&'a Program] {
        &self.newest_first
    }

    /// Runs every filter and combines the answers as `seccomp_run_filters` of
    /// `kernel/seccomp.c` does.
    ///
    /// It starts with ALLOW; a filter's word replaces what stands when its [`RawAction::rank`]
    /// is strictly lower. Without filters the answer is ALLOW. Calls that the kernel never shows
    /// a filter are not known here.
    pub fn run(&self, words: &[u32; 16], shifts: ShiftRule) -> Decision {
        let mut decision = Decision { action: Action::Allow.raw(), filter: None };
        for (filter, program) in self.newest_first.iter().enumerate() {
            let action = program.run(words, shifts);
            if action.rank() < decision.action.rank() {
                decision = Decision { action, filter: Some(filter) };
            }
        }
        decision
    }

    /// What the kernel counts when the newest filter is attached to the others, in eBPF
    /// instructions. It fits when this is at most [`PATH_BUDGET`].
    pub fn path_cost(&self) -> u32 {
        self.total(Program::path_cost)
    }

    /// As [`Stack::path_cost`], all programs loaded under constant blinding
    /// ([`Program::path_cost_blinded`]).
    pub fn path_cost_blinded(&self) -> u32 {
        self.total(Program::path_cost_blinded)
    }

    /// Whether [`Stack::path_cost`] is within the budget.
    pub fn fits_path_budget(&self) -> bool {
        self.path_cost() <= PATH_BUDGET
    }

    fn total(&self, cost: impl Fn(&Program) -> u32) -> u32 {
        let mut costs = self.newest_first.iter().map(|program| cost(program));
        let newest = costs.next().unwrap_or(0);
        costs.fold(newest, |sum, cost| sum.saturating_add(cost).saturating_add(ATTACHED_PENALTY))
    }
}

/// Newest first.
impl<'a> FromIterator<&'a Program> for Stack<'a> {
    fn from_iter<I: IntoIterator<Item = &'a Program>>(programs: I) -> Stack<'a> {
        Stack { newest_first: programs.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{ByteOrder, Layout, Op};

    fn always(word: u32) -> Program {
        Program::new(vec![Op::Return(word).into()], Layout::seccomp(ByteOrder::Little)).unwrap()
    }

    fn decide(words: &[u32]) -> (u32, Option<usize>) {
        let programs: Vec<Program> = words.iter().copied().map(always).collect();
        let stack: Stack = programs.iter().collect();
        let decision = stack.run(&[0; 16], ShiftRule::Low5);
        (decision.action.0, decision.filter)
    }

    #[test]
    fn the_strongest_wins_wherever_it_stands() {
        assert_eq!(decide(&[0x7fff_0000, 0x0005_0001]), (0x0005_0001, Some(1)));
        assert_eq!(decide(&[0x0005_0001, 0x7fff_0000]), (0x0005_0001, Some(0)));
        // KILL_PROCESS is negative, and so are unknown words beside it.
        assert_eq!(decide(&[0, 0x8000_0000]), (0x8000_0000, Some(1)));
        assert_eq!(decide(&[0x9000_0000, 0]), (0x9000_0000, Some(0)));
        assert_eq!(decide(&[0x8000_0000, 0x9000_0000]), (0x8000_0000, Some(0)));
        assert_eq!(decide(&[0x0003_0000, 0x0002_0000]), (0x0002_0000, Some(1)));
    }

    #[test]
    fn a_tie_keeps_the_newest() {
        assert_eq!(decide(&[0x0005_0002, 0x0005_0001]), (0x0005_0002, Some(0)));
        assert_eq!(decide(&[0x7fff_0000, 0x7ff0_0009, 0x7ff0_0001]), (0x7ff0_0009, Some(1)));
    }

    #[test]
    fn allow_data_never_counts() {
        assert_eq!(decide(&[0x7fff_1234]), (0x7fff_0000, None));
        assert_eq!(decide(&[]), (0x7fff_0000, None));
    }

    #[test]
    fn a_filter_put_on_top_is_the_newest() {
        let (first, second) = (always(0x0005_0001), always(0x0005_0002));
        let mut stack = Stack::default();
        stack.push(&first);
        stack.push(&second);
        assert_eq!(stack.run(&[0; 16], ShiftRule::Low5).action.0, 0x0005_0002);
        assert_eq!(stack.programs()[1], &first);
    }

    #[test]
    fn the_budget_counts_a_penalty_for_each_older_filter() {
        let big = {
            let instructions = vec![Op::Return(1).into(); 4096];
            Program::new(instructions, Layout::seccomp(ByteOrder::Little)).unwrap()
        };
        let mut stack = Stack::default();
        assert_eq!(stack.path_cost(), 0);
        for _ in 0..3 {
            stack.push(&big);
        }
        assert_eq!(stack.path_cost(), 3 * 8195 + 2 * 4);
        assert!(stack.fits_path_budget());
        stack.push(&big);
        assert!(!stack.fits_path_budget());
    }
}
