//! Goal: DOT means here what it means to Graphviz. Method: small files, each for one rule of the language.

use super::super::tests::{import, import_skipping, refusal};
use crate::graph::formats::{Imported, Note};
use crate::graph::{Node, Value};

fn edges(imported: &Imported) -> Vec<String> {
    let graph = &imported.graph;
    let key = |index| graph.node(index).unwrap().key.to_string();
    let arrow = |directed| if directed { "->" } else { "--" };
    let line = |edge: &crate::graph::Edge| {
        let label = edge.label().map(|label| format!(" {label}")).unwrap_or_default();
        format!("{}{}{}{label}", key(edge.source), arrow(edge.directed), key(edge.target))
    };
    graph.edges().iter().map(line).collect()
}

fn node<'i>(imported: &'i Imported, key: &str) -> &'i Node {
    imported.graph.nodes().iter().find(|node| &*node.key == key).unwrap()
}

#[test]
fn chains_subgraphs_and_products() {
    let text = "digraph { a -> b -> c; {d e} -> f [label=x]; a -> subgraph s { g; {h} } -> {b g} ; {i; i j} }";
    let imported = import("g.dot", text);
    assert_eq!(edges(&imported), ["a->b", "b->c", "d->f x", "e->f x", "a->g", "a->h", "g->b", "g->g", "h->b", "h->g"]);
    assert_eq!(imported.graph.nodes().len(), 10);
    assert_eq!(edges(&import("g.dot", "graph g{a--b--a c}")), ["a--b", "b--a"]);
    assert_eq!(edges(&import("g.dot", "strict graph{a--b b--a [label=1] a--a}")), ["a--b 1", "a--a"]);
    assert_eq!(edges(&import("g.dot", "strict digraph{a->b b->a}")), ["a->b", "b->a"]);
    assert_eq!(edges(&import("g.gv", "DiGraph{a->b [dir=none]; b->a [dir=back]}")), ["a--b", "b->a"]);
}

#[test]
fn defaults_hold_for_what_comes_after_in_their_subgraph() {
    let text = "digraph { early; node [shape=box, n=1] a; subgraph { node [n=2][m=true]; edge [label=in]; b; b -> a }
        c; a -> c; early [k=\"1\"] }";
    let imported = import("g.dot", text);
    let attributes = |key: &str| {
        let list = &node(&imported, key).attributes;
        list.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(attributes("early"), "k=Text(\"1\")");
    assert_eq!(attributes("a"), "shape=Text(\"box\") n=Int(1)");
    assert_eq!(attributes("b"), "shape=Text(\"box\") n=Int(2) m=Bool(true)");
    assert_eq!(attributes("c"), "shape=Text(\"box\") n=Int(1)");
    assert_eq!(edges(&imported), ["b->a in", "a->c"]);
}

#[test]
fn subgraphs_with_names_are_groups() {
    let text = "graph { z; subgraph cluster_one { a; {rank=same; b} } subgraph cluster2 { label=\"Two\\nlines\"; c a
        subgraph inner { d } } subgraph cluster { e } subgraph plain { f [group=own] z } }";
    let imported = import("g.dot", text);
    let groups: Vec<Option<&str>> =
        ["a", "b", "c", "d", "e", "f", "z"].iter().map(|key| node(&imported, key).group.as_deref()).collect();
    let expected = ["one", "one", "Two\nlines", "inner", "cluster", "own", "plain"].map(Some);
    assert_eq!(groups, expected);
}

#[test]
fn names_are_bare_quoted_numbers_or_html() {
    let text = "graph { \"a b\" -- été -- -.5 -- <i<b>x</b>> // c\n \"q\\\"q\" -- \"one\" + /* c */ \" two\"\n# line 7\n\
        \"back\\\\slash\" -- \"long\\\nline\" ; \"a:b\":n:ne -- c:port }";
    let imported = import("g.dot", text);
    let expected = ["a b--été", "été---.5", "-.5--<i<b>x</b>>", "q\"q--one two", "back\\\\slash--longline", "a:b--c"];
    assert_eq!(edges(&imported), expected);
    assert_eq!(imported.warnings, [Note::Ports { count: 2 }]);
}

