//! The control-flow graph of a listing in DOT, the language of Graphviz.

use std::fmt::{self, Write};

use callgate_bpf::{
    Instruction,
    disasm::{Line, Listing},
    graph::{Block, Graph, Way},
};

/// One drawing of these listings; where there are several, each in a frame under its title.
pub fn text(listings: &[(String, Listing<'_>)]) -> String {
    let mut text = String::new();
    write(&mut text, listings).expect("a string takes everything");
    text
}

fn write(out: &mut String, listings: &[(String, Listing<'_>)]) -> fmt::Result {
    writeln!(out, "digraph {{")?;
    writeln!(out, "  node [shape=box, fontname=monospace];")?;
    for (number, (title, listing)) in listings.iter().enumerate() {
        // Names of nodes are of the whole drawing.
        let prefix = format!("f{number}_");
        match listings.len() {
            1 => one(out, "  ", &prefix, listing)?,
            _ => {
                writeln!(out, "  subgraph cluster_{number} {{")?;
                writeln!(out, "    label=\"{}\";", escaped(title))?;
                one(out, "    ", &prefix, listing)?;
                writeln!(out, "  }}")?;
            }
        }
    }
    writeln!(out, "}}")
}

/// The nodes and edges of one listing; a node is named for its first instruction.
fn one(out: &mut String, indent: &str, prefix: &str, listing: &Listing<'_>) -> fmt::Result {
    let lines: Vec<Line> = listing.lines().collect();
    let instructions: Vec<Instruction> = lines.iter().map(|line| line.instruction).collect();
    let graph = Graph::of(&instructions);
    let name = |block: usize| format!("{prefix}{:04}", graph.blocks[block].instructions.start);
    let mut leaves = false;
    for (number, block) in graph.blocks.iter().enumerate() {
        let from = name(number);
        let style = if block.reachable { "" } else { ", style=dashed, fontcolor=gray40" };
        writeln!(out, "{indent}{from} [label=\"{}\"{style}];", label(block, &lines))?;
        for edge in &block.edges {
            let to = edge.to.map_or_else(|| format!("{prefix}outside"), name);
            leaves |= edge.to.is_none();
            let label = match edge.way {
                Way::True => " [label=\"true\"]",
                Way::False => " [label=\"false\"]",
                Way::Jump | Way::Next => "",
            };
            writeln!(out, "{indent}{from} -> {to}{label};")?;
        }
    }
    if leaves {
        writeln!(out, "{indent}{prefix}outside [label=\"outside of the program\", color=red];")?;
    }
    Ok(())
}

/// The lines of a block, each to the left, comments in one column.
fn label(block: &Block, lines: &[Line]) -> String {
    let lines = &lines[block.instructions.clone()];
    let commented = lines.iter().filter(|line| !line.comment.is_empty());
    let widest = commented.map(|line| line.text.len()).max().unwrap_or(0);
    let mut label = String::new();
    for Line { index, text, comment, .. } in lines {
        let text = match comment.as_str() {
            "" => escaped(text),
            comment => escaped(&format!("{text:widest$} ; {comment}")),
        };
        let _ = write!(label, "{index:04}: {text}\\l");
    }
    label
}

/// As it stands between the quotes of a label, where a backslash begins an escape, and an
/// ampersand an entity.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use callgate_bpf::{ByteOrder, Layout, Op};

    use super::*;

    const LAYOUT: Layout = Layout::seccomp(ByteOrder::Little);

    #[test]
    fn what_dot_would_read_otherwise_is_escaped() {
        assert_eq!(escaped(r#"a "b" \N &lt; c"#), r#"a \"b\" \\N &amp;lt; c"#);
        assert_eq!(escaped("a\nb\0<b>"), "a?b?<b>");
        assert_eq!(escaped("\\"), "\\\\");
    }

    #[test]
    fn a_title_stands_over_each_of_several() {
        let code = [Op::Return(0).into()];
        let of = || Listing::of_instructions(&code, &LAYOUT);
        assert_eq!(
            text(&[("a \"b\"".to_owned(), of()), ("c".to_owned(), of())]),
            "digraph {
  node [shape=box, fontname=monospace];
  subgraph cluster_0 {
    label=\"a \\\"b\\\"\";
    f0_0000 [label=\"0000: ret  #0x0 ; kill_thread\\l\"];
  }
  subgraph cluster_1 {
    label=\"c\";
    f1_0000 [label=\"0000: ret  #0x0 ; kill_thread\\l\"];
  }
}
"
        );
        assert_eq!(text(&[]), "digraph {\n  node [shape=box, fontname=monospace];\n}\n");
    }
}
