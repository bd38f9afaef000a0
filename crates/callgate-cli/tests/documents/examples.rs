//! Runs the console blocks that ask for it.

use std::{env, fs, os::unix::fs::symlink};

use super::{
    documents,
    markdown::{Block, Step, blocks, steps},
};
use crate::common::{CALLGATE, Scratch, find, like, root_for, skip};

/// Stands between the outputs of two commands; no command prints it.
const MARK: &str = "--- callgate documents: the next command ---";

#[test]
fn the_examples_in_the_documents_print_what_they_say() {
    if cfg!(not(target_arch = "x86_64")) {
        skip("examples in documents: they show an x86_64 machine");
        return;
    }
    let mut run = 0;
    let mut failures = Vec::new();
    let documents = documents();
    for (name, text) in &documents {
        run += check_document(name, text, &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if documents.iter().any(|(name, _)| name == "README.md") {
        assert!(run > 0, "README.md is there, and no document has a block `console run`");
    } else {
        skip("examples in README.md: there is no such file yet");
    }
}

/// Runs the blocks of a document, and gives the number of commands run.
fn check_document(name: &str, text: &str, failures: &mut Vec<String>) -> usize {
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("bin")).expect("the folder takes one");
    fs::create_dir(scratch.join("work")).expect("the folder takes one");
    symlink(CALLGATE, scratch.join("bin/callgate")).expect("the folder takes it");
    let mut run = 0;
    for block in blocks(text) {
        if let Some(file) = block.value("file") {
            scratch.file(&format!("work/{file}"), block.text());
        }
        if !block.words.starts_with(&["console", "run"]) || !possible(name, &block) {
            continue;
        }
        let prompt = if block.has("root") { "# " } else { "$ " };
        let steps = steps(&block, prompt);
        let outputs = outputs(&scratch, &block, &steps);
        run += steps.len();
        for (index, step) in steps.iter().enumerate() {
            let output = outputs.get(index).map_or("", String::as_str);
            if !same(output, &step.output) {
                failures.push(format!(
                    "{name}:{}: $ {}\n--- the document says\n{}--- it prints\n{output}---\n",
                    step.line, step.command, step.output
                ));
            }
        }
    }
    run
}

/// Whether this machine has what a block takes.
fn possible(name: &str, block: &Block) -> bool {
    let what = || format!("the example at {name}:{}", block.line);
    if let Some(program) = block.value("needs")
        && find(program).is_none()
    {
        skip(&format!("{} is not tested: there is no {program}", what()));
        return false;
    }
    !block.has("root") || root_for(&what())
}

/// What each command of a block printed.
fn outputs(scratch: &Scratch, block: &Block, steps: &[Step]) -> Vec<String> {
    let mut script = "exec 2>&1\ncd work\n".to_owned();
    for step in steps {
        script.push_str(&step.command);
        // The status goes on to the next command.
        script.push_str(&format!("\ncallgate_status=$?\necho '{MARK}'\n(exit $callgate_status)\n"));
    }
    scratch.file("script", script);
    let shell = if block.has("user") {
        // The symbolic link leads where an ordinary user may not go.
        fs::remove_file(scratch.join("bin/callgate")).expect("it is there");
        scratch.copy(CALLGATE, "bin/callgate", 0o755);
        scratch.as_user("sh")
    } else {
        scratch.command("sh")
    };
    let mut path = scratch.join("bin").into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let outcome = shell.arg("script").env("PATH", path).run();
    let separator = format!("{MARK}\n");
    outcome.stdout.split(&separator).map(str::to_owned).collect()
}

/// A document cannot show whether the last line has its end.
fn same(output: &str, expected: &str) -> bool {
    like(output.trim_end_matches('\n'), expected.trim_end_matches('\n'))
}

#[test]
fn an_example_that_prints_something_else_is_found() {
    let failures = |block: &str| {
        let mut failures = Vec::new();
        let run = check_document("doc.md", block, &mut failures);
        (run, failures.len())
    };
    assert_eq!(failures("```console run\n$ echo a\na\n$ false\n$ echo $?\n1\n```\n"), (3, 0));
    assert_eq!(failures("```console run\n$ echo a; echo b\na\n```\n"), (1, 1));
    assert_eq!(failures("```console run\n$ echo a\nb\n$ echo b\nb\n```\n"), (2, 1));
    assert_eq!(failures("```console run\n$ echo a >&2\na\n$ printf b\nb\n```\n"), (2, 0));
    assert_eq!(failures("```console run\n$ seq 9\n1\n…\n9\n```\n"), (1, 0));
    assert_eq!(failures("```console run\n$ callgate --version\ncallgate …\n```\n"), (1, 0));
    assert_eq!(failures("```console\n$ echo a\nb\n```\n"), (0, 0));
    let file = "```text file=a\nx\n```\n```console run user\n$ cat a\nx\n```\n";
    assert_eq!(failures(file), (1, 0));
    assert_eq!(failures("```console run needs=sh\n$ id -u\n…\n```\n"), (1, 0));
}

#[test]
fn patterns_match_whole_texts() {
    for (text, pattern, expected) in [
        ("abc", "abc", true),
        ("abc", "ab", false),
        ("abc", "…", true),
        ("", "…", true),
        ("abc", "a…c", true),
        ("ac", "a…c", true),
        ("abc", "a…b", false),
        ("aa", "a…a…a", false),
        ("abab", "…ab", true),
        ("a1b2c", "a…b…c", true),
        ("a\nb\nc", "a\n…\nc", true),
    ] {
        assert_eq!(like(text, pattern), expected, "{text:?} {pattern:?}");
    }
}
