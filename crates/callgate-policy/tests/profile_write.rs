//! What is written can be read, is what was written, and looks as a person would write it.

mod common;

use callgate_bpf::Action;
use callgate_diagnostic::{Span, Spanned};
use callgate_policy::{
    Architectures, ArgIndex, Comparison, Condition,
    Dialect::{self, Containers, Docker, Oci},
    Entry, FilterFlag, Listener, Policy, Test,
    formats::profile,
};
use callgate_syscalls::{Abi, Capability, KernelVersion};
use common::{here, policy, show, test_data};

const ALL: [Dialect; 3] = [Docker, Oci, Containers];

/// The same policy without places, in one dialect.
fn bare(policy: &Policy, dialect: Dialect) -> Policy {
    fn all<T: Clone>(list: &[Spanned<T>]) -> Vec<Spanned<T>> {
        list.iter().map(|item| here(item.value.clone())).collect()
    }
    let condition = |condition: &Condition| Condition {
        caps: all(&condition.caps),
        arches: all(&condition.arches),
        min_kernel: condition.min_kernel.map(|version| here(version.value)),
    };
    Policy {
        dialect: Some(dialect),
        default: here(policy.default.value),
        architectures: match &policy.architectures {
            Architectures::Native => Architectures::Native,
            Architectures::List(list) => Architectures::List(all(list)),
            Architectures::Map(map) => Architectures::Map(
                map.iter().map(|(main, others)| (here(main.value), all(others))).collect(),
            ),
        },
        other: policy.other,
        flags: all(&policy.flags),
        listener: policy.listener.as_ref().map(|listener| Listener {
            path: here(listener.path.value.clone()),
            metadata: listener.metadata.clone(),
        }),
        entries: policy
            .entries
            .iter()
            .map(|entry| Entry {
                names: all(&entry.names),
                abis: entry.abis.clone(),
                action: here(entry.action.value),
                comparisons: all(&entry.comparisons),
                includes: condition(&entry.includes),
                excludes: condition(&entry.excludes),
                comment: entry.comment.clone(),
                span: Span::default(),
            })
            .collect(),
    }
}

/// Numbers for the random policies: xorshift, from a seed that a failure prints.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn often(&mut self) -> bool {
        self.below(3) > 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let place = self.below(u64::try_from(from.len()).unwrap());
        from[usize::try_from(place).unwrap()]
    }

    fn some<T>(&mut self, most: u64, mut make: impl FnMut(&mut Random) -> T) -> Vec<Spanned<T>> {
        (0..self.below(most + 1)).map(|_| here(make(self))).collect()
    }

    fn action(&mut self) -> Action {
        let number = u16::try_from(self.below(4095)).unwrap();
        self.pick(&[
            Action::Allow,
            Action::Errno(number),
            Action::Errno(1),
            Action::KillProcess,
            Action::KillThread,
            Action::Log,
            Action::Trace(number),
            Action::Trap(0),
        ])
    }

    fn text(&mut self) -> String {
        let all =
            ["", "plain", "quote \" and \\ and /", "\n\t\r\u{1}\u{7f}", "é \u{1f600}", "\u{fffd}"];
        self.pick(&all).to_owned()
    }

    fn test(&mut self) -> Test {
        let value = self.next() >> self.below(64);
        let mask = self.next();
        self.pick(&[
            Test::Ne(value),
            Test::Lt(value),
            Test::Le(value),
            Test::Eq(value),
            Test::Ge(value),
            Test::Gt(u64::MAX),
            Test::MaskedEq { mask, value },
            Test::MaskedEq { mask, value: 0 },
        ])
    }

    fn condition(&mut self, dialect: Dialect) -> Condition {
        if dialect == Oci || self.often() {
            return Condition::default();
        }
        let version = KernelVersion::new(4, u16::try_from(self.below(256)).unwrap());
        Condition {
            caps: self.some(2, |random| random.pick(Capability::ALL)),
            arches: self.some(2, |random| random.pick(Abi::ALL).go_name().to_owned()),
            min_kernel: (dialect == Docker && !self.often()).then(|| here(version)),
        }
    }

    fn entry(&mut self, dialect: Dialect) -> Entry {
        let action = if self.below(9) == 0 { Action::UserNotif } else { self.action() };
        let names = ["read", "mkdir", "clone3", "a_call_that_nobody_knows"];
        let comment = Some(self.text()).filter(|text| !text.is_empty());
        Entry {
            names: self.some(12, |random| random.pick(&names).to_owned()),
            abis: Vec::new(),
            action: here(action),
            comparisons: self
                .some(4, |random| Comparison::full(random.pick(&ArgIndex::ALL), random.test())),
            includes: self.condition(dialect),
            excludes: self.condition(dialect),
            comment,
            span: Span::default(),
        }
    }

    fn architectures(&mut self, dialect: Dialect) -> Architectures {
        let known: Vec<Abi> =
            Abi::ALL.iter().copied().filter(|abi| abi.oci_name().is_some()).collect();
        let list = self.some(4, |random| random.pick(&known));
        let mut mains = known.clone();
        mains.truncate(usize::try_from(self.below(4)).unwrap());
        match self.below(3) {
            0 if !list.is_empty() => Architectures::List(list),
            1 if !mains.is_empty() && dialect != Oci => Architectures::Map(
                mains
                    .into_iter()
                    .map(|main| (here(main), self.some(2, |random| random.pick(&known))))
                    .collect(),
            ),
            _ => Architectures::Native,
        }
    }

    fn policy(&mut self, dialect: Dialect) -> Policy {
        let metadata = Some(self.text()).filter(|text| !text.is_empty());
        let listener = Listener { path: here("/run/a \"path\"".to_owned()), metadata };
        Policy {
            dialect: Some(dialect),
            default: here(self.action()),
            architectures: self.architectures(dialect),
            other: Policy::CONTAINER_OTHER,
            flags: self.some(2, |random| random.pick(&FilterFlag::ALL)),
            listener: self.often().then_some(listener),
            entries: (0..self.below(8)).map(|_| self.entry(dialect)).collect(),
        }
    }
}

