//! A second opinion on what a profile's text means, the slow and obvious way.
//!
//! It takes a call and asks of every entry in turn whether it speaks of this call, sharing
//! nothing with the reader or the resolver but the tables of system calls. Where two rules that
//! hold give different answers, runtimes decide by an order that the tests against them pin; it
//! has no opinion there, and says nothing.

mod common;

use std::fmt::Write as _;

use callgate_bpf::{Action, Architecture, SeccompData, SyscallNr, generate::Rng};
use callgate_policy::{Dialect, NewerCalls, Target};
use callgate_syscalls::{Abi, Capability, CapabilitySet, KernelVersion};

/// A profile as its author thinks of it.
struct Profile {
    default: Word,
    /// `architectures`, when it is no archMap.
    architectures: Option<Vec<Abi>>,
    /// The machine of an `archMap`, and the others.
    arch_map: Option<(Abi, Vec<Abi>)>,
    entries: Vec<Entry>,
}

struct Entry {
    names: Vec<&'static str>,
    action: Word,
    args: Vec<Arg>,
    includes: Condition,
    excludes: Condition,
}

/// An action's word, and the error number where one is given.
#[derive(Clone, Copy)]
struct Word {
    action: &'static str,
    errno: Option<u16>,
}

#[derive(Clone, Copy)]
struct Arg {
    index: usize,
    value: u64,
    value_two: u64,
    op: &'static str,
}

#[derive(Default)]
struct Condition {
    caps: Vec<Capability>,
    arches: Vec<&'static str>,
    min_kernel: Option<(u16, u16)>,
}

/// What the naive reading comes to.
#[derive(Debug, PartialEq, Eq)]
enum Opinion {
    /// The answer, and whether a rule with conditions gave it.
    Answer(Action, bool),
    /// Rules that hold contradict each other.
    None,
}

// ---------------------------------------------------------------------------------------------
// The meaning
// ---------------------------------------------------------------------------------------------

fn action(word: Word) -> Action {
    let errno = word.errno.unwrap_or(1);
    match word.action {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap(0),
        "SCMP_ACT_ERRNO" => Action::Errno(errno),
        "SCMP_ACT_TRACE" => Action::Trace(errno),
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ALLOW" => Action::Allow,
        other => panic!("{other}"),
    }
}

impl Profile {
    /// The ABIs that the text names for this machine.
    fn listed(&self, native: Abi) -> Vec<Abi> {
        match (&self.architectures, &self.arch_map) {
            (Some(list), _) => list.clone(),
            (None, Some((main, others))) if *main == native => {
                [&[*main], others.as_slice()].concat()
            }
            _ => Vec::new(),
        }
    }

    /// The ABI that a call is of; none when the filter has no table for it.
    fn abi_of(&self, target: &Target, data: &SeccompData) -> Option<Abi> {
        let mut abis = self.listed(target.native);
        abis.push(target.native);
        let has = |abi: Abi| abis.contains(&abi);
        if data.arch == Abi::X86_64.audit() {
            let marked = data.nr.0 >= 0x4000_0000;
            let skipped = data.nr.0 == u32::MAX && !has(Abi::X32);
            let abi = if marked && !skipped { Abi::X32 } else { Abi::X86_64 };
            return has(abi).then_some(abi);
        }
        abis.into_iter().find(|abi| abi.audit() == data.arch)
    }

    fn opinion(&self, target: &Target, data: &SeccompData) -> Opinion {
        if self.is_newer(target, data) {
            // ENOSYS as the ELF machine numbers it; two of those that profiles name differ.
            let enosys = match data.arch.0 & 0xffff {
                8 => 89,
                15 => 251,
                _ => 38,
            };
            return Opinion::Answer(Action::Errno(enosys), false);
        }
        let Some(abi) = self.abi_of(target, data) else {
            return Opinion::Answer(Action::KillThread, false);
        };
        let rules = self.rules(target, abi, data.nr);
        // The first rule without conditions stands against everything before and after it.
        if let Some((action, _)) = rules.iter().find(|(_, conditions)| conditions.is_empty()) {
            return Opinion::Answer(*action, false);
        }
        let mut holding = rules
            .iter()
            .filter(|(_, conditions)| conditions.iter().all(|arg| arg.holds(abi, &data.args)))
            .map(|(action, _)| *action);
        let Some(first) = holding.next() else {
            return Opinion::Answer(action(self.default), false);
        };
        if holding.all(|other| other == first) {
            Opinion::Answer(first, true)
        } else {
            Opinion::None
        }
    }

