//! Values beside the motion of the nodes, as the encoders take them.

use super::columns::{
    COLUMN_ANOMALY, COLUMN_CLUSTER, COLUMN_COMMUNITY, COLUMN_COMPONENT, COLUMN_DISTANCE, COLUMN_PARENT, COLUMN_RANK,
    encode_column,
};

/// One value of every node by kind, in index order; a kind that was not computed is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SideValues<'run> {
    /// Distance from a source; +inf where no path leads.
    pub distance: Option<&'run [f32]>,
    /// Id of the node before on the path; -1 for none.
    pub parent: Option<&'run [i32]>,
    /// Cluster from 1; 0 for noise.
    pub cluster: Option<&'run [u32]>,
    /// Anomaly score, 0 or above.
    pub anomaly: Option<&'run [f32]>,
    /// Community from 1.
    pub community: Option<&'run [u32]>,
    /// PageRank; all add up to 1.
    pub rank: Option<&'run [f32]>,
    /// Connected component from 1.
    pub component: Option<&'run [u32]>,
}

impl SideValues<'_> {
    /// The body of a columns message for every kind that is there, with `order`'s nodes in their order. Allocates.
    pub fn columns(self, order: &[u32]) -> impl Iterator<Item = Vec<u8>> + '_ {
        let floats = |values: Option<&[f32]>, column| {
            let of = |values: &[f32]| encode_column(column, in_order(values, order).map(f32::to_bits));
            values.map(of)
        };
        let words = |values: Option<&[u32]>, column| {
            let of = |values: &[u32]| encode_column(column, in_order(values, order));
            values.map(of)
        };
        let parent =
            self.parent.map(|values| encode_column(COLUMN_PARENT, in_order(values, order).map(i32::cast_unsigned)));
        let all = [
            floats(self.distance, COLUMN_DISTANCE),
            parent,
            words(self.cluster, COLUMN_CLUSTER),
            floats(self.anomaly, COLUMN_ANOMALY),
            words(self.community, COLUMN_COMMUNITY),
            floats(self.rank, COLUMN_RANK),
            words(self.component, COLUMN_COMPONENT),
        ];
        all.into_iter().flatten()
    }
}

fn in_order<'run, T: Copy + Default>(values: &'run [T], order: &'run [u32]) -> impl Iterator<Item = T> + 'run {
    order.iter().map(|node| values.get(*node as usize).copied().unwrap_or_default())
}
