//! What of a policy a dialect has no words for.

use alloc::{format, string::String, vec::Vec};

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span, Spanned};
use callgate_syscalls::Abi;

use crate::{Architectures, Comparison, Condition, Dialect, Entry, Policy, Test, Width};

use super::super::{dialect::consumer, errno::LARGEST_ERRNO, words};

/// One diagnostic for each thing that can't be written.
pub(super) fn unfit(policy: &Policy, dialect: Dialect) -> Vec<Diagnostic> {
    let mut check = Check { dialect, unfit: Vec::new() };
    check.action(policy.default);
    if policy.default.value == Action::UserNotif {
        check.cannot(
            "the default action asks a supervisor, which runc refuses",
            policy.default.span,
        );
    }
    check.architectures(&policy.architectures);
    if policy.other != Policy::CONTAINER_OTHER {
        check.cannot(
            &format!(
                "another architecture gets {}, and a profile always ends the thread",
                policy.other
            ),
            policy.default.span,
        );
    }
    for (index, entry) in policy.entries.iter().enumerate() {
        if !entry.abis.is_empty() {
            let abis: Vec<&str> = entry.abis.iter().map(|abi| abi.name()).collect();
            check.cannot(
                &format!("entry {index} is for {} alone, and a profile's entries are for all its architectures", abis.join(", ")),
                entry.span,
            );
        }
        check.entry(index, entry);
    }
    check.unfit
}

/// A comparison as a profile has it, of the whole register, if it can be said so: of the low 32
/// bits only equality can, by a mask.
pub(super) fn whole_register(comparison: &Comparison) -> Option<Test> {
    const LOW: u64 = 0xffff_ffff;
    match (comparison.width, comparison.test) {
        (Width::Full, test) => Some(test),
        (Width::Low32, Test::Eq(value)) if value <= LOW => {
            Some(Test::MaskedEq { mask: LOW, value })
        }
        (Width::Low32, Test::MaskedEq { mask, value }) if mask <= LOW => {
            Some(Test::MaskedEq { mask, value })
        }
        _ => None,
    }
}

struct Check {
    dialect: Dialect,
    unfit: Vec<Diagnostic>,
}

impl Check {
    fn action(&mut self, action: Spanned<Action>) {
        let what = match action.value {
            Action::Trap(data) if data != 0 => format!("the data of a trap, {data}"),
            Action::Errno(number) if number > LARGEST_ERRNO => {
                format!("the error number {number}, which libseccomp refuses")
            }
            known if words::action_word(known).is_some() => return,
            unknown => format!("the action {unknown}"),
        };
        self.cannot(&format!("a profile has no words for {what}"), action.span);
    }

    fn architectures(&mut self, architectures: &Architectures) {
        match architectures {
            Architectures::Native => {}
            Architectures::List(list) => {
                for abi in list {
                    self.abi(*abi);
                }
            }
            Architectures::Map(map) => {
                if self.dialect == Dialect::Oci
                    && let Some((main, _)) = map.first()
                {
                    self.cannot(
                        "a runtime has one list of architectures, not one for each machine",
                        main.span,
                    );
                }
                for (main, others) in map {
                    self.abi(*main);
                    for abi in others {
                        self.abi(*abi);
                    }
                }
            }
        }
    }

    fn abi(&mut self, abi: Spanned<Abi>) {
        if abi.value.oci_name().is_none() {
            let what = format!("a profile has no words for the architecture {}", abi.value);
            self.cannot(&what, abi.span);
        }
    }

    fn entry(&mut self, index: usize, entry: &Entry) {
        self.action(entry.action);
        for (key, condition) in [("includes", &entry.includes), ("excludes", &entry.excludes)] {
            if let Some(what) = self.condition(key, condition) {
                let names = names(entry);
                self.cannot(&format!("entry {index} ({names}) has {what}"), entry.span);
            }
        }
        for comparison in &entry.comparisons {
            if whole_register(&comparison.value).is_none() {
                let what = comparison.value;
                let why = format!("entry {index} compares the low 32 bits alone ({what})");
                self.cannot(&why, comparison.span);
            }
        }
        for name in &entry.names {
            if name.value.is_empty() {
                self.cannot(&format!("entry {index} has an empty name"), name.span);
            }
            if name.value == "write" && entry.action.value == Action::UserNotif {
                self.cannot("runc refuses to hand `write` to a supervisor", name.span);
            }
        }
    }

    fn condition(&self, key: &str, condition: &Condition) -> Option<String> {
        let version = condition.min_kernel;
        if self.dialect == Dialect::Oci && !condition.is_empty() {
            return Some(format!("conditions in `{key}`, which a runtime drops"));
        }
        if self.dialect == Dialect::Containers && version.is_some() {
            return Some(format!("`minKernel` in `{key}`, which Podman drops"));
        }
        let part = |part: u16| u8::try_from(part).is_ok();
        let version = version?.value;
        let fits = part(version.major) && part(version.minor);
        (!fits).then(|| format!("the kernel {version}, and Docker reads no number above 255"))
    }

    fn cannot(&mut self, why: &str, span: Span) {
        let dialect = self.dialect;
        let mut diagnostic = Diagnostic::error("cannot-write", why)
            .at(span, format!("can't be said to {}", consumer(dialect)));
        if dialect == Dialect::Oci {
            diagnostic =
                diagnostic.help("resolve the policy for one machine and its capabilities first");
        }
        self.unfit.push(diagnostic);
    }
}

/// The first names of an entry.
fn names(entry: &Entry) -> String {
    const SHOWN: usize = 3;
    let mut text = String::new();
    for (place, name) in entry.names.iter().take(SHOWN).enumerate() {
        if place > 0 {
            text.push_str(", ");
        }
        text.push_str(&name.value);
    }
    match entry.names.len() {
        0 => String::from("no names"),
        count if count > SHOWN => format!("{text} and {} more", count - SHOWN),
        _ => text,
    }
}
