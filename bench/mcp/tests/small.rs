//! Goal: the bench still runs, against the engine as it is, and says what it is there to say.
//! Method: all of it in its small size, with the engine of the same build.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::process::Command;

use swarmcast_bench::server::beside;

#[test]
fn every_question_gets_a_figure_and_a_verdict() {
    let bench = Path::new(env!("CARGO_BIN_EXE_mcp-calls"));
    let engine = beside(bench).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mcp-calls");
    let output = Command::new(bench).arg("--small").arg("--server").arg(&engine).arg("--folder").arg(&folder).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for said in [
        "| 1 connection | rmcp | ",
        "| 100 connections | swarmcast | ",
        "| 1 connection, 100 in flight | floor | ",
        "- 100 connections: calls/s by rmcp's: **",
        "`get_neighborhood` of 100 nodes, ",
        "5 subscribers of one resource, ",
        "- with by without, median of rounds: **",
    ] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
}
