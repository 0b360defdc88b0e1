//! Goal: what holds for every importer, whatever the format.
//! Method: whole files as bytes in, graphs or messages out; random bytes must never panic.

use proptest::prelude::*;

use super::*;
use crate::graph::{Attributes, Graph, Node, NodeId, Value};

pub(super) const SMALL: ImportOptions =
    ImportOptions { format: Format::Auto, skip_bad: false, vault_all_pages: false, nodes_max: 100, edges_max: 100 };

pub(super) fn import(name: &str, text: &str) -> Imported {
    import_bytes(name, text.as_bytes(), &SMALL).unwrap()
}

pub(super) fn import_skipping(name: &str, text: &str) -> Imported {
    import_bytes(name, text.as_bytes(), &ImportOptions { skip_bad: true, ..SMALL }).unwrap()
}

pub(super) fn refusal(name: &str, text: &(impl AsRef<[u8]> + ?Sized)) -> String {
    import_bytes(name, text.as_ref(), &SMALL).unwrap_err().to_string()
}

/// Nodes and edges without ids and without order, as text.
pub(super) fn facts(graph: &Graph) -> Vec<String> {
    let key = |index| graph.node(index).unwrap().key.clone();
    let sorted = |attributes: &Attributes| {
        let mut list: Vec<String> = attributes.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        list.sort();
        list.join(" ")
    };
    let nodes = graph.nodes().iter().map(|node| {
        let plain = Node { id: NodeId::new(0).unwrap(), attributes: Attributes::new(), ..node.clone() };
        format!("{plain:?} {}", sorted(&node.attributes))
    });
    let edges = graph.edges().iter().map(|edge| {
        let how = (edge.weight, edge.directed, &edge.relation, edge.label());
        format!("{} {} {how:?} {}", key(edge.source), key(edge.target), sorted(edge.attributes()))
    });
    let mut all: Vec<String> = nodes.chain(edges).collect();
    all.sort();
    all
}

#[test]
fn contents_that_are_certain_beat_the_extension() {
    let imported = import("g.csv", "{\"nodes\": [{\"id\": 1}], \"links\": []}");
    assert_eq!(imported.format, Format::Json);
    assert_eq!(imported.warnings, [Note::Extension { extension: Format::Csv, contents: Format::Json }]);
    assert_eq!(import("g", "\u{feff}a,b\r\nb,c\r\n").format, Format::Csv);
}

#[test]
fn files_that_are_no_graph_are_refused_in_words() {
    let cases: [(&str, &[u8], &str); 10] = [
        ("g.csv", b"", "g.csv: expected a graph, found an empty file"),
        ("g.csv", b" \n\t\n", "g.csv: expected a graph, found an empty file"),
        ("g.json", b"\xef\xbb\xbf", "g.json: expected a graph, found an empty file"),
        ("g.csv", b"a,b\0", "g.csv: expected text, found binary data (a zero byte)"),
        ("g.gz", b"\x1f\x8b\x08\x00", "g.gz: expected text, found a gzip archive; unpack it first"),
        ("g.csv", b"\xff\xfea\0,\0", "g.csv: expected text, found UTF-16; save the file as UTF-8"),
        (
            "letter.txt",
            b"Dear reader,\nthis is no graph at all, is it?\n",
            "letter.txt: no known graph format: expected one of vault, csv, tsv, whitespace, json, graphml, gexf, gml, dot, mtx, parquet, found a \
             first line of \"Dear reader,\"; name the format if it is one of these",
        ),
        (
            "g.json",
            b"{\"nodes\": [\n\"\xff\"]}",
            "g.json: line 2: expected UTF-8 text, found other bytes; save the file as UTF-8",
        ),
        (
            "g.gexf",
            b"<gexf>\n\xff</gexf>",
            "g.gexf: line 2: expected UTF-8 text, found other bytes; save the file as UTF-8",
        ),
        (
            "g.csv",
            b"a,b\nM\xfcller,c\n",
            "g.csv: line 2: expected UTF-8 text, found \"M\u{fffd}ller,c\" (pass --skip-bad to leave it out)",
        ),
    ];
    for (name, bytes, message) in cases {
        assert_eq!(refusal(name, bytes), message);
    }
}

#[test]
fn limits_are_named_by_their_keys() {
    let small = ImportOptions { nodes_max: 2, edges_max: 1, ..SMALL };
    let cases = [
        (
            "g.csv",
            "a,b\nb,c\n",
            "g.csv: line 2: the graph has more than 2 nodes (graph.nodes_max); raise the limit to import it",
        ),
        (
            "g.csv",
            "a,b\nb,a\n",
            "g.csv: line 2: the graph has more than 1 edges (graph.edges_max); raise the limit to import it",
        ),
        (
            "g.json",
            "{\"nodes\": [{\"id\": 1},\n{\"id\": 2},\n{\"id\": 3}]}",
            "g.json: line 3: the graph has more than 2 nodes (graph.nodes_max); raise the limit to import it",
        ),
        (
            "g.graphml",
            "<graphml><graph>\n<edge source='a' target='b'/>\n<edge source='a' target='b'/></graph></graphml>",
            "g.graphml: line 3: the graph has more than 1 edges (graph.edges_max); raise the limit to import it",
        ),
    ];
    for (name, text, message) in cases {
        for skip_bad in [false, true] {
            let options = ImportOptions { skip_bad, ..small };
            assert_eq!(import_bytes(name, text.as_bytes(), &options).unwrap_err().to_string(), message);
        }
    }
}

