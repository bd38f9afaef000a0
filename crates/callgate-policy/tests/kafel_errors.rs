//! What the reader of Kafel's language says about texts that are wrong.

mod common;
#[path = "common/reading.rs"]
mod reading;

use callgate_diagnostic::Severity;
use callgate_policy::formats::kafel;

use self::{
    common::Found,
    reading::{find, ids},
};

/// The error with this id at the marked place.
#[track_caller]
fn error(marked: &str, id: &str) -> Found {
    find(kafel::read, marked, Severity::Error, id)
}

#[track_caller]
fn warning(marked: &str, id: &str) -> Found {
    find(kafel::read, marked, Severity::Warning, id)
}

#[test]
fn unknown_words_get_a_suggestion() {
    error("ALLOW { «raed» }", "unknown-syscall")
        .says("no architecture has a syscall `raed`")
        .label("did you mean `read`?")
        .mends_to("ALLOW { read }");
    error("«ALOW» { read }", "kafel-syntax")
        .says("expected `POLICY`, `USE`, `DEFAULT`, `#define` or an action, found `ALOW`")
        .mends_to("ALLOW { read }");
    error("POLICY a { ALLOW { read } } DEFAULT «allow»", "unknown-action")
        .says("`allow` is not an action")
        .mends_to("POLICY a { ALLOW { read } } DEFAULT ALLOW");
    error("POLICY base { } USE «bass»", "unknown-policy")
        .says("no policy above is called `bass`")
        .mends_to("POLICY base { } USE base");
    error("ALLOW { read { «fdd» == 1 } }", "unknown-argument")
        .says("`fdd` is neither an argument nor a constant")
        .label("did you mean `fd`?");
    error("ALLOW { getpid { «a» == 1 } }", "unknown-argument").label("this call has no arguments");
    error("ALLOW { SYSCALL[39] ON x86_64 { «a» == 1 } }", "unknown-argument")
        .label("a call by number has no names for its arguments");
    // With names of one's own the others are gone.
    error("ALLOW { read(fd) { «count» == 1 } }", "unknown-argument");
    error("ALLOW { read ON «x68_64» }", "unknown-architecture")
        .says("Kafel has no architecture `x68_64`")
        .mends_to("ALLOW { read ON x86_64 }");
    error("ALLOW { «open» ON aarch64 }", "unknown-syscall")
        .says("the architectures named here have no syscall `open`");
    warning("ALLOW { «fstat» ON x86_64 }", "kafel-name")
        .says("Kafel's name for `fstat` is `newfstat`")
        .mends_to("ALLOW { newfstat ON x86_64 }");
}

#[test]
fn names_are_given_once() {
    error("POLICY a { } POLICY «a» { } USE a", "duplicate-name")
        .says("there are two policies called `a`");
    error("#define A 1\n#define A «2»\nALLOW { read }", "duplicate-name")
        .says("`A` is defined with two values");
    assert!(ids(kafel::read, "#define A 1\n#define A 1\nALLOW { read }").is_empty());
    error("DEFAULT KILL ALLOW { read } «DEFAULT ALLOW»", "duplicate-name")
        .says("there are two default actions");
    error("ALLOW { read(a, «a») { a == 1 } }", "duplicate-name")
        .says("two arguments are called `a`");
    error("ALLOW { read(a, b, c, d, e, f, «g») }", "kafel-syntax")
        .says("a system call has six arguments at most");
}

#[test]
fn commas_stand_between_and_nowhere_else() {
    error("ALLOW { read «write», close }", "kafel-syntax")
        .says("expected `,` before a system call")
        .mends_to("ALLOW { read, write, close }");
    error("ALLOW { read«,» }", "kafel-syntax")
        .says("nothing follows this comma")
        .mends_to("ALLOW { read }");
    error("POLICY a { ALLOW { read } «KILL» { write } } USE a", "kafel-syntax")
        .mends_to("POLICY a { ALLOW { read }, KILL { write } } USE a");
    error("POLICY a { ALLOW { read }«,» } USE a", "kafel-syntax")
        .mends_to("POLICY a { ALLOW { read } } USE a");
    error("ALLOW { read }«,» DEFAULT KILL", "kafel-syntax").mends_to("ALLOW { read } DEFAULT KILL");
}

#[test]
fn what_is_open_must_be_closed() {
    error("ALLOW «{» read DEFAULT KILL", "kafel-syntax").says("`{` is never closed");
    error("POLICY a «{» ALLOW { read }", "kafel-syntax").says("`{` is never closed");
    error("ALLOW { read { (fd == 1 «}» } }", "kafel-syntax")
        .says("expected an operator or `)`, found `}`");
    error("ALLOW { read } «/*» oops", "kafel-syntax").says("a comment has no end");
    error("ALLOW { read } «}»", "kafel-syntax");
}

