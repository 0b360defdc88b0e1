//! One function for each decoder of bytes from outside, shared by the fuzzer and by `tests/fuzz_corpus.rs`.
//!
//! A target may do with its bytes what it likes but panic, hang, or take more memory than its bytes announce.

use std::path::PathBuf;
use std::sync::LazyLock;

use swarmcast::analytics::Unwatched;
use swarmcast::graph::formats::export::{ExportFormat, export};
use swarmcast::graph::formats::{Format, ImportOptions, import_bytes};
use swarmcast::graph::{Graph, Node};
use swarmcast::limits::{ACTION_PAYLOAD_BYTES_MAX, ACTIONS_MAX, BLOCKS_MAX, NODE_ID_MAX};
use swarmcast::mcp::{
    Ask, Bounds, Catalogue, Plan, Principal, Recent, Scopes, Server, Session, SimFacts, Stage, Step, View, plan,
    read as look,
};
use swarmcast::net::outside;
use swarmcast::wire::compact::{Coding, CompactFrame, Decoder, Encoder, Info};
use swarmcast::wire::{
    BinaryMessage, FrameHeader, Framed, InterestAsk, LineFramer, NodeRecord, PROFILES, Profile, SettingsBody,
    SettingsMessage, SettingsPath, SettingsValue, decode_26, decode_28, decode_ids, decode_v1, decode_v1_lead,
    decode_v2, decode_v3, decode_v5, decode_v42, decode_vf0, encode_frame, encode_ids, parse_binary, parse_hello,
    parse_interest, parse_message, parse_own, planes, write_client_error,
};

/// Nodes that a decoder here takes: memory stays small, and several blocks are reached.
const NODES_MAX: u32 = 4_096;

/// A decoder and its first inputs.
pub struct Target {
    /// Folder of its corpus.
    pub name: &'static str,
    /// Decodes.
    pub run: fn(&[u8]),
    /// What it should get far with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 19] = [
    Target { name: "compact", run: compact, seeds: compact_seeds },
    Target { name: "planes", run: unpack, seeds: planes_seeds },
    Target { name: "columns", run: columns, seeds: columns_seeds },
    Target { name: "header", run: header, seeds: || golden("swarmcast.v1") },
    Target { name: "legacy", run: legacy, seeds: legacy_seeds },
    Target { name: "client", run: client, seeds: client_seeds },
    Target { name: "binary", run: binary, seeds: binary_seeds },
    Target { name: "settings", run: settings, seeds: settings_seeds },
    Target { name: "http", run: outside::http_head, seeds: http_seeds },
    Target { name: "stream", run: outside::stream_input, seeds: stream_seeds },
    Target { name: "mcp", run: mcp, seeds: mcp_seeds },
    Target { name: "query", run: query, seeds: query_seeds },
    Target { name: "edges", run: edges, seeds: || imports(&["csv", "tsv", "txt", "edges", "edgelist", "ucidata"]) },
    Target { name: "json", run: |bytes| import(Format::Json, bytes), seeds: || imports(&["json"]) },
    Target { name: "gexf", run: |bytes| import(Format::Gexf, bytes), seeds: || imports(&["gexf"]) },
    Target { name: "graphml", run: |bytes| import(Format::GraphMl, bytes), seeds: || imports(&["graphml"]) },
    Target { name: "gml", run: |bytes| import(Format::Gml, bytes), seeds: || imports(&["gml"]) },
    Target { name: "dot", run: |bytes| import(Format::Dot, bytes), seeds: || imports(&["dot", "gv"]) },
    Target { name: "mtx", run: |bytes| import(Format::MatrixMarket, bytes), seeds: || imports(&["mtx"]) },
];

