//! From a policy to the rules of one target.
//!
//! The meaning is runc's with libseccomp, which is what a profile's author has tested with:
//! every name is a rule per ABI that has it, rules equal to the default are none, and several
//! rules of one number combine as [`NumberRules`] says.

mod combine;

use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};

use callgate_bpf::{Action, SyscallNr};
use callgate_diagnostic::{Diagnostic, Severity, Span, Spanned};
use callgate_syscalls::Abi;

use self::combine::{NumberRules, Refusal};
use crate::{
    AbiRules, Architectures, ArgIndex, Comparison, Condition, Entry, Newer, NewerCalls, Policy,
    Rule, Ruleset, Target, Test, quote::quoted, suggest,
};

/// The outcome of [`Policy::resolve`].
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The rules; none when a diagnostic is an error.
    pub ruleset: Option<Ruleset>,
    /// What was found, with places in the policy's text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Policy {
    /// The rules of this policy for one target.
    pub fn resolve(&self, target: &Target) -> Resolution {
        let listed = self.listed_abis(target.native);
        let abis = self.target_abis(target);
        let mut resolver = Resolver {
            policy: self,
            target,
            tables: abis.iter().map(|&abi| Table::new(abi)).collect(),
            findings: Findings::default(),
        };
        for (index, entry) in self.entries.iter().enumerate() {
            resolver.entry(index, entry);
        }
        let enosys_abis = match target.newer {
            NewerCalls::Default => &[][..],
            NewerCalls::Enosys => &abis,
            NewerCalls::LikeRunc => target.abis.as_ref().unwrap_or(&listed),
        };
        resolver.finish(enosys_abis)
    }

    /// What there is to say of names that no ABI has, as [`Policy::resolve`] says it among the
    /// rest. For a policy with errors elsewhere, whose rules would be meaningless.
    pub fn unknown_names(&self, target: &Target) -> Vec<Diagnostic> {
        let mut diagnostics = self.resolve(target).diagnostics;
        diagnostics.retain(|diagnostic| diagnostic.id == "unknown-syscall");
        diagnostics
    }

    /// The ABIs that rules are made for: those of the target, or else the machine's own and those
    /// that the text names for it.
    pub(crate) fn target_abis(&self, target: &Target) -> Vec<Abi> {
        let listed = || with_native(target.native, &self.listed_abis(target.native));
        target.abis.clone().unwrap_or_else(listed)
    }

    /// The ABIs that the text names for a machine of this one.
    fn listed_abis(&self, native: Abi) -> Vec<Abi> {
        match &self.architectures {
            Architectures::Native => Vec::new(),
            Architectures::List(list) => list.iter().map(|abi| abi.value).collect(),
            Architectures::Map(map) => map
                .iter()
                .find(|(main, _)| main.value == native)
                .map(|(main, others)| {
                    core::iter::once(main).chain(others).map(|abi| abi.value).collect()
                })
                .unwrap_or_default(),
        }
    }
}

impl Entry {
    /// Whether the entry counts for a target.
    pub fn applies_to(&self, target: &Target) -> bool {
        let arch = |condition: &Condition| {
            condition.arches.iter().any(|name| name.value == target.native.go_name())
        };
        let cap =
            |cap: &Spanned<callgate_syscalls::Capability>| target.capabilities.contains(cap.value);
        let kernel = |condition: &Condition| {
            condition.min_kernel.is_some_and(|minimum| target.kernel >= minimum.value)
        };
        let Entry { includes, excludes, .. } = self;
        !arch(excludes)
            && !excludes.caps.iter().any(cap)
            && !kernel(excludes)
            && (includes.arches.is_empty() || arch(includes))
            && includes.caps.iter().all(cap)
            && (includes.min_kernel.is_none() || kernel(includes))
    }
}

/// The machine's own ABI first, then the others as listed, none twice.
fn with_native(native: Abi, listed: &[Abi]) -> Vec<Abi> {
    let mut abis = vec![native];
    for &abi in listed {
        if !abis.contains(&abi) {
            abis.push(abi);
        }
    }
    abis
}

struct Resolver<'a> {
    policy: &'a Policy,
    target: &'a Target,
    tables: Vec<Table>,
    findings: Findings,
}

/// What was found, in bounded memory: a text can hold a million unknown names.
#[derive(Default)]
struct Findings {
    kept: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Findings {
    /// The most that are kept of one severity.
    const MOST: usize = 100;

    fn push(&mut self, diagnostic: Diagnostic) {
        let count = if diagnostic.is_error() { &mut self.errors } else { &mut self.warnings };
        *count += 1;
        if *count <= Findings::MOST {
            self.kept.push(diagnostic);
        }
    }

    fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        let errors = self.errors.saturating_sub(Findings::MOST);
        let warnings = self.warnings.saturating_sub(Findings::MOST);
        if errors + warnings > 0 {
            let message =
                format!("{errors} more errors and {warnings} more warnings are not shown");
            self.kept.push(Diagnostic::note("not-shown", message));
        }
        self.kept
    }
}

