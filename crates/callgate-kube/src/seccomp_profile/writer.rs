//! From a policy to a resource.

use std::collections::BTreeSet;

use callgate_bpf::Action;
use callgate_diagnostic::{Diagnostic, Span};
use callgate_policy::{
    Architectures, Dialect, Policy,
    formats::profile,
    json::{self, Kind, Value},
};
use callgate_syscalls::Abi;

use super::{GROUP, KIND};
use crate::emit::Node;

/// Which is served by all releases since 0.7, the newest included.
const VERSION: &str = "v1beta1";

/// The most comparisons of an entry.
const MOST_ARGUMENTS: usize = 6;

/// Where the operator's sockets lie.
const LISTENERS: &str = "/var/run/security-profiles-operator/";

pub(super) fn write(policy: &Policy, name: &str) -> Result<String, Vec<Diagnostic>> {
    let mut policy = policy.clone();
    // The resource has no place for remarks, and refuses entries without names.
    policy.entries.retain(|entry| !entry.names.is_empty());
    policy.entries.iter_mut().for_each(|entry| entry.comment = None);
    let mut unfit = unfit(&policy);
    let json = match profile::write(&policy, Dialect::Oci) {
        Ok(json) => json,
        Err(more) => {
            unfit.extend(more);
            String::new()
        }
    };
    if !unfit.is_empty() {
        return Err(unfit);
    }
    let document = json::parse(&json).map_err(|error| vec![error])?;
    let spec = object(document.root());
    let resource = Node::map([
        ("apiVersion", format!("{GROUP}/{VERSION}").into()),
        ("kind", KIND.into()),
        ("metadata", Node::map([("name", name.into())])),
        ("spec", spec),
    ]);
    Ok(resource.to_yaml())
}

/// What the resource has no words for and a runtime's profile has.
fn unfit(policy: &Policy) -> Vec<Diagnostic> {
    let mut unfit = Vec::new();
    let mut cannot = |why: String, span: Span| {
        let diagnostic = Diagnostic::error("cannot-write", why);
        unfit.push(diagnostic.at(span, "can't be said in a SeccompProfile"));
    };
    if let Action::Errno(number) | Action::Trace(number) = policy.default.value
        && number != 1
    {
        cannot(
            format!("the default's number is {number}, and in the resource it is always 1, EPERM"),
            policy.default.span,
        );
    }
    if let Architectures::List(list) = &policy.architectures {
        for abi in list.iter().filter(|abi| !is_known(abi.value)) {
            cannot(
                format!("the resource has no words for the architecture {}", abi.value),
                abi.span,
            );
        }
    }
    if let Some(listener) = &policy.listener
        && !listener.path.value.starts_with(LISTENERS)
    {
        let why = format!("a supervisor's socket lies elsewhere than in {LISTENERS}");
        cannot(why, listener.path.span);
    }
    for (index, entry) in policy.entries.iter().enumerate() {
        if let Action::Errno(0) | Action::Trace(0) = entry.action.value {
            let why =
                format!("entry {index} has the number 0, which in the resource counts as EPERM");
            cannot(why, entry.action.span);
        }
        if let Action::Trace(number) = entry.action.value
            && number > 4095
        {
            let why = format!(
                "entry {index} gives a tracer {number}, and the resource takes 4095 at most"
            );
            cannot(why, entry.action.span);
        }
        if entry.comparisons.len() > MOST_ARGUMENTS {
            let why = format!("entry {index} has more than {MOST_ARGUMENTS} comparisons");
            cannot(why, entry.span);
        }
        for comparison in &entry.comparisons {
            let wide = |number: u64| i64::try_from(number).is_err();
            let mask = match comparison.value.test {
                callgate_policy::Test::MaskedEq { mask, .. } => wide(mask),
                _ => false,
            };
            if mask || comparison.value.test.constants().any(wide) {
                let why = format!("entry {index} compares with a number above {}", i64::MAX);
                cannot(why, comparison.span);
            }
        }
    }
    unfit
}

/// Whether the resource's schema has a word for it (`Arch` in `api/seccompprofile/v1`).
fn is_known(abi: Abi) -> bool {
    matches!(
        abi,
        Abi::X86
            | Abi::X86_64
            | Abi::X32
            | Abi::Arm
            | Abi::Aarch64
            | Abi::Mips
            | Abi::Mips64
            | Abi::Mips64n32
            | Abi::Mipsel
            | Abi::Mipsel64
            | Abi::Mipsel64n32
            | Abi::Ppc
            | Abi::Ppc64
            | Abi::Ppc64le
            | Abi::S390
            | Abi::S390x
            | Abi::Parisc
            | Abi::Parisc64
            | Abi::Riscv64
    )
}

fn object(value: Value<'_>) -> Node {
    let members = value.members().filter_map(|(key, value)| {
        let key = key.as_str()?.into_owned();
        // Always 1, as was looked at.
        (key != "defaultErrnoRet").then(|| (key, node(value)))
    });
    Node::Map(members.collect())
}

fn node(value: Value<'_>) -> Node {
    match value.kind() {
        Kind::Object => object(value),
        Kind::Array => Node::List(elements(value)),
        Kind::Number => Node::Number(value.as_u64().unwrap_or_default()),
        _ => Node::Text(value.as_str().unwrap_or_default().into_owned()),
    }
}

/// Of equal strings the first: lists of strings are sets in the resource.
fn elements(value: Value<'_>) -> Vec<Node> {
    let mut seen = BTreeSet::new();
    value
        .elements()
        .filter(|element| element.as_str().is_none_or(|text| seen.insert(text.into_owned())))
        .map(node)
        .collect()
}
