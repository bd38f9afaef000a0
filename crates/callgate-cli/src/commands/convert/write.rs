//! A meaning in a format: as it is, or what is nearest to it.

use callgate_bpf::Program;
use callgate_policy::{Dialect, FilterFlag, NewerCalls, Policy, Ruleset, Target, formats::Format};
use callgate_verdict::{Diagram, Manager, TooComplex};

use super::{
    To, Toward,
    choice::Choice,
    fit::{Fitted, fit},
    tables::name_newer,
};
use crate::{
    commands::{Failure, compile::ProgramForm},
    meaning::{Context, Meaning, Origin},
    report,
};

/// What is to be written.
pub struct Wanted {
    pub name: String,
    pub meaning: Diagram,
    /// Flags for loading, which no diagram has.
    pub flags: Vec<FilterFlag>,
    /// Ways in which it was written, the author's own first.
    spellings: Vec<Policy>,
    rules: Option<Ruleset>,
    program: Option<Program>,
    /// Whether nobody wrote it: what it says of numbers that can never be a call is an accident.
    made: bool,
}

impl Wanted {
    /// A meaning without a source of its own.
    pub fn made(name: &str, meaning: Diagram, flags: Vec<FilterFlag>) -> Wanted {
        let (name, spellings) = (name.to_owned(), Vec::new());
        Wanted { name, meaning, flags, spellings, rules: None, program: None, made: true }
    }

    pub fn of(context: &Context, source: Meaning) -> Wanted {
        let flags = source.flags();
        let mut wanted = Wanted::made(&source.name, source.acted, flags);
        wanted.made = false;
        match source.origin {
            Origin::Profile { profile, ruleset } => {
                if let Some(policy) = profile.policy {
                    let flat = policy.flatten(&context.target);
                    wanted.spellings = vec![policy, flat];
                }
                wanted.rules = Some(ruleset);
            }
            Origin::Program(program) => wanted.program = Some(program),
            Origin::Stack(mut stack) if stack.programs.len() == 1 => {
                wanted.program = stack.programs.pop();
            }
            Origin::Stack(_) => {}
        }
        wanted
    }
}

/// The text or the program.
///
/// # Errors
///
/// When the format cannot say the meaning, with what it could say instead, unless that was asked
/// for.
pub fn write(
    context: &Context,
    manager: &mut Manager,
    wanted: &Wanted,
    to: To,
    approximate: Option<Toward>,
) -> Result<Vec<u8>, Failure> {
    let format = match to {
        To::Program(form) => return program(manager, wanted, form),
        To::Text(format) => format,
    };
    let mut writer = Writer { context, manager, wanted, format, dialect: format.dialect };
    let why = match writer.exact() {
        Ok(text) => return Ok(writer.tell(text, &wanted.spellings)),
        Err(why) => why,
    };
    let unknown = |error: TooComplex| format!("{}: {error}", wanted.name);
    let name = &wanted.name;
    if let Some(toward) = approximate {
        let (choice, unsayable) = writer.choice(toward).map_err(unknown)?;
        let Some(choice) = choice else {
            return Err(Failure::Message(format!(
                "{} cannot say {name}: {}; and no {toward} filter that it can say is found by changing the verdicts of whole calls",
                format.name,
                reasons(unsayable, why)
            )));
        };
        report::note(format!("{toward} than {name}: it {}", choice.says));
        return Ok(writer.tell(choice.text, &[]));
    }
    let mut lines = String::new();
    let (mut all, mut sides) = (Vec::new(), Vec::new());
    for toward in [Toward::Weaker, Toward::Stricter] {
        let (choice, unsayable) = writer.choice(toward).map_err(unknown)?;
        let says = match choice {
            Some(choice) if wanted.made && choice.on_no_call => {
                report::note(format!("what is written and {name}: it {}", choice.says));
                return Ok(writer.tell(choice.text, &[]));
            }
            Some(choice) => {
                sides.push(toward.to_string());
                choice.says
            }
            None => "not by changing the verdicts of whole calls".to_owned(),
        };
        lines.push_str(&format!("\n  {toward:<9} {says}"));
        for reason in unsayable {
            if !all.contains(&reason) {
                all.push(reason);
            }
        }
    }
    let newer = |rules: &Ruleset| rules.abis.iter().any(|table| table.newer.is_some());
    if format.dialect.is_none() && wanted.rules.as_ref().is_some_and(newer) {
        lines.push_str(
            "\n  --no-enosys gives calls newer than the profile its default, which may be sayable",
        );
    }
    if !sides.is_empty() {
        let sides = sides.join(" or ");
        lines.push_str(&format!("\n  --approximate {sides} writes that instead"));
    }
    Err(Failure::Message(format!(
        "{} cannot say {name}: {}{lines}",
        format.name,
        reasons(all, why)
    )))
}

