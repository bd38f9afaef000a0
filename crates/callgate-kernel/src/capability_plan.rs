//! Changing the capability sets so that a command gets exactly what it should have.

use std::fmt;

use callgate_syscalls::{Capability, CapabilitySet};

use crate::errno::Errno;
use crate::privileges::{CapSet, CapState, SETPCAP};
use crate::sys::{self, CapData};

/// How execve(2) will treat the capabilities of the one who calls it, `capabilities(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the two facts that the kernel's rule needs")]
pub struct ExecRule {
    /// The user id 0 is special: [`root_is_special`](crate::root_is_special).
    pub root: bool,
    /// no_new_privs will be set.
    pub no_new_privs: bool,
}

impl CapState {
    /// The sets that an executed file has that is neither setuid nor has file capabilities:
    /// `cap_bprm_creds_from_file` of `security/commoncap.c`.
    #[must_use]
    pub fn after_exec(&self, rule: ExecRule) -> CapState {
        let mut permitted = self.ambient.bits();
        if rule.root {
            permitted |= self.inheritable.bits() | self.bounding.bits();
        }
        if rule.no_new_privs {
            permitted &= self.permitted.bits();
        }
        let permitted = CapabilitySet::from_bits(permitted);
        CapState {
            permitted,
            effective: permitted,
            ambient: CapabilitySet::from_bits(self.ambient.bits() & permitted.bits()),
            ..*self
        }
    }

    /// The largest set that a command can be given: what the thread holds, as far as an execve(2)
    /// can hand it on.
    pub fn obtainable(&self, rule: ExecRule) -> CapabilitySet {
        let mut set = self.permitted.bits() & (self.inheritable.bits() | self.bounding.bits());
        if rule.root && !rule.no_new_privs {
            set |= self.inheritable.bits() | self.bounding.bits();
        }
        CapabilitySet::from_bits(set)
    }
}

/// What to do to the five sets before a command is executed.
///
/// The bounding set is changed before a filter is loaded, the others after it, so that the
/// filter's loading may still use CAP_SYS_ADMIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapPlan {
    /// Bits to drop from the bounding set.
    drop_bounding: u64,
    /// The new permitted, effective and inheritable sets, when they differ.
    set: Option<CapData>,
    raise_ambient: u64,
    /// The sets before execve(2).
    before_exec: Option<CapState>,
    /// Bounding bits that should go and cannot.
    kept_bounding: u64,
}

impl CapPlan {
    /// Leaves all sets as they are.
    pub fn keep() -> CapPlan {
        CapPlan {
            drop_bounding: 0,
            set: None,
            raise_ambient: 0,
            before_exec: None,
            kept_bounding: 0,
        }
    }

    /// Gives the command `wanted` as its permitted and effective sets, and nothing beyond it in
    /// any set. For root that is done by the bounding set; for others, whose programs otherwise
    /// lose every capability at execve(2), by the ambient set.
    ///
    /// Without CAP_SETPCAP the bounding set cannot be changed: [`CapPlan::kept_bounding`] then
    /// says what stays in it. That matters only to a command that executes setuid programs, which
    /// no_new_privs makes harmless.
    ///
    /// # Errors
    ///
    /// Names the first capability that cannot be given ([`CapState::obtainable`] says before which
    /// can), or that root's command would keep because the bounding set cannot be changed.
    pub fn give(
        current: &CapState,
        wanted: CapabilitySet,
        rule: ExecRule,
    ) -> Result<CapPlan, CapError> {
        if let Some(capability) = first(wanted.bits() & !current.obtainable(rule).bits()) {
            return Err(CapError::new(CapSet::Permitted, capability, Reason::NotHeld));
        }
        let surplus = current.bounding.bits() & !wanted.bits();
        let may_drop = current.effective.bits() & SETPCAP != 0;
        let drop_bounding = if may_drop { surplus } else { 0 };
        let kept_bounding = surplus & !drop_bounding;
        if let (Some(capability), true, false) =
            (first(kept_bounding), rule.root, rule.no_new_privs)
        {
            return Err(CapError::new(CapSet::Bounding, capability, Reason::NeedsSetpcap));
        }

        let permitted = current.permitted.bits() & wanted.bits();
        let inheritable =
            if rule.root { current.inheritable.bits() & wanted.bits() } else { permitted };
        let set = CapData { effective: permitted, permitted, inheritable };
        let old = CapData {
            effective: current.effective.bits(),
            permitted: current.permitted.bits(),
            inheritable: current.inheritable.bits(),
        };
        // capset(2) takes out of the ambient set what leaves the permitted or inheritable set.
        let ambient = current.ambient.bits() & permitted & inheritable;
        let raise_ambient = if rule.root { 0 } else { permitted & !ambient };
        Ok(CapPlan {
            drop_bounding,
            set: (set != old).then_some(set),
            raise_ambient,
            before_exec: Some(CapState {
                bounding: CapabilitySet::from_bits(current.bounding.bits() & !drop_bounding),
                permitted: CapabilitySet::from_bits(permitted),
                effective: CapabilitySet::from_bits(permitted),
                inheritable: CapabilitySet::from_bits(inheritable),
                ambient: CapabilitySet::from_bits(ambient | raise_ambient),
            }),
            kept_bounding,
        })
    }