    /// The rules of a number in the order of the text: what they answer, and their conditions.
    fn rules(&self, target: &Target, abi: Abi, nr: SyscallNr) -> Vec<(Action, Vec<Arg>)> {
        let mut rules = Vec::new();
        for entry in &self.entries {
            if !entry.applies(target) || action(entry.action) == action(self.default) {
                continue;
            }
            for &name in &entry.names {
                for conditions in entry.conjunctions() {
                    if let Some(way) = abi.multiplexer(name).filter(|way| way.nr == nr) {
                        // The selector stands where the call's first argument would.
                        let selector = Arg {
                            index: 0,
                            value: u64::from(way.call),
                            value_two: 0,
                            op: "SCMP_CMP_EQ",
                        };
                        let mut conditions = conditions.clone();
                        conditions.retain(|arg| arg.index != 0);
                        conditions.push(selector);
                        rules.push((action(entry.action), conditions));
                    }
                    if abi.number(name) == Some(nr) {
                        rules.push((action(entry.action), conditions));
                    }
                }
            }
        }
        for (_, conditions) in &mut rules {
            conditions.retain(|arg| !arg.asks_nothing(abi));
        }
        rules
    }

    /// Whether the number lies above every one that the text names on its ABI, and the author's
    /// default refuses.
    fn is_newer(&self, target: &Target, data: &SeccompData) -> bool {
        if matches!(action(self.default), Action::Allow | Action::Log | Action::Trace(_)) {
            return false;
        }
        let mut abis = self.listed(target.native);
        match target.newer {
            NewerCalls::Default => return false,
            NewerCalls::LikeRunc => {}
            NewerCalls::Enosys => abis.push(target.native),
        }
        // Which of x86_64's two ABIs a number is of, bit 30 alone says.
        let of_mode = |abi: &Abi| match abi {
            Abi::X86_64 => data.nr.0 & 0x4000_0000 == 0,
            Abi::X32 => data.nr.0 & 0x4000_0000 != 0,
            _ => true,
        };
        let Some(abi) = abis.into_iter().find(|abi| abi.audit() == data.arch && of_mode(abi))
        else {
            return false;
        };
        let mut last = 0;
        for entry in self.entries.iter().filter(|entry| entry.applies(target)) {
            for &name in &entry.names {
                let skipped =
                    target.newer == NewerCalls::LikeRunc && abi.multiplexer(name).is_some();
                if let Some(nr) = abi.number(name).filter(|_| !skipped) {
                    last = last.max(nr.0);
                }
            }
        }
        let unknown_to_s390 = matches!(abi, Abi::S390 | Abi::S390x) && data.nr.0 == 0;
        last != 0 && (data.nr.0 > last || unknown_to_s390)
    }

    /// Whether a runtime might refuse the profile, since two rules of one number with conditions
    /// give different answers.
    fn may_conflict(&self, target: &Target) -> bool {
        let mut abis = self.listed(target.native);
        abis.push(target.native);
        abis.into_iter().any(|abi| {
            abi.syscalls().any(|(nr, _)| {
                let rules = self.rules(target, abi, nr);
                let conditional = rules.iter().take_while(|(_, c)| !c.is_empty());
                conditional.clone().any(|(action, _)| conditional.clone().any(|(b, _)| action != b))
            })
        })
    }
}

impl Entry {
    fn applies(&self, target: &Target) -> bool {
        let Entry { includes, excludes, .. } = self;
        let held = |cap: &Capability| target.capabilities.contains(*cap);
        let machine = |name: &&str| *name == target.native.go_name();
        let reached = |(major, minor)| target.kernel >= KernelVersion::new(major, minor);
        let included = includes.caps.iter().all(held)
            && (includes.arches.is_empty() || includes.arches.iter().any(machine))
            && includes.min_kernel.is_none_or(reached);
        let excluded = excludes.caps.iter().any(held)
            || excludes.arches.iter().any(machine)
            || excludes.min_kernel.is_some_and(reached);
        included && !excluded
    }

