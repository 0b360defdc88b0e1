//! What a change does to a settled layout: one node of a hundred is taken out, the rest settles, and they are put back.

use anyhow::Result;
use serde::Serialize;

use crate::graph::Network;
use crate::ours::{self, Settings};
use crate::points::distance;
use crate::random::Random;
use crate::score::score;

/// One node in so many is taken out.
const ONE_IN: u32 = 100;

/// Steps after which the rest counts as settled: the default cooling is at rest then.
const SETTLE_TICKS: usize = 600;

/// What happened within the steps after the change.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The graph.
    pub graph: String,
    /// 2 or 3.
    pub dimensions: u8,
    /// Nodes put back.
    pub added: usize,
    /// Steps after that.
    pub ticks: usize,
    /// np1 of the whole graph then.
    pub np1: f64,
    /// np1 of the same graph laid out from nothing.
    pub np1_scratch: f64,
    /// Stress then.
    pub stress: f64,
    /// Stress from nothing.
    pub stress_scratch: f64,
    /// How far the median old node has moved, in mean edge lengths of the settled layout.
    pub moved_median: f64,
    /// How far all but one old node in twenty have moved at most, likewise.
    pub moved_p95: f64,
}

/// Measures it. `settings.ticks` is that of the layout from nothing; `ticks` those after the change.
///
/// # Errors
/// When the engine refuses the graph.
pub fn measure(network: &Network, settings: &Settings, ticks: usize) -> Result<Change> {
    let nodes = network.node_count as u32;
    let out = Random::new(settings.seed).sample(nodes, (nodes / ONE_IN).max(1));
    let (rest, old) = network.part(|node| out.binary_search(&node).is_err());
    let settled = ours::lay_out(&rest, &Settings { ticks: SETTLE_TICKS, ..*settings })?;
    let edge = score(&rest, &settled.points).edge_mean;

    let mut start = vec![None; network.node_count];
    for (node, at) in old.iter().zip(&settled.points.at) {
        if let Some(slot) = start.get_mut(*node as usize) {
            *slot = Some(at.map(|axis| axis as f32));
        }
    }
    let mut backend = settled.backend;
    ours::upload(&mut backend, network, start)?;
    ours::step(&mut backend, ticks);
    let points = ours::points(&backend, network.node_count, settings.dimensions);
    let now = old.iter().filter_map(|node| points.at.get(*node as usize));
    let mut moved: Vec<f64> = now.zip(&settled.points.at).map(|(now, then)| distance(*now, *then) / edge).collect();
    moved.sort_by(f64::total_cmp);
    let share = |part: usize| moved.get(moved.len() * part / 100).copied().unwrap_or(0.0);

    let scratch = score(network, &ours::lay_out(network, settings)?.points);
    let after = score(network, &points);
    Ok(Change {
        graph: network.name.clone(),
        dimensions: settings.dimensions,
        added: out.len(),
        ticks,
        np1: after.np1,
        np1_scratch: scratch.np1,
        stress: after.stress,
        stress_scratch: scratch.stress,
        moved_median: share(50),
        moved_p95: share(95),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::by_name;

    #[test]
    fn a_mesh_with_its_holes_filled_again_stays_where_it_was() {
        let settings = Settings { dimensions: 2, ..Settings::default() };
        let change = measure(&by_name("grid1k").unwrap(), &settings, 30).unwrap();
        assert_eq!(change.added, 10);
        // Next to a hole something moves; the mesh as a whole does not.
        assert!(change.moved_median < 0.5 && change.moved_p95 > 0.0 && change.moved_p95 < 2.0, "{change:?}");
        assert!(change.np1 > 0.8 && change.np1_scratch > 0.8, "{change:?}");
    }
}
