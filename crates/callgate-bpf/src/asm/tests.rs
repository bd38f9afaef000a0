use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::disasm::Listing;
use crate::generate::{self, Rng};
use crate::{Action, ByteOrder, Condition, Operand};

const LAYOUT: Layout = Layout::seccomp(ByteOrder::Little);

fn instructions(text: &str) -> Vec<Instruction> {
    assemble_unchecked(text, &LAYOUT).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn message(text: &str) -> String {
    assemble(text, LAYOUT).unwrap_err().to_string()
}

#[track_caller]
fn one(text: &str, op: Op) {
    assert_eq!(instructions(text), [Instruction::from(op)], "{text}");
}

#[test]
fn every_valid_program_survives_to_the_byte() {
    let mut rng = Rng::new(17);
    for _ in 0..3_000 {
        let instructions = generate::valid_program(&mut rng, &LAYOUT, 600);
        let program = Program::new(instructions, LAYOUT).unwrap();
        let text = Listing::new(&program).to_string();
        let again = assemble(&text, LAYOUT).unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!(again, program, "{text}");
    }
}

#[test]
fn everything_else_survives_too() {
    let mut rng = Rng::new(19);
    for _ in 0..3_000 {
        let mut before = generate::program(&mut rng, &LAYOUT, 60);
        for instruction in &mut before {
            if rng.one_in(8) {
                let [a, b, jt, jf, k @ ..] = rng.next_u64().to_be_bytes();
                let code = u16::from_be_bytes([a, b]);
                *instruction = Instruction { code, jt, jf, k: u32::from_be_bytes(k) };
            }
        }
        let text = Listing::of_instructions(&before, &LAYOUT).to_string();
        assert_eq!(instructions(&text), before, "{text}");
    }
}

#[test]
fn operands_are_read() {
    one("ld [0x10]", Op::Load(16));
    one("ld [nr]", Op::Load(0));
    one("ld [arch]", Op::Load(4));
    one("ld [instruction_pointer.high]", Op::Load(12));
    one("ld [args[5].low] ; x", Op::Load(56));
    one("ld [ args[5].high ]", Op::Load(60));
    one("ld len", Op::LoadLen);
    one("ld #0xFFFFFFFF", Op::LoadImm(u32::MAX));
    one("ld M[3]", Op::LoadMem(3));
    one("ldx len", Op::LoadXLen);
    one("ldx #7", Op::LoadXImm(7));
    one("ldx M[ 15 ]", Op::LoadXMem(15));
    one("st M[0]", Op::Store(0));
    one("stx M[1]", Op::StoreX(1));
    one("\tlsh\tx", Op::Alu(crate::AluOp::Lsh, Operand::X));
    one("and #0x0f", Op::Alu(crate::AluOp::And, Operand::K(15)));
    one("neg", Op::Neg);
    one("ret a", Op::ReturnA);
    one("ret #0", Op::Return(0));
    for action in [
        Action::KillProcess,
        Action::KillThread,
        Action::Trap(65_535),
        Action::Errno(4095),
        Action::UserNotif,
        Action::Trace(1),
        Action::Log,
        Action::Allow,
    ] {
        one(&alloc::format!("ret {action}"), Op::Return(action.raw().0));
    }
}

#[test]
fn fields_follow_the_byte_order() {
    let big = Layout::seccomp(ByteOrder::Big);
    let low = assemble_unchecked("ld [args[0].low]", &big).unwrap();
    assert_eq!(low, [Op::Load(20).into()]);
}

#[test]
fn labels_and_comments_stand_anywhere() {
    let text = "\
; a comment: with a colon
start: first:   ; two labels, no instruction

  jeq #1, end, mid
mid:ja end
end : ret a";
    let expected = [
        Op::Branch { condition: Condition::Eq, operand: Operand::K(1), jt: 1, jf: 0 },
        Op::Jump(0),
        Op::ReturnA,
    ];
    assert_eq!(instructions(text), expected.map(Instruction::from));
}

#[test]
fn one_target_lets_the_other_way_go_on() {
    let branch = |text: &str| {
        let text = alloc::format!("{text}, far\nret a\nfar: ret a");
        instructions(&text)[0].decode().unwrap()
    };
    let expected = |condition, operand, jt, jf| Op::Branch { condition, operand, jt, jf };
    let five = Operand::K(5);
    assert_eq!(branch("jeq #5"), expected(Condition::Eq, five, 1, 0));
    assert_eq!(branch("jset x"), expected(Condition::Set, Operand::X, 1, 0));
    assert_eq!(branch("jne #5"), expected(Condition::Eq, five, 0, 1));
    assert_eq!(branch("jle #5"), expected(Condition::Gt, five, 0, 1));
    assert_eq!(branch("jlt #5"), expected(Condition::Ge, five, 0, 1));
}

#[test]
fn errors_name_the_place_and_what_was_expected() {
    for (text, expected) in [
        ("lod [0]", "line 1, column 1: `lod` is no instruction; there are ld"),
        ("ret a\n  ld", "line 2, column 5: expected `[offset or field]`, `#constant`"),
        ("ld #", "line 1, column 5: expected a number, found the end of the line"),
        ("ld #x", "line 1, column 5: expected a number, found `x`"),
        ("ld #12three", "line 1, column 5: expected a number, found `12three`"),
        ("ld #4294967296", "line 1, column 5: `4294967296` is too large, at most 0xffffffff fits"),
        ("ld [flags]", "line 1, column 5: `flags` is no field of the context"),
        ("ld [args[0]]", "line 1, column 5: `args[0]` is no field of the context"),
        ("ld [0", "line 1, column 6: expected `]`, found the end of the line"),
        ("ret a b", "line 1, column 7: expected the end of the line or a comment"),
        ("ret errno(4096)", "line 1, column 11: `4096` is too large, at most 0xfff fits"),
        ("jeq #1", "line 1, column 7: expected `,` and a label, found the end of the line"),
        ("jeq y, l", "line 1, column 5: expected a constant such as `#5`, or `x`, found `y`"),
        ("ja there", "line 1, column 4: the label `there` is not defined"),
        ("l: ja l", "line 1, column 7: `l` is not further down: a jump only goes forward"),
        ("l: ret a\nl: ret a", "line 2, column 1: the label `l` is defined twice"),
        ("ret a {k=1}\nld #1 {k=1}", "line 2, column 8: this instruction uses `k`"),
        ("tax {jt=256}", "line 1, column 9: `256` is too large, at most 0xff fits"),
        ("tax {x=1}", "line 1, column 6: expected `jt=`, `jf=`, `k=` or `}`, found `x`"),
        (".raw 0x28, 0, 0", "line 1, column 16: expected `,`, found the end of the line"),
        ("é: ret a", "line 1, column 1: expected an instruction or a label with `:`, found `é`"),
        ("; é\nret é", "line 2, column 5: expected `a`, a constant"),
        ("ld M[16]\nret a", "line 1, column 1: instruction 0: scratch word 16"),
        ("ret a\ntax", "line 2, column 1: instruction 1: the last instruction must be a return"),
        ("", "line 1, column 1: a program needs an instruction"),
    ] {
        let found = message(text);
        assert!(found.starts_with(expected), "{text:?}\n{found}\n{expected}");
    }
}

#[test]
fn a_comparison_reaches_255_instructions() {
    let text =
        |between: usize| alloc::format!("jeq #1, far\n{}far: ret a", "tax\n".repeat(between));
    assert!(assemble(&text(255), LAYOUT).is_ok());
    let error = assemble(&text(256), LAYOUT).unwrap_err();
    assert!(error.is_label());
    assert_eq!((error.line(), error.column()), (1, 9));
    assert!(error.to_string().contains("is 256 instructions away"), "{error}");
}

#[test]
fn hostile_text_is_bounded() {
    assert!(message(&"ret a\n".repeat(5000)).starts_with("line 4097, column 1: the kernel takes"));
    assert!(message(&" ".repeat(MAX_TEXT + 1)).contains("bytes, at most"));
    // A message never repeats more than it must, and nothing that a terminal would act on.
    let long = message(&"x".repeat(100_000));
    assert!(long.len() < 400, "{}", long.len());
    assert!(!message("\u{1b}[31m").contains('\u{1b}'));
    // Many labels in one line take time in proportion: this would not end otherwise.
    let labels: String = (0..300_000).map(|n| alloc::format!("l{n}:")).collect();
    assert_eq!(instructions(&(labels + "tax")).len(), 1);
    let braces = alloc::format!("tax {{{}", "k=1 ".repeat(500_000));
    assert!(message(&braces).contains("found the end of the line"));
}

#[test]
fn any_text_gets_an_answer() {
    let pieces = [
        "ld",
        "ldx",
        "[",
        "]",
        "#",
        "0x",
        "1",
        "M",
        "len",
        "a",
        "x",
        "ret",
        "errno",
        "(",
        ")",
        "{",
        "}",
        "k",
        "=",
        ",",
        ":",
        ";",
        "\n",
        " ",
        "jeq",
        "ja",
        ".raw",
        "é",
        "\t",
        "l",
        "0001",
        "args[0].low",
        "nr",
    ];
    let mut rng = Rng::new(23);
    let mut good = 0;
    for _ in 0..50_000 {
        let count = rng.below(12);
        let text: String = (0..count)
            .map(|_| rng.pick(&pieces))
            .collect::<Vec<_>>()
            .join(if rng.one_in(2) { " " } else { "" });
        good += usize::from(assemble_unchecked(&text, &LAYOUT).is_ok());
    }
    assert!(good > 0);
}

#[test]
fn an_invalid_program_is_told_from_bad_text() {
    let error = assemble("ld [64]\nret a", LAYOUT).unwrap_err();
    assert!(error.invalid().unwrap().is_load());
    assert!(!error.is_label());
    assert!(core::error::Error::source(&error).is_some());
    assert_eq!(assemble_unchecked("ld [64]", &LAYOUT), Ok(vec![Op::Load(64).into()]));
}