/// The rules of one ABI while they are gathered.
struct Table {
    abi: Abi,
    rules: BTreeMap<SyscallNr, NumberRules>,
    /// The largest number named, whatever the verdict; 0 counts as none, as in runc.
    last: SyscallNr,
}

impl Table {
    fn new(abi: Abi) -> Table {
        Table { abi, rules: BTreeMap::new(), last: SyscallNr(0) }
    }
}

impl Resolver<'_> {
    fn entry(&mut self, index: usize, entry: &Entry) {
        let applies = entry.applies_to(self.target);
        let container = self.policy.dialect.is_some();
        // libseccomp refuses rules equal to the default, so runtimes leave them out.
        let is_rule = applies && !(container && entry.action.value == self.policy.default.value);
        let alternatives = if container { alternatives(entry) } else { vec![all(entry)] };
        if is_rule {
            self.check_constants(entry);
        }
        for name in &entry.names {
            if callgate_syscalls::syscall(&name.value).is_none() {
                self.unknown_name(name, entry.action.value, is_rule);
                continue;
            }
            if !applies {
                continue;
            }
            for table in 0..self.tables.len() {
                if !entry.abis.is_empty() && !entry.abis.contains(&self.tables[table].abi) {
                    continue;
                }
                self.note_number(table, &name.value);
                if is_rule {
                    for comparisons in &alternatives {
                        self.add(table, &name.value, entry, index, comparisons);
                    }
                }
            }
        }
    }

    fn note_number(&mut self, table: usize, name: &str) {
        let runc = self.target.newer == NewerCalls::LikeRunc;
        let table = &mut self.tables[table];
        // libseccomp gives a multiplexed name a number of its own invention, which runc skips.
        if runc && table.abi.multiplexer(name).is_some() {
            return;
        }
        if let Some(nr) = table.abi.number(name) {
            table.last = table.last.max(nr);
        }
    }

    /// Adds the rule under the name's own number, and under its multiplexer where there is one.
    fn add(
        &mut self,
        table: usize,
        name: &str,
        entry: &Entry,
        index: usize,
        comparisons: &[Comparison],
    ) {
        let abi = self.tables[table].abi;
        let rule = |comparisons: Vec<Comparison>| Rule {
            action: entry.action.value,
            comparisons,
            entry: index,
        };
        let mut added = Vec::new();
        let container = self.policy.dialect.is_some();
        if let Some(multiplexed) = abi.multiplexer(name).filter(|_| container) {
            // The selector takes the place of whatever was said of the first argument; the other
            // registers are compared as they stand. So does libseccomp.
            let selector =
                Comparison::full(ArgIndex::ALL[0], Test::Eq(u64::from(multiplexed.call)));
            let others = comparisons.iter().filter(|c| c.arg != selector.arg).copied();
            added.push((multiplexed.nr, rule(core::iter::once(selector).chain(others).collect())));
        }
        if let Some(nr) = abi.number(name) {
            added.push((nr, rule(comparisons.to_vec())));
        }
        for (nr, mut rule) in added {
            if abi.arg_bits() == 32 {
                for comparison in &mut rule.comparisons {
                    comparison.test = comparison.test.low_word();
                }
            }
            let rules = &mut self.tables[table].rules;
            let empty = || NumberRules::new(abi.arg_bits(), container);
            let rules = rules.entry(nr).or_insert_with(empty);
            match rules.insert(rule) {
                Ok(()) => {}
                Err(Refusal::Conflict(other)) => return self.conflict(name, entry, other),
                Err(Refusal::TooMany) => return self.too_many(name, entry),
            }
        }
    }

    fn too_many(&mut self, name: &str, entry: &Entry) {
        let place = name_place(entry, name);
        self.report_once(
            Diagnostic::error("too-many-rules", format!("too many rules for {}", quoted(name)))
                .at(place, "the 65,536 before it are more than any program can hold"),
        );
    }

    /// Adds a finding, unless the same stands at its place already: each ABI finds it anew.
    fn report_once(&mut self, diagnostic: Diagnostic) {
        let place = |d: &Diagnostic| d.primary().map(|label| label.span);
        let known = |d: &Diagnostic| d.id == diagnostic.id && place(d) == place(&diagnostic);
        if !self.findings.kept.iter().any(known) {
            self.findings.push(diagnostic);
        }
    }

    fn conflict(&mut self, name: &str, entry: &Entry, other: usize) {
        let other = &self.policy.entries[other];
        self.report_once(
            Diagnostic::error(
                "conflicting-rules",
                format!("two rules for {} take the same calls and give different answers", quoted(name)),
            )
            .at(name_place(entry, name), format!("this one answers {}", entry.action.value))
            .at(name_place(other, name), format!("this one answers {}", other.action.value))
            .help("runc refuses such a profile; remove one of the two, or make their conditions exclude each other"),
        );
    }

    fn unknown_name(&mut self, name: &Spanned<String>, action: Action, is_rule: bool) {
        let default = self.policy.default.value;
        let looser = is_rule && action.raw().rank() < default.raw().rank();
        let (severity, consequence) = if looser {
            (Severity::Error, format!("ignoring it would leave the call to the default, {default}"))
        } else {
            (Severity::Warning, format!("ignored, so the default stays: {default}"))
        };
        let kept =
            if severity == Severity::Error { self.findings.errors } else { self.findings.warnings };
        // A suggestion takes longer to find than everything else here.
        let near = (kept < Findings::MOST).then(|| suggest::syscall(&name.value)).flatten();
        let mut diagnostic = Diagnostic::new(
            "unknown-syscall",
            severity,
            format!("no architecture has a syscall {}; {consequence}", quoted(&name.value)),
        );
        match near {
            Some(near) => {
                diagnostic = diagnostic
                    .at(name.span, format!("did you mean `{near}`?"))
                    .replace(name.span, near);
            }
            None => diagnostic = diagnostic.at(name.span, ""),
        }
        self.findings.push(diagnostic);
    }

    /// Warns of constants of which libseccomp uses a part.
    fn check_constants(&mut self, entry: &Entry) {
        for comparison in &entry.comparisons {
            if comparison.value != within_mask(comparison.value) {
                self.findings.push(
                    Diagnostic::warning(
                        "value-outside-mask",
                        "the value has bits outside the mask, which are ignored",
                    )
                    .at(comparison.span, "`valueTwo` counts only where `value` has bits"),
                );
            }
        }
        let Some(table) = self.tables.iter().find(|table| {
            table.abi.arg_bits() == 32
                && entry.names.iter().any(|name| table.abi.number(&name.value).is_some())
        }) else {
            return;
        };
        for comparison in &entry.comparisons {
            let wide = |constant| constant > u64::from(u32::MAX);
            // The upper half of a mask asks for zeros where the value has them, as there are.
            let truncated = match comparison.value.test {
                Test::MaskedEq { value, .. } => wide(value),
                test => test.constants().any(wide),
            };
            if truncated {
                self.findings.push(
                    Diagnostic::warning(
                        "truncated-constant",
                        format!(
                            "{} compares the low 32 bits of an argument; the upper half of this constant is dropped there",
                            table.abi.name()
                        ),
                    )
                    .at(comparison.span, "wider than 32 bits"),
                );
            }
        }
    }

    fn finish(self, enosys_abis: &[Abi]) -> Resolution {
        let default = self.policy.default.value;
        let newer_matters = self.policy.dialect.is_some()
            && !default.runs_call()
            && !matches!(default, Action::Trace(_));
        let abis = self
            .tables
            .into_iter()
            .map(|table| {
                let newer = (newer_matters
                    && enosys_abis.contains(&table.abi)
                    && table.last != SyscallNr(0))
                .then(|| Newer {
                    last: table.last,
                    action: Newer::enosys(table.abi),
                    also: matches!(table.abi, Abi::S390 | Abi::S390x).then_some(SyscallNr(0)),
                });
                let rules = table.rules.into_iter().map(|(nr, rules)| (nr, rules.into_ordered()));
                AbiRules { abi: table.abi, default, rules: rules.collect(), newer }
            })
            .collect();
        let ruleset = Ruleset {
            abis,
            other: self.policy.other,
            flags: self.policy.flags.iter().map(|flag| flag.value).collect(),
        };
        let failed = self.findings.errors > 0;
        Resolution {
            ruleset: (!failed).then_some(ruleset),
            diagnostics: self.findings.into_diagnostics(),
        }
    }
}

