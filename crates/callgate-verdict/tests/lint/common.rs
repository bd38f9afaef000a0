//! Making filters, looking at them, and holding what is found against the filter itself.

use callgate_bpf::{Action, ByteOrder, Layout, Program, SeccompData, ShiftRule, Stack, asm};
use callgate_diagnostic::Edit;
use callgate_policy::{Dialect, NewerCalls, Policy, Ruleset, Target, formats::profile};
use callgate_syscalls::{Abi, CapabilitySet, KernelVersion};
use callgate_verdict::{
    Manager,
    lint::{self, Finding, Subject, Written},
};

const ORDER: ByteOrder = ByteOrder::Little;

/// A text and the machine that it is looked at for.
pub struct Profile {
    text: String,
    target: Target,
}

/// What was found, with what it was found in.
pub struct Found {
    pub findings: Vec<Finding>,
    decide: Box<dyn Fn(&SeccompData) -> Action>,
    profile: Option<Profile>,
}

/// A profile in Docker's form, for x86_64 with x86 and x32.
pub fn profile(text: &str) -> Profile {
    let target = Target {
        native: Abi::X86_64,
        abis: Some(vec![Abi::X86_64, Abi::X86, Abi::X32]),
        capabilities: CapabilitySet::DOCKER_DEFAULT,
        kernel: KernelVersion::new(6, 12),
        newer: NewerCalls::Enosys,
    };
    Profile { text: text.to_owned(), target }
}

/// A profile that refuses with EPERM what these entries do not say.
pub fn refusing(entries: &str) -> Profile {
    profile(&format!(r#"{{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [ {entries} ] }}"#))
}

/// A profile that allows what these entries do not say.
pub fn allowing(entries: &str) -> Profile {
    profile(&format!(r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [ {entries} ] }}"#))
}

impl Profile {
    pub fn on(mut self, abis: &[Abi]) -> Profile {
        self.target.native = abis[0];
        self.target.abis = Some(abis.to_vec());
        self
    }

    pub fn kernel(mut self, major: u16, minor: u16) -> Profile {
        self.target.kernel = KernelVersion::new(major, minor);
        self
    }

    pub fn newer(mut self, newer: NewerCalls) -> Profile {
        self.target.newer = newer;
        self
    }

    fn read(&self) -> (Policy, Ruleset) {
        let reading = profile::read(&self.text, Some(Dialect::Docker));
        let policy = reading.policy.unwrap_or_else(|| panic!("{:#?}", reading.diagnostics));
        let resolution = policy.resolve(&self.target);
        let ruleset = resolution.ruleset;
        (policy, ruleset.unwrap_or_else(|| panic!("{:#?}", resolution.diagnostics)))
    }

    pub fn lint(self) -> Found {
        let (policy, ruleset) = self.read();
        let written =
            Written { text: &self.text, policy: &policy, target: &self.target, ruleset: &ruleset };
        let mut manager = Manager::new(Layout::seccomp(ORDER));
        let findings = lint::lint(&mut manager, &Subject::of_text(written, &[])).unwrap();
        Found {
            findings,
            decide: Box::new(move |data| ruleset.decide(data).0),
            profile: Some(self),
        }
    }
}

/// Programs of one process on an x86_64 machine, newest first.
pub fn programs(texts: &[&str]) -> Found {
    let layout = Layout::seccomp(ORDER);
    let assemble = |text: &&str| asm::assemble(text, layout).unwrap_or_else(|e| panic!("{e}"));
    let programs: Vec<Program> = texts.iter().map(assemble).collect();
    let subject = Subject::of_programs(&programs, Abi::X86_64);
    let mut manager = Manager::new(layout);
    let findings = lint::lint(&mut manager, &subject).unwrap();
    let decide = move |data: &SeccompData| {
        let stack: Stack = programs.iter().collect();
        stack.run(&data.words(ORDER), ShiftRule::Low5).action.action()
    };
    Found { findings, decide: Box::new(decide), profile: None }
}

/// A program on an x86_64 machine.
pub fn program(text: &str) -> Found {
    programs(&[text])
}

impl Found {
    /// The finding of this id. Its example is what the filter does, asked another way than the
    /// lint asks.
    pub fn fires(&self, id: &str) -> &Finding {
        let finding = self.findings.iter().find(|finding| finding.diagnostic.id == id);
        let finding = finding.unwrap_or_else(|| panic!("no {id} in {:#?}", self.ids()));
        assert!(!finding.diagnostic.message.is_empty(), "{id}");
        assert!(!finding.consequence.is_empty(), "{id}");
        if let Some(example) = &finding.example {
            assert_eq!((self.decide)(&example.call), example.action, "{finding:#?}");
            if let Some((against, action)) = &example.against {
                assert_eq!((self.decide)(against), *action, "{finding:#?}");
            }
        }
        finding
    }

    /// As [`Found::fires`], where a call that runs shows it, against one that does not.
    pub fn shows_a_way(&self, id: &str) -> &Finding {
        let finding = self.fires(id);
        let example = finding.example.unwrap_or_else(|| panic!("{id} has no example"));
        assert!(example.action.runs_call(), "{finding:#?}");
        let (_, against) = example.against.unwrap_or_else(|| panic!("{id} is against nothing"));
        assert!(!against.runs_call(), "{finding:#?}");
        finding
    }

    pub fn is_silent(&self, id: &str) {
        let found = self.findings.iter().find(|finding| finding.diagnostic.id == id);
        assert!(found.is_none(), "{found:#?}");
    }

    /// The finding's edits, made in the text, leave nothing of it, and no other warning instead.
    pub fn mend(self, id: &str) -> String {
        let finding = self.fires(id).clone();
        let before: Vec<&str> = self.ids();
        assert!(!finding.diagnostic.edits.is_empty(), "{id} has no edits");
        let Profile { text, target } = self.profile.as_ref().expect("a text");
        let text = edited(text, &finding.diagnostic.edits);
        let again = Profile { text: text.clone(), target: target.clone() }.lint();
        let after = again.ids();
        assert!(!after.contains(&id), "{text}\n{after:?}");
        let new: Vec<&&str> = after.iter().filter(|id| !before.contains(id)).collect();
        assert!(new.is_empty(), "{text}\n{new:?}");
        text
    }

    pub fn ids(&self) -> Vec<&'static str> {
        self.findings.iter().map(|finding| finding.diagnostic.id).collect()
    }
}

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut edits = edits.to_vec();
    edits.sort_by_key(|edit| edit.span.start);
    let mut result = String::new();
    let mut at = 0;
    for edit in edits {
        assert!(edit.span.start >= at, "edits overlap");
        result.push_str(&text[at..edit.span.start]);
        result.push_str(&edit.replacement);
        at = edit.span.end;
    }
    result + &text[at..]
}