/// What a format cannot say, each once; or why in general.
fn reasons(mut unsayable: Vec<String>, why: String) -> String {
    if unsayable.is_empty() {
        return why;
    }
    let more = unsayable.split_off(unsayable.len().min(REASONS)).len();
    let list = unsayable.join("; ");
    if more > 0 { format!("{list}; and {more} more of this kind") } else { list }
}

/// What a format cannot say that is listed.
const REASONS: usize = 5;

/// A program is written as it is; what has none is compiled, and the compiler proves what it makes.
fn program(manager: &mut Manager, wanted: &Wanted, form: ProgramForm) -> Result<Vec<u8>, Failure> {
    let program = match (&wanted.program, &wanted.rules) {
        (Some(program), _) => program.clone(),
        (None, rules) => {
            let rules = match rules {
                Some(rules) => rules.clone(),
                None => manager.synthesize(wanted.meaning).map_err(|why| {
                    format!("{}: it cannot be put into rules: {why}", wanted.name)
                })?,
            };
            let compiled = callgate_compile::compile(&rules);
            compiled.map_err(|error| format!("{}: {error}", wanted.name))?.into_program()
        }
    };
    lost("a program", &wanted.flags);
    Ok(form.write(&program, &wanted.name))
}

/// Says which flags are not part of what was written.
fn lost(format: &str, flags: &[FilterFlag]) {
    if !flags.is_empty() {
        let names: Vec<&str> = flags.iter().map(|flag| flag.name()).collect();
        report::warning(format!(
            "{format} has no place for flags: {} is left to whoever loads it",
            names.join(", ")
        ));
    }
}

struct Writer<'w> {
    context: &'w Context,
    manager: &'w mut Manager,
    wanted: &'w Wanted,
    format: &'static Format,
    dialect: Option<Dialect>,
}

/// A text, and what it means to readers.
struct Said {
    text: String,
    means: Vec<(NewerCalls, Diagram)>,
}