/// A row of messages as in `compact.stream`: u8 kind, u8 normalises, u16 frames that are missing, u32 length, body.
fn compact(bytes: &[u8]) {
    let mut rest = bytes;
    let mut decoder: Option<Decoder> = None;
    let mut sequence = 0_u64;
    while let [kind, normalise, m0, m1, b0, b1, b2, b3, tail @ ..] = rest {
        let length = u32::from_le_bytes([*b0, *b1, *b2, *b3]) as usize;
        let (body, tail) = tail.split_at(length.min(tail.len()));
        rest = tail;
        let base = sequence;
        sequence = sequence.wrapping_add(1).wrapping_add(u16::from_le_bytes([*m0, *m1]).into());
        if *kind == 4 {
            decoder = Info::parse(body, NODES_MAX).ok().and_then(|info| Decoder::new(info).ok());
        }
        let Some(decoder) = &mut decoder else { continue };
        let taken = match kind {
            2 => decoder.delta(base, sequence, normalise & 1 == 1, body),
            3 => decoder.snapshot(sequence, body),
            5 => decoder.mark(body),
            other => {
                decoder.leave(usize::from(*other));
                continue;
            }
        };
        let gap = matches!(taken, Err(swarmcast::wire::compact::CompactError::Gap { .. }));
        if taken.is_err() && !gap && *kind != 5 {
            assert!((0..decoder.block_count()).all(|block| !decoder.follows(block)), "after {taken:?}");
        }
        let nodes = decoder.nodes().map(|(node, ..)| assert!(node < decoder.info().node_count)).count();
        assert!(nodes <= decoder.info().node_count as usize);
    }
}

fn compact_seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![read("tests/golden/compact.stream")];
    for (count, coding) in
        [(1, Coding::Cheapest), (3, Coding::Entropy), (40, Coding::Cheapest), (1_030, Coding::Cheapest)]
    {
        let info = Info { node_count: count, origin: [1.0, 2.0, 3.0], quantum: 0.25, tick_rate: 60, order: 1 };
        let mut seed = Vec::new();
        let mut push = |kind: u8, normalise: bool, body: &[u8]| {
            seed.extend([kind, normalise.into(), 0, 0]);
            seed.extend((body.len() as u32).to_le_bytes());
            seed.extend(body);
        };
        push(4, false, &info.to_bytes());
        let points = |tick: u32| -> Vec<[f32; 3]> {
            let of = |node: u32| {
                let turn = (node + tick * (node % 3)) as f32 * 0.1;
                [turn.sin() * 50.0, turn.cos() * 50.0, node as f32]
            };
            (0..count).map(of).collect()
        };
        let mut encoder = Encoder::new(info, coding).unwrap();
        let mut frame = CompactFrame::for_snapshots(count as usize);
        encoder.reset(&points(0)).unwrap();
        encoder.snapshot(&mut frame).unwrap();
        push(3, false, frame.body());
        for tick in 1..8 {
            encoder.tick(&points(tick), tick == 4, &mut frame).unwrap();
            push(2, tick == 4, frame.body());
        }
        encoder.mark(&mut frame).unwrap();
        push(5, false, frame.body());
        seeds.push(seed);
    }
    seeds
}

/// u8 record bytes, u16 records, then the block.
fn unpack(bytes: &[u8]) {
    let [record_bytes, c0, c1, block @ ..] = bytes else { return };
    let (record_bytes, count) = (usize::from(*record_bytes), usize::from(u16::from_le_bytes([*c0, *c1])));
    let mut out = Vec::new();
    let raw_bytes = record_bytes * count;
    if planes::decompress(block, record_bytes, raw_bytes, &mut out).is_ok() {
        assert_eq!(out.len(), raw_bytes);
        let mut again = Vec::new();
        planes::compress(&out, record_bytes, &mut planes::PlaneScratch::new(raw_bytes), &mut again);
        let mut back = Vec::new();
        planes::decompress(&again, record_bytes, raw_bytes, &mut back).unwrap();
        assert_eq!(back, out);
    }
    assert!(out.capacity() <= 2 * raw_bytes.min(255 * block.len()), "{} bytes", out.capacity());
}

fn planes_seeds() -> Vec<Vec<u8>> {
    let of = |record_bytes: u8, count: u16, byte: fn(usize) -> u8| {
        let records: Vec<u8> = (0..usize::from(record_bytes) * usize::from(count)).map(byte).collect();
        let mut seed = vec![record_bytes];
        seed.extend(count.to_le_bytes());
        planes::compress(&records, record_bytes.into(), &mut planes::PlaneScratch::new(0), &mut seed);
        seed
    };
    vec![of(4, 100, |at| (at / 4) as u8), of(28, 30, |at| (at % 28) as u8), of(1, 300, |_| 7), of(28, 0, |_| 0)]
}

