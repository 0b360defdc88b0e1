//! Why a computation has no result.

use crate::limits::ANALYTICS_TABLE_BYTES_MAX;

/// Why a computation has no result.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum AnalyticsError {
    /// Its watcher stopped it.
    #[error("it was stopped")]
    Stopped,
    /// A node that the graph does not have.
    #[error("node index {node} is not below the {nodes} nodes of the graph")]
    Node {
        /// Index that was asked for.
        node: usize,
        /// Nodes of the graph.
        nodes: usize,
    },
    /// A parameter outside its range.
    #[error("{parameter} is {value}, not from {min} to {max}")]
    Range {
        /// Its name.
        parameter: &'static str,
        /// What was asked for.
        value: f64,
        /// Least allowed.
        min: f64,
        /// Most allowed.
        max: f64,
    },
    /// A table that would be too large.
    #[error("{table} takes {bytes} bytes; the limit is {ANALYTICS_TABLE_BYTES_MAX}")]
    Table {
        /// What it holds.
        table: &'static str,
        /// Its size.
        bytes: u64,
    },
    /// Not one position for every node.
    #[error("{positions} positions for {nodes} nodes")]
    Positions {
        /// How many there are.
        positions: usize,
        /// Nodes of the graph.
        nodes: usize,
    },
    /// A position that is no point.
    #[error("the position of node index {node} is not finite")]
    NotFinite {
        /// Whose.
        node: usize,
    },
}

/// Checks that `value` is from `min` to `max`; a NaN is not.
pub(super) fn in_range(parameter: &'static str, value: f64, min: f64, max: f64) -> Result<(), AnalyticsError> {
    match (min..=max).contains(&value) {
        true => Ok(()),
        false => Err(AnalyticsError::Range { parameter, value, min, max }),
    }
}

/// Checks that a table of `rows` times `columns` items of `item_bytes` may be made.
pub(super) fn table_fits(
    table: &'static str,
    rows: usize,
    columns: usize,
    item_bytes: usize,
) -> Result<(), AnalyticsError> {
    let bytes = (rows as u64).saturating_mul(columns as u64).saturating_mul(item_bytes as u64);
    match bytes <= ANALYTICS_TABLE_BYTES_MAX {
        true => Ok(()),
        false => Err(AnalyticsError::Table { table, bytes }),
    }
}

/// Checks that every position is a point.
pub(super) fn all_finite(positions: &[[f32; 3]]) -> Result<(), AnalyticsError> {
    match positions.iter().position(|point| !point.iter().all(|axis| axis.is_finite())) {
        None => Ok(()),
        Some(node) => Err(AnalyticsError::NotFinite { node }),
    }
}