    /// The sets that the command starts with, for a thread that had `current`.
    #[must_use]
    pub fn result(&self, current: &CapState, rule: ExecRule) -> CapState {
        self.before_exec.as_ref().unwrap_or(current).after_exec(rule)
    }

    /// What should leave the bounding set and stays, for want of CAP_SETPCAP.
    pub fn kept_bounding(&self) -> CapabilitySet {
        CapabilitySet::from_bits(self.kept_bounding)
    }

    /// Applies all of it to the calling thread.
    ///
    /// # Errors
    ///
    /// Names the capability and the set that could not be changed, and why. What was changed
    /// before stays changed.
    pub fn apply(&self) -> Result<(), CapError> {
        self.apply_bounding()?;
        self.apply_rest()
    }

    /// The first half. Safe between fork and exec.
    pub(crate) fn apply_bounding(&self) -> Result<(), CapError> {
        each(self.drop_bounding, |capability| {
            sys::bounding_drop(capability).map_err(|errno| {
                CapError::new(CapSet::Bounding, capability, Reason::Refused(errno))
            })
        })
    }

    /// The second half. Safe between fork and exec.
    pub(crate) fn apply_rest(&self) -> Result<(), CapError> {
        if let Some(set) = &self.set {
            sys::capset(set).map_err(|errno| CapError {
                set: CapSet::Permitted,
                capability: None,
                reason: Reason::Refused(errno),
            })?;
        }
        each(self.raise_ambient, |capability| {
            sys::ambient_raise(capability)
                .map_err(|errno| CapError::new(CapSet::Ambient, capability, Reason::Refused(errno)))
        })
    }

    /// Whether the second half calls capset(2), and for which capabilities it then calls
    /// prctl(2) PR_CAP_AMBIENT_RAISE.
    pub(crate) fn calls_of_rest(&self) -> (bool, impl Iterator<Item = u8> + use<>) {
        (self.set.is_some(), numbers(self.raise_ambient))
    }
}

fn numbers(set: u64) -> impl Iterator<Item = u8> {
    (0..64).filter(move |number| set & 1 << number != 0)
}

fn first(set: u64) -> Option<u8> {
    numbers(set).next()
}

fn each(set: u64, f: impl FnMut(u8) -> Result<(), CapError>) -> Result<(), CapError> {
    numbers(set).try_for_each(f)
}

/// A capability set that could not be made what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapError {
    set: CapSet,
    /// `None` where the kernel takes the whole set at once.
    capability: Option<u8>,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    NotHeld,
    NeedsSetpcap,
    Refused(Errno),
}

impl CapError {
    fn new(set: CapSet, capability: u8, reason: Reason) -> CapError {
        CapError { set, capability: Some(capability), reason }
    }

    /// From the three words that a child reports.
    pub(crate) fn refused(set: CapSet, capability: Option<u8>, errno: Errno) -> CapError {
        CapError { set, capability, reason: Reason::Refused(errno) }
    }

    /// The set.
    pub fn set(&self) -> CapSet {
        self.set
    }

    /// The number of the capability; `None` where the kernel took a whole set and refused it.
    pub fn capability(&self) -> Option<u8> {
        self.capability
    }

    /// Whether the caller asked for a capability that it does not hold itself.
    pub fn is_not_held(&self) -> bool {
        self.reason == Reason::NotHeld
    }

    /// What the kernel answered, where it was asked.
    pub fn errno(&self) -> Option<Errno> {
        match self.reason {
            Reason::Refused(errno) => Some(errno),
            Reason::NotHeld | Reason::NeedsSetpcap => None,
        }
    }
}

impl std::error::Error for CapError {}

