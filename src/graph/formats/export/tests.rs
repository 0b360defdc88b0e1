//! Goal: what a format can hold comes back as it was, types included, and what it cannot is counted; no text breaks a
//! file. Method: random graphs with texts and names that formats give a meaning to, written and read again.

use proptest::prelude::*;

use super::*;
use crate::graph::formats::{Format, ImportOptions, import_bytes};
use crate::graph::{Attributes, Edge, GraphBuilder, More, Node, NodeKind, Value};

const OPTIONS: ImportOptions =
    ImportOptions { format: Format::Auto, skip_bad: false, vault_all_pages: false, nodes_max: 100, edges_max: 100 };

/// Texts that every format can hold.
const MILD: [&str; 34] = [
    "a",
    "B",
    "é",
    "日本",
    "\u{1f600}",
    " ",
    "  ",
    "'",
    "\"",
    "\"\"",
    "<",
    ">",
    "&",
    "&amp;",
    "&#65;",
    "]]>",
    "<!--",
    "-->",
    ",",
    ";",
    "\t",
    "\n",
    "%",
    "#",
    "{",
    "}",
    "[",
    "]",
    "->",
    "--",
    ":",
    "=",
    "//",
    "\u{85}\u{2028}",
];

/// Texts that some cannot.
const WILD: [&str; 14] = [
    "\0",
    "\u{1}",
    "\u{7f}",
    "\r",
    "\r\n",
    "\\",
    "\\\\",
    "\\\"",
    "\\n",
    "\\N",
    "\u{fffe}",
    "\u{feff}",
    "\u{202e}",
    "\u{1b}[2J",
];

/// Names that importers and formats give a meaning to.
const NAMES: [&str; 40] = [
    "a",
    "b c",
    "é",
    "label",
    "Label",
    "name",
    "title",
    "class",
    "kind",
    "type",
    "private",
    "group",
    "community",
    "layer",
    "weight",
    "size",
    "value",
    "colour",
    "color",
    "x",
    "y",
    "z",
    "pinned",
    "directed",
    "relation",
    "predicate",
    "id",
    "key",
    "source",
    "target",
    "swarmcast:label",
    "swarmcast:",
    "pos",
    "dir",
    "attribute",
    "graphics",
    "metadata",
    "{}",
    "pid",
    "from",
];

fn text(wild: bool) -> impl Strategy<Value = String> {
    let pieces: Vec<&str> = if wild { MILD.into_iter().chain(WILD).collect() } else { MILD.to_vec() };
    prop::collection::vec(prop::sample::select(pieces), 0..5).prop_map(|pieces| pieces.concat())
}

fn number() -> impl Strategy<Value = f64> {
    let edges = [0.0, -0.0, 1.0, 1e16, 1e300, 5e-324, f64::MAX, f64::MIN, 0.1, -1e-7];
    prop_oneof![prop::sample::select(edges.to_vec()), any::<f64>().prop_filter("finite", |float| float.is_finite())]
}

/// What else reads as something: numbers, truths, directions, kinds, colours.
fn value(wild: bool) -> impl Strategy<Value = Value> {
    let words = [
        "7",
        "-1.5",
        "true",
        "False",
        "1e5",
        "directed",
        "Undirected",
        "agent",
        "#ff0000",
        "007",
        "NAN",
        "1,2",
        "none",
        "",
    ];
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (0_i64..3).prop_map(Value::Int),
        number().prop_map(Value::Float),
        text(wild).prop_map(|text| Value::Text(text.into())),
        prop::sample::select(words.to_vec()).prop_map(|word| Value::Text(word.into())),
    ]
}

fn attributes(wild: bool) -> impl Strategy<Value = Attributes> {
    let name = prop_oneof![3 => prop::sample::select(NAMES.to_vec()).prop_map(String::from), 1 => text(wild)];
    prop::collection::vec((name, value(wild)), 0..6).prop_map(|list| {
        let mut attributes = Attributes::new();
        for (name, value) in list {
            if !attributes.iter().any(|(known, _)| **known == *name) {
                attributes.push((name.into(), value));
            }
        }
        attributes
    })
}

fn narrow() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.0_f32), Just(1.0), Just(0.1), Just(f32::MAX), Just(f32::MIN_POSITIVE), 0.001_f32..1e6]
}

type Draft = (String, String, (u8, bool, Option<String>, f32), (Option<u32>, Option<[f32; 3]>, bool), Attributes);

