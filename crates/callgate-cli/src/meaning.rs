//! What a source means: its verdict diagram, beside what it was read from.

use callgate_bpf::{Action, ByteOrder, Layout, Program, ShiftRule};
use callgate_policy::{FilterFlag, Ruleset, Target};
use callgate_syscalls::Abi;
use callgate_verdict::{Diagram, Manager, Outline, TooComplex};

use crate::{
    commands::Failure,
    source::{Profile, Source, Stack},
    target::{ReadingArgs, SourceArgs, resolve},
};

/// How sources are read; several in one command are read alike.
pub struct Context {
    pub target: Target,
    order: ByteOrder,
    shifts: ShiftRule,
    reading: ReadingArgs,
}

/// A source and its meaning.
pub struct Meaning {
    pub name: String,
    /// Words as the source has them.
    pub raw: Diagram,
    /// What the kernel does.
    pub acted: Diagram,
    pub origin: Origin,
}

/// What a source was.
pub enum Origin {
    Profile { profile: Box<Profile>, ruleset: Ruleset },
    Program(Program),
    Stack(Stack),
}

impl Meaning {
    /// The rules of a profile, or as much of the meaning of programs as rules can say.
    ///
    /// # Errors
    ///
    /// When there would be too many.
    pub fn outline(&self, manager: &mut Manager) -> Result<Outline, Failure> {
        match &self.origin {
            Origin::Profile { ruleset, .. } => {
                Ok(Outline { ruleset: ruleset.clone(), beyond: Vec::new() })
            }
            Origin::Program(_) | Origin::Stack(_) => {
                let outline = manager.outline(self.acted);
                Ok(outline.map_err(|why| format!("{}: its rules are unknown: {why}", self.name))?)
            }
        }
    }

    /// The flags for loading, as far as they are known.
    pub fn flags(&self) -> Vec<FilterFlag> {
        match &self.origin {
            Origin::Profile { ruleset, .. } => ruleset.flags.clone(),
            Origin::Stack(stack) if stack.log => vec![FilterFlag::Log],
            Origin::Program(_) | Origin::Stack(_) => Vec::new(),
        }
    }

    /// The programs that stand for it, newest first: the source's own, or what a profile compiles
    /// to.
    ///
    /// # Errors
    ///
    /// When a profile does not compile.
    pub fn programs(&self) -> Result<Vec<Program>, Failure> {
        match &self.origin {
            Origin::Program(program) => Ok(vec![program.clone()]),
            Origin::Stack(stack) => Ok(stack.programs.clone()),
            Origin::Profile { ruleset, .. } => {
                let compiled = callgate_compile::compile(ruleset);
                let compiled = compiled.map_err(|error| format!("{}: {error}", self.name))?;
                Ok(vec![compiled.into_program()])
            }
        }
    }
}

/// `entry 19 (web.json:62:5)`
pub fn entry_place(profile: &Profile, index: usize) -> String {
    let entry = profile.policy.as_ref().and_then(|policy| policy.entries.get(index));
    let span = entry.map_or_else(Default::default, |entry| entry.span);
    let (line, column) = span.line_and_column(&profile.text);
    format!("entry {index} ({}:{line}:{column})", profile.name)
}

impl Context {
    /// # Errors
    ///
    /// When this machine's ABI or kernel is asked for and not known.
    pub fn new(args: SourceArgs) -> Result<Context, String> {
        let SourceArgs { reading, target, order } = args;
        let arch = target.arch.first().copied();
        let kernel = arch.or(Abi::native());
        Ok(Context {
            target: target.target()?,
            order: order.order(arch),
            shifts: kernel.map_or_else(ShiftRule::default, |abi| ShiftRule::of_kernel(abi.audit())),
            reading,
        })
    }

    /// For a target that is known already, in the byte order of its machine.
    pub fn of_target(target: Target) -> Context {
        Context {
            order: target.native.byte_order(),
            shifts: ShiftRule::of_kernel(target.native.audit()),
            reading: ReadingArgs::default(),
            target,
        }
    }

    /// A manager in which everything that this command compares is made.
    pub fn manager(&self) -> Manager {
        Manager::new(Layout::seccomp(self.order))
    }

    pub fn shifts(&self) -> ShiftRule {
        self.shifts
    }

    pub fn order(&self) -> ByteOrder {
        self.order
    }

    /// Reads a source and makes its diagram.
    ///
    /// # Errors
    ///
    /// When it cannot be read, has errors, would be refused by the kernel, or is too complex.
    pub fn read(&self, manager: &mut Manager, argument: &str) -> Result<Meaning, Failure> {
        let unknown = |error: TooComplex| format!("{argument}: its meaning is unknown: {error}");
        let (name, raw, origin) = match Source::open(argument, self.reading.dialect())? {
            Source::Program { name, bytes } => {
                let layout = Layout::seccomp(self.order);
                let program = Program::from_bytes(&bytes, self.order, layout)
                    .map_err(|error| format!("{name}: the kernel would refuse it: {error}"))?;
                let raw = manager.program(&program, self.shifts).map_err(unknown)?;
                (name, raw, Origin::Program(program))
            }
            Source::Stack(stack) => {
                let raw = self.stack(manager, &stack)?;
                (stack.name.clone(), raw, Origin::Stack(stack))
            }
            Source::Profile(mut profile) => {
                let ruleset = resolve(&mut profile, &self.reading, &self.target);
                profile.print_diagnostics(false, "it has no meaning");
                let ruleset = ruleset.ok_or(Failure::Reported)?;
                let raw = manager.ruleset(&ruleset).map_err(unknown)?;
                (profile.name.clone(), raw, Origin::Profile { profile, ruleset })
            }
        };
        let acted = manager.act(raw).map_err(unknown)?;
        Ok(Meaning { name, raw, acted, origin })
    }

    /// What filters come to together, in the words that they return.
    ///
    /// # Errors
    ///
    /// When other byte order than this machine's is asked for, or the meaning is too complex.
    pub fn stack(&self, manager: &mut Manager, stack: &Stack) -> Result<Diagram, Failure> {
        let name = &stack.name;
        if self.order != ByteOrder::NATIVE {
            return Err(Failure::Message(format!(
                "{name}: a process of this machine cannot be read in the byte order of another; leave --endian and --arch out"
            )));
        }
        let unknown = |error: TooComplex| format!("{name}: its meaning is unknown: {error}");
        let mut older = manager.constant(Action::Allow.raw());
        for program in stack.programs.iter().rev() {
            let newer = manager.program(program, self.shifts).map_err(unknown)?;
            older = manager.stack(newer, older).map_err(unknown)?;
        }
        Ok(older)
    }
}
