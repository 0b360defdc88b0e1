//! Goal: files that other tools wrote come in whole, and broken ones are refused in words that mend them.
//! Method: the fixtures under `tests/data/import` (its README says what wrote each), and files made on the spot
//! where a fixture cannot be kept in a repository: symbolic links, bytes that are no text, pipes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use swarmcast::graph::formats::export::{ExportFormat, export};
use swarmcast::graph::formats::{Format, ImportOptions, Imported, Note, Progress, import_bytes, import_path};
use swarmcast::graph::{Edge, Graph, Node, NodeKind, Value};

use crate::support::Folder;

const OPTIONS: ImportOptions = ImportOptions {
    format: Format::Auto,
    skip_bad: false,
    vault_all_pages: false,
    nodes_max: 1_000_000,
    edges_max: 4_000_000,
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import").join(name)
}

fn import(name: &str) -> Imported {
    import_path(&data(name), &OPTIONS, &mut ()).unwrap()
}

fn node<'g>(graph: &'g Graph, key: &str) -> &'g Node {
    graph.nodes().iter().find(|node| &*node.key == key).unwrap_or_else(|| panic!("no node {key}"))
}

fn key(graph: &Graph, edge: &Edge) -> (String, String) {
    let name = |index| graph.node(index).unwrap().key.to_string();
    (name(edge.source), name(edge.target))
}

/// Edges as `source > target xweight relation`, sorted.
fn edges(graph: &Graph) -> Vec<String> {
    let line = |edge: &Edge| {
        let (source, target) = key(graph, edge);
        format!("{source} > {target} x{} {}", edge.weight, edge.relation.as_deref().unwrap_or("-"))
    };
    let mut lines: Vec<String> = graph.edges().iter().map(line).collect();
    lines.sort();
    lines
}

fn keys(graph: &Graph) -> Vec<&str> {
    graph.nodes().iter().map(|node| &*node.key).collect()
}

#[test]
fn the_karate_club_is_the_same_in_every_format() {
    let files = [
        ("networkx_karate.graphml", Format::GraphMl, 0),
        ("networkx_karate.gexf", Format::Gexf, 0),
        ("networkx_karate_13.gexf", Format::Gexf, 0),
        ("networkx_karate.json", Format::Json, 0),
        ("networkx_karate.edgelist", Format::Whitespace, 0),
        ("networkx_weighted.edges", Format::Whitespace, 0),
        ("networkx_karate.gml", Format::Gml, 0),
        ("scipy_karate_symmetric.mtx", Format::MatrixMarket, 1),
    ];
    let mut first = None;
    for (file, format, base) in files {
        let imported = import(file);
        let graph = imported.graph;
        assert_eq!((imported.format, graph.nodes().len(), graph.edges().len()), (format, 34, 78), "{file}");
        assert_eq!((imported.skipped_count, imported.warnings.len()), (0, 0), "{file}: {:?}", imported.warnings);
        let id = |index| graph.node(index).unwrap().id.get() - base;
        let mut edges: Vec<(u32, u32, f32)> = graph
            .edges()
            .iter()
            .map(|edge| (id(edge.source).min(id(edge.target)), id(edge.source).max(id(edge.target)), edge.weight))
            .collect();
        edges.sort_by(|left, right| left.partial_cmp(right).unwrap());
        assert!(graph.edges().iter().all(|edge| !edge.directed), "{file}");
        assert_eq!(&edges, first.get_or_insert_with(|| edges.clone()), "{file}");
    }
}

