use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Value as Json, json};

use super::{QueryGraph, parse::parse, query_graph};
use crate::analytics::Unwatched;
use crate::graph::{Graph, GraphBuilder, Value};
use crate::mcp::{Bounds, Recent, Server, SimFacts, Stage, View};

/// a -> b -> c -> d, a -> c; groups x and y; d has no rank.
fn graph() -> Graph {
    let mut builder = GraphBuilder::new(100, 100);
    let ids = ["a", "b", "c", "d"].map(|key| builder.node(key).unwrap());
    for (place, id) in ids.iter().enumerate() {
        let node = builder.node_mut(*id).unwrap();
        node.group = Some(if place < 2 { "x" } else { "y" }.into());
        if place < 3 {
            node.attributes = vec![("rank".into(), Value::Int(place as i64 * 10))];
        }
    }
    for (from, to, kind) in [(0, 1, "uses"), (1, 2, "uses"), (2, 3, "needs"), (0, 2, "needs")] {
        builder.edge(ids[from], ids[to], 1.0, true).unwrap().relation = Some(kind.into());
    }
    builder.finish()
}

fn ask(query: &str, limit: i64) -> Result<Json, String> {
    static HOME: OnceLock<(Graph, Server)> = OnceLock::new();
    let (graph, server) = HOME.get_or_init(|| (graph(), Server::new("1", [0; 32], &["core"]).unwrap()));
    let (sim, recent, stage) = (SimFacts::default(), Recent::default(), Stage::default());
    let view = View {
        graph,
        positions: None,
        tick: None,
        revision: 0,
        sim: &sim,
        recent: &recent,
        agents: &[],
        stage: &stage,
        side: None,
        graph_limits: (100, 100),
    };
    let bounds = Bounds::new(server, "me", &Unwatched, || 0);
    let params: BTreeMap<String, Json> =
        BTreeMap::from([("ids".to_owned(), json!(["a", "d"])), ("n".to_owned(), json!(5))]);
    let asked = QueryGraph { query: Some(query.into()), params, limit: Some(limit), ..QueryGraph::default() };
    let done = query_graph(&asked, &view, &bounds).map_err(|error| error.0)?;
    Ok(serde_json::from_str(&done.structured.unwrap()).unwrap())
}

fn rows(query: &str) -> Json {
    ask(query, 100).unwrap_or_else(|error| panic!("{query}: {error}"))["rows"].clone()
}

#[test]
fn patterns_match_what_they_say() {
    for (query, expected) in [
        ("MATCH (n) RETURN n.id", json!([["a"], ["b"], ["c"], ["d"]])),
        ("MATCH (n:x) RETURN n.id", json!([["a"], ["b"]])),
        ("MATCH (n:Knowledge {id: 'b'}) RETURN n.group, labels(n)", json!([["x", ["knowledge", "x"]]])),
        ("MATCH (n {id: 'a'})-->(m) RETURN m.id ORDER BY m.id", json!([["b"], ["c"]])),
        ("MATCH (n {id: 'c'})<--(m) RETURN m.id ORDER BY m.id", json!([["a"], ["b"]])),
        ("MATCH (n {id: 'c'})--(m) RETURN m.id ORDER BY m.id", json!([["a"], ["b"], ["d"]])),
        ("MATCH (n)-[:needs]->(m {id: 'd'}) RETURN n.id", json!([["c"]])),
        (
            "MATCH (a)-[r:uses|needs]->(b) WHERE r.type = 'needs' RETURN a.id, b.id ORDER BY a.id",
            json!([["a", "c"], ["c", "d"]]),
        ),
        ("MATCH (a {id: 'a'})-[*2..3]->(d {id: 'd'}) RETURN d.id", json!([["d"], ["d"]])),
        (
            "MATCH (a {id: 'a'})-[r*]->(m) RETURN size(r), m.id ORDER BY size(r), m.id",
            json!([[1, "b"], [1, "c"], [2, "c"], [2, "d"], [3, "d"]]),
        ),
        ("MATCH (a {id: 'a'})-[*0..1]->(m) RETURN m.id ORDER BY m.id", json!([["a"], ["b"], ["c"]])),
        ("MATCH (a)-->(b)-->(c), (a)-->(c) RETURN a.id, b.id, c.id", json!([["a", "b", "c"]])),
        ("MATCH (a:x) MATCH (b:y) RETURN count(*)", json!([[4]])),
        ("MATCH (n) WHERE n.id IN $ids RETURN n.id", json!([["a"], ["d"]])),
        ("MATCH (n) WHERE n.rank > $n RETURN n.id", json!([["b"], ["c"]])),
        ("MATCH (n) WHERE NOT n.rank > 5 RETURN n.id", json!([["a"]])),
        ("MATCH (n) WHERE n.rank IS NULL RETURN n.id", json!([["d"]])),
        (
            "MATCH (n) WHERE n.rank IS NOT NULL AND n.label STARTS WITH 'b' OR n.id = 'd' RETURN n.id",
            json!([["b"], ["d"]]),
        ),
        ("MATCH (n) WHERE n.rank = 10 + 2 * 5 RETURN n.id, -n.rank, n.rank / 3, n.rank % 3", json!([["c", -20, 6, 2]])),
        (
            "MATCH (n) RETURN n.group AS g, count(*) AS k, sum(n.rank), avg(n.rank), collect(n.id), min(n.rank), max(n.id) ORDER BY g DESC",
            json!([["y", 2, 20, 20.0, ["c", "d"], 20, "d"], ["x", 2, 10, 5.0, ["a", "b"], 0, "b"]]),
        ),
        ("MATCH (n)-->() RETURN DISTINCT n.group ORDER BY n.group", json!([["x"], ["y"]])),
        ("MATCH ()-[r]->() RETURN count(DISTINCT type(r))", json!([[2]])),
        ("MATCH (n {id: 'nowhere'}) RETURN count(n), sum(n.rank), avg(n.rank)", json!([[0, 0, null]])),
        ("MATCH (n) RETURN n.id ORDER BY n.rank DESC, n.id SKIP 1 LIMIT 2", json!([["c"], ["b"]])),
        ("MATCH (n) RETURN coalesce(n.rank, -1) AS r ORDER BY r LIMIT 1", json!([[-1]])),
        ("MATCH (`a`) WHERE toUpper(`a`.id) = \"D\" RETURN degree(a), abs(-2.5) // the end", json!([[1, 2.5]])),
    ] {
        assert_eq!(rows(query), expected, "{query}");
    }
}