    /// All conditions together, or each alone where an argument occurs twice.
    fn conjunctions(&self) -> Vec<Vec<Arg>> {
        let twice = (0..6).any(|index| self.args.iter().filter(|a| a.index == index).count() > 1);
        if twice {
            self.args.iter().map(|&arg| vec![arg]).collect()
        } else {
            vec![self.args.clone()]
        }
    }
}

impl Arg {
    /// The constants as far as the ABI compares them.
    fn on(&self, abi: Abi) -> (u64, u64, u64) {
        let counted = if abi.arg_bits() == 32 { 0xffff_ffff } else { u64::MAX };
        (counted, self.value & counted, self.value_two & counted)
    }

    fn holds(&self, abi: Abi, args: &[u64; 6]) -> bool {
        let (counted, value, value_two) = self.on(abi);
        let argument = args[self.index] & counted;
        match self.op {
            "SCMP_CMP_NE" => argument != value,
            "SCMP_CMP_LT" => argument < value,
            "SCMP_CMP_LE" => argument <= value,
            "SCMP_CMP_EQ" => argument == value,
            "SCMP_CMP_GE" => argument >= value,
            "SCMP_CMP_GT" => argument > value,
            "SCMP_CMP_MASKED_EQ" => argument & value == value_two,
            other => panic!("{other}"),
        }
    }

    /// A mask of nothing is no condition.
    fn asks_nothing(&self, abi: Abi) -> bool {
        self.op == "SCMP_CMP_MASKED_EQ" && self.on(abi).1 == 0
    }
}

// ---------------------------------------------------------------------------------------------
// The text
// ---------------------------------------------------------------------------------------------

impl Profile {
    fn text(&self) -> String {
        let mut text = format!("{{\"defaultAction\": \"{}\"", self.default.action);
        if let Some(errno) = self.default.errno {
            let _ = write!(text, ", \"defaultErrnoRet\": {errno}");
        }
        let names = |abis: &[Abi]| {
            list(abis.iter().map(|abi| abi.oci_name().expect("chosen among those with a name")))
        };
        if let Some(abis) = &self.architectures {
            let _ = write!(text, ", \"architectures\": {}", names(abis));
        }
        if let Some((main, others)) = &self.arch_map {
            let main = main.oci_name().expect("chosen among those with a name");
            let others = names(others);
            let _ = write!(
                text,
                ", \"archMap\": [{{\"architecture\": \"{main}\", \"subArchitectures\": {others}}}]"
            );
        }
        let entries: Vec<String> = self.entries.iter().map(Entry::text).collect();
        let _ = write!(text, ", \"syscalls\": [{}]}}", entries.join(", "));
        text
    }
}

impl Entry {
    fn text(&self) -> String {
        let mut text = match self.names[..] {
            [name] if self.is_conditional() => format!("{{\"name\": \"{name}\""),
            _ => format!("{{\"names\": {}", list(self.names.iter().copied())),
        };
        let _ = write!(text, ", \"action\": \"{}\"", self.action.action);
        if let Some(errno) = self.action.errno {
            let _ = write!(text, ", \"errnoRet\": {errno}");
        }
        let args: Vec<String> = self
            .args
            .iter()
            .map(|Arg { index, value, value_two, op }| {
                format!(
                    "{{\"index\": {index}, \"value\": {value}, \"valueTwo\": {value_two}, \
                     \"op\": \"{op}\"}}"
                )
            })
            .collect();
        if !args.is_empty() {
            let _ = write!(text, ", \"args\": [{}]", args.join(", "));
        }
        for (key, condition) in [("includes", &self.includes), ("excludes", &self.excludes)] {
            let caps = list(condition.caps.iter().map(|cap| cap.name()));
            let arches = list(condition.arches.iter().copied());
            let kernel = condition
                .min_kernel
                .map(|(major, minor)| format!(", \"minKernel\": \"{major}.{minor}\""))
                .unwrap_or_default();
            if !condition.is_empty() {
                let _ =
                    write!(text, ", \"{key}\": {{\"caps\": {caps}, \"arches\": {arches}{kernel}}}");
            }
        }
        text + "}"
    }