#[test]
fn defaults_that_multiply_are_bounded() {
    let long = "x".repeat(4_000);
    let keys = |count: u32, of: &dyn Fn(u32) -> String| (0..count).map(of).collect::<String>();
    let graphml =
        keys(100, &|key| format!("<key id='{key}' for='node' attr.name='a{key}'><default>{long}</default></key>"));
    let gexf = keys(100, &|key| {
        format!("<attribute id='{key}' title='a{key}' type='string'><default>{long}</default></attribute>")
    });
    let nodes: String = (0..100).map(|id| format!("<node id='{id}'/>")).collect();
    for (name, text) in [
        ("g.graphml", format!("<graphml>{graphml}<graph>{nodes}</graph></graphml>")),
        (
            "g.gexf",
            format!("<gexf><graph><attributes class='node'>{gexf}</attributes><nodes>{nodes}</nodes></graph></gexf>"),
        ),
    ] {
        let error = import_bytes(name, text.as_bytes(), &SMALL).unwrap_err().to_string();
        let said =
            "line 1: expected at most 16777216 bytes of attributes that are given to many records at once, found more";
        assert_eq!(error, format!("{name}: {said}"));
    }
}

#[test]
fn declarations_cost_the_records_nothing() {
    const COUNT: usize = 60_000;
    let options = ImportOptions { nodes_max: COUNT, ..SMALL };
    let nodes: String = (0..COUNT).map(|id| format!("<node id='{id}'/>")).collect();
    let keys = "<key id='a' attr.type='int'><default>1</default></key><key id='b'/>".repeat(COUNT);
    let columns =
        "<attribute id='a' type='int'><default>1</default></attribute><attribute id='b' type='int'/>".repeat(COUNT);
    // Looking at every declaration for every record, each of these took minutes.
    for (name, text) in [
        ("g.graphml", format!("<graphml>{keys}<graph>{nodes}</graph></graphml>")),
        (
            "g.gexf",
            format!(
                "<gexf><graph><attributes class='node'>{columns}</attributes><nodes>{nodes}</nodes></graph></gexf>"
            ),
        ),
    ] {
        let graph = import_bytes(name, text.as_bytes(), &options).unwrap().graph;
        assert_eq!(graph.nodes().len(), COUNT);
        assert!(graph.nodes().iter().all(|node| node.attributes == [("a".into(), Value::Int(1))]), "{name}");
    }
}

#[test]
fn defaults_that_no_record_has_room_for_are_noted() {
    let keys: String = (0..400).map(|key| format!("<key id='a{key}' for='node'><default>1</default></key>")).collect();
    let imported = import("g.graphml", &format!("<graphml>{keys}<graph><node id='n'/></graph></graphml>"));
    assert_eq!(imported.graph.nodes()[0].attributes.len(), 256);
    assert!(matches!(imported.warnings.as_slice(), [Note::AttributesDropped { count: 144, .. }]));
}

#[test]
fn a_long_name_of_a_gml_list_is_not_copied_for_all_that_stands_in_it() {
    let (name, entries) = ("x".repeat(4 << 20), "a 1 ".repeat(300_000));
    let text = format!("graph [ node [ id 1 {name} [ {entries} c [ d 1 ] ] b 2 ] ]");
    // Copied, it would be a terabyte.
    let imported = import("g.gml", &text);
    assert_eq!(imported.graph.nodes()[0].attributes, [("b".into(), Value::Int(2))]);
    assert_eq!(imported.warnings, [Note::AttributesDropped { count: 1, name: "x".repeat(40).into() }]);
}

#[test]
fn numbers_that_are_none_are_read_from_gml_in_any_case() {
    let graph = import("g.gml", "graph [ node [ id 1 a NaN b -Inf c nan d +INF e NAN ] ]").graph;
    let words: Vec<&Value> = graph.nodes()[0].attributes.iter().map(|(_, value)| value).collect();
    let expected = ["NaN", "-inf", "NaN", "inf", "NaN"].map(|word| Value::Text(word.into()));
    assert_eq!(words, expected.iter().collect::<Vec<_>>());
    assert!(refusal("g.gml", "graph [ node [ id 1 a Nano ] ]").contains("expected a number"));
}