#[test]
fn pages_and_limits_say_whether_there_is_more() {
    let cut = |query: &str, limit| ask(query, limit).unwrap()["truncated"].clone();
    assert_eq!(cut("MATCH (n) RETURN n", 3), json!(true));
    assert_eq!(cut("MATCH (n) RETURN n", 4), json!(false));
    assert_eq!(cut("MATCH (n) RETURN n LIMIT 2", 3), json!(false));
    assert_eq!(cut("MATCH (n) RETURN n ORDER BY n.id LIMIT 4", 3), json!(true));
    assert_eq!(cut("MATCH (n) RETURN n.id, count(*)", 3), json!(true));
    // 4^12 combinations: the work runs out, and the answer says so.
    let much = ask("MATCH (a),(b),(c),(d),(e),(f),(g),(h),(i),(j),(k),(l) RETURN count(*)", 3).unwrap();
    assert_eq!(much["truncated"], json!(true));
}

#[test]
fn what_is_not_in_the_language_is_named() {
    for (query, words) in [
        ("CREATE (n) RETURN n", "CREATE is not part"),
        ("MATCH (n) SET n.x = 1 RETURN n", "SET is not part"),
        ("MATCH (n) DELETE n", "DELETE is not part"),
        ("MATCH (n) OPTIONAL MATCH (m) RETURN n", "OPTIONAL is not part"),
        ("MATCH (n) RETURN m", "there is no variable m"),
        ("MATCH (node) RETURN nod.id", "did you mean node?"),
        ("MATCH (n)-[n]->(m) RETURN n", "names something else"),
        ("MATCH (n) RETURN lower(n.id)", "did you mean toLower?"),
        ("MATCH (n)-[*1..7]->(m) RETURN n", "0 to 6 edges"),
        ("MATCH (n) WHERE count(n) > 1 RETURN n", "WHERE cannot use count"),
        ("MATCH (n) RETURN count(n) + 1", "stand alone"),
        ("MATCH (n) RETURN n LIMIT -1", "a value is expected"),
        ("MATCH (n) RETURN n LIMIT 2.5", "LIMIT is a whole number"),
        ("MATCH (n) RETURN n LIMIT 99999999999999999999", "too large"),
        ("MATCH (n) RETURN $missing", "params has no missing"),
        ("MATCH (n) RETURN 'open", "not closed"),
        ("MATCH (n RETURN n", ") is missing"),
        ("MATCH (n) RETURN n ; MATCH (m) RETURN m", "means nothing here"),
        ("MATCH (n:a:b) RETURN n", "one kind and one group"),
        ("", "MATCH … WHERE … RETURN is expected"),
    ] {
        let error = ask(query, 10).unwrap_err();
        assert!(error.contains(words), "{query}: {error}");
    }
    let deep = format!("MATCH (n) WHERE {}true{} RETURN n", "(".repeat(40), ")".repeat(40));
    assert!(ask(&deep, 10).unwrap_err().contains("32 deep"));
    let nots = format!("MATCH (n) WHERE {} true RETURN n", "NOT ".repeat(500));
    assert!(ask(&nots, 10).unwrap_err().contains("32 deep"));
    let long = format!("MATCH (n) WHERE {} RETURN n", vec!["true"; 1_500].join(" AND "));
    assert!(ask(&long, 10).unwrap_err().contains("2048 words"));
    let chain = format!("MATCH (n) WHERE {} RETURN n", vec!["true"; 300].join(" OR "));
    assert!(ask(&chain, 10).unwrap_err().contains("in a row"));
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "[\\PC]{0,80}") {
        let _ = parse(&text, &BTreeMap::new());
    }

    #[test]
    fn no_words_break_the_parser_or_the_engine(words in proptest::collection::vec(proptest::sample::select(vec![
        "MATCH", "(a)", "(b:x)", "-[r]->", "-[*1..2]-", "<--", "(", ")", "WHERE", "a", "b", "r", ".", "rank", "=", "<", "+", "IN", "[1, 2]",
        "NOT", "AND", "OR", "IS NULL", "RETURN", "count(*)", "collect(a)", "avg(a.rank)", "DISTINCT", "ORDER BY", "DESC", "SKIP 1", "LIMIT 2",
        ",", "'t'", "1", "2.5", "$n", "AS q", "size(r)", "{id: 'a'}", "-", "*", "null", "true",
    ]), 0..20)) {
        let _ = ask(&format!("MATCH (a)-[r]-(b) {}", words.join(" ")), 5);
        let _ = ask(&words.join(" "), 5);
    }
}
