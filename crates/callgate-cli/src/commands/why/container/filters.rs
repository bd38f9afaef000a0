//! Who refused a call: the filters that hold its thread are asked with its own arguments.

use std::collections::BTreeMap;

use callgate_bpf::{Action, ByteOrder, Program, ShiftRule, Stack as Chain};
use callgate_kernel::{Errno, ThreadStatus, ebpf::Refused};
use callgate_policy::Target;

use crate::{
    commands::Failure,
    meaning::Origin,
    refusals::{DecidedBy, decide},
    report,
    source::{Source, Stack},
};

/// What came of a call.
pub enum Verdict {
    /// The filter refused it.
    Filter(Action, DecidedBy),
    /// It was refused with this error, and the filter would not have done that.
    Other(u16),
    /// A filter asked somebody, who answered; or a tracer took the call away.
    Answered,
    /// It failed for another reason than a want of rights.
    Nothing,
}

/// The filters of a container's processes.
pub struct Filters<'k> {
    init: i32,
    /// Of the first process, and mostly of all.
    first: Option<Stack>,
    /// Of threads that have another number of filters, by that number.
    others: BTreeMap<(i32, u32), Option<Stack>>,
    origins: &'k [Origin],
    target: Option<&'k Target>,
}

impl<'k> Filters<'k> {
    /// Of the container with this first process, which is stopped for a moment.
    ///
    /// # Errors
    ///
    /// They cannot be read, and there is no profile to ask instead.
    pub fn new(
        init: i32,
        origins: &'k [Origin],
        target: Option<&'k Target>,
    ) -> Result<Filters<'k>, Failure> {
        let first = match read(init) {
            Ok(stack) => Some(stack),
            Err(why) if origins.is_empty() => return Err(Failure::Message(why)),
            Err(why) => {
                report::warning(format!("{why}; the profile is asked instead"));
                None
            }
        };
        Ok(Filters { init, first, others: BTreeMap::new(), origins, target })
    }

    /// What came of this call, and by whom.
    pub fn verdict(&mut self, refused: &Refused) -> Verdict {
        let Some((action, by)) = self.decide(refused) else { return Verdict::Nothing };
        let errno = u16::try_from(-refused.result).ok();
        /// The kernel's MAX_ERRNO, to which it cuts a filter's number.
        const MAX_ERRNO: u16 = 4095;
        let gives = match action {
            Action::Errno(number) => errno == Some(number.min(MAX_ERRNO)),
            // The registers are as before the call, and a signal comes.
            Action::Trap(_) | Action::KillThread | Action::KillProcess => {
                refused.result == i64::from(refused.data.nr.0)
            }
            Action::Trace(_) => refused.result == -i64::from(Errno::ENOSYS.0),
            _ => false,
        };
        match errno {
            _ if gives => Verdict::Filter(action, by),
            _ if !refused.entered => Verdict::Answered,
            Some(number @ (1 | 13)) => Verdict::Other(number),
            _ => Verdict::Nothing,
        }
    }

    /// What the filter says, and what of the profile says the same.
    fn decide(&mut self, refused: &Refused) -> Option<(Action, DecidedBy)> {
        let data = &refused.data;
        let told: Vec<(Action, DecidedBy)> = match self.target {
            Some(target) => self.origins.iter().map(|o| decide(o, target, data)).collect(),
            None => Vec::new(),
        };
        let init = self.init;
        let Some((thread, stack)) = self.of(refused) else { return told.into_iter().next() };
        let chain: Chain<'_> = stack.programs.iter().collect();
        let shifts = ShiftRule::of_kernel(data.arch);
        let words = data.words(ByteOrder::NATIVE);
        let decision = chain.run(&words, shifts);
        let action = decision.action.action();
        // One filter, or the oldest, which is the runtime's.
        let profiles = decision.filter.is_none_or(|index| index + 1 == stack.programs.len());
        if let Some(same) = told.iter().find(|(said, _)| profiles && *said == action) {
            return Some(same.clone());
        }
        let filter = decision.filter.unwrap_or(0);
        let instruction =
            |program: &Program| program.run_traced(&words, shifts).path.last().copied();
        let place = stack.programs.get(filter).and_then(instruction).unwrap_or(0);
        let which = match (stack.programs.len(), thread == init) {
            (0 | 1, _) => String::new(),
            _ => format!(" of {}", stack.filter_name(filter)),
        };
        let differs = match told.is_empty() {
            false if profiles => {
                "; the profile says otherwise, so the container was started with another"
            }
            false => "; a filter that the program has loaded itself",
            true => "",
        };
        let text = format!("instruction {place}{which}{differs}");
        let filter = Some(stack.name.replace("tid:", "pid:"));
        Some((action, DecidedBy { filter, text, entry: None, place: None, refuses: false }))
    }

    /// The filters that hold a thread, and whose those are that were read.
    fn of(&mut self, refused: &Refused) -> Option<(i32, &Stack)> {
        let count = |thread: i32| ThreadStatus::of_thread(thread).ok()?.filters;
        // A container that had not started when this did.
        if self.first.as_ref().is_some_and(|stack| stack.programs.is_empty())
            && count(self.init).is_some_and(|now| now > 0)
        {
            self.first = read(self.init).ok();
        }
        let known = self.first.as_ref().and_then(|stack| u32::try_from(stack.programs.len()).ok());
        // Of a thread that is gone, the number is not known; mostly it is that of all others.
        let own = count(refused.thread);
        if own.is_none() || own == known {
            return self.first.as_ref().map(|stack| (self.init, stack));
        }
        let key = (refused.thread, own.unwrap_or(0));
        let other = self.others.entry(key).or_insert_with(|| read(refused.thread).ok());
        other.as_ref().or(self.first.as_ref()).map(|stack| (refused.thread, stack))
    }
}

/// The filters of a thread.
fn read(thread: i32) -> Result<Stack, String> {
    match Source::open(&format!("tid:{thread}"), None)? {
        Source::Stack(stack) => Ok(stack),
        _ => Err(format!("tid:{thread} is no thread")),
    }
}
