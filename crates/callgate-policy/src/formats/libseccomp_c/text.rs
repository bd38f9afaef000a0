//! The layout of the C file.

use alloc::{format, string::String, vec::Vec};

use callgate_syscalls::{KernelVersion, Syscall};

use super::fit::{Rules, action_word, listed};
use crate::{FilterFlag, Policy, Test};

/// The newest kernel whose calls every libseccomp in use knows: that of release 2.5.4.
const KNOWN_TO_ALL: KernelVersion = KernelVersion::new(5, 17);

/// The width that a line may have.
const WIDTH: usize = 100;

const HEAD: &str = "\
/* A seccomp filter, written by callgate.
 *
 * filter_make() makes it; seccomp_load() loads it then. As a program of its own it writes the
 * filter's BPF program to standard output:
 *
 *     cc -DFILTER_MAIN filter.c -o filter -lseccomp && ./filter > filter.bpf
 */
#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

#define TRY(call) do { int rc = (call); if (rc < 0) return rc; } while (0)
#define COUNT(list) (sizeof (list) / sizeof *(list))
";

const TAIL: &str = "
/* Makes the filter; returns 0, or the negative error number of what failed. */
int filter_make(scmp_filter_ctx *filter)
{
    int rc;

    *filter = seccomp_init(DEFAULT_ACTION);
    if (*filter == NULL)
        return -ENOMEM;
    rc = add_architectures(*filter);
    if (rc == 0)
        rc = add_rules(*filter);
    if (rc < 0) {
        seccomp_release(*filter);
        *filter = NULL;
    }
    return rc;
}

#ifdef FILTER_MAIN
#include <stdio.h>
#include <string.h>

int main(void)
{
    scmp_filter_ctx filter;
    int rc = filter_make(&filter);

    if (rc == 0) {
        rc = seccomp_export_bpf(filter, 1);
        seccomp_release(filter);
    }
    if (rc < 0)
        fprintf(stderr, \"filter: %s\\n\", strerror(-rc));
    return rc < 0;
}
#endif
";

/// The whole file.
pub(super) fn file(policy: &Policy, rules: &[Rules]) -> String {
    let mut file = File { text: String::from(HEAD), policy };
    let default = action_word(policy.default.value).unwrap_or_default();
    file.line(&format!("#define DEFAULT_ACTION {default}"));
    for (index, rule) in rules.iter().enumerate() {
        file.list(index, rule);
    }
    file.architectures();
    file.rules(rules);
    file.text.push_str(TAIL);
    file.text
}

struct File<'p> {
    text: String,
    policy: &'p Policy,
}