    fn is_conditional(&self) -> bool {
        !self.includes.is_empty() || !self.excludes.is_empty()
    }
}

impl Condition {
    fn is_empty(&self) -> bool {
        self.caps.is_empty() && self.arches.is_empty() && self.min_kernel.is_none()
    }
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    format!("[{}]", words.join(", "))
}

// ---------------------------------------------------------------------------------------------
// Random profiles and calls
// ---------------------------------------------------------------------------------------------

const NATIVES: [Abi; 8] = [
    Abi::X86_64,
    Abi::X86_64,
    Abi::Aarch64,
    Abi::S390x,
    Abi::Ppc64le,
    Abi::Mips64,
    Abi::Arm,
    Abi::X86,
];

/// Few, so that rules meet; some behind `socketcall` and `ipc`, some not on every ABI.
const NAMES: [&str; 10] = [
    "read",
    "open",
    "socket",
    "socketcall",
    "connect",
    "shmget",
    "ipc",
    "clone3",
    "arch_prctl",
    "mmap2",
];

const WORDS: [&str; 8] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",
];

const OPERATORS: [&str; 9] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_EQ",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
];

const VALUES: [u64; 10] =
    [0, 1, 2, 5, 0x15, 40, 0xffff_ffff, 0x1_0000_0000, 0x5_0000_0005, u64::MAX];

const CAPS: [Capability; 3] = [Capability::SysAdmin, Capability::SysPtrace, Capability::NetAdmin];