fn node(wild: bool) -> impl Strategy<Value = Draft> {
    let kind = (0_u8..10, any::<bool>(), prop::option::of(text(wild)), narrow());
    let place = prop::option::of((-1e6_f32..1e6, narrow(), -1.0_f32..1.0).prop_map(<[f32; 3]>::from));
    let look = (prop::option::of(0_u32..0x100_0000), place, any::<bool>());
    (text(wild), text(wild), kind, look, attributes(wild))
}

type Link = (usize, usize, (f32, bool), Option<String>, Option<String>, Attributes);

fn link(wild: bool) -> impl Strategy<Value = Link> {
    let ends = (0_usize..50, 0_usize..50);
    (ends, (narrow(), any::<bool>()), prop::option::of(text(wild)), prop::option::of(text(wild)), attributes(wild))
        .prop_map(|((source, target), how, relation, label, attributes)| {
            (source, target, how, relation, label, attributes)
        })
}

/// Random graphs. Keys are unique and, as everywhere, not empty; so are groups, relations and labels of a mild one.
fn graph(wild: bool) -> impl Strategy<Value = Graph> {
    let parts = (prop::collection::vec(node(wild), 1..8), prop::collection::vec(link(wild), 0..10));
    parts.prop_map(move |(nodes, links)| {
        let mut builder = GraphBuilder::new(100, 100);
        let some = |text: Option<String>| text.filter(|text| wild || !text.is_empty()).map(String::into_boxed_str);
        for (place, (key, label, (kind, private, group, weight), (colour, position, pinned), attributes)) in
            nodes.into_iter().enumerate()
        {
            let key = if key.is_empty() || builder.find(&key).is_some() { format!("{key}{place}") } else { key };
            let index = builder.node(&key).unwrap();
            let node = builder.node_mut(index).unwrap();
            if wild || !label.is_empty() {
                node.label = label.into();
            }
            node.class.kind = match kind {
                0 => NodeKind::Agent,
                1 => NodeKind::OntologyClass,
                _ => NodeKind::Knowledge,
            };
            (node.class.private, node.group, node.colour, node.position) = (private, some(group), colour, position);
            (node.weight, node.pinned, node.attributes) = (weight.max(f32::MIN_POSITIVE), pinned, attributes);
        }
        let count = builder.node_count();
        for (source, target, (weight, directed), relation, label, attributes) in links {
            let end = |place: usize| NodeIndex((place % count) as u32);
            let edge = builder.edge(end(source), end(target), f64::from(weight), directed).unwrap();
            (edge.relation, edge.more) = (some(relation), More::new(some(label), attributes));
        }
        builder.finish()
    })
}

fn written(format: ExportFormat, graph: &Graph) -> (String, Losses) {
    let mut bytes = Vec::new();
    let losses = export(format, graph, None, &mut bytes).unwrap();
    (String::from_utf8(bytes).unwrap(), losses)
}

fn read(format: ExportFormat, file: &str) -> Graph {
    let name = format!("g.{}", format.extension());
    let imported = import_bytes(&name, file.as_bytes(), &OPTIONS).unwrap_or_else(|error| panic!("{error}\n{file}"));
    assert_eq!(imported.format.name(), format.name());
    imported.graph
}

fn sorted(attributes: &Attributes) -> Attributes {
    let mut attributes = attributes.clone();
    attributes.sort_by(|left, right| left.0.cmp(&right.0));
    attributes
}

fn plain_node(node: &Node) -> Node {
    Node { attributes: sorted(&node.attributes), ..node.clone() }
}

fn plain_edge(edge: &Edge) -> Edge {
    Edge { more: More::new(edge.label().map(Into::into), sorted(edge.attributes())), ..edge.clone() }
}

/// Whether two graphs are one, but for the order of attributes, and if not, where.
fn difference(left: &Graph, right: &Graph) -> Option<String> {
    let nodes = left.nodes().iter().zip(right.nodes()).map(|(left, right)| (plain_node(left), plain_node(right)));
    let edges = left.edges().iter().zip(right.edges()).map(|(left, right)| (plain_edge(left), plain_edge(right)));
    let node =
        nodes.into_iter().find(|(left, right)| left != right).map(|(left, right)| format!("{left:?}\n{right:?}"));
    let edge =
        edges.into_iter().find(|(left, right)| left != right).map(|(left, right)| format!("{left:?}\n{right:?}"));
    let counts = |graph: &Graph| (graph.nodes().len(), graph.edges().len());
    let count = (counts(left) != counts(right)).then(|| format!("{:?} {:?}", counts(left), counts(right)));
    count.or(node).or(edge)
}