#[test]
fn pairs_that_strict_merges_are_bounded() {
    let chain = |count: usize| format!("strict graph {{ {} }}", vec!["{a b c d e f g h i j}"; count].join(" -- "));
    assert_eq!(import("g.dot", &chain(3)).graph.edges().len(), 55);
    let said = "g.dot: line 1: the graph has more than 100 edges (graph.edges_max); raise the limit to import it";
    assert_eq!(refusal("g.dot", &chain(9)), said);
    // What the file spells one by one is as long as the file.
    let spelled = format!("strict graph {{ {} }}", "a -- b; c -- {d e f}; ".repeat(1_000));
    assert_eq!(import("g.dot", &spelled).graph.edges().len(), 4);
}

#[test]
fn a_file_of_bad_lines_alone_is_refused_even_when_skipping() {
    let options = ImportOptions { skip_bad: true, ..SMALL };
    let error = import_bytes("g.csv", b"source,target,weight\na,b,x\n", &options).unwrap_err();
    assert!(matches!(error, ImportError::BadLines { count: 1, .. }));
    let empty = import("g.csv", "source,target\n");
    assert_eq!((empty.graph.nodes().len(), empty.warnings), (0, vec![Note::NoNodes]));
}

const FORMATS: [Format; 10] = [
    Format::Auto,
    Format::Csv,
    Format::Tsv,
    Format::Whitespace,
    Format::Json,
    Format::GraphMl,
    Format::Gexf,
    Format::Gml,
    Format::Dot,
    Format::MatrixMarket,
];

/// Pieces that the parsers look for, so that random files get past their first checks.
const PIECES: [&str; 67] = [
    "graph [",
    " node [ id 1 ]",
    " edge [ source 1 target 1 ]",
    " label \"",
    "&#228;",
    " x 1.5 ",
    "Creator \"swarmcast\"\n",
    " attribute [ name \"a\" value 1 ]",
    "digraph {",
    "graph {",
    "strict ",
    "subgraph cluster_a {",
    "a -> b",
    " -- ",
    "node [a=b]",
    "\\",
    "/*",
    "*/",
    "=",
    "\n",
    "\n",
    " ",
    ",",
    ";",
    "\t",
    "\"",
    "'",
    "#",
    "%",
    "{",
    "}",
    "[",
    "]",
    ":",
    "1",
    "2",
    "-1",
    "a",
    "é",
    "\u{feff}",
    "&",
    "&lt;",
    "&x;",
    "<",
    ">",
    "/>",
    "<graphml>",
    "</graphml>",
    "<gexf>",
    "<graph edgedefault='directed'>",
    "<graph>",
    "<node id='a'>",
    "</node>",
    "<node id='b'/>",
    "<edge source='a' target='b'/>",
    "<key id='k' attr.name='x' attr.type='int'>",
    "</key>",
    "<data key='k'>",
    "</data>",
    "<nodes>",
    "<attvalue for='0' value='1'/>",
    "%%MatrixMarket matrix coordinate real general\n",
    "{\"nodes\":[",
    "{\"id\":1}",
    "],\"links\":[",
    "{\"source\":1,\"target\":1}",
    "]}",
];

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in FORMATS {
            for skip_bad in [false, true] {
                let _ = import_bytes("g.txt", &bytes, &ImportOptions { format, skip_bad, ..SMALL });
            }
        }
    }

    #[test]
    fn random_pieces_never_panic(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..60)) {
        let text = pieces.concat();
        for format in FORMATS {
            for skip_bad in [false, true] {
                if let Err(error) = import_bytes("g.txt", text.as_bytes(), &ImportOptions { format, skip_bad, ..SMALL }) {
                    let message = error.to_string();
                    prop_assert!(!message.replace('\n', "").contains(char::is_control), "{message:?}");
                }
            }
        }
    }
}

/// Sets a flag when it is first told how far an import is, and counts how often it is told.
struct Stopper {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    told: usize,
}

impl Progress for Stopper {
    fn at(&mut self, _: u64, _: u64, _: &'static str) {
        self.told += 1;
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn an_import_that_is_stopped_reads_no_further_record() {
    let options = ImportOptions {
        format: Format::Auto,
        skip_bad: false,
        vault_all_pages: false,
        nodes_max: 1_000_000,
        edges_max: 1_000_000,
    };
    let csv: String = std::iter::once("source,target\n".to_owned())
        .chain((0..400_000).map(|row| format!("a{row},b{row}\n")))
        .collect();
    let nodes: Vec<String> = (0..200_000).map(|row| format!("{{\"id\":\"n{row}\"}}")).collect();
    let json = format!("{{\"nodes\":[{}],\"links\":[]}}", nodes.join(","));
    for (text, streams) in [(csv, true), (json, false)] {
        assert!(text.len() > 3 << 20);
        let mut stopper = Stopper { stop: std::sync::Arc::default(), told: 0 };
        let stop = std::sync::Arc::clone(&stopper.stop);
        let stopped = import_bytes_until("it", text.as_bytes(), &options, &mut stopper, &stop);
        assert!(matches!(stopped, Err(ImportError::Stopped { .. })), "{stopped:?}");
        assert!(!streams || stopper.told == 1, "it was told {} times", stopper.told);
        assert!(import_bytes("it", text.as_bytes(), &options).is_ok());
    }
}