impl File<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// The calls of a rule, each in a list of its own.
    fn list(&mut self, index: usize, rule: &Rules) {
        let (calls, new) = by_age(&rule.calls);
        self.line(&format!("\nstatic const int calls_{index}[] = {{"));
        let mut width = 0;
        for call in calls {
            let word = format!("SCMP_SYS({}),", call.name);
            if width > 0 && width + 1 + word.len() <= WIDTH {
                self.text.push(' ');
                width += 1;
            } else {
                if width > 0 {
                    self.text.push('\n');
                }
                self.text.push_str("    ");
                width = 4;
            }
            self.text.push_str(&word);
            width += word.len();
        }
        if width > 0 {
            self.text.push('\n');
        }
        let stricter = rule.action < self.policy.default.value;
        let default = self.policy.default.value;
        for call in new {
            let name = call.name;
            // The library's headers may know a name whose number the kernel's headers lack, which
            // counts as 0 here; no new call has that number.
            let known = format!("defined(__SNR_{name}) && __SNR_{name} != 0");
            self.line(&format!("#if {known}\n    SCMP_SYS({name}),\n#else"));
            self.line(&if stricter {
                format!("#error this libseccomp does not know {name}, and would leave it to the default, {default}")
            } else {
                format!("#warning this libseccomp does not know {name}, which gets the default, {default}")
            });
            self.line("#endif");
        }
        self.line("};");
    }

    fn architectures(&mut self) {
        self.line("\nstatic int add_architectures(scmp_filter_ctx filter)\n{");
        let abis: Vec<&str> = listed(self.policy).iter().filter_map(|abi| abi.oci_name()).collect();
        if !abis.is_empty() {
            self.line("    static const uint32_t architectures[] = {");
            for abi in abis {
                self.line(&format!("        {abi},"));
            }
            self.line("    };\n");
        }
        let other = action_word(self.policy.other).unwrap_or_default();
        self.attribute("SCMP_FLTATR_ACT_BADARCH", &other);
        for flag in &self.policy.flags {
            let name = match flag.value {
                FilterFlag::Tsync => "SCMP_FLTATR_CTL_TSYNC",
                FilterFlag::Log => "SCMP_FLTATR_CTL_LOG",
                FilterFlag::SpecAllow => "SCMP_FLTATR_CTL_SSB",
                FilterFlag::WaitKillableRecv => "SCMP_FLTATR_CTL_WAITKILL",
            };
            self.attribute(name, "1");
        }
        if !listed(self.policy).is_empty() {
            self.line(
                "    for (size_t i = 0; i < COUNT(architectures); i++) {\n        \
                 int rc = seccomp_arch_add(filter, architectures[i]);\n\n        \
                 /* The machine's own is there already. */\n        \
                 if (rc < 0 && rc != -EEXIST)\n            return rc;\n    }",
            );
        }
        self.line("    return 0;\n}");
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.line(&format!("    TRY(seccomp_attr_set(filter, {name}, {value}));"));
    }

    fn rules(&mut self, rules: &[Rules]) {
        self.line("\nstatic int add_rules(scmp_filter_ctx filter)\n{");
        if rules.is_empty() {
            self.line("    (void)filter;");
        }
        for (index, rule) in rules.iter().enumerate() {
            let action = action_word(rule.action).unwrap_or_default();
            let count = rule.tests.len();
            let mut call = format!("seccomp_rule_add(filter, {action}, calls_{index}[i], {count}");
            for (arg, test) in &rule.tests {
                call.push_str(&format!(
                    ",\n                             {}",
                    comparison(*arg, *test)
                ));
            }
            self.line(&format!(
                "    for (size_t i = 0; i < COUNT(calls_{index}); i++)\n        TRY({call}));"
            ));
        }
        self.line("    return 0;\n}");
    }
}

/// The calls that every libseccomp knows, and those that a new one may know. What no architecture
/// of libseccomp has is left out.
fn by_age(calls: &[&'static Syscall]) -> (Vec<&'static Syscall>, Vec<&'static Syscall>) {
    let reachable = |call: &&&'static Syscall| call.abis().any(|abi| abi.oci_name().is_some());
    // m68k's own came late to libseccomp.
    let wide = |call: &Syscall| {
        let known = call.abis().filter(|abi| abi.oci_name().is_some());
        known.into_iter().any(|abi| abi != callgate_syscalls::Abi::M68k)
    };
    let old = |call: &&'static Syscall| {
        wide(call) && call.since.is_none_or(|since| since <= KNOWN_TO_ALL)
    };
    calls.iter().filter(reachable).copied().partition(old)
}

/// `SCMP_A0(SCMP_CMP_EQ, 5)`
fn comparison(arg: u8, test: Test) -> String {
    let (word, first, second) = match test {
        Test::Ne(value) => ("NE", value, None),
        Test::Lt(value) => ("LT", value, None),
        Test::Le(value) => ("LE", value, None),
        Test::Eq(value) => ("EQ", value, None),
        Test::Ge(value) => ("GE", value, None),
        Test::Gt(value) => ("GT", value, None),
        // libseccomp does not cut the value to the mask in all its releases.
        Test::MaskedEq { mask, value } => ("MASKED_EQ", mask, Some(value & mask)),
    };
    let number = |value: u64| format!("UINT64_C({value:#x})");
    match second {
        None => format!("SCMP_A{arg}(SCMP_CMP_{word}, {})", number(first)),
        Some(second) => {
            format!("SCMP_A{arg}(SCMP_CMP_{word}, {}, {})", number(first), number(second))
        }
    }
}