fn word(rng: &mut Rng) -> Word {
    let action = rng.pick(&WORDS);
    let takes_errno = matches!(action, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE");
    let errno = (takes_errno && rng.one_in(2)).then(|| rng.pick(&[1, 2, 38]));
    Word { action, errno }
}

fn some<T: Copy>(rng: &mut Rng, from: &[T], most: usize) -> Vec<T> {
    (0..rng.below(most + 1)).map(|_| rng.pick(from)).collect()
}

fn random(rng: &mut Rng, native: Abi) -> Profile {
    // Half of the profiles give one answer besides the default, so that nothing contradicts.
    let only = rng.one_in(2).then(|| word(rng));
    let entries = (0..rng.below(12)).map(|_| entry(rng, only)).collect();
    let same_order: Vec<Abi> = Abi::ALL
        .iter()
        .copied()
        .filter(|abi| abi.byte_order() == native.byte_order() && abi.oci_name().is_some())
        .collect();
    let others: Vec<Abi> = match native {
        Abi::X86_64 => some(rng, &[Abi::X86, Abi::X32], 2),
        _ => some(rng, &same_order, 2),
    };
    let (mut architectures, mut arch_map) = (None, None);
    match rng.below(3) {
        0 => {}
        1 => architectures = Some(others),
        _ => arch_map = Some((if rng.one_in(4) { Abi::Riscv64 } else { native }, others)),
    }
    Profile { default: word(rng), architectures, arch_map, entries }
}

fn entry(rng: &mut Rng, only: Option<Word>) -> Entry {
    let condition = |rng: &mut Rng| {
        if !rng.one_in(4) {
            return Condition::default();
        }
        Condition {
            caps: some(rng, &CAPS, 2),
            arches: some(rng, &["amd64", "arm64", "x86", "s390x"], 2),
            min_kernel: rng.one_in(2).then(|| rng.pick(&[(4, 8), (5, 6), (6, 1)])),
        }
    };
    let mut names = some(rng, &NAMES, 3);
    names.push(rng.pick(&NAMES));
    let count = if rng.one_in(4) { 0 } else { 1 + rng.below(3) };
    let args = (0..count).map(|_| arg(rng)).collect();
    let action = only.unwrap_or_else(|| word(rng));
    Entry { names, action, args, includes: condition(rng), excludes: condition(rng) }
}

fn arg(rng: &mut Rng) -> Arg {
    let op = rng.pick(&OPERATORS);
    let value = rng.pick(&VALUES);
    let masked = if op == "SCMP_CMP_MASKED_EQ" { rng.pick(&VALUES) & value } else { 0 };
    Arg { index: rng.below(4), value, value_two: masked, op }
}

fn target(rng: &mut Rng) -> Target {
    let mut capabilities = CapabilitySet::EMPTY;
    for cap in some(rng, &CAPS, 3) {
        capabilities = capabilities.union(CapabilitySet::of(&[cap]));
    }
    let (major, minor) = rng.pick(&[(4, 7), (4, 8), (5, 10), (6, 18)]);
    Target {
        native: rng.pick(&NATIVES),
        abis: None,
        capabilities,
        kernel: KernelVersion::new(major, minor),
        newer: rng.pick(&[NewerCalls::Enosys, NewerCalls::LikeRunc, NewerCalls::Default]),
    }
}

/// Calls at and beside everything that the profile names.
fn calls(rng: &mut Rng, profile: &Profile, target: &Target, count: usize) -> Vec<SeccompData> {
    let mut abis = profile.listed(target.native);
    abis.extend([target.native, target.native, Abi::X86_64]);
    let named: Vec<&str> = profile.entries.iter().flat_map(|e| e.names.clone()).collect();
    (0..count)
        .map(|_| {
            let abi = rng.pick(&abis);
            let name = if named.is_empty() { "read" } else { rng.pick(&named) };
            let number = match abi.multiplexer(name) {
                Some(way) if rng.one_in(2) => Some(way.nr),
                _ => abi.number(name),
            };
            let nr = match (rng.below(16), number) {
                (0, _) => rng.pick(&[0, 1, 0x4000_0000, 0x8000_0000, 0xc000_0000, u32::MAX]),
                (1, Some(nr)) => nr.0.wrapping_add(1),
                (_, Some(nr)) => nr.0,
                (_, None) => 600,
            };
            let arch = if rng.one_in(30) { Architecture(0x1234) } else { abi.audit() };
            let mut data = SeccompData::new(arch, SyscallNr(nr));
            data.args = std::array::from_fn(|_| {
                let value = match rng.below(4) {
                    // A selector, now and then with something above it.
                    0 => u64::try_from(rng.below(26)).unwrap(),
                    _ => rng.pick(&VALUES),
                };
                match rng.below(6) {
                    0 => value.wrapping_add(1),
                    1 => value.wrapping_sub(1),
                    2 => value | rng.next_u64() << 32,
                    _ => value,
                }
            });
            data
        })
        .collect()
}

#[test]
fn profiles_mean_what_a_naive_reading_says() {
    let full = std::env::var_os("CALLGATE_FULL").is_some_and(|value| value == "1");
    let count = if full { 300_000 } else { 1_500 };
    let mut rng = Rng::new(1);
    let (mut agreed, mut by_conditions, mut silent, mut refused) = (0, 0, 0, 0);
    for _ in 0..count {
        let target = target(&mut rng);
        let profile = random(&mut rng, target.native);
        let text = profile.text();
        let policy = common::policy(&text, Dialect::Docker);
        let resolution = policy.resolve(&target);
        let Some(ruleset) = resolution.ruleset else {
            assert!(
                profile.may_conflict(&target),
                "refused without need: {}\n{text}\n{target:?}",
                common::show(&resolution.diagnostics)
            );
            refused += 1;
            continue;
        };
        for data in calls(&mut rng, &profile, &target, 60) {
            let (action, _) = ruleset.decide(&data);
            match profile.opinion(&target, &data) {
                Opinion::Answer(naive, conditional) => {
                    assert_eq!(action, naive, "{data:#x?}\n{text}\n{target:?}");
                    agreed += 1;
                    by_conditions += usize::from(conditional);
                }
                Opinion::None => silent += 1,
            }
        }
    }
    println!(
        "{agreed} calls under {count} profiles agree, {by_conditions} of them by rules with \
         conditions; {silent} have no naive meaning, {refused} profiles contradict themselves"
    );
    assert!(by_conditions * 20 > agreed && agreed > 10 * silent && count > 5 * refused);
}