#[test]
fn attributes_of_networkx_arrive_in_json_and_graphml() {
    for file in ["networkx_node_link_links.json", "networkx_node_link_edges.json", "networkx_attributes.graphml"] {
        let graph = import(file).graph;
        let anna = node(&graph, "a");
        assert_eq!((&*anna.label, anna.group.as_deref(), anna.weight), ("Anna", Some("core"), 3.5), "{file}");
        assert_eq!((anna.colour, anna.position), (Some(0xff_8000), Some([1.0, 2.0, -3.0])), "{file}");
        assert_eq!((anna.class.kind, anna.attributes.len()), (NodeKind::Agent, 0), "{file}");
        let ben = node(&graph, "b");
        assert_eq!(&*ben.label, "Ben \"B\" Ünal", "{file}");
        let mut attributes = ben.attributes.clone();
        attributes.sort_by(|left, right| left.0.cmp(&right.0));
        assert_eq!(attributes, [("active".into(), Value::Bool(true)), ("age".into(), Value::Int(41))], "{file}");
        assert_eq!(edges(&graph), ["a > b x2.5 knows", "b > c x1 -", "c > a x1 -"], "{file}");
        let note = graph.edges().iter().find_map(|edge| edge.attributes().first().cloned());
        assert_eq!(note, Some(("note".into(), Value::Text("x & <y>".into()))), "{file}");
        assert!(graph.edges().iter().all(|edge| edge.directed), "{file}");
    }
}

#[test]
fn parallel_edges_viz_and_labels_arrive() {
    for file in ["networkx_multi.json", "networkx_multi.graphml"] {
        assert_eq!(edges(&import(file).graph), ["1 > 2 x1.5 -", "1 > 2 x2.5 -", "2 > 3 x1 -"], "{file}");
    }
    let viz = import("networkx_viz.gexf").graph;
    let seen = node(&viz, "a");
    assert_eq!((seen.colour, seen.position, seen.weight), (Some(0xff_8000), Some([1.0, 2.0, -3.0]), 4.5));
    assert_eq!(seen.attributes, [("club".into(), Value::Text("x".into()))]);
    let petersen = import("igraph_petersen.graphml").graph;
    assert_eq!((&*node(&petersen, "n3").label, petersen.edges()[14].weight), ("v3", 14.5));
    assert_eq!(import("igraph_petersen.txt").graph.edges().len(), 15);
}