/// The comparison as libseccomp makes it: of the value of a masked comparison, the bits outside
/// the mask are dropped.
fn within_mask(comparison: Comparison) -> Comparison {
    match comparison.test {
        Test::MaskedEq { mask, value } => {
            Comparison { test: Test::MaskedEq { mask, value: value & mask }, ..comparison }
        }
        _ => comparison,
    }
}

/// The comparisons of an entry as they stand.
fn all(entry: &Entry) -> Vec<Comparison> {
    entry.comparisons.iter().map(|c| c.value).collect()
}

/// Where an entry names a call.
fn name_place(entry: &Entry, name: &str) -> Span {
    entry.names.iter().find(|n| n.value == name).map_or(entry.span, |n| n.span)
}

/// The conjunctions that an entry stands for: one of all its comparisons, or one of each when an
/// argument occurs twice. So does runc, in memory of its first format.
fn alternatives(entry: &Entry) -> Vec<Vec<Comparison>> {
    let comparisons: Vec<Comparison> = all(entry).into_iter().map(within_mask).collect();
    let twice = comparisons
        .iter()
        .enumerate()
        .any(|(i, c)| comparisons[..i].iter().any(|before| before.arg == c.arg));
    if twice { comparisons.into_iter().map(|c| vec![c]).collect() } else { vec![comparisons] }
}
