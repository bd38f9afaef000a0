//! Builds one filter with the crate seccompiler as often as asked, and says how long that took.
//!
//! The commands on standard input are those of libseccomp's driver, `src/bench/libseccomp.c`, with
//! numbers in place of names. The crate knows two actions: rules with another than ALLOW are left
//! out, and said to be unknown.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    io::{self, BufRead, Write},
    time::Instant,
};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// `SECCOMP_RET_ALLOW` of `linux/seccomp.h`.
const ALLOW: u32 = 0x7fff_0000;

#[derive(Default)]
struct Rules {
    default: u32,
    /// A number and its conditions, as index, operator and two data.
    rules: Vec<(i64, Vec<[u64; 4]>)>,
    left_out: BTreeSet<String>,
}

fn main() -> Result<()> {
    let mut rules = Rules::default();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split(' ');
        match words.next() {
            Some("default") => rules.default = action_word(words.next())?,
            Some("arch") => {}
            Some("rule") => rules.add(&mut words)?,
            Some("check") => {
                println!("version 0.5.0");
                rules.left_out.iter().for_each(|number| println!("unknown {number}"));
                println!("checked");
            }
            Some("build") => println!("{}", rules.build()?.1),
            Some("export") => {
                let (program, built) = rules.build()?;
                let words = program.iter().flat_map(|i| {
                    let [a, b] = i.code.to_ne_bytes();
                    let [c, d, e, f] = i.k.to_ne_bytes();
                    [a, b, i.jt, i.jf, c, d, e, f]
                });
                let path = line.splitn(3, ' ').nth(2).ok_or("no file")?;
                fs::write(path, words.collect::<Vec<u8>>())?;
                println!("{built}");
            }
            _ => return Err(format!("not a command: {line}").into()),
        }
        io::stdout().flush()?;
    }
    Ok(())
}

impl Rules {
    fn add<'a>(&mut self, words: &mut impl Iterator<Item = &'a str>) -> Result<()> {
        let number = words.next().ok_or("no number")?;
        if action_word(words.next())? != ALLOW {
            self.left_out.insert(number.to_owned());
            return Ok(());
        }
        let words: Vec<&str> = words.collect();
        let condition = |four: &[&str]| -> Result<[u64; 4]> {
            let &[index, operator, a, b] = four else { return Err("not four words".into()) };
            let [a, b] = [a, b].map(|word| u64::from_str_radix(word, 16));
            Ok([index.parse()?, operator.parse()?, a?, b?])
        };
        let conditions: Result<Vec<_>> = words.chunks(4).map(condition).collect();
        self.rules.push((number.parse()?, conditions?));
        Ok(())
    }

    /// The program, and the answer that says how long it took.
    fn build(&self) -> Result<(BpfProgram, String)> {
        let begin = Instant::now();
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        for (number, conditions) in &self.rules {
            let those = rules.entry(*number).or_default();
            if !conditions.is_empty() {
                let conditions: Result<Vec<_>> = conditions.iter().map(condition).collect();
                those.push(SeccompRule::new(conditions?)?);
            }
        }
        let filter = SeccompFilter::new(
            rules,
            action(self.default)?,
            SeccompAction::Allow,
            TargetArch::x86_64,
        )?;
        let added = begin.elapsed();
        let program: BpfProgram = filter.try_into()?;
        let made = begin.elapsed() - added;
        Ok((program, format!("built {} {}", added.as_nanos(), made.as_nanos())))
    }
}

/// Operators are those of `enum scmp_compare`. What looks at the low half alone is given so.
fn condition(&[index, operator, a, b]: &[u64; 4]) -> Result<SeccompCondition> {
    use SeccompCmpArgLen::{Dword, Qword};
    let index = u8::try_from(index)?;
    let low = u64::from(u32::MAX);
    let (length, operator, value) = match operator {
        1 => (Qword, SeccompCmpOp::Ne, a),
        2 => (Qword, SeccompCmpOp::Lt, a),
        3 => (Qword, SeccompCmpOp::Le, a),
        4 => (Qword, SeccompCmpOp::Eq, a),
        5 => (Qword, SeccompCmpOp::Ge, a),
        6 => (Qword, SeccompCmpOp::Gt, a),
        7 if a == low => (Dword, SeccompCmpOp::Eq, b),
        7 if a < low => (Dword, SeccompCmpOp::MaskedEq(a), b),
        7 => (Qword, SeccompCmpOp::MaskedEq(a), b),
        _ => return Err("not an operator".into()),
    };
    Ok(SeccompCondition::new(index, length, operator, value)?)
}

fn action_word(word: Option<&str>) -> Result<u32> {
    Ok(u32::from_str_radix(word.ok_or("no action")?, 16)?)
}

/// As `linux/seccomp.h` has them.
fn action(word: u32) -> Result<SeccompAction> {
    Ok(match word & 0xffff_0000 {
        0x0005_0000 => SeccompAction::Errno(word & 0xffff),
        0x0003_0000 => SeccompAction::Trap,
        0x0000_0000 => SeccompAction::KillThread,
        0x8000_0000 => SeccompAction::KillProcess,
        ALLOW => SeccompAction::Allow,
        _ => return Err(format!("no action {word:#x}").into()),
    })
}