#[test]
fn edge_lists_of_other_tools() {
    assert_eq!(edges(&import("networkx_plain.txt").graph), ["0 > 1 x1 -", "1 > 2 x1 -", "2 > 3 x1 -"]);
    assert_eq!(edges(&import("networkx_tabs.tsv").graph), ["Boston > Québec x1 -", "New York > Boston x1 -"]);
    let snap = import("snap_style.txt").graph;
    assert_eq!(edges(&snap), ["1412 > 30 x1 -", "30 > 1412 x1 -", "30 > 3352 x1 -"]);
    assert_eq!((node(&snap, "3352").id.get(), snap.edges()[0].directed), (3352, true));
    let konect = import("konect_style.ucidata").graph;
    assert_eq!(edges(&konect), ["left/1 > right/1 x5 -", "left/1 > right/2 x3 -", "left/2 > right/2 x1 -"]);
    let gephi = import("gephi_edges.csv").graph;
    assert_eq!(edges(&gephi), ["Ann > Ben; the \"B\" x1.5 -", "Ann > Cem x2 -"]);
    assert_eq!(gephi.edges().iter().map(|edge| edge.directed).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn gml_of_networkx_and_igraph() {
    let graph = import("networkx_attributes.gml").graph;
    let anna = node(&graph, "0");
    assert_eq!((&*anna.label, anna.group.as_deref(), anna.weight), ("a", Some("core"), 3.5));
    assert_eq!((anna.colour, anna.position), (Some(0xff_8000), Some([1.0, 2.0, -3.0])));
    assert_eq!((anna.class.kind, anna.attributes.len()), (NodeKind::Agent, 0));
    let expected: [(Box<str>, Value); 4] = [
        ("name".into(), Value::Text("Ben \"B\" Ünal".into())),
        ("age".into(), Value::Int(41)),
        ("active".into(), Value::Int(1)),
        ("tags".into(), Value::Text("[\"p\",\"q\"]".into())),
    ];
    assert_eq!(node(&graph, "1").attributes, expected);
    assert_eq!(edges(&graph), ["0 > 1 x2.5 knows", "1 > 2 x1 -", "2 > 0 x1 -"]);
    assert_eq!(*graph.edges()[0].attributes(), [("note".into(), Value::Text("x & <y>".into()))]);
    assert!(graph.edges().iter().all(|edge| edge.directed));
    assert_eq!(edges(&import("networkx_multi.gml").graph), ["0 > 1 x1.5 -", "0 > 1 x2.5 -", "1 > 2 x1 -"]);
    let petersen = import("igraph_petersen.gml").graph;
    assert_eq!((&*node(&petersen, "3").label, petersen.edges()[14].weight), ("v3", 14.5));
    assert!(!petersen.edges()[0].directed);
}

#[test]
fn dot_of_graphviz_networkx_and_igraph() {
    let source = import("graphviz_source.gv");
    for file in ["graphviz_dot.dot", "graphviz_neato.dot"] {
        let imported = import(file);
        let graph = &imported.graph;
        assert_eq!((imported.format, edges(graph)), (Format::Dot, edges(&source.graph)), "{file}");
        assert!(graph.nodes().iter().all(|node| node.position.is_some()), "{file}");
        assert_eq!(imported.warnings, [Note::Ports { count: 1 }], "{file}");
        for old in source.graph.nodes() {
            let new = node(graph, &old.key);
            assert_eq!((&old.label, &old.group), (&new.label, &new.group), "{file}");
        }
    }
    assert_eq!(
        edges(&source.graph),
        ["check > log x2 -", "check > write x2 -", "parse > check x1 -", "read > parse x1 -", "write > done! x1 -"]
    );
    let shown = |key| (&*node(&source.graph, key).label, node(&source.graph, key).group.as_deref());
    assert_eq!(shown("write"), ("write\nto disk", Some("Output")));
    assert_eq!(shown("parse"), ("parse", Some("Input")));
    assert_eq!(shown("log"), ("log\nfile log", None));
    let graph = import("networkx_attributes.dot").graph;
    let anna = node(&graph, "a");
    assert_eq!((&*anna.label, anna.weight, anna.position), ("Anna", 3.5, Some([1.0, 2.0, -3.0])));
    let expected: [(Box<str>, Value); 2] = [("age".into(), Value::Int(41)), ("active".into(), Value::Bool(true))];
    assert_eq!((&*node(&graph, "b").label, &node(&graph, "b").attributes[..]), ("Ben \"B\" Ünal", &expected[..]));
    assert_eq!(edges(&graph), ["a > b x2.5 knows", "b > c x1 -", "c > a x1 -"]);
    let petersen = import("igraph_petersen.dot").graph;
    assert_eq!((&*node(&petersen, "3").label, petersen.edges()[14].weight), ("v3", 14.5));
}

#[test]
fn what_other_tools_wrote_survives_an_export() {
    let mut files: Vec<PathBuf> = fs::read_dir(data("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.ends_with("README.md") && !path.ends_with("scipy_complex.mtx"));
    files.sort();
    assert!(files.len() > 30);
    for path in files {
        let graph = import_path(&path, &OPTIONS, &mut ()).unwrap().graph;
        for format in
            [ExportFormat::Json, ExportFormat::GraphMl, ExportFormat::Gexf, ExportFormat::Gml, ExportFormat::Dot]
        {
            let mut bytes = Vec::new();
            let losses = export(format, &graph, None, &mut bytes).unwrap();
            let again = import_bytes(&format!("a.{}", format.extension()), &bytes, &OPTIONS).unwrap().graph;
            assert_eq!(edges(&again), edges(&graph), "{format} {}", path.display());
            if losses.is_empty() {
                assert_eq!(again.nodes(), graph.nodes(), "{format} {}", path.display());
            }
        }
    }
}

#[test]
fn matrices_of_scipy() {
    assert_eq!(edges(&import("scipy_general.mtx").graph), ["1 > 2 x2 -", "2 > 3 x3 -", "3 > 1 x1 -"]);
    assert_eq!(edges(&import("scipy_pattern.mtx").graph), ["1 > 2 x1 -", "2 > 3 x1 -"]);
    assert_eq!(edges(&import("scipy_skew.mtx").graph), ["1 > 2 x2 -"]);
    let error = import_path(&data("scipy_complex.mtx"), &OPTIONS, &mut ()).unwrap_err().to_string();
    assert!(
        error.ends_with("scipy_complex.mtx: line 1: expected pattern, integer or real, found \"complex\""),
        "{error}"
    );
}

#[test]
fn a_logseq_vault_shows_its_public_pages_and_no_trace_of_the_others() {
    let imported = import("logseq");
    let graph = &imported.graph;
    assert_eq!(
        keys(graph),
        [
            "Thursday, 05.01.2023",
            "Graphs",
            "Home",
            "Physics/Springs",
            "Layout",
            "physics/Repulsion",
            "start",
            "big ideas",
            "Physics",
            "force model",
            "Someday",
        ]
    );
    assert_eq!(
        edges(graph),
        [
            "Graphs > Home x1 link",
            "Graphs > Physics/Springs x1 link",
            "Graphs > physics/Repulsion x1 link",
            "Home > Graphs x3 link",
            "Home > Layout x1 link",
            "Home > Physics x1 tag",
            "Home > Someday x2 link",
            "Home > Thursday, 05.01.2023 x2 link",
            "Home > big ideas x1 tag",
            "Home > force model x1 tag",
            "Home > start x1 tag",
            "Layout > Home x1 link",
            "Physics/Springs > Graphs x1 link",
            "Thursday, 05.01.2023 > Home x1 link",
            "physics/Repulsion > Graphs x1 tag",
        ]
    );
    assert!(graph.edges().iter().all(|edge| edge.directed));
    let home = node(graph, "Home");
    let size = fs::metadata(data("logseq/pages/Home.md")).unwrap().len() as f32;
    assert!((home.weight - size.log10()).abs() < 1e-6);
    let rest = ["public", "type", "rank"].map(Box::<str>::from);
    assert_eq!(home.attributes.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), rest);
    assert_eq!(home.attributes[2].1, Value::Int(3));
    assert_eq!(node(graph, "Physics/Springs").group.as_deref(), Some("Physics"));
    assert_eq!(node(graph, "Thursday, 05.01.2023").group.as_deref(), Some("journal"));
    assert_eq!(node(graph, "Someday").attributes, [("missing".into(), Value::Bool(true))]);
    assert_eq!(imported.warnings, [Note::Private { pages: 2, links: 10 }]);
    let everything = format!("{graph:?} {:?}", imported.warnings).to_lowercase();
    for trace in ["secret", "the vault", "friday", "hidden link"] {
        assert!(!everything.contains(trace), "{trace}");
    }
}

#[test]
fn a_logseq_vault_gives_all_pages_when_asked() {
    let options = ImportOptions { vault_all_pages: true, ..OPTIONS };
    let graph = import_path(&data("logseq"), &options, &mut ()).unwrap().graph;
    for page in ["Secret", "Friday, 06.01.2023", "Hidden link", "Secret/Inner"] {
        node(&graph, page);
    }
    assert!(edges(&graph).contains(&"Home > Secret x8 tag".to_string()), "{:?}", edges(&graph));
    assert!(!keys(&graph).contains(&"Old"), "Logseq's own backups are no pages");
}

#[test]
fn an_obsidian_vault_is_read_by_its_own_rules() {
    let imported = import("obsidian");
    let graph = &imported.graph;
    assert_eq!(
        keys(graph),
        [
            "Index",
            "people/Ann",
            "people/Café",
            "projects/Notes",
            "projects/Plan",
            "#map",
            "#project",
            "#project/alpha",
            "#not-a-heading-tag-problem",
            "#project/beta",
            "Nowhere",
        ]
    );
    assert_eq!(
        edges(graph),
        [
            "#project/alpha > #project x1 nested",
            "#project/beta > #project x1 nested",
            "Index > #map x1 tag",
            "Index > #not-a-heading-tag-problem x1 tag",
            "Index > #project/alpha x1 tag",
            "Index > #project/beta x1 tag",
            "Index > people/Ann x3 property",
            "Index > projects/Plan x4 link",
            "people/Ann > people/Café x1 link",
            "people/Café > #project x1 tag",
            "projects/Notes > projects/Plan x1 link",
            "projects/Plan > Index x2 link",
            "projects/Plan > Nowhere x2 link",
            "projects/Plan > projects/Notes x1 link",
        ]
    );
    let index = node(graph, "Index");
    assert_eq!((&*index.label, index.class.kind, index.group.as_deref()), ("Start here", NodeKind::Agent, None));
    assert_eq!(index.attributes[0], ("rank".into(), Value::Float(4.5)));
    let ann = node(graph, "people/Ann");
    assert_eq!(
        (&*ann.label, ann.group.as_deref(), ann.colour, ann.weight),
        ("Ann", Some("people"), Some(0x33_6699), 7.0)
    );
    assert_eq!(node(graph, "#map").group.as_deref(), Some("tag"));
    assert!(imported.warnings.is_empty());
}

#[test]
fn a_vault_is_the_same_every_time() {
    for vault in ["logseq", "obsidian"] {
        assert_eq!(format!("{:?}", import(vault).graph), format!("{:?}", import(vault).graph));
    }
}

#[test]
fn plain_folders_take_all_pages() {
    let folder = Folder::new("plain");
    folder.write("a.md", "to [[B]]");
    folder.write("sub/b.MD", "back to [a](../a.md)");
    folder.write("notes.txt", "[[no page]]");
    let graph = import_path(&folder, &OPTIONS, &mut ()).unwrap().graph;
    assert_eq!(edges(&graph), ["a > sub/b x1 link", "sub/b > a x1 link"]);
}

#[cfg(unix)]
#[test]
fn symbolic_links_are_not_followed() {
    let (outside, vault) = (Folder::new("outside"), Folder::new("links"));
    let secret = outside.write("secret.md", "public:: true\n- [[stolen]]");
    vault.write("pages/a.md", "public:: true\n- [[secret]]");
    std::os::unix::fs::symlink(&secret, vault.join("pages/secret.md")).unwrap();
    std::os::unix::fs::symlink(&vault, vault.join("pages/loop")).unwrap();
    let imported = import_path(&vault, &OPTIONS, &mut ()).unwrap();
    assert_eq!(keys(&imported.graph), ["a", "secret"]);
    assert_eq!(imported.warnings, [Note::SymbolicLinks { count: 2 }]);
    let itself = outside.join("vault");
    std::os::unix::fs::symlink(&vault, &itself).unwrap();
    assert_eq!(
        import_path(&itself, &OPTIONS, &mut ()).unwrap().graph.nodes().len(),
        2,
        "the path given is the user's word"
    );
}

#[test]
fn pages_that_cannot_be_read_are_named_and_stay_private() {
    let vault = Folder::new("bad-pages");
    vault.write("pages/a.md", "public:: true\n- [[Broken]] [[Big]] [[c]]");
    vault.write("pages/Broken.md", b"public:: true\n- M\xfcller");
    vault.write("pages/Big.md", vec![b'x'; (16 << 20) + 1]);
    let path = vault.display();
    let error = import_path(&vault, &OPTIONS, &mut ()).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{path}: 2 bad lines (pass --skip-bad to leave them out):\n  \
             pages/Big: expected a page of at most 16777216 bytes, found 16777217\n  \
             pages/Broken: line 2: expected UTF-8 text, found \"- M\u{fffd}ller\""
        )
    );
    let skipped = import_path(&vault, &ImportOptions { skip_bad: true, ..OPTIONS }, &mut ()).unwrap();
    assert_eq!((keys(&skipped.graph), skipped.skipped_count), (vec!["a", "c"], 2));
}

#[test]
fn pages_of_one_name_are_one_node() {
    let vault = Folder::new("same-name");
    vault.write("pages/x___y.md", "public:: true\n- [[one]]");
    vault.write("pages/X%2FY.md", "public:: true\n- [[two]]");
    let imported = import_path(&vault, &OPTIONS, &mut ()).unwrap();
    assert_eq!(keys(&imported.graph), ["X/Y", "two", "one"]);
    assert!(matches!(imported.warnings.as_slice(), [Note::SameName { .. }]));
}

#[test]
fn broken_paths_are_refused_in_words() {
    let folder = Folder::new("paths");
    let refusal = |path: &Path, options: &ImportOptions| {
        let error = import_path(path, options, &mut ()).unwrap_err().to_string();
        error.replacen(&folder.display().to_string(), "DIR", 1)
    };
    let as_format = |format| ImportOptions { format, ..OPTIONS };
    folder.write("empty/readme.txt", "no page");
    folder.write("private/logseq/config.edn", "{}");
    folder.write("private/pages/a.md", "- [[b]]");
    let file = folder.write("a.csv", "a,b\n");
    folder.write("nothing.csv", "");
    assert_eq!(refusal(&folder.join("gone.csv"), &OPTIONS), "DIR/gone.csv: no such file or folder");
    assert_eq!(
        refusal(&folder.join("nothing.csv"), &OPTIONS),
        "DIR/nothing.csv: expected a graph, found an empty file"
    );
    assert_eq!(
        refusal(&folder.join("empty"), &OPTIONS),
        "DIR/empty: expected a vault with Markdown pages (.md), found none in this folder"
    );
    assert_eq!(
        refusal(&folder.join("empty"), &as_format(Format::Json)),
        "DIR/empty: expected a file in the format json, found a folder"
    );
    assert_eq!(
        refusal(&file, &as_format(Format::Vault)),
        "DIR/a.csv: expected a vault, which is a folder of Markdown pages, found a file"
    );
    assert_eq!(
        refusal(&folder.join("private"), &OPTIONS),
        "DIR/private: none of the 1 pages of this Logseq vault has `public:: true` as its first line; set vault_all_pages to \
         take them all"
    );
    let small = ImportOptions { nodes_max: 3, ..OPTIONS };
    let error = import_path(&data("obsidian"), &small, &mut ()).unwrap_err().to_string();
    assert!(
        error.ends_with("the graph has more than 3 nodes (graph.nodes_max); raise the limit to import it"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn what_is_neither_file_nor_folder_is_refused_without_waiting() {
    let error = import_path(Path::new("/dev/null"), &OPTIONS, &mut ()).unwrap_err().to_string();
    assert_eq!(error, "/dev/null: expected a file or a folder, found something else (a pipe, a socket or a device)");
}

/// A file, and the message that refuses it.
const BROKEN: [(&str, &str, &str); 24] = [
    (
        "a.csv",
        "source,target,weight\na,b,1\na,b\n",
        "a.csv: line 3: expected 3 fields, found 2 (pass --skip-bad to leave it out)",
    ),
    (
        "a.csv",
        "source,target,weight\na,b,-1\n",
        "a.csv: line 2, column 5: expected a weight, a finite number >= 0, found \"-1\" (pass --skip-bad to leave it out)",
    ),
    (
        "a.tsv",
        "a\tb\n\tc\n",
        "a.tsv: line 2, column 1: expected a source node, found nothing (pass --skip-bad to leave it out)",
    ),
    (
        "a.csv",
        "a,b\n\"c,d\n",
        "a.csv: line 2: expected a closing quote, found the end of the field's 1 lines (pass --skip-bad to leave it out)",
    ),
    (
        "a.csv",
        "a,b,1\na,b,\u{7}\u{1b}[2J\n",
        "a.csv: line 2, column 5: expected a weight, a finite number >= 0, found \"\\u{7}\\u{1b}[2J\" (pass --skip-bad to leave it out)",
    ),
    ("a.json", "{\"nodes\": [}", "a.json: line 1, column 12: expected JSON, found expected value"),
    (
        "a.json",
        "{\"vertices\": []}",
        "a.json: line 1: expected an object with nodes, and links or edges, found the keys \"vertices\"",
    ),
    (
        "a.json",
        "{\"nodes\": [{\"id\": 1}], \"links\": [{\"source\": 1, \"target\": 2}]}",
        "a.json: line 1: expected an edge between nodes of the file, found no node \"2\" (pass --skip-bad to leave it out)",
    ),
    (
        "a.graphml",
        "<graphml>\n<graph></graphml>",
        "a.graphml: line 2, column 8: expected XML, found expected `</graph>`, but `</graphml>` was found",
    ),
    ("a.graphml", "<gml/>", "a.graphml: line 1: expected a <graphml> document, found <gml>"),
    (
        "a.gexf",
        "<!DOCTYPE gexf [<!ENTITY lol \"lol\">]>\n<gexf/>",
        "a.gexf: line 1: expected text without entities of its own (only &lt; &gt; &amp; &apos; &quot; and character numbers are \
         read), found \"<!ENTITY lol \\\"lol\\\">]\"",
    ),
    (
        "a.mtx",
        "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 2 1\n",
        "a.mtx: line 2: expected the 2 entries of the size line, found 1 (pass --skip-bad to leave it out)",
    ),
    (
        "a.mtx",
        "%%MatrixMarket matrix coordinate real general\n2 2 1\n1 3 1\n",
        "a.mtx: line 3: expected an index from 1 to 2, found \"3\" (pass --skip-bad to leave it out)",
    ),
    ("a.gml", "graph [\n node [ id 1 label \"x ] ]", "a.gml: line 2, column 21: expected a closing quote, found \"x\""),
    (
        "a.gml",
        "graph [ node { id 1 } ]",
        "a.gml: line 1, column 14: expected a number, a text in quotes or a list in brackets, found \"{\"",
    ),
    ("a.gml", "graph [ node [ id 1 ] ] ]", "a.gml: line 1, column 25: expected a key, a word, found \"]\""),
    (
        "a.gml",
        "graph [ node [ id 1 ] edge [ source 1 target 2 ] ]",
        "a.gml: line 1: expected an edge between nodes of the file, found no node \"2\" (pass --skip-bad to leave it out)",
    ),
    (
        "a.gml",
        "graph [ node [ id 1 ]\nedge [ source 1 target 1 weight \"a lot\" ] ]",
        "a.gml: line 2: expected a weight, a finite number >= 0, found \"a lot\" (pass --skip-bad to leave it out)",
    ),
    ("a.dot", "digraph { a -> b", "a.dot: line 1, column 17: expected { or a node, found the end of the file"),
    ("a.dot", "digraph a b {", "a.dot: line 1, column 11: expected {, found \"b\""),
    (
        "a.dot",
        "graph {\n a -> b\n}",
        "a.dot: line 2: expected -- between nodes of a graph, found \"->\" (pass --skip-bad to leave it out)",
    ),
    (
        "a.dot",
        "graph { a [x=\"1] }",
        "a.dot: line 1, column 14: expected a closing quote for the text that opens here, found \"\\\"1]\"",
    ),
    (
        "a.gv",
        "graph { a } b",
        "a.gv: line 1, column 13: expected the end of the file; put another graph into a file of its own, found \"b\"",
    ),
    (
        "a.dat",
        "<html>\n</html>",
        "a.dat: no known graph format: expected one of vault, csv, tsv, whitespace, json, graphml, gexf, gml, dot, mtx, parquet, found a first line of \
         \"<html>\"; name the format if it is one of these",
    ),
];

#[test]
fn broken_files_are_refused_in_these_words() {
    for (name, text, message) in BROKEN {
        assert_eq!(import_bytes(name, text.as_bytes(), &OPTIONS).unwrap_err().to_string(), message);
    }
}

/// Exit code, standard output, standard error.
fn convert(arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = env!("CARGO_BIN_EXE_swarmcast");
    let done = std::process::Command::new(program).arg("convert").args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

#[test]
fn convert_writes_a_whole_file_and_says_what_is_lost() {
    let folder = Folder::new("convert");
    let (vault, output) = (data("obsidian"), folder.join("out.graphml"));
    let (vault, shown) = (vault.to_str().unwrap(), output.to_str().unwrap());
    let (code, _, said) = convert(&[vault, shown]);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), &*format!("obsidian (vault): 11 nodes, 14 edges to {shown} (graphml)\n"))
    );
    let again = import_path(&output, &OPTIONS, &mut ()).unwrap().graph;
    assert_eq!((again.nodes(), edges(&again)), (import("obsidian").graph.nodes(), edges(&import("obsidian").graph)));
    let (code, table, said) = convert(&[vault, "-", "--to", "csv"]);
    assert_eq!((code, table.lines().count()), (Some(0), 15));
    assert!(
        said.contains("\n  11 fields and attributes of nodes are not in the file, the first \"Index\"\n"),
        "{said}"
    );
}

#[test]
fn convert_that_fails_leaves_what_was_there() {
    let folder = Folder::new("convert-fails");
    let (bad, output) = (folder.write("bad.csv", "a,b\na\n"), folder.write("out.json", "mine"));
    let (good, shown) = (folder.write("good.csv", "a,b\n"), output.to_str().unwrap());
    let (code, _, said) = convert(&[bad.to_str().unwrap(), shown]);
    assert_eq!(code, Some(2));
    assert!(said.contains("bad.csv: line 2: expected 2 fields, found 1"), "{said}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "mine");
    let (code, _, said) = convert(&[bad.to_str().unwrap(), shown, "--skip-bad"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(fs::read_to_string(&output).unwrap().starts_with("{\"directed\""));
    let good = good.to_str().unwrap();
    let cases = [
        (vec![good, "out.xyz"], 2, "out.xyz: its extension names no format; give one of json, csv, csv-nodes,"),
        (vec![good, "-"], 2, "-: its extension names no format"),
        (vec![good, "out.xyz", "--to", "svg"], 2, "--to: expected one of json, csv,"),
        (vec![good, "/nowhere/out.json"], 1, "/nowhere/out.json: cannot be written: No such file or directory"),
        (vec!["nowhere.csv", shown], 2, "nowhere.csv: no such file or folder"),
        (vec![good, shown, "--graph", good], 2, "graph.path"),
    ];
    for (arguments, code, part) in cases {
        let (found, _, said) = convert(&arguments);
        assert_eq!(found, Some(code), "{said}");
        assert!(said.contains(part), "{part} in {said}");
    }
    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "no part is left behind: {names:?}");
}

#[test]
fn progress_counts_bytes_and_files() {
    struct Seen(Vec<(u64, u64, &'static str)>);
    impl Progress for Seen {
        fn at(&mut self, done: u64, total: u64, unit: &'static str) {
            self.0.push((done, total, unit));
        }
    }
    let mut seen = Seen(Vec::new());
    import_path(&data("obsidian"), &OPTIONS, &mut seen).unwrap();
    assert_eq!(seen.0, [(0, 5, "files"), (5, 5, "files")]);
    let folder = Folder::new("progress");
    let path = folder.write("a.txt", "1 2\n".repeat(1 << 20));
    let mut seen = Seen(Vec::new());
    import_path(&path, &OPTIONS, &mut seen).unwrap();
    assert!(seen.0.len() >= 3 && seen.0.iter().all(|(done, total, unit)| done <= total && *unit == "bytes"));
}

/// Run with `--release -- --ignored --nocapture` to see what an import costs.
#[test]
#[ignore = "a measurement"]
fn a_hundred_thousand_nodes() {
    let folder = Folder::new("large");
    let pairs = (0..500_000u64).map(|index| (index * 7919 % 100_000, index * 104_729 % 99_991));
    let csv: String = pairs.clone().map(|(source, target)| format!("{source},{target},1.5\n")).collect();
    let nodes: Vec<String> = (0..100_000).map(|id| format!("{{\"id\":{id},\"label\":\"n{id}\"}}")).collect();
    let links: Vec<String> =
        pairs.clone().map(|(source, target)| format!("{{\"source\":{source},\"target\":{target}}}")).collect();
    let json = format!("{{\"nodes\":[{}],\"links\":[{}]}}", nodes.join(","), links.join(","));
    let nodes: String = (0..100_000).map(|id| format!("<node id=\"{id}\"/>\n")).collect();
    let links: String =
        pairs.map(|(source, target)| format!("<edge source=\"{source}\" target=\"{target}\"/>\n")).collect();
    let graphml = format!("<graphml><graph>{nodes}{links}</graph></graphml>");
    for (name, text) in [("a.csv", csv), ("a.json", json), ("a.graphml", graphml)] {
        let path = folder.write(name, text);
        let start = std::time::Instant::now();
        let graph = import_path(&path, &OPTIONS, &mut ()).unwrap().graph;
        println!("{name}: {} nodes, {} edges in {:?}", graph.nodes().len(), graph.edges().len(), start.elapsed());
        assert_eq!(graph.edges().len(), 500_000);
    }
}