impl Writer<'_> {
    /// A text that means what is wanted.
    fn exact(&mut self) -> Result<String, String> {
        let meaning = self.wanted.meaning;
        for policy in &self.wanted.spellings {
            let Ok(said) = self.say(policy, None) else { continue };
            if said.means.first().is_some_and(|(_, means)| *means == meaning) {
                return Ok(said.text);
            }
        }
        let ruleset = self
            .manager
            .synthesize(meaning)
            .map_err(|why| format!("it cannot be put into rules: {why}"))?;
        let said = self.say_rules(ruleset)?;
        let found = said.means.iter().find(|(_, means)| *means == meaning);
        let Some((newer, _)) = found else {
            return Err("what could be written means something else (verdicts on numbers that no system call has, or on newer calls)".to_owned());
        };
        if *newer != self.context.target.newer && self.dialect.is_some() {
            report::note(readers_choice(*newer));
        }
        Ok(said.text)
    }

    /// The nearest text on one side of what is wanted, and what it had to give up.
    fn choice(&mut self, toward: Toward) -> Result<(Option<Choice>, Vec<String>), TooComplex> {
        let (meaning, own) = (self.wanted.meaning, self.context.target.native);
        let format = (self.format, self.dialect);
        let mut given_up = Vec::new();
        for ways in [false, true] {
            let fitted = fit(self.manager, (meaning, own), format, toward, ways);
            let Some(Fitted { ruleset, unsayable }) = fitted else { continue };
            given_up = unsayable;
            let Ok(said) = self.say_rules(ruleset) else { continue };
            for (_, means) in said.means {
                let (sides, name) = ([meaning, means], &self.wanted.name);
                let choice = Choice::of(self.manager, &said.text, sides, toward, name)?;
                if choice.is_some() {
                    return Ok((choice, given_up));
                }
            }
        }
        Ok((None, given_up))
    }

    fn say_rules(&mut self, mut ruleset: Ruleset) -> Result<Said, String> {
        if self.dialect.is_none() {
            ruleset.abis.iter_mut().for_each(name_newer);
        }
        ruleset.flags.clone_from(&self.wanted.flags);
        let policy = Policy::from_rules(&ruleset, self.dialect).map_err(|why| why.to_string())?;
        self.say(&policy, Some(&ruleset))
    }

    /// Writes a policy, without its flags if need be, and reads the text back. The ABIs are those
    /// of the rules, whatever the machine's own are.
    fn say(&mut self, policy: &Policy, rules: Option<&Ruleset>) -> Result<Said, String> {
        let bare = Policy { flags: Vec::new(), ..policy.clone() };
        let text = (self.format.write)(policy).or_else(|_| (self.format.write)(&bare)).map_err(
            |errors| {
                let list: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
                list.join("; ")
            },
        )?;
        let wanted = self.context.target.newer;
        let newer = match self.format.read {
            Some(_) if rules.is_some() => {
                vec![wanted, NewerCalls::Enosys, NewerCalls::LikeRunc, NewerCalls::Default]
            }
            Some(_) => vec![wanted],
            // Nothing adds to what a program of these calls does.
            None => vec![NewerCalls::Default],
        };
        let read = match self.format.read {
            Some(read) => read(&text).policy,
            None => Some(policy.clone()),
        };
        let abis = rules.map(|rules| rules.abis.iter().map(|table| table.abi).collect());
        let base = &self.context.target;
        let means = newer.into_iter().filter_map(|newer| {
            let abis = abis.clone().or_else(|| base.abis.clone());
            let target = Target { abis, newer, ..base.clone() };
            let ruleset = read.as_ref()?.resolve(&target).ruleset?;
            let diagram = self.manager.ruleset(&ruleset).ok()?;
            Some((newer, self.manager.act(diagram).ok()?))
        });
        let means = means.collect();
        Ok(Said { text, means })
    }

    /// The text, with what has to be said of it.
    fn tell(&self, text: String, spellings: &[Policy]) -> Vec<u8> {
        let kept = |flag: &FilterFlag| text.contains(flag.name());
        let flags: Vec<FilterFlag> =
            self.wanted.flags.iter().copied().filter(|flag| !kept(flag)).collect();
        lost(self.format.name, &flags);
        let listener = spellings.iter().find_map(|policy| policy.listener.as_ref());
        if listener.is_some_and(|listener| !text.contains(&listener.path.value)) {
            report::warning(format!(
                "{} has no place for the socket of a supervisor, which {} names",
                self.format.name, self.wanted.name
            ));
        }
        if self.format.read.is_none() {
            report::note(format!(
                "{} is not read back: proved is what the calls in it say, not what a library makes of them. Compare what they make by `callgate diff`",
                self.format.name
            ));
        }
        text.into_bytes()
    }
}

fn readers_choice(newer: NewerCalls) -> &'static str {
    match newer {
        NewerCalls::Enosys => "it means the same where newer system calls get ENOSYS",
        NewerCalls::LikeRunc => "it means the same to runc, which gives newer system calls ENOSYS",
        NewerCalls::Default => {
            "it means the same to crun, which gives newer system calls the profile's default"
        }
    }
}