#[test]
fn conditions_compare_values() {
    error("ALLOW { read { «fd» } }", "kafel-syntax")
        .says("a value stands where a condition must")
        .label("compare it, as in `fd == 1`");
    error("ALLOW { mmap { «prot & 4» && fd == 1 } }", "kafel-syntax");
    error("ALLOW { read { («fd == 1») & 3 } }", "kafel-syntax")
        .says("a condition stands where a value must")
        .label("expected a number or an argument");
    error("ALLOW { read { 1 < fd «<» 5 } }", "kafel-syntax").says("comparisons do not chain");
    error("ALLOW { read { fd «=» 1 } }", "kafel-syntax")
        .label("did you mean `==`?")
        .mends_to("ALLOW { read { fd == 1 } }");
    error("ALLOW { read { fd == «}» }", "kafel-syntax")
        .says("expected a number, an argument or `(`, found `}`");
    error("ALLOW { read { «fd == count» } }", "two-arguments")
        .says("an argument is compared with another");
    error("ALLOW { read { «count < count & 5» } }", "two-arguments")
        .says("an argument is ordered against itself");
    warning("ALLOW { read { «1 == 2» } }", "constant-condition")
        .says("the two numbers are constant, so this never holds");
    assert_eq!(ids(kafel::read, "ALLOW { read { 1 == 2 } }"), ["constant-condition"]);
    warning("ALLOW { read { «fd == 1 && fd == 1 && count < 0 & 1» } }", "constant-condition")
        .says("the condition never holds");
}

#[test]
fn numbers_are_whole_and_of_64_bits() {
    error("ALLOW { SYSCALL[«0x12345678901234567»] }", "kafel-number")
        .says("`0x12345678901234567` is too large");
    error("ALLOW { read { fd == «089» } }", "kafel-number")
        .label("a 0 in front makes it octal, with digits 0 to 7");
    error("ALLOW { read { fd == «12ab» } }", "kafel-number").says("`12ab` is not a number");
    error("ERRNO(«65536») { read }", "bad-errno").says("65536 is too large for an action");
    warning("ERRNO(«0») { read }", "errno-zero");
    error("ERRNO(«EPERM») { read }", "kafel-syntax")
        .says("an action takes a number, not `EPERM`")
        .mends_to("ERRNO(1) { read }");
    // Not even a constant of the text.
    error("#define E 5\nERRNO(«E») { read }", "kafel-syntax");
    error("ERRNO «{» read }", "kafel-syntax")
        .says("expected a number in parentheses, as in `ERRNO(1)`, found `{`");
}

#[test]
fn a_number_needs_a_call_that_has_it() {
    error("ALLOW { «SYSCALL[-1]» }", "unnamed-call")
        .says("no system call has the number 0xffffffff");
    error("ALLOW { «SYSCALL[0x100000000]» }", "unnamed-call");
    error("#define mine 999999\nALLOW { «mine» }", "unnamed-call");
    // A call of some of the architectures.
    warning("ALLOW { «SYSCALL[335]» }", "unnamed-call");
}

#[test]
fn other_files_are_not_read() {
    error("«#include \"base.policy\" \"more\"»\nUSE base", "kafel-include")
        .says("other files are not read");
    assert_eq!(ids(kafel::read, "#include \"a\"; ALLOW { read }"), ["kafel-include"]);
}

#[test]
fn what_kafels_lexer_misreads_is_refused() {
    error("/* a «**/» ALLOW { read } /* b */", "kafel-comment")
        .mends_to("/* a * */ ALLOW { read } /* b */");
    assert!(ids(kafel::read, "/** a ***/ ALLOW { read }").is_empty());
    error("ALLOW { read }«\r»\nDEFAULT KILL\r\n", "kafel-syntax")
        .says("lines end in carriage returns, which Kafel refuses");
    error("ALLOW { read«\0» }", "kafel-syntax").says("`\\u{0}` is no part of Kafel");
    error("ALLOW { read }«;»", "kafel-syntax").mends_to("ALLOW { read }");
}

#[test]
fn an_idle_policy_is_pointed_out() {
    warning("POLICY «a» { ALLOW { read } } DEFAULT KILL", "unused-policy")
        .says("nothing uses this policy");
    error("«»", "kafel-syntax").says("the text has no statement");
}

#[test]
fn all_mistakes_are_found_at_once_in_order() {
    let text = "
        #define A 1 2
        POLICY a { ALLOW { raed, write { fd = 1 }, close { x == 1 } }, KIL { read } }
        USE b
        ERRNO(70000) { open { (flags & 1 } , kill ON vax }
        DEFAULT NOTHING";
    assert_eq!(
        ids(kafel::read, text),
        [
            "kafel-syntax",         // 2
            "unused-policy",        // a
            "unknown-syscall",      // raed
            "kafel-syntax",         // =
            "kafel-syntax",         // fd 1
            "unknown-argument",     // x
            "kafel-syntax",         // KIL
            "unknown-policy",       // b
            "bad-errno",            // 70000
            "kafel-syntax",         // no `)`
            "unknown-architecture", // vax
            "unknown-action",       // NOTHING
        ]
    );
}

#[test]
fn the_examples_of_the_pages_lead_to_them() {
    for id in [
        "constant-condition",
        "duplicate-name",
        "kafel-comment",
        "kafel-include",
        "kafel-name",
        "kafel-number",
        "kafel-syntax",
        "too-many-alternatives",
        "two-arguments",
        "unknown-argument",
        "unknown-policy",
        "unnamed-call",
        "unused-policy",
    ] {
        reading::check_page(kafel::read, id);
    }
    let pairs =
        [("fstat", "newfstat"), ("stat", "newstat"), ("uname", "newuname"), ("umount2", "umount")];
    for (name, kafels) in pairs {
        let found = kafel::read(&format!("ALLOW {{ {name} }}")).diagnostics;
        assert_eq!(found[0].message, format!("Kafel's name for `{name}` is `{kafels}`"));
    }
}