/// Unknown machines and the like could be errors; these policies have none.
#[test]
fn a_policy_survives_its_text() {
    for seed in 1..=2000 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        for dialect in ALL {
            let written = random.policy(dialect);
            let text = profile::write(&written, dialect)
                .unwrap_or_else(|errors| panic!("seed {seed}: {}", show(&errors)));
            let reading = profile::read(&text, Some(dialect));
            let read = reading
                .policy
                .unwrap_or_else(|| panic!("seed {seed}: {text}{}", show(&reading.diagnostics)));
            assert_eq!(bare(&read, dialect), written, "seed {seed}: {text}");
            assert_eq!(profile::write(&read, dialect).unwrap(), text, "seed {seed}");
        }
    }
}

#[test]
fn a_policy_without_conditions_goes_from_every_dialect_to_every_other() {
    for seed in 1..=200 {
        let written = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)).policy(Oci);
        for dialect in ALL {
            let text = profile::write(&written, dialect).unwrap();
            assert_eq!(bare(&policy(&text, dialect), Oci), written, "seed {seed}: {text}");
        }
    }
}

#[test]
fn it_looks_as_a_person_would_write_it() {
    let text = r#"{
  "defaultAction": "SCMP_ACT_ERRNO",
  "defaultErrnoRet": 38,
  "archMap": [
    { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
    { "architecture": "SCMP_ARCH_RISCV64", "subArchitectures": [] }
  ],
  "flags": ["SECCOMP_FILTER_FLAG_LOG"],
  "syscalls": [
    { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" },
    {
      "names": [
        "clock_adjtime",
        "clock_adjtime64",
        "clock_getres",
        "clock_getres_time64",
        "clock_gettime",
        "clock_gettime64"
      ],
      "action": "SCMP_ACT_ALLOW"
    },
    {
      "names": ["clone"],
      "action": "SCMP_ACT_ALLOW",
      "args": [{ "index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ" }],
      "comment": "no new namespaces",
      "excludes": { "caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"] }
    },
    {
      "names": ["ptrace"],
      "action": "SCMP_ACT_ERRNO",
      "errnoRet": 1,
      "args": [
        { "index": 0, "value": 16, "valueTwo": 16, "op": "SCMP_CMP_MASKED_EQ" },
        { "index": 1, "value": 18446744073709551615, "op": "SCMP_CMP_NE" }
      ],
      "includes": { "minKernel": "4.8" }
    }
  ]
}
"#;
    assert_eq!(profile::write(&policy(text, Docker), Docker).unwrap(), text);
}

