//! One system call on every architecture.

use callgate_bpf::{Action, Program, SeccompData, SyscallNr};
use callgate_syscalls::Abi;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Failure,
    origin::Origins,
    words::{self, Known, Verdict},
};
use crate::meaning::{Context, Meaning};

/// One system call on one architecture.
#[derive(Serialize, JsonSchema)]
pub struct Section {
    #[serde(rename = "arch", serialize_with = "name_of")]
    #[schemars(with = "String")]
    pub abi: Abi,
    #[serde(serialize_with = "bare")]
    #[schemars(with = "u32")]
    pub number: SyscallNr,
    verdicts: Vec<JsonVerdict>,
    /// Of a profile: the entries that it comes from, and what other capabilities would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip)]
    cost: Option<String>,
    /// With --allows: the nearest call of this number that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// With --allows, when no call of this number runs: calls that do the same, and run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instead: Vec<String>,
    #[serde(skip)]
    pub advice: Option<String>,
}

/// The first whose condition holds decides; the last has none.
#[derive(Serialize, JsonSchema)]
struct JsonVerdict {
    action: String,
    #[serde(skip)]
    sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
}

fn name_of<S: serde::Serializer>(abi: &Abi, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(abi.name())
}

fn bare<S: serde::Serializer>(nr: &SyscallNr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(nr.0)
}

/// The call on each architecture that the rules speak of and that has it.
pub fn sections(
    context: &Context,
    meaning: &Meaning,
    known: Known<'_>,
    name: &str,
) -> Vec<Section> {
    // What does not compile still has a meaning, and no cost.
    let programs = meaning.programs().unwrap_or_default();
    let origins = Origins::of(context, meaning, name);
    let section = |abi: Abi| {
        let nr = abi.number(name)?;
        let verdicts = known.verdicts(abi, nr);
        let cost = cost(context, &programs, abi, nr, &verdicts);
        let rules = known.ruleset.rules_for(abi.audit(), nr);
        let verdicts = verdicts.into_iter().map(|verdict| JsonVerdict {
            action: verdict.action.to_string(),
            sentence: words::sentence(verdict.action),
            when: verdict.condition(abi, name),
        });
        Some(Section {
            abi,
            number: nr,
            verdicts: verdicts.collect(),
            from: origins.as_ref().map(|origins| origins.line(abi, nr, name, rules)),
            cost,
            nearest: None,
            instead: Vec::new(),
            advice: None,
        })
    };
    known.ruleset.abis.iter().filter_map(|table| section(table.abi)).collect()
}

/// Architectures that treat the call alike together.
///
/// # Errors
///
/// When no architecture has it.
pub fn text(name: &str, sections: &[Section]) -> Result<String, Failure> {
    let mut groups: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for section in sections {
        let lines = section.lines();
        let place = format!("{}: {}", section.abi.name(), section.number);
        match groups.iter_mut().find(|(_, of)| *of == lines) {
            Some((places, _)) => places.push(place),
            None => groups.push((vec![place], lines)),
        }
    }
    if groups.is_empty() {
        return Err(Failure::Message(format!(
            "no architecture that the filter speaks of has a system call `{name}`"
        )));
    }
    let mut text = String::new();
    for (places, lines) in groups {
        text.push_str(&format!("{name} ({})\n", places.join(", ")));
        lines.into_iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    Ok(text)
}

impl Section {
    fn lines(&self) -> Vec<String> {
        let line = |label: &str, text: &str| format!("{label:<20} {text}");
        let only = self.verdicts.len() == 1;
        let verdicts = self.verdicts.iter().map(|verdict| match &verdict.when {
            Some(condition) => line(&verdict.sentence, &format!("when {condition}")),
            None => line(&verdict.sentence, if only { "always" } else { "otherwise" }),
        });
        let advice = self.advice.as_ref().map(|advice| line("nearest", advice));
        let from = self.from.as_ref().map(|from| line("from", from));
        let cost = self.cost.as_ref().map(|cost| line("cost", cost));
        verdicts.chain(advice).chain(from).chain(cost).collect()
    }
}

/// What the programs execute for a call, and whether the kernel even asks them: its cache has what
/// every filter always allows.
fn cost(
    context: &Context,
    programs: &[Program],
    abi: Abi,
    nr: SyscallNr,
    verdicts: &[Verdict],
) -> Option<String> {
    let data = SeccompData::new(abi.audit(), nr);
    let executed = |program: &Program| {
        let words = data.words(program.layout().byte_order);
        program.run_traced(&words, context.shifts()).path.len()
    };
    let executed: usize = programs.iter().map(executed).sum();
    let cached = programs.iter().all(|program| program.always_allows(abi.audit(), nr));
    let cache = if cached && abi.has_kernel_cache() {
        "answered by the kernel's cache"
    } else if verdicts.iter().all(|verdict| verdict.action == Action::Allow) {
        "the kernel has no cache for it"
    } else if verdicts.len() > 1 {
        "never in the kernel's cache, since it looks at an argument"
    } else {
        "never in the kernel's cache, which holds only what is allowed"
    };
    let text = format!("{executed} instructions when all arguments are 0; {cache}");
    (!programs.is_empty()).then_some(text)
}