#[test]
fn labels_positions_and_types() {
    let text = r#"digraph { node [label="\N!"]; a; b [label="x\ny\\z\l", pos="1,2.5!", n=.5, m="7", e=-3, big=99999999999999999999];
        c [label=<<b>one</b><br/>two &amp; <table><tr><td>p</td><td>q</td></tr></table>>, pos="e,1,2 3,4", color="red"]; }"#;
    let imported = import("g.dot", text);
    let labels: Vec<&str> = imported.graph.nodes().iter().map(|node| &*node.label).collect();
    assert_eq!(labels, ["a!", "x\ny\\z", "one\ntwo & p q"]);
    let b = node(&imported, "b");
    assert_eq!((b.position, b.pinned), (Some([1.0, 2.5, 0.0]), true));
    let expected: [(Box<str>, Value); 4] = [
        ("n".into(), Value::Float(0.5)),
        ("m".into(), Value::Text("7".into())),
        ("e".into(), Value::Int(-3)),
        ("big".into(), Value::Text("99999999999999999999".into())),
    ];
    assert_eq!(b.attributes, expected);
    let c = node(&imported, "c");
    assert_eq!((c.colour, c.position), (Some(0xff_0000), None));
    assert_eq!(c.attributes, [("pos".into(), Value::Text("e,1,2 3,4".into()))]);
    let spelled = import("g.dot", "graph { a [label=1.10]; b [label=True] }");
    assert_eq!((&*node(&spelled, "a").label, &*node(&spelled, "b").label), ("1.10", "True"));
}

#[test]
fn bad_statements_are_named_by_line() {
    let text = "graph {\na -- b\nb -> c\nc -- d [weight=heavy]\nd -- a [weight=-1]\n}";
    let error = refusal("g.dot", text);
    for part in [
        "3 bad lines",
        "line 3: expected -- between nodes of a graph, found \"->\"",
        "line 4: expected a weight, a finite number >= 0, found \"heavy\"",
        "line 5: an edge weight must be a finite number >= 0, found -1",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert_eq!(edges(&import_skipping("g.dot", text)), ["a--b"]);
}

#[test]
fn broken_syntax_says_where() {
    let deep = format!("graph {}", "{ ".repeat(102));
    let wide = "graph { {a b c d e f g h i j k} -- {A B C D E F G H I J K} }";
    let cases = [
        ("graph { a", "g.dot: line 1, column 10: expected { or a node, found the end of the file"),
        ("graph {\n a [b=] }", "g.dot: line 2, column 7: expected a value, found \"]\""),
        ("graph { a [b=1 }", "g.dot: line 1, column 16: expected an attribute or ], found \"}\""),
        (
            "graph { \"a }",
            "g.dot: line 1, column 9: expected a closing quote for the text that opens here, found \"\\\"a\"",
        ),
        (
            "graph { <a <b> }",
            "g.dot: line 1, column 9: expected a closing > for the text that opens here, found \"<a\"",
        ),
        ("graph { a /* b }", "g.dot: line 1, column 11: expected a comment that ends in */, found \"/*\""),
        ("graph { a -- }", "g.dot: line 1, column 14: expected { or a node, found \"}\""),
        ("graph { a & b }", "g.dot: line 1, column 11: expected a name, a mark or the end of the file, found \"&\""),
        (
            "graph { } graph { }",
            "g.dot: line 1, column 11: expected the end of the file; put another graph into a file of its own, found \"graph\"",
        ),
        ("edge { }", "g.dot: line 1, column 1: expected graph or digraph, found \"edge\""),
        (&deep, "g.dot: line 1: expected at most 100 levels of nesting, found more"),
        (wide, "g.dot: line 1: the graph has more than 100 edges (graph.edges_max); raise the limit to import it"),
    ];
    for (text, message) in cases {
        assert_eq!(refusal("g.dot", text), message);
    }
}

#[test]
fn attributes_for_many_are_bounded() {
    use super::super::{ImportOptions, import_bytes, tests::SMALL};
    let ends = |letter: &str| (0..1_000).map(|index| format!("{letter}{index} ")).collect::<String>();
    let text = format!("graph {{ {{ {} }} -- {{ {} }} [note=\"{}\"] }}", ends("a"), ends("b"), "x".repeat(4_000));
    let options = ImportOptions { nodes_max: 10_000, edges_max: 2_000_000, ..SMALL };
    let error = import_bytes("g.dot", text.as_bytes(), &options).unwrap_err().to_string();
    assert_eq!(
        error,
        "g.dot: line 1: expected at most 16777216 bytes of attributes that are given to many records at once, found more"
    );
}