/// u16 nodes, then the body.
fn columns(bytes: &[u8]) {
    let [n0, n1, body @ ..] = bytes else { return };
    let nodes = u32::from(u16::from_le_bytes([*n0, *n1]));
    if let Ok(ids) = decode_ids(body, nodes) {
        assert_eq!(ids.len(), nodes as usize);
        assert_eq!(decode_ids(&encode_ids(ids.iter().copied()), nodes), Ok(ids));
    }
}

fn columns_seeds() -> Vec<Vec<u8>> {
    let of = |ids: Vec<u32>| [&(ids.len() as u16).to_le_bytes()[..], &encode_ids(ids.into_iter())].concat();
    let wild = (0..50_u32).map(|node| node.wrapping_mul(0x9E37_79B1)).collect();
    vec![of((0..2_000).map(|node| node * 7 % 2_000).collect()), of(wild), of(vec![]), of(vec![1 << 31])]
}

fn header(bytes: &[u8]) {
    let _ = FrameHeader::parse_compact(bytes);
    let full = FrameHeader::parse(bytes);
    let mut unpacked = Vec::new();
    let own = parse_own(bytes, NODES_MAX, &mut unpacked);
    if let Ok((header, nodes)) = full {
        assert_eq!(header.node_count.get() as usize, nodes.len());
    }
    if let Ok((header, nodes)) = own {
        assert_eq!(header.node_count.get() as usize, nodes.len());
    }
    assert!(unpacked.capacity() <= 2 * NODES_MAX as usize * size_of::<NodeRecord>());
}

fn legacy(bytes: &[u8]) {
    // A frame that is read has one length, and that length one number of nodes.
    let whole = |profile: Profile, nodes: usize| assert_eq!(profile.nodes_in(bytes.len()), Some(nodes), "{profile:?}");
    let _ = decode_26(bytes).map(|records| whole(Profile::Legacy26, records.len()));
    let _ = decode_28(bytes).map(|records| whole(Profile::Legacy28, records.len()));
    let _ = decode_v1(bytes).map(|records| whole(Profile::V1, records.len()));
    let _ = decode_v1_lead(bytes).map(|records| whole(Profile::V1Lead, records.len()));
    let _ = decode_v2(bytes).map(|records| whole(Profile::V2, records.len()));
    let _ = decode_v3(bytes).map(|records| whole(Profile::V3, records.len()));
    let _ = decode_v5(bytes).map(|(_, records)| whole(Profile::V5, records.len()));
    let _ = decode_v42(bytes).map(|(_, records)| whole(Profile::V42, records.len()));
    let _ = decode_vf0(bytes).map(|(_, records)| whole(Profile::Vf0, records.len()));
}

fn legacy_seeds() -> Vec<Vec<u8>> {
    let node = |id: u32| {
        let mut node = NodeRecord { id_flags: id.into(), ..NodeRecord::default() };
        node.set_motion([1.0, 2.0, 3.0], [0.5, 0.0, -0.5]);
        node
    };
    let nodes = [node(1), node(2 | 1 << 31)];
    let legacy = PROFILES.into_iter().filter(|profile| profile.is_legacy());
    legacy.flat_map(|profile| [0, 1, 2].map(|count| encode_frame(profile, 7, &nodes[..count]))).collect()
}

fn client(bytes: &[u8]) {
    let mut ask = InterestAsk::default();
    let interest = parse_interest(bytes, &mut ask);
    if interest.is_ok() {
        assert!(ask.blocks.iter().all(|block| block < BLOCKS_MAX), "blocks are those of the largest graph");
        assert!(ask.ids.as_slice().iter().chain(ask.priority.as_slice()).all(|id| *id <= NODE_ID_MAX));
    }
    let errors = [parse_message(bytes).err(), parse_hello(bytes).err(), interest.err()];
    for error in errors.into_iter().flatten() {
        let mut answer = Vec::new();
        write_client_error(&error, &mut answer);
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("an answer is JSON");
        assert_eq!(answer["type"], "error");
    }
}

