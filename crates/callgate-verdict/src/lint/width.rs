//! Comparisons that look at more or at less of an argument than the kernel does.

use alloc::{format, vec, vec::Vec};

use callgate_policy::Test;
use callgate_syscalls::{Abi, Arg, constants};

use super::{
    Finding,
    abis::never,
    edits,
    places::is_json,
    view::{ARGUMENTS, Call, Linter},
};
use crate::{Diagram, Predicate, TooComplex, manager::View};

impl Linter<'_> {
    pub(super) fn widths(&mut self) -> Result<(), TooComplex> {
        for table in self.filtered() {
            let abi = self.tables[table].abi;
            // Under an x86_64 kernel alone does x86 show registers of 64 bits.
            let int80 = abi == Abi::X86 && self.subject.native != Abi::X86;
            for call in self.calls(table) {
                let mut wide = false;
                for arg in self.arguments(call.verdict) {
                    let Some(known) = call.args().get(arg) else { continue };
                    // One argument of a call shows it as well as two.
                    if int80 {
                        wide = wide || self.int80(call, arg, known)?;
                    } else if abi.arg_bits() == 64 && !known.pointer {
                        match known.bits {
                            64 => self.lower_half_only(call, arg, known),
                            _ => wide = wide || self.upper_half(call, arg, known)?,
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// An argument of which the kernel reads less than the filter does; whether that lets a call
    /// pass.
    fn upper_half(&mut self, call: Call, arg: usize, known: &Arg) -> Result<bool, TooComplex> {
        if !self.looks_at(call.verdict, arg).upper {
            return Ok(false);
        }
        let clean = self.with_upper(call.verdict, arg, 0)?;
        let negative = self.with_upper(call.verdict, arg, 0xff)?;
        let more = self.manager.permits_more(call.verdict, clean)?;
        let mut dirty = more;
        for byte in [0, 0xff] {
            let natural = self.upper_is(arg, byte)?;
            let unnatural = self.manager.not(natural)?;
            dirty = self.manager.and(dirty, unnatural)?;
        }
        if let Some(data) = self.witness(call, dirty) {
            let mut same = data;
            same.args[arg] &= u64::from(u32::MAX);
            let finding = Finding::new(
                "dirty-upper-half",
                format!(
                    "`{}` of `{}` is compared on 64 bits, and the kernel reads {} of them",
                    known.name, call.name, known.bits
                ),
                "an attacker sets upper bits, so that the filter permits what it refuses without them; the kernel does the same in both cases",
            )
            .example(self.contrast(data, same))
            .help(self.low_half_help(call));
            let finding = self.labelled(finding, call, arg, "64 bits are compared");
            let edits = self.low_half_edits(call, arg);
            self.push(finding.edits(edits));
            return Ok(true);
        }
        self.sign_extension(call, arg, known, clean, negative)?;
        Ok(false)
    }

    /// A negative number that is permitted as 32 bits and not as 64, or the other way round.
    fn sign_extension(
        &mut self,
        call: Call,
        arg: usize,
        known: &Arg,
        clean: Diagram,
        negative: Diagram,
    ) -> Result<(), TooComplex> {
        let is_negative =
            self.argument_is(arg, Test::MaskedEq { mask: 1 << 31, value: 1 << 31 })?;
        for (permitted, other, fill) in
            [(clean, negative, 0), (negative, clean, u64::from(u32::MAX))]
        {
            let more = self.manager.permits_more(permitted, other)?;
            let more = self.manager.and(more, is_negative)?;
            let Some(mut data) = self.witness(call, more) else { continue };
            data.args[arg] = data.args[arg] & u64::from(u32::MAX) | fill << 32;
            let mut refused = data;
            refused.args[arg] ^= u64::from(u32::MAX) << 32;
            let finding = Finding::new(
                "sign-extension",
                format!(
                    "a negative `{}` of `{}` is permitted {} only",
                    known.name,
                    call.name,
                    if fill == 0 { "with an upper half of 0" } else { "as 64 bits" },
                ),
                "a user loses the call where the compiler fills the register the other way, as it may",
            )
            .example(self.contrast(refused, data))
            .help("permit both values, or compare the low 32 bits alone");
            let finding = self.labelled(finding, call, arg, "compares 64 bits");
            self.push(finding);
            break;
        }
        Ok(())
    }

    /// `int 0x80` from 64-bit code shows whole registers, of which the kernel uses the low halves.
    fn int80(&mut self, call: Call, arg: usize, known: &Arg) -> Result<bool, TooComplex> {
        if !self.looks_at(call.verdict, arg).upper {
            return Ok(false);
        }
        let clean = self.with_upper(call.verdict, arg, 0)?;
        let more = self.manager.permits_more(call.verdict, clean)?;
        let Some(data) = self.witness(call, more) else { return Ok(false) };
        let mut same = data;
        same.args[arg] &= u64::from(u32::MAX);
        let finding = Finding::new(
            "int80-upper-half",
            format!("`{}` of `{}` on x86 is compared on 64 bits", known.name, call.name),
            "an attacker in 64-bit code calls by `int 0x80` with a dirty upper half, which the filter sees and the kernel drops",
        )
        .example(self.contrast(data, same))
        .help("on x86 compare the low word of arguments alone");
        let finding = self.labelled(finding, call, arg, "");
        self.push(finding);
        Ok(true)
    }

    /// A wide argument of which the filter reads the low half alone, as a number.
    fn lower_half_only(&mut self, call: Call, arg: usize, known: &Arg) {
        let halves = self.looks_at(call.verdict, arg);
        let index = u8::try_from(arg).unwrap_or(0);
        let flags = constants::on(call.abi, call.name, index)
            .is_some_and(|set| set.kind() != constants::Kind::Enum);
        if halves.upper || !halves.lower || flags || !self.top_bit_matters(call.verdict, arg) {
            return;
        }
        let Some(refused) = self.refused(call) else { return };
        // As permitted as it is, whatever the upper half: take a permitted one and raise it.
        let Ok(Some(mut data)) = self.permitted(call) else { return };
        data.args[arg] |= 1 << 32;
        let finding = Finding::new(
            "lower-half-only",
            format!(
                "`{}` of `{}` has 64 bits, and only the low 32 are compared",
                known.name, call.name
            ),
            "an attacker passes a larger number, whose low half is one that is permitted",
        )
        .example(self.contrast(data, refused))
        .help("compare all 64 bits");
        let finding = self.labelled(finding, call, arg, "32 bits are compared");
        self.push(finding);
    }

    /// Whether some verdict hangs on bit 31: a bound or a value, where a mask of flags would leave
    /// it alone.
    fn top_bit_matters(&self, verdict: Diagram, arg: usize) -> bool {
        let (mut open, mut seen) = (vec![verdict.0], Vec::new());
        while let Some(node) = open.pop() {
            let View::Runs(digit, runs) = self.manager.view(node) else { continue };
            if seen.contains(&node) {
                continue;
            }
            seen.push(node);
            let (field, below) = self.manager.digits.place(digit);
            let name = self.manager.digits.layout().fields[field].name;
            let child = |byte: u8| runs[runs.partition_point(|run| run.last < byte)].child;
            if name == ARGUMENTS[arg]
                && below == 24
                && (0..0x80).any(|byte| child(byte) != child(byte | 0x80))
            {
                return true;
            }
            open.extend(runs.iter().map(|run| run.child));
        }
        false
    }

    /// A call of the number that does not run.
    fn refused(&mut self, call: Call) -> Option<callgate_bpf::SeccompData> {
        let never_runs = self.manager.constant(callgate_bpf::Action::KillThread.raw());
        let permitted = self.manager.permits_more(call.verdict, never_runs).ok()?;
        let refused = self.manager.not(permitted).ok()?;
        self.witness(call, refused)
    }

    /// A call of the number that runs.
    pub(super) fn permitted(
        &mut self,
        call: Call,
    ) -> Result<Option<callgate_bpf::SeccompData>, TooComplex> {
        let permitted = self.permitted_set(call)?;
        Ok(self.witness(call, permitted))
    }

    /// The calls of the number that run.
    pub(super) fn permitted_set(&mut self, call: Call) -> Result<Predicate, TooComplex> {
        if call.permission.always_refused() {
            return Ok(never(self.manager));
        }
        let asked = self.manager.constant(callgate_bpf::Action::Trace(0).raw());
        self.manager.permits_more(call.verdict, asked)
    }

    fn labelled(&self, finding: Finding, call: Call, arg: usize, text: &str) -> Finding {
        let labels = self.subject.written.map(|written| written.labels(call, Some(arg), text));
        finding.labels(labels.unwrap_or_default())
    }

    fn low_half_help(&self, call: Call) -> &'static str {
        let json = self.subject.written.is_some_and(|written| is_json(written));
        match (json, call.permission.runs) {
            (true, _) => {
                "compare the low half: SCMP_CMP_MASKED_EQ with a mask within 0xffffffff; a bound becomes several such entries"
            }
            (false, _) => "compare the low 32 bits alone",
        }
    }

    /// The comparisons of an argument by masks of its low half.
    fn low_half_edits(&mut self, call: Call, arg: usize) -> Vec<callgate_diagnostic::Edit> {
        let Some(written) = self.subject.written.filter(|&written| is_json(written)) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for index in written.entries_of(call.abi, call.nr) {
            let Some(entry) = written.policy.entries.get(index) else { continue };
            let mut of_arg = entry.comparisons.iter().filter(|c| usize::from(c.value.arg) == arg);
            let (Some(comparison), None) = (of_arg.next(), of_arg.next()) else { continue };
            let Some(masks) = masks(comparison.value.test) else { return Vec::new() };
            match edits::entry_by_masks(written.text, entry, comparison, &masks) {
                Some(edit) => all.push(edit),
                None => return Vec::new(),
            }
        }
        all
    }
}

/// Masks of the low half with their values, of which one holds exactly where the test does of a
/// number below 2^32; none where that takes more than a reader would bear with.
fn masks(test: Test) -> Option<Vec<(u64, u64)>> {
    const LIMIT: usize = 8;
    const TOP: u64 = 0xffff_ffff;
    let (first, last) = match test {
        Test::Eq(value) => (value, value),
        Test::MaskedEq { mask, value } if mask <= TOP && value <= TOP => {
            return Some(vec![(mask, value)]);
        }
        Test::Lt(value) => (0, value.checked_sub(1)?),
        Test::Le(value) => (0, value),
        Test::Ge(value) => (value, TOP),
        Test::Gt(value) => (value.checked_add(1)?, TOP),
        Test::Ne(_) | Test::MaskedEq { .. } => return None,
    };
    if last > TOP {
        return None;
    }
    // The largest aligned blocks, from below.
    let mut masks = Vec::new();
    let mut at = first;
    while at <= last {
        let mut size = 1 << at.trailing_zeros().min(32);
        while at + (size - 1) > last {
            size >>= 1;
        }
        masks.push((TOP & !(size - 1), at));
        if masks.len() > LIMIT {
            return None;
        }
        at += size;
    }
    Some(masks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_hold_where_the_test_does() {
        for test in [Test::Eq(7), Test::Lt(38), Test::Le(0), Test::Le(0xffff_ffff), Test::Lt(4096)]
        {
            let masks = masks(test).unwrap_or_else(|| panic!("{test:?}"));
            for value in (0..5000).chain([0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
                let masked = masks.iter().any(|(mask, of)| value & mask == *of);
                assert_eq!(masked, test.holds(value), "{test:?} {value}");
            }
        }
        assert_eq!(masks(Test::Lt(0)), None);
        assert_eq!(masks(Test::Gt(40)), None, "too many");
    }
}
