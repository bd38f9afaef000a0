//! The code blocks of a document.

/// A code block between fences.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'t> {
    /// The line of its first fence, from 1.
    pub line: usize,
    /// The words behind that fence.
    pub words: Vec<&'t str>,
    pub lines: Vec<&'t str>,
}

impl Block<'_> {
    pub fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    /// The value of a word such as `file=NAME`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [*line, "\n"]).collect()
    }
}

/// All of them, in order.
pub fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            None if ticks >= 3 => {
                fence = Some(&line[..ticks]);
                let words = line[ticks..].split_whitespace().collect();
                blocks.push(Block { line: index + 1, words, lines: Vec::new() });
            }
            Some(open) if ticks >= open.len() && line.trim_end().len() == ticks => fence = None,
            Some(_) => blocks.last_mut().expect("one is open").lines.push(line),
            None => {}
        }
    }
    blocks
}

/// A command and what it prints.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// The line of the prompt in the document.
    pub line: usize,
    pub command: String,
    pub output: String,
}

/// The commands of a console block.
pub fn steps(block: &Block, prompt: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, line) in block.lines.iter().enumerate() {
        let continued = steps.last().is_some_and(|step| step.output.is_empty());
        if let Some(command) = line.strip_prefix(prompt) {
            let line = block.line + 1 + index;
            steps.push(Step { line, command: command.to_owned(), output: String::new() });
        } else if let Some(step) = steps.last_mut() {
            match line.strip_prefix("> ").filter(|_| continued) {
                Some(more) => step.command.extend(["\n", more]),
                None => step.output.extend([*line, "\n"]),
            }
        } else {
            panic!("line {}: a console block begins with {prompt:?}", block.line + 1 + index);
        }
    }
    steps
}

#[test]
fn blocks_are_found_with_their_words() {
    let text = "a\n```console run root\n# id -u\n0\n```\nb\n````json file=p.json\n```\n````\n";
    assert_eq!(
        blocks(text),
        [
            Block { line: 2, words: vec!["console", "run", "root"], lines: vec!["# id -u", "0"] },
            Block { line: 7, words: vec!["json", "file=p.json"], lines: vec!["```"] },
        ]
    );
    assert_eq!(blocks(text)[1].value("file"), Some("p.json"));
}

#[test]
fn commands_have_their_continuation_and_output() {
    let text = "```console run\n$ cat <<X\n> one\n> X\none\n> two\n$ true\n```\n";
    let step = |line, command: &str, output: &str| Step {
        line,
        command: command.to_owned(),
        output: output.to_owned(),
    };
    assert_eq!(
        steps(&blocks(text)[0], "$ "),
        [step(2, "cat <<X\none\nX", "one\n> two\n"), step(7, "true", "")]
    );
}
