//! Values beside the motion of the nodes: what analytics found out, on its way from `control` through `sim` to the wire.

use std::sync::Arc;

use crate::wire::SideValues;

/// One value of every node by kind, in index order; what was not computed is not there. Shared, never written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SidePlanes {
    /// Structure of the graph that the values are of.
    pub epoch: u32,
    /// Counts the changes, so that a reader sees that there was one. 0 is before the first.
    pub version: u32,
    /// Distance from the source of the last published shortest paths; +inf where no path leads.
    pub distance: Option<Arc<[f32]>>,
    /// Id of the node before on the path; -1 for none.
    pub parent: Option<Arc<[i32]>>,
    /// Cluster from 1; 0 for noise.
    pub cluster: Option<Arc<[u32]>>,
    /// Anomaly score, 0 or above.
    pub anomaly: Option<Arc<[f32]>>,
    /// Community from 1.
    pub community: Option<Arc<[u32]>>,
    /// PageRank; all add up to 1.
    pub rank: Option<Arc<[f32]>>,
    /// Connected component from 1.
    pub component: Option<Arc<[u32]>>,
}

impl SidePlanes {
    /// These, with what `newer` has in place of what is here; of another epoch, only what `newer` has.
    #[must_use]
    pub fn with(&self, newer: Self) -> Self {
        let version = self.version.wrapping_add(1).max(1);
        if self.epoch != newer.epoch {
            return Self { version, ..newer };
        }
        let old = self.clone();
        Self {
            epoch: newer.epoch,
            version,
            distance: newer.distance.or(old.distance),
            parent: newer.parent.or(old.parent),
            cluster: newer.cluster.or(old.cluster),
            anomaly: newer.anomaly.or(old.anomaly),
            community: newer.community.or(old.community),
            rank: newer.rank.or(old.rank),
            component: newer.component.or(old.component),
        }
    }

    /// As the wire takes them.
    #[must_use]
    pub fn values(&self) -> SideValues<'_> {
        SideValues {
            distance: self.distance.as_deref(),
            parent: self.parent.as_deref(),
            cluster: self.cluster.as_deref(),
            anomaly: self.anomaly.as_deref(),
            community: self.community.as_deref(),
            rank: self.rank.as_deref(),
            component: self.component.as_deref(),
        }
    }
}
