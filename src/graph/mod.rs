//! The graph: stable ids, dense indices, edges, attributes. Pure data: no clocks, no sockets, no threads.
//!
//! `control` owns the one live [`Graph`]; `sim` sees only its [`Csr`]. Importers live in [`formats`].

#![forbid(unsafe_code)]

mod author;
mod build;
mod change;
mod class;
mod csr;
pub mod formats;
#[allow(clippy::module_inception, reason = "the graph itself")]
mod graph;
mod id;
mod model;
mod stage;

pub use author::{AUTHOR_LETTERS_MAX, Author};
pub use build::{BuildError, GraphBuilder};
pub use change::{
    Batch, Change, Deed, EdgeDraft, EdgePatch, EdgeRef, NodeDraft, NodePatch, NodeRef, Op, OpError, OpProblem, Outcome,
};
pub use class::{NodeClass, NodeKind};
pub use csr::Csr;
pub use graph::{Graph, Restructured, RowsError};
pub use id::{EdgeId, IdIndex, NodeId, NodeIndex};
pub use model::{Attributes, Edge, EdgeRow, More, Node, Value, attributes, colour_of};
pub use stage::{GraphLimits, Pending, Staged};
