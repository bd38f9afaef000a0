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
    /// The rules of a profile, or as much of the meaning of programs as rules can say. Of a program
    /// that does not look at the architecture they are those of the target's.
    ///
    /// # Errors
    ///
    /// When there would be too many.
    pub fn outline(&self, context: &Context, manager: &mut Manager) -> Result<Outline, Failure> {
        if let Origin::Profile { ruleset, .. } = &self.origin {
            return Ok(Outline { ruleset: ruleset.clone(), beyond: Vec::new() });
        }
        let unknown = |why: TooComplex| format!("{}: its rules are unknown: {why}", self.name);
        let whole = manager.outline(self.acted).map_err(unknown)?;
        if !whole.ruleset.abis.is_empty() || whole.beyond.is_empty() {
            return Ok(whole);
        }
        let native = context.target.native;
        let abis = context.target.abis.clone().unwrap_or_else(|| {
            [native].into_iter().chain(native.companions().iter().copied()).collect()
        });
        let mut here = manager.constant(Action::KillThread.raw());
        for abi in abis {
            let calls = manager.calls_of(abi.audit()).map_err(unknown)?;
            here = manager.choose(calls, self.acted, here).map_err(unknown)?;
        }
        let mut outline = manager.outline(here).map_err(unknown)?;
        outline.beyond.extend(whole.beyond);
        Ok(outline)
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
        let source = self.open(argument)?;
        self.meaning_of(manager, source)
    }

    /// Opens a source.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn open(&self, argument: &str) -> Result<Source, String> {
        Source::open(argument, self.reading.dialect())
    }

    /// The program in these bytes.
    ///
    /// # Errors
    ///
    /// When the kernel would refuse it.
    pub fn program(&self, name: &str, bytes: &[u8]) -> Result<Program, String> {
        Program::from_bytes(bytes, self.order, Layout::seccomp(self.order))
            .map_err(|error| format!("{name}: the kernel would refuse it: {error}"))
    }

    /// The meaning of a source.
    ///
    /// # Errors
    ///
    /// When it has errors, would be refused by the kernel, or is too complex.
    pub fn meaning_of(&self, manager: &mut Manager, source: Source) -> Result<Meaning, Failure> {
        let unknown =
            |name: &str, error: TooComplex| format!("{name}: its meaning is unknown: {error}");
        let (name, raw, origin) = match source {
            Source::Program { name, bytes } => {
                let program = self.program(&name, &bytes)?;
                let raw = manager.program(&program, self.shifts).map_err(|e| unknown(&name, e))?;
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
                let raw = manager.ruleset(&ruleset).map_err(|e| unknown(&profile.name, e))?;
                (profile.name.clone(), raw, Origin::Profile { profile, ruleset })
            }
        };
        let acted = manager.act(raw).map_err(|e| unknown(&name, e))?;
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
