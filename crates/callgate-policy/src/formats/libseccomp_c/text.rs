//! The layout of the C file.

use alloc::{format, string::String, vec::Vec};

use callgate_syscalls::{Abi, KernelVersion};

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

/// For calls that an old libseccomp may not know.
const ADD_NEW: &str = "
/* Adds a rule for a call that this libseccomp may be too old for. Without the rule the call gets
 * the default action; where that is looser, the filter is not made. */
static int add_new(scmp_filter_ctx filter, uint32_t action, const char *name, int needed,
                   unsigned int count, const struct scmp_arg_cmp *tests)
{
    int call = seccomp_syscall_resolve_name(name);

    if (call == __NR_SCMP_ERROR)
        return needed ? -ENOSYS : 0;
    return seccomp_rule_add_array(filter, action, call, count, tests);
}
";

const TAIL: &str = "
/* Makes the filter; returns 0, or the negative error number of what failed: -ENOSYS where the
 * installed libseccomp does not know a call that the filter has to refuse. */
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
    let lists: Vec<Lists> = rules.iter().map(Lists::of).collect();
    for (index, lists) in lists.iter().enumerate() {
        file.list(&format!("static const int calls_{index}[]"), &lists.old);
        file.list(&format!("static const char *const new_calls_{index}[]"), &lists.new);
    }
    if lists.iter().any(|lists| !lists.new.is_empty()) {
        file.text.push_str(ADD_NEW);
    }
    file.architectures();
    file.rules(rules, &lists);
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

    /// An array, unless there is nothing in it.
    fn list(&mut self, name: &str, elements: &[String]) {
        if elements.is_empty() {
            return;
        }
        self.line(&format!("\n{name} = {{"));
        let mut width = 0;
        for element in elements {
            if width > 0 && width + element.len() + " ,".len() <= WIDTH {
                self.text.push(' ');
                width += 1;
            } else {
                self.text.push_str(if width > 0 { "\n    " } else { "    " });
                width = 4;
            }
            self.text.push_str(element);
            self.text.push(',');
            width += element.len() + 1;
        }
        self.line("\n};");
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

    fn rules(&mut self, rules: &[Rules], lists: &[Lists]) {
        self.line("\nstatic int add_rules(scmp_filter_ctx filter)\n{");
        if rules.is_empty() {
            self.line("    (void)filter;");
        }
        for (index, (rule, lists)) in rules.iter().zip(lists).enumerate() {
            let action = action_word(rule.action).unwrap_or_default();
            let tests: Vec<String> =
                rule.tests.iter().map(|(arg, test)| comparison(*arg, *test)).collect();
            let count = tests.len();
            if !lists.old.is_empty() {
                let tests: String =
                    tests.iter().map(|test| format!(",\n            {test}")).collect();
                self.line(&format!(
                    "    for (size_t i = 0; i < COUNT(calls_{index}); i++)\n        \
                     TRY(seccomp_rule_add(filter, {action}, calls_{index}[i], {count}{tests}));"
                ));
            }
            if !lists.new.is_empty() {
                let needed = u8::from(rule.action < self.policy.default.value);
                let (list, tests) = match count {
                    0 => (String::new(), "NULL"),
                    _ => (
                        format!(
                            "        const struct scmp_arg_cmp tests[] = {{\n            {},\n        }};\n",
                            tests.join(",\n            ")
                        ),
                        "tests",
                    ),
                };
                self.line(&format!(
                    "    for (size_t i = 0; i < COUNT(new_calls_{index}); i++) {{\n{list}        \
                     TRY(add_new(filter, {action}, new_calls_{index}[i], {needed}, {count}, {tests}));\n    }}"
                ));
            }
        }
        self.line("    return 0;\n}");
    }
}

/// The calls of a rule: those that every libseccomp knows, as numbers, and those that a new one
/// may know, as names. What no architecture of libseccomp has is left out.
struct Lists {
    old: Vec<String>,
    new: Vec<String>,
}

impl Lists {
    fn of(rule: &Rules) -> Lists {
        let mut lists = Lists { old: Vec::new(), new: Vec::new() };
        for call in &rule.calls {
            let mut abis = call.abis().filter(|abi| abi.oci_name().is_some()).peekable();
            if abis.peek().is_none() {
                continue;
            }
            // m68k's own calls came late to libseccomp.
            let old = abis.any(|abi| abi != Abi::M68k)
                && call.since.is_none_or(|since| since <= KNOWN_TO_ALL);
            if old {
                lists.old.push(format!("SCMP_SYS({})", call.name));
            } else {
                lists.new.push(format!("\"{}\"", call.name));
            }
        }
        lists
    }
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