/// Those that hold nodes and edges and are read back.
const WHOLE: [ExportFormat; 5] =
    [ExportFormat::Json, ExportFormat::GraphMl, ExportFormat::Gexf, ExportFormat::Gml, ExportFormat::Dot];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_a_format_holds_comes_back(graph in graph(false)) {
        for format in WHOLE {
            let (file, losses) = written(format, &graph);
            // GML has no truth values: the one thing here that a format cannot hold.
            let booleans = if format == ExportFormat::Gml { losses.count(Lost::Types) } else { 0 };
            let other = losses.list().iter().find(|loss| booleans == 0 || loss.lost != Lost::Types);
            prop_assert!(other.is_none(), "{format}: {losses:?}\n{file}");
            if booleans == 0 {
                let found = difference(&graph, &read(format, &file));
                prop_assert!(found.is_none(), "{format}: {}\n{file}", found.unwrap_or_default());
            }
        }
    }

    #[test]
    fn what_does_not_come_back_is_counted_and_breaks_nothing_else(graph in graph(true)) {
        for format in WHOLE {
            let (file, losses) = written(format, &graph);
            let again = read(format, &file);
            let counts = |graph: &Graph| (graph.nodes().len(), graph.edges().len());
            prop_assert_eq!(counts(&graph), counts(&again), "{}\n{}", format, file);
            for (left, right) in graph.edges().iter().zip(again.edges()) {
                prop_assert_eq!((left.source, left.target, left.directed), (right.source, right.target, right.directed));
            }
            let found = difference(&graph, &again);
            prop_assert!(found.is_none() || !losses.is_empty(), "{format}: {}\n{file}", found.unwrap_or_default());
        }
    }

    #[test]
    fn edges_come_back_from_csv(graph in graph(true)) {
        let (file, losses) = written(ExportFormat::Csv, &graph);
        let again = read(ExportFormat::Csv, &file);
        prop_assert_eq!(graph.edges().len(), again.edges().len(), "{}", file);
        let told = |lost| losses.count(lost) > 0;
        let changed = [Lost::Characters, Lost::EmptyTexts, Lost::Types, Lost::Keys].into_iter().any(told);
        let key = |graph: &Graph, index| graph.node(index).map(|node| node.key.clone());
        for (left, right) in graph.edges().iter().zip(again.edges()).filter(|_| !changed) {
            let ends = |graph: &Graph, edge: &Edge| (key(graph, edge.source), key(graph, edge.target));
            prop_assert_eq!(ends(&graph, left), ends(&again, right), "{}", file);
            let (source, target) = (right.source, right.target);
            prop_assert_eq!(Edge { source, target, ..plain_edge(left) }, plain_edge(right), "{}", file);
        }
        let lone = (0..graph.nodes().len() as u32).filter(|index| graph.incident(NodeIndex(*index)).is_empty()).count();
        prop_assert_eq!(losses.count(Lost::Nodes), lone as u64);
    }

    #[test]
    fn tables_and_pictures_take_any_text(graph in graph(true)) {
        let (table, losses) = written(ExportFormat::CsvNodes, &graph);
        prop_assert_eq!(losses.count(Lost::Edges), graph.edges().len() as u64);
        prop_assert!(table.starts_with("id,key,label,class,private,group,weight,color,x,y,z,pinned"));
        let (picture, _) = written(ExportFormat::Mermaid, &graph);
        let outside = |line: &str| line.split('"').next().is_some_and(|start| start.contains(" --"));
        let arrows = picture.lines().filter(|line| outside(line)).count();
        prop_assert_eq!(arrows, graph.edges().len());
        prop_assert!(picture.lines().all(|line| line.matches('"').count() % 2 == 0), "{picture}");
    }
}

fn small() -> Graph {
    let mut builder = GraphBuilder::new(9, 9);
    let (a, b) = (builder.node("a").unwrap(), builder.node("b\u{1}").unwrap());
    let node = builder.node_mut(a).unwrap();
    (node.label, node.group, node.weight) = ("An \"A\" #1".into(), Some("g".into()), 0.1);
    node.attributes = vec![("ok".into(), Value::Bool(true)), ("label".into(), Value::Int(3))];
    builder.node_mut(b).unwrap().position = Some([1.0, 2.0, 3.5]);
    let edge = builder.edge(a, b, 2.5, true).unwrap();
    edge.relation = Some("knows".into());
    builder.edge(b, a, 1.0, false).unwrap();
    builder.finish()
}