impl fmt::Display for CapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.capability.map(name);
        let name = name.as_deref().unwrap_or("the capabilities");
        let set = self.set;
        match (self.reason, set) {
            (Reason::NotHeld, _) => write!(
                f,
                "{name} cannot be given to the command: it is not in this process's permitted \
                 set, or its bounding set forbids it; a process can only hand on what it holds"
            ),
            (Reason::NeedsSetpcap, _) => write!(
                f,
                "{name} cannot be taken from the command: it runs as root and gets it back from \
                 the bounding set, which only CAP_SETPCAP can change; with no_new_privs it would not"
            ),
            (Reason::Refused(errno), CapSet::Bounding) => write!(
                f,
                "{name} could not be dropped from the bounding set: {errno}; that takes \
                 CAP_SETPCAP, which an unprivileged user does not have"
            ),
            (Reason::Refused(errno), CapSet::Ambient) => write!(
                f,
                "{name} could not be raised in the ambient set: {errno}; it must be permitted and \
                 inheritable, and SECBIT_NO_CAP_AMBIENT_RAISE must not be set"
            ),
            (Reason::Refused(errno), _) => {
                write!(f, "the {set} set could not be changed for {name}: {errno}")
            }
        }
    }
}

/// `CAP_CHOWN`, or `capability 63` where there is no name yet.
fn name(number: u8) -> String {
    match Capability::from_number(number) {
        Some(capability) => capability.name().to_owned(),
        None => format!("capability {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOWN: CapabilitySet = CapabilitySet::of(&[Capability::Chown]);
    const NONE: CapabilitySet = CapabilitySet::EMPTY;

    fn state(permitted: CapabilitySet, effective: CapabilitySet) -> CapState {
        CapState {
            bounding: CapabilitySet::ALL,
            permitted,
            effective,
            inheritable: NONE,
            ambient: NONE,
        }
    }

    fn rule(root: bool, no_new_privs: bool) -> ExecRule {
        ExecRule { root, no_new_privs }
    }

    #[test]
    fn root_gains_what_the_bounding_set_has_unless_no_new_privs_forbids_it() {
        let poor = state(CHOWN, CHOWN);
        assert_eq!(poor.after_exec(rule(true, false)).permitted, CapabilitySet::ALL);
        assert_eq!(poor.after_exec(rule(true, true)).permitted, CHOWN);
        assert_eq!(poor.after_exec(rule(false, false)).permitted, NONE);
        assert_eq!(poor.obtainable(rule(true, false)), CapabilitySet::ALL);
        assert_eq!(poor.obtainable(rule(false, false)), CHOWN);
    }

    #[test]
    fn root_that_cannot_shrink_its_bounding_set_cannot_drop_anything_for_good() {
        let poor = state(CHOWN, CHOWN);
        let error = CapPlan::give(&poor, NONE, rule(true, false)).unwrap_err();
        assert_eq!(error.set(), CapSet::Bounding);
        assert!(error.to_string().contains("CAP_SETPCAP"), "{error}");
        let plan = CapPlan::give(&poor, NONE, rule(true, true)).unwrap();
        assert_eq!(plan.result(&poor, rule(true, true)).permitted, NONE);
        assert_eq!(plan.kept_bounding(), CapabilitySet::ALL);
    }

    #[test]
    fn what_is_right_already_needs_no_call() {
        let plan = CapPlan::give(&state(NONE, NONE), NONE, rule(false, true)).unwrap();
        let (capset, mut ambient) = plan.calls_of_rest();
        assert!(!capset && ambient.next().is_none());
        let all = state(CapabilitySet::ALL, CapabilitySet::ALL);
        let plan = CapPlan::give(&all, CapabilitySet::ALL, rule(true, true)).unwrap();
        assert!(!plan.calls_of_rest().0);
    }

    #[test]
    fn a_user_keeps_a_capability_by_the_ambient_set() {
        let holder = state(CHOWN, CHOWN);
        let plan = CapPlan::give(&holder, CHOWN, rule(false, true)).unwrap();
        let (capset, ambient) = plan.calls_of_rest();
        assert!(capset);
        assert_eq!(ambient.collect::<Vec<_>>(), [Capability::Chown.number()]);
        assert_eq!(plan.result(&holder, rule(false, true)).effective, CHOWN);
        let error = CapPlan::give(&holder, CapabilitySet::DOCKER_DEFAULT, rule(false, true));
        assert!(error.unwrap_err().is_not_held());
    }

    #[test]
    fn keeping_changes_nothing() {
        let current = state(CHOWN, NONE);
        let plan = CapPlan::keep();
        assert!(!plan.calls_of_rest().0);
        assert_eq!(plan.result(&current, rule(false, false)).permitted, NONE);
    }
}
