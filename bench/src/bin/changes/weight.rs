//! What rows weigh: bytes that the allocator has given for a graph, its tables and texts included.

use anyhow::Result;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use swarmcast::graph::Graph;

use super::{large, tell};

#[global_allocator]
static COUNTED: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Graphs without edges and with them.
pub fn run(nodes: u32) -> Result<()> {
    let (bare, edges) = (weigh(nodes, false)?, 3.0 * f64::from(nodes));
    let whole = weigh(nodes, true)?;
    println!("\nA graph in memory, keys of about 10 bytes, no attributes, relations or labels of its own:\n");
    tell("a node", bare / f64::from(nodes), "bytes", None, 400.0, true);
    tell("an edge", (whole - bare) / edges, "bytes", None, 60.0, true);
    Ok(())
}

/// Bytes that a graph holds once it is made.
fn weigh(nodes: u32, with_edges: bool) -> Result<f64> {
    let region = Region::new(COUNTED);
    let (rows, mut links) = large(nodes)?;
    if !with_edges {
        links = Vec::new();
    }
    let graph = Graph::from_rows(rows, links, (0, 0))?;
    let change = region.change();
    let held = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
    drop(graph);
    Ok(held)
}