#[test]
fn files_look_like_this() {
    let graph = small();
    let (json, losses) = written(ExportFormat::Json, &graph);
    assert!(losses.is_empty());
    assert_eq!(
        json,
        "{\"directed\":true,\"multigraph\":false,\"graph\":{},\n\"nodes\":[\n\
         {\"id\":\"a\",\"label\":\"An \\\"A\\\" #1\",\"group\":\"g\",\"weight\":0.1,\"ok\":true,\"swarmcast:label\":3},\n\
         {\"id\":\"b\\u0001\",\"label\":\"b\\u0001\",\"x\":1.0,\"y\":2.0,\"z\":3.5}\n],\n\"links\":[\n\
         {\"source\":\"a\",\"target\":\"b\\u0001\",\"weight\":2.5,\"relation\":\"knows\"},\n\
         {\"source\":\"b\\u0001\",\"target\":\"a\",\"directed\":false}\n]}\n"
    );
    assert_eq!(
        written(ExportFormat::Gml, &graph).0,
        "Creator \"swarmcast\"\nVersion 1\ngraph [\n  directed 1\n  \
         node [ id 0 key \"a\" label \"An &quot;A&quot; #1\" group \"g\" weight 0.1 ok 1 attribute [ name \"label\" value 3 ] ]\n  \
         node [ id 1 key \"b&#1;\" graphics [ x 1.0 y 2.0 z 3.5 ] label \"b&#1;\" ]\n  \
         edge [ source 0 target 1 weight 2.5 relation \"knows\" ]\n  edge [ source 1 target 0 directed 0 ]\n]\n"
    );
    assert_eq!(
        written(ExportFormat::Dot, &graph).0,
        "digraph {\n  \"a\" [label=\"An \\\"A\\\" #1\", group=\"g\", weight=0.1, ok=true, \"swarmcast:label\"=3];\n  \
         \"b\u{1}\" [label=\"b\u{1}\", pos=\"1.0,2.0,3.5\"];\n  \"a\" -> \"b\u{1}\" [weight=2.5, relation=\"knows\"];\n  \
         \"b\u{1}\" -> \"a\" [dir=\"none\"];\n}\n"
    );
    assert_eq!(
        written(ExportFormat::Csv, &graph).0,
        "source,target,weight,directed,relation,label\na,\"b\u{1}\",2.5,true,knows,\n\"b\u{1}\",a,,,,\n"
    );
    assert_eq!(
        written(ExportFormat::Mermaid, &graph).0,
        "flowchart LR\n  n1[\"b?\"]\n  subgraph g0[\"g\"]\n    n0[\"An #34;A#34; #35;1\"]\n  end\n  n0 -->|\"knows\"| n1\n  n1 --- n0\n"
    );
}

#[test]
fn losses_are_said_in_words() {
    let said = |format| -> Vec<String> { written(format, &small()).1.list().iter().map(Loss::to_string).collect() };
    assert_eq!(
        said(ExportFormat::GraphMl),
        [
            "1 keys of nodes cannot be held and were replaced by others, the first \"b\\u{1}\"",
            "1 texts have characters that the format cannot hold, each written as `?`, the first \"b\\u{1}\"",
        ]
    );
    assert_eq!(
        said(ExportFormat::Gml),
        ["1 values are of a type that the format does not have and read back as another, the first \"ok\""]
    );
    assert_eq!(said(ExportFormat::Csv), ["2 fields and attributes of nodes are not in the file, the first \"a\""]);
    assert_eq!(
        said(ExportFormat::Mermaid),
        [
            "2 fields and attributes of nodes are not in the file, the first \"a\"",
            "1 texts have characters that the format cannot hold, each written as `?`, the first \"b\\u{1}\"",
            "1 fields and attributes of edges are not in the file, the first \"knows\"",
        ]
    );
}

#[test]
fn keys_that_cannot_be_held_stay_apart() {
    let mut builder = GraphBuilder::new(9, 9);
    for key in ["a?", "a\u{1}", "a\u{2}", "a?-2", "\u{fffe}"] {
        builder.node(key).unwrap();
    }
    let graph = builder.finish();
    let (file, losses) = written(ExportFormat::GraphMl, &graph);
    let again = read(ExportFormat::GraphMl, &file);
    let keys: Vec<&str> = again.nodes().iter().map(|node| &*node.key).collect();
    assert_eq!(keys, ["a?", "a?-3", "a?-4", "a?-2", "?"]);
    assert_eq!(losses.count(Lost::Keys), 3);
}

