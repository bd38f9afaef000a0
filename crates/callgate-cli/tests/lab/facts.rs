//! Facts about runc, each shown on runc itself and then asked of `callgate run`.

use super::{
    Lab,
    answers::Outcome,
    bundle::{self, Runtime},
    calls::Call,
    tell,
};

/// What a profile does to some calls.
pub struct Fact {
    title: String,
    profile: String,
    expected: Expected,
    ours: Ours,
}

enum Expected {
    /// The container starts, and the calls have these answers.
    Answers(Vec<(Call, &'static str)>),
    /// It does not, and the message holds this text.
    Refusal(&'static str),
}

enum Ours {
    Same,
    /// What runc takes without a word and callgate refuses, with this in the message.
    Refuses(&'static str),
}

impl Fact {
    /// Under `profile` (the text of `linux.seccomp`) the calls have these answers.
    pub fn answers(
        title: impl Into<String>,
        profile: impl Into<String>,
        answers: impl IntoIterator<Item = (Call, &'static str)>,
    ) -> Fact {
        Fact {
            title: title.into(),
            profile: profile.into(),
            expected: Expected::Answers(answers.into_iter().collect()),
            ours: Ours::Same,
        }
    }

    /// No container starts with `profile`, and the message says `message`.
    pub fn refused(
        title: impl Into<String>,
        profile: impl Into<String>,
        message: &'static str,
    ) -> Fact {
        Fact {
            title: title.into(),
            profile: profile.into(),
            expected: Expected::Refusal(message),
            ours: Ours::Same,
        }
    }

    /// Callgate refuses this on purpose, and says `message`.
    pub fn but_callgate_refuses(self, message: &'static str) -> Fact {
        Fact { ours: Ours::Refuses(message), ..self }
    }
}

/// Checks all of `facts` on both sides, and reports every one that does not hold.
pub fn hold(lab: &Lab, facts: &[Fact]) {
    let mut wrong = Vec::new();
    for fact in facts {
        let calls: Vec<Call> = match &fact.expected {
            Expected::Answers(answers) => answers.iter().map(|(call, _)| *call).collect(),
            Expected::Refusal(_) => Vec::new(),
        };
        let theirs = bundle::ask(lab, Runtime::Runc, &fact.profile, &calls);
        if let Some(what) = mismatch(&fact.expected, &theirs) {
            wrong.push(format!("runc, {}: {what}", fact.title));
        }
        let ours = bundle::ask_callgate(lab, Runtime::Runc, &fact.profile, &calls);
        let what = match (&fact.ours, &fact.expected) {
            (Ours::Refuses(message), _) => refused_by_us(&ours, message),
            (Ours::Same, Expected::Refusal(_)) => refused_by_us(&ours, ""),
            (Ours::Same, expected @ Expected::Answers(_)) => mismatch(expected, &ours),
        };
        if let Some(what) = what {
            wrong.push(format!("callgate, {}: {what}", fact.title));
        }
    }
    assert!(wrong.is_empty(), "{} facts do not hold:\n{}", wrong.len(), wrong.join("\n"));
    tell(&format!("{} facts hold for runc and callgate", facts.len()));
}

fn mismatch(expected: &Expected, outcome: &Outcome) -> Option<String> {
    match (expected, outcome) {
        (Expected::Answers(expected), Ok(answers)) => {
            let wrong: Vec<String> = expected
                .iter()
                .zip(&answers.0)
                .filter(|((_, expected), answer)| !answer.is(expected))
                .map(|((call, expected), answer)| format!("{call}: {answer}, not {expected}"))
                .collect();
            (!wrong.is_empty()).then(|| wrong.join("; "))
        }
        (Expected::Answers(_), Err(refusal)) => Some(refusal.to_string()),
        (Expected::Refusal(message), Err(refusal)) => {
            (!refusal.message.contains(message)).then(|| format!("{refusal}, without `{message}`"))
        }
        (Expected::Refusal(_), Ok(_)) => Some("it started".to_owned()),
    }
}

fn refused_by_us(outcome: &Outcome, message: &str) -> Option<String> {
    match outcome {
        Ok(_) => Some("it started".to_owned()),
        Err(refusal) if refusal.status != 125 => Some(refusal.to_string()),
        Err(refusal) => {
            (!refusal.message.contains(message)).then(|| format!("{refusal}, without `{message}`"))
        }
    }
}