fn client_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "ping",
        r#"{"type":"ping","timestamp":1732156800123.4568}"#,
        r#"{"type":"subscribe_position_updates","interval":60,"binary":true,"rate":30}"#,
        r#"{"type":"request_full_snapshot","graphs":["knowledge"]}"#,
        r#"{"type":"nodeDragStart","nodeId":7,"position":{"x":1,"y":-2.5,"z":3}}"#,
        r#"{"type":"nodeDragUpdate","nodeId":7,"position":[1,2,3],"timestamp":1}"#,
        r#"{"type":"nodeDragEnd","nodeId":7,"pin":true}"#,
        r#"{"type":"pinNode","nodeId":0,"pinned":true}"#,
        r#"{"type":"ack","sequence":18446744073709551615}"#,
        r#"{"type":"agents_subscribe","schema_version":1,"actions":"binary"}"#,
        r#"{"type":"agents_unsubscribe"}"#,
        r#"{"type":"interest","blocks":[0,1],"ids":[5],"classes":["agent"],"sphere":{"center":[0,0,0],"radius":5}}"#,
        r#"{"type":"interest","frustum":{"planes":[[1,0,0,5]]},"max_nodes":100,"priority":[1],"all":true}"#,
        r#"{"profile":"swarmcast.compact","rate":60,"bits":14,"dimensions":2}"#,
        r#"{"profile":"legacy-26","rate":5}"#,
        "{}",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn binary(bytes: &[u8]) {
    if let Ok(BinaryMessage::AgentActions(actions)) = parse_binary(bytes) {
        assert_eq!(actions.iter().count(), actions.count());
        assert!(actions.count() <= ACTIONS_MAX);
        assert!(actions.iter().all(|action| action.payload.len() <= ACTION_PAYLOAD_BYTES_MAX));
        let payloads: usize = actions.iter().map(|action| action.payload.len()).sum();
        assert!(actions.count() > 0 && 1 + 15 * actions.count() + payloads <= bytes.len());
    }
}

/// What is read is written and read again.
fn settings(bytes: &[u8]) {
    let Ok(message) = SettingsMessage::decode(bytes) else { return };
    let again = message.encode();
    // As text, since not every number equals itself.
    let read = SettingsMessage::decode(&again).map(|message| format!("{message:?}"));
    assert_eq!(read, Ok(format!("{message:?}")));
}

fn settings_seeds() -> Vec<Vec<u8>> {
    let path = || SettingsPath::Name("visualisation.graphs.knowledge.physics.springK".to_owned());
    let values = vec![
        (SettingsPath::Id(3), SettingsValue::Bool(true)),
        (path(), SettingsValue::F32(0.5)),
        (path(), SettingsValue::Array(vec![SettingsValue::I32(-1), SettingsValue::I64(1 << 40), SettingsValue::Null])),
        (
            path(),
            SettingsValue::Object(vec![
                ("a".to_owned(), SettingsValue::Bytes(vec![1, 2])),
                ("b".to_owned(), SettingsValue::F64(1.0)),
            ]),
        ),
    ];
    let many: Vec<_> = values.iter().cloned().cycle().take(40).collect();
    let error = SettingsBody::Error {
        code: "invalid_value".to_owned(),
        message: "sim.damping must be a number".to_owned(),
        retryable: false,
        paths: vec!["sim.damping".to_owned()],
    };
    let bodies = [
        SettingsBody::Get(path()),
        SettingsBody::Set(path(), SettingsValue::Text("cpu".to_owned())),
        SettingsBody::BatchGet(vec![SettingsPath::Id(1), path()]),
        SettingsBody::BatchSet(values.clone()),
        SettingsBody::Delta { from: 1, version: 2, hash: [7; 32], changes: many },
        SettingsBody::Response { version: 2, values },
        error,
        SettingsBody::Ping(1),
        SettingsBody::Pong(1),
    ];
    bodies.into_iter().map(|body| SettingsMessage { request: 1, registry: 2, body }.encode()).collect()
}

fn binary_seeds() -> Vec<Vec<u8>> {
    let action = [1, 0, 0, 128, 9, 0, 0, 64, 5, 77, 0, 0, 0, 250, 0];
    let ack = [&[0x34][..], &[7; 20]].concat();
    let single = [&[0x23][..], &action, b"why"].concat();
    let batch = [&[0x23, 2, 0, 15, 0][..], &action, &[18, 0], &action, b"why"].concat();
    vec![ack, single, batch]
}

