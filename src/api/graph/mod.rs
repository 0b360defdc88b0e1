//! The graph by REST: bodies to batches, rows to pages. Pure; `control` makes the batches true.

mod bodies;
mod rows;

pub use bodies::{batch_of, read_batch, read_edges, read_nodes, read_one_edge, read_one_node, terms_of};
pub use rows::{EdgeFilter, NodeFilter, Numbered, Page, edge_page, node_page, numbered_page, one_edge, one_node};
