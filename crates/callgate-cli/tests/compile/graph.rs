//! `callgate disasm --graph`: what Graphviz makes of it, and what stands in it.

use std::collections::BTreeSet;

use crate::common::{Scratch, tool_for};

/// Looks at the number; behind the first return stands code that nothing reaches.
const WITH_DEAD_CODE: &str = "\
ld [nr]
jeq #83, no
ja end
dead: ld [arch]
ja end
no: ret errno(1)
end: ret allow
";

/// Graphs from Graphviz's own reading: the names of nodes, and edges as from and to.
fn read_by_dot(scratch: &Scratch, graph: &str) -> (Vec<String>, Vec<(String, String)>) {
    let outcome = scratch.command("dot").args(&["-Tplain"]).input(graph).run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{graph}");
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    for line in outcome.stdout.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["node", name, ..] => nodes.push(name.to_owned()),
            ["edge", from, to, ..] => edges.push((from.to_owned(), to.to_owned())),
            _ => {}
        }
    }
    (nodes, edges)
}

/// The labels of the nodes' lines: the index at the start of each.
fn indices(graph: &str) -> Vec<usize> {
    graph
        .lines()
        .filter_map(|line| line.split_once(" [label=\"")?.1.split_once("\\l\""))
        .flat_map(|(label, _)| label.split("\\l"))
        .map(|line| line[..4].parse().expect("a line begins with its index"))
        .collect()
}

#[test]
fn graphviz_reads_the_graph_with_every_instruction_once() {
    let scratch = Scratch::new();
    let graph = scratch.callgate(&["disasm", "docker-default", "--graph"]).run();
    assert_eq!((graph.status, graph.stderr.as_str()), (0, ""));
    let listing = scratch.callgate(&["disasm", "docker-default"]).run().stdout;
    assert!(indices(&graph.stdout).into_iter().eq(0..listing.lines().count()));
    for name in ["; x86_64", "; clone\\l", "; args[0].low", "; errno(ENOSYS)", "; allow"] {
        assert!(graph.stdout.contains(name), "{name}");
    }
    if !tool_for("dot", "graphviz", "that Graphviz reads what disasm --graph prints") {
        return;
    }
    let (nodes, edges) = read_by_dot(&scratch, &graph.stdout);
    let declared = |line: &&str| line.starts_with("  f0_") && !line.contains(" -> ");
    assert_eq!(nodes.len(), graph.stdout.lines().filter(declared).count());
    // An edge to a name that is no block would be one node more.
    assert_eq!(nodes.iter().collect::<BTreeSet<_>>().len(), nodes.len());
    // One way in at the start, and two out of each conditional jump.
    let jumps = listing.lines().filter(|line| line[6..].starts_with('j')).count();
    let labelled = |what: &str| graph.stdout.matches(&format!("[label=\"{what}\"]")).count();
    assert_eq!((labelled("true"), labelled("false")), (jumps, jumps));
    assert!(edges.iter().all(|(_, to)| to != "f0_0000"));
    assert!(nodes[1..].iter().all(|node| edges.iter().any(|(_, to)| to == node)));
}

#[test]
fn code_that_nothing_reaches_is_shown_as_such() {
    let scratch = Scratch::new();
    scratch.file("p.asm", WITH_DEAD_CODE);
    scratch
        .callgate(&["asm", "p.asm", "--endian", "little", "-o", "p.bpf"])
        .run()
        .is_like(0, "…", "…");
    scratch.callgate(&["disasm", "p.bpf", "--endian", "little", "--graph"]).run().is(
        0,
        r#"digraph {
  node [shape=box, fontname=monospace];
  f0_0000 [label="0000: ld   [0] ; nr\l0001: jeq  #83, 0005, 0002\l"];
  f0_0000 -> f0_0005 [label="true"];
  f0_0000 -> f0_0002 [label="false"];
  f0_0002 [label="0002: ja   0006\l"];
  f0_0002 -> f0_0006;
  f0_0003 [label="0003: ld   [4]  ; unreachable\l0004: ja   0006 ; unreachable\l", style=dashed, fontcolor=gray40];
  f0_0003 -> f0_0006;
  f0_0005 [label="0005: ret  #0x50001 ; errno(EPERM)\l"];
  f0_0006 [label="0006: ret  #0x7fff0000 ; allow\l"];
}
"#,
        "",
    );
}

#[test]
fn a_way_out_of_the_program_is_drawn() {
    let scratch = Scratch::new();
    // jeq #1, to where no instruction is; ret #0.
    scratch.file("p.bpf", [0x15, 0, 9, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    let outcome = scratch.callgate(&["disasm", "p.bpf", "--endian", "little", "--graph"]).run();
    outcome.is_like(
        1,
        "digraph {\n…f0_0000 -> f0_outside [label=\"true\"];\n…outside of the program…}\n",
        "warning: p.bpf: the kernel would refuse this program: instruction 0: …\n",
    );
    if tool_for("dot", "graphviz", "that Graphviz reads the graph of a broken program") {
        assert_eq!(read_by_dot(&scratch, &outcome.stdout).0.len(), 3);
    }
}