#[test]
fn a_row_of_csv_has_no_more_lines_than_are_read() {
    let lines = |letter: &str, count: usize| format!("{letter}{}{letter}", "\n".repeat(count));
    let graph = |ends: usize, texts: usize| {
        let mut builder = GraphBuilder::new(9, 9);
        let a = builder.node(&lines("a", ends)).unwrap();
        let b = builder.node(&lines("b", ends)).unwrap();
        let edge = builder.edge(a, b, 1.0, true).unwrap();
        edge.relation = Some(lines("r", texts).into());
        let attributes = vec![(lines("x", 9).into(), Value::Int(1)), (lines("y", 9).into(), Value::Int(2))];
        edge.more = More::new(Some(lines("l", texts).into()), attributes);
        builder.finish()
    };
    // Line ends of each key and of each text, and those that come back: of the keys, the relation, the label.
    for (ends, texts, kept) in [(9, 9, (0, 9, 0)), (7, 1, (7, 1, 0)), (0, 7, (0, 7, 7)), (1, 15, (1, 0, 0))] {
        let (file, losses) = written(ExportFormat::Csv, &graph(ends, texts));
        let again = read(ExportFormat::Csv, &file);
        let line_ends = |text: &str| text.matches('\n').count();
        let edge = &again.edges()[0];
        let relation = edge.relation.as_deref().map_or(0, line_ends);
        let label = edge.label().map_or(0, line_ends);
        assert_eq!((line_ends(&again.nodes()[0].key), relation, label), kept, "{file}");
        assert_eq!(edge.label().map(|label| label.replace('?', "\n")), Some(lines("l", texts)));
        let titles: Vec<usize> = edge.attributes().iter().map(|(name, _)| line_ends(name)).collect();
        assert_eq!(titles, [9, 0]);
        let changed = [relation, label].iter().filter(|count| **count != texts).count() + 1;
        let keys = if ends > 7 { 2 } else { 0 };
        assert_eq!((losses.count(Lost::Characters), losses.count(Lost::Keys)), (changed as u64, keys));
    }
}

#[test]
fn an_empty_key_comes_back_from_gml() {
    let graph = read(ExportFormat::Dot, "graph { \"\" [label=root]; \"0\"; \"\" -- \"0\" }");
    assert_eq!(&*graph.nodes()[0].key, "");
    let (file, losses) = written(ExportFormat::Gml, &graph);
    assert!(losses.is_empty(), "{losses:?}");
    assert_eq!(difference(&graph, &read(ExportFormat::Gml, &file)), None, "{file}");
}

#[test]
fn positions_of_the_layout_are_written() {
    let graph = small();
    for format in WHOLE {
        let mut bytes = Vec::new();
        export(format, &graph, Some(&[[0.1, -2.0, 1e-7], [f32::NAN, 0.0, 0.0]]), &mut bytes).unwrap();
        let again = read(format, &String::from_utf8(bytes).unwrap());
        let positions: Vec<_> = again.nodes().iter().map(|node| node.position).collect();
        assert_eq!(positions, [Some([0.1, -2.0, 1e-7]), Some([1.0, 2.0, 3.5])], "{format}");
    }
}

#[test]
fn ids_that_an_import_deals_anew_are_counted() {
    let mut rows = small().nodes().to_vec();
    rows[0].id = NodeId::new(5).unwrap();
    let edge =
        crate::graph::EdgeRow { id: crate::graph::EdgeId(7), ..small().edge_row(crate::graph::EdgeId(0)).unwrap() };
    let edge = crate::graph::EdgeRow { source: rows[0].id, target: rows[1].id, ..edge };
    let graph = Graph::from_rows(rows, vec![edge], (9, 9)).unwrap();
    let losses = written(ExportFormat::Json, &graph).1;
    assert_eq!((losses.count(Lost::NodeIds), losses.count(Lost::EdgeIds)), (1, 1));
}

#[test]
fn formats_go_by_their_names() {
    for format in ExportFormat::ALL {
        assert_eq!(format.name().parse(), Ok(format));
        assert!(ExportFormat::NAMES.split(", ").any(|name| name == format.name()));
    }
    assert_eq!(
        "svg".parse::<ExportFormat>().unwrap_err().to_string(),
        format!("expected one of {}, found \"svg\"", ExportFormat::NAMES)
    );
    assert_eq!(ExportFormat::of_extension(Path::new("a/b.GV")), Some(ExportFormat::Dot));
    assert_eq!(ExportFormat::of_extension(Path::new("b.mtx")), None);
}
