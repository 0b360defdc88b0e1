//! Goal: the Rust SDK's own client works with the engine over raw TCP as it comes, in the era of `initialize` and in the stateless one.
//! Method: the engine of the same build; a token as the connection's first line, then `rmcp`, which knows nothing of it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, ProtocolVersion, ReadResourceRequestParams, ServerNotification, SubscriptionFilter,
};
use rmcp::service::{RoleClient, RunningService};
use rmcp::{ClientLifecycleMode, ClientServiceExt};
use serde_json::{Value, json};
use swarmcast_bench::server::{Server, beside};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(60);

type Client = RunningService<RoleClient, ()>;

/// The engine with a door for agents, where that is, and its token.
fn engine() -> (Server, SocketAddr, String) {
    let engine = beside(Path::new(env!("CARGO_BIN_EXE_mcp-calls"))).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mcp-client-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    // Free a moment ago: nobody else of this machine takes ports in a row.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let token = folder.join("token");
    let mut command = Command::new(engine);
    command.args(["--ephemeral", "--http", "127.0.0.1:0", "--tcp=", "--log", "warn", "--mcp", &address.to_string()]);
    command.args(["--set", &format!("mcp.token_file={}", token.display())]);
    command.args(["--set", &format!("mcp.socket={}", folder.join("mcp.sock").display())]);
    let server = Server::other(command).unwrap();
    let token = std::fs::read_to_string(token).unwrap().trim().to_owned();
    (server, address, token)
}

/// A connection that has shown its token, with nothing of the answer left in it.
async fn connect(address: SocketAddr, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let line =
        json!({ "jsonrpc": "2.0", "id": "auth", "method": "swarmcast/authenticate", "params": { "token": token } });
    stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while answer.last() != Some(&b'\n') {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert!(answer["error"].is_null(), "{answer}");
    stream
}

fn call(name: &'static str, arguments: Value) -> CallToolRequestParams {
    let Value::Object(arguments) = arguments else { panic!("{arguments}") };
    CallToolRequestParams::new(name).with_arguments(arguments)
}

/// What everybody does, whatever the revision.
async fn works(client: &Client, key: &str) {
    let tools = client.list_all_tools().await.unwrap();
    assert_eq!(tools.len(), 21);
    assert!(tools.iter().all(|tool| tool.output_schema.is_some() || tool.name == "render_view"), "{tools:?}");
    let node = json!({ "nodes": [{ "id": key, "label": key }] });
    let made = client.call_tool(call("upsert_nodes", node)).await.unwrap();
    assert_eq!((made.is_error.unwrap_or(false), &made.structured_content.unwrap()["created"]), (false, &json!([key])));
    let found = client.call_tool(call("find_nodes", json!({ "text": key }))).await.unwrap().structured_content.unwrap();
    assert_eq!(found["nodes"][0]["id"], json!(key), "{found}");
    let wrong = client.call_tool(call("get_nodes", json!({ "ids": [] }))).await.unwrap();
    assert_eq!(wrong.is_error, Some(true), "what the model can put right is a result");
    assert!(client.call_tool(call("no_such_tool", json!({}))).await.is_err(), "what it cannot is none");
    let read = client.read_resource(ReadResourceRequestParams::new(format!("graph://node/{key}"))).await.unwrap();
    assert_eq!(read.contents.len(), 1);
    assert!(client.list_all_prompts().await.unwrap().len() >= 10);
    // Many at once, each with its own answer.
    let asks = (0..200).map(|limit| client.call_tool(call("find_nodes", json!({ "limit": limit % 7 + 1 })))).collect();
    for (index, answer) in join_all(asks).await.into_iter().enumerate() {
        let rows = answer.unwrap().structured_content.unwrap();
        assert_eq!(rows["nodes"].as_array().unwrap().len(), index % 7 + 1);
    }
}

/// All of them at the same time, answers in the order of the questions.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, answer) in waiting.iter_mut().filter(|(_, answer)| answer.is_none()) {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(context) {
                *answer = Some(output);
            }
        }
        if waiting.iter().all(|(_, answer)| answer.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, answer)| answer).collect()
}

#[test]
fn the_rust_sdk_over_tcp_in_both_eras() {
    let (_server, address, token) = engine();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let all = async {
        let stream = connect(address, &token).await;
        let legacy = ().serve_with_lifecycle(stream, ClientLifecycleMode::Initialize).await.unwrap();
        works(&legacy, "legacy").await;

        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        let stream = connect(address, &token).await;
        let mode = ClientLifecycleMode::Discover { preferred_versions };
        let modern = ().serve_with_lifecycle(stream, mode).await.unwrap();
        works(&modern, "modern").await;

        // One listens, the other changes something.
        let filter = SubscriptionFilter::builder().resource_subscription("graph://overview").build();
        let mut heard = modern.listen(filter).await.unwrap();
        assert_eq!(heard.acknowledged().resource_subscriptions.as_deref(), Some(&["graph://overview".to_owned()][..]));
        legacy.call_tool(call("upsert_nodes", json!({ "nodes": [{ "id": "news" }] }))).await.unwrap();
        let Some(ServerNotification::ResourceUpdatedNotification(notice)) = heard.next().await.unwrap() else {
            panic!("another notice");
        };
        assert_eq!(notice.params.uri, "graph://overview");
        heard.cancel().await.unwrap();

        // Whoever shows no token may say hello and no more.
        let stream = TcpStream::connect(address).await.unwrap();
        let stranger = ().serve_with_lifecycle(stream, ClientLifecycleMode::Initialize).await.unwrap();
        let refused = stranger.list_all_tools().await.unwrap_err();
        assert!(refused.to_string().contains("say who you are"), "{refused}");
        for client in [legacy, modern, stranger] {
            client.cancel().await.unwrap();
        }
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await.unwrap() });
}