fn http_seeds() -> Vec<Vec<u8>> {
    let upgrade = "Host: 127.0.0.1:7400\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let heads = [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /api/graph/data?class=7 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(),
        "POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
        format!("GET /stream?profile=v1&rate=60 HTTP/1.1\r\n{upgrade}\r\n"),
        format!("GET /ws?%70rofile=v2+ HTTP/1.1\r\n{upgrade}Sec-WebSocket-Protocol: chat, swarmcast.v1\r\n\r\n"),
        format!("GET /stream?profile=swarmcast.compact&bits=12&dimensions=2 HTTP/1.1\r\n{upgrade}\r\n"),
        format!("GET /stream?compression=lz4 HTTP/1.1\r\n{upgrade}Origin: http://localhost:7400\r\n\r\n"),
    ];
    heads.map(String::into_bytes).to_vec()
}

/// The first byte says the transport and how the rest is cut.
fn stream_seeds() -> Vec<Vec<u8>> {
    let masked = |first: u8, payload: &[u8]| {
        let mut bytes = vec![first, 0x80 | payload.len() as u8, 1, 2, 3, 4];
        bytes.extend(payload.iter().zip([1, 2, 3, 4].into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    };
    let ack = [&[0x34][..], &[7; 20]].concat();
    let frames = [
        masked(0x81, b"ping"),
        masked(0x89, b"p!"),
        masked(0x01, br#"{"type":"pi"#),
        masked(0x80, br#"ng"}"#),
        masked(0x82, &ack),
        masked(0x88, &[3, 0xE8, b'b']),
    ];
    let lines = b"ping\n{\"type\":\"ping\",\"timestamp\":5}\r\n\n{\"type\":\"nodeDragEnd\",\"nodeId\":1}\n";
    vec![
        [vec![0], frames.concat()].concat(),
        [vec![6], frames.concat()].concat(),
        [&[1][..], lines].concat(),
        [&[9][..], lines].concat(),
    ]
}

fn import(format: Format, bytes: &[u8]) {
    let (nodes_max, edges_max) = (1_000, 2_000);
    for skip_bad in [false, true] {
        let options = ImportOptions { format, skip_bad, vault_all_pages: true, nodes_max, edges_max };
        match import_bytes("fuzz", bytes, &options) {
            Ok(imported) => {
                assert!(imported.graph.nodes().len() <= nodes_max && imported.graph.edges().len() <= edges_max);
                assert!(skip_bad || imported.skipped_count == 0);
                exported(&imported.graph, &options);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Whatever came in goes out, and what went out comes in again with as many nodes and edges.
fn exported(graph: &Graph, options: &ImportOptions) {
    for format in [ExportFormat::Json, ExportFormat::GraphMl, ExportFormat::Gexf, ExportFormat::Gml, ExportFormat::Dot]
    {
        let mut file = Vec::new();
        let losses = export(format, graph, None, &mut file).unwrap();
        let options = ImportOptions { format: format.name().parse().unwrap(), skip_bad: false, ..*options };
        let again = import_bytes("fuzz", &file, &options).unwrap().graph;
        assert_eq!((again.nodes().len(), again.edges().len()), (graph.nodes().len(), graph.edges().len()), "{format}");
        let look = |graph: &Graph| -> Vec<_> {
            let shown = |node: &Node| (node.key.clone(), node.label.clone(), node.group.clone(), node.attributes.len());
            graph.nodes().iter().map(shown).collect()
        };
        assert!(!losses.is_empty() || look(&again) == look(graph), "{format}");
    }
}

fn edges(bytes: &[u8]) {
    for format in [Format::Csv, Format::Tsv, Format::Whitespace, Format::Auto] {
        import(format, bytes);
    }
}

/// The files of `tests/data/import` with one of these extensions.
fn imports(extensions: &[&str]) -> Vec<Vec<u8>> {
    files("tests/data/import", |name| extensions.iter().any(|extension| name.ends_with(&format!(".{extension}"))))
}

/// The golden files of a profile.
fn golden(prefix: &str) -> Vec<Vec<u8>> {
    files("tests/golden", |name| name.starts_with(prefix))
}

/// Its lists are put together once.
static SERVER: LazyLock<Server> =
    LazyLock::new(|| Server::new("0", [7; 32], &Catalogue::set_names().collect::<Vec<_>>()).unwrap());

/// An agent who may do everything, and whose lines are read as the door reads them. What a call asks is planned and, where it is a
/// look, done over a graph of three nodes.
fn mcp(bytes: &[u8]) {
    let everything = Principal { name: "fuzz".into(), scopes: Scopes::ALL };
    let server = &*SERVER;
    let mut session = Session::new(Some(everything));
    let mut framer = LineFramer::new(16 << 10);
    framer.push(bytes);
    let mut out = Vec::new();
    while let Some(framed) = framer.next_line() {
        match framed {
            Framed::Line(line) => {
                if let Step::Call(call) = session.feed(server, line, &mut out) {
                    answer(server, &call.ask, &call.principal);
                }
            }
            Framed::TooLong => drop(session.too_long(&mut out)),
            Framed::Hopeless => break,
        }
    }
    for line in out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok(), "an answer is JSON");
    }
}

/// The query language, behind the tool that reads it.
fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let arguments = serde_json::json!({ "query": text }).to_string();
    let server = &*SERVER;
    let (tool, _) = server.catalogue.tool("query_graph").expect("there is such a tool");
    let everything = Principal { name: "fuzz".into(), scopes: Scopes::ALL };
    answer(server, &Ask::Tool { tool, arguments: arguments.into() }, &everything);
}

fn answer(server: &Server, ask: &Ask<'_>, principal: &Principal) {
    let json = br#"{"nodes":[{"id":"a"},{"id":"b"},{"id":"c"}],"edges":[{"source":"a","target":"b"},{"source":"b","target":"c"}]}"#;
    let options =
        ImportOptions { format: Format::Json, skip_bad: false, vault_all_pages: true, nodes_max: 10, edges_max: 10 };
    let graph = import_bytes("fuzz", json, &options).expect("two edges are a graph");
    let (sim, recent, stage) = (SimFacts::default(), Recent::at(0), Stage::default());
    let view = View {
        graph: &graph.graph,
        positions: None,
        tick: None,
        revision: 0,
        sim: &sim,
        recent: &recent,
        agents: &[],
        stage: &stage,
        side: None,
        graph_limits: (1_000, 1_000),
    };
    if let Ok(Plan::Read { .. } | Plan::Wait { .. }) = plan(server, ask, principal, &view) {
        drop(look(server, ask, &view, &Bounds::new(server, &principal.name, &Unwatched, || 0)));
    }
}

fn mcp_seeds() -> Vec<Vec<u8>> {
    let call = |name: &str, arguments: serde_json::Value| {
        serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} },
            "name": name, "arguments": arguments,
        } })
        .to_string()
    };
    let lines = [
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#.to_owned(),
        call("find_nodes", serde_json::json!({ "text": "a", "where": [{ "key": "x", "op": "eq", "value": 1 }] })),
        call("upsert_edges", serde_json::json!({ "edges": [{ "from": "a", "to": "b", "type": "t" }] })),
        call("render_view", serde_json::json!({ "format": "svg", "width": 64, "height": 64 })),
    ];
    let mut seeds: Vec<Vec<u8>> = lines.iter().map(|line| format!("{line}\n").into_bytes()).collect();
    seeds.push((lines.join("\r\n") + "\n").into_bytes());
    seeds
}

fn query_seeds() -> Vec<Vec<u8>> {
    let queries = [
        "MATCH (a)-[r]->(b) WHERE a.degree > 1 RETURN a.id, count(*) AS n ORDER BY n DESC LIMIT 5",
        "MATCH p = (a {id: 'a'})-[*1..3]-(b) RETURN b.id",
    ];
    queries.iter().map(|query| query.as_bytes().to_vec()).collect()
}

/// The engine's folder, whichever of its packages this is compiled into.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    if here.ends_with("tests/fuzz") { here.join("../..") } else { here }
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(root().join(path)).unwrap()
}

fn files(folder: &str, wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let all = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut paths: Vec<PathBuf> = all.filter(|path| path.is_file() && wanted(&name(path))).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}