#[test]
fn podmans_form_has_names_of_errors() {
    let text = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        { "names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 },
        { "names": ["b"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4000 }] }"#;
    let written = profile::write(&policy(text, Oci), Containers).unwrap();
    assert!(written.contains(r#""defaultErrnoRet": 1,"#), "{written}");
    assert!(written.contains(r#""defaultErrno": "EPERM","#), "{written}");
    assert!(written.contains(r#""errnoRet": 38, "errno": "ENOSYS""#), "{written}");
    assert!(written.contains(r#""errnoRet": 4000 }"#), "{written}");
}

#[test]
fn the_default_profiles_survive_too() {
    for (file, dialect) in
        [("moby-default.json", Docker), ("containers-common-seccomp.json", Containers)]
    {
        let Some(text) = test_data(file) else { return };
        let read = policy(&text, dialect);
        let written = profile::write(&read, dialect).unwrap();
        assert_eq!(bare(&policy(&written, dialect), dialect), bare(&read, dialect));
    }
}

/// The messages of what can't be written.
#[track_caller]
fn refused(policy: &Policy, dialect: Dialect) -> Vec<String> {
    let errors = profile::write(policy, dialect).expect_err("this can't be written");
    assert!(errors.iter().all(|error| error.id == "cannot-write" && error.is_error()));
    errors.into_iter().map(|error| error.message).collect()
}

#[test]
fn what_a_dialect_has_no_words_for_is_named() {
    let text = r#"{ "defaultAction": "SCMP_ACT_ALLOW",
        "archMap": [{ "architecture": "SCMP_ARCH_ARM" }],
        "syscalls": [
            { "names": ["a"], "action": "SCMP_ACT_LOG" },
            { "names": ["b", "c", "d", "e", "f"], "action": "SCMP_ACT_LOG", "includes": { "caps": ["CAP_BPF"] } },
            { "names": ["g"], "action": "SCMP_ACT_LOG", "excludes": { "minKernel": "4.8" } }] }"#;
    let conditional = policy(text, Docker);
    assert_eq!(
        refused(&conditional, Oci),
        [
            "a runtime has one list of architectures, not one for each machine",
            "entry 1 (b, c, d and 2 more) has conditions in `includes`, which a runtime drops",
            "entry 2 (g) has conditions in `excludes`, which a runtime drops",
        ]
    );
    let place = profile::write(&conditional, Oci).unwrap_err()[1].primary().unwrap().span;
    assert!(place.of(text).starts_with("{ \"names\": [\"b\""));
    assert_eq!(
        refused(&conditional, Containers),
        ["entry 2 (g) has `minKernel` in `excludes`, which Podman drops"]
    );
}

#[test]
fn what_no_profile_has_words_for_is_named() {
    let mut odd = policy(r#"{ "defaultAction": "SCMP_ACT_LOG" }"#, Docker);
    odd.default = here(Action::UserNotif);
    odd.architectures = Architectures::List(vec![here(Abi::Alpha)]);
    let entry = |names: &[&str], action| Entry {
        names: names.iter().map(|name| here((*name).to_owned())).collect(),
        abis: Vec::new(),
        action: here(action),
        comparisons: Vec::new(),
        includes: Condition::default(),
        excludes: Condition::default(),
        comment: None,
        span: Span::default(),
    };
    odd.entries = vec![
        entry(&["a"], Action::Trap(7)),
        entry(&["a"], Action::Errno(4095)),
        entry(&["write"], Action::UserNotif),
        entry(&[""], Action::Log),
        entry(&[], Action::Log),
    ];
    odd.entries[4].includes.min_kernel = Some(here(KernelVersion::new(256, 0)));
    assert_eq!(
        refused(&odd, Docker),
        [
            "the default action asks a supervisor, which runc refuses",
            "a profile has no words for the architecture alpha",
            "a profile has no words for the data of a trap, 7",
            "a profile has no words for the error number 4095, which libseccomp refuses",
            "runc refuses to hand `write` to a supervisor",
            "entry 3 has an empty name",
            "entry 4 (no names) has the kernel 256.0, and Docker reads no number above 255",
        ]
    );
}

#[test]
fn the_low_half_is_compared_by_a_mask_or_not_at_all() {
    let text = r#"{ "defaultAction": "SCMP_ACT_LOG", "syscalls": [{ "names": ["a"], "action": "SCMP_ACT_TRAP" }] }"#;
    let with = |test| {
        let mut policy = policy(text, Oci);
        policy.entries[0].comparisons = vec![here(Comparison::low32(ArgIndex::ALL[1], test))];
        policy
    };
    for test in [Test::Eq(40), Test::Eq(0xffff_ffff), Test::MaskedEq { mask: 0xf0, value: 0x10 }] {
        let low = with(test);
        let written = profile::write(&low, Oci).unwrap();
        let read = policy(&written, Oci).entries[0].comparisons[0].value;
        for argument in [0, 0x10, 40, 0x1_0000_0028, u64::MAX, 0xffff_ffff, 0x5_0000_001f] {
            for bits in [32, 64] {
                let meant = low.entries[0].comparisons[0].value.holds(argument, bits);
                assert_eq!(read.holds(argument, bits), meant, "{test:?} of {argument:#x}");
            }
        }
    }
    assert_eq!(
        refused(&with(Test::Gt(40)), Docker),
        ["entry 0 compares the low 32 bits alone (arg1 > 0x28)"]
    );
}
