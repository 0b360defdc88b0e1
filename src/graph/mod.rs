//! The graph: stable ids, dense indices, edges, attributes. Pure data: no clocks, no sockets, no threads.
//!
//! `control` owns the one live [`Graph`]; `sim` sees only its [`Csr`]. Importers live in [`formats`].

#![forbid(unsafe_code)]

mod build;
mod class;
mod csr;
pub mod formats;
mod id;
mod model;

pub use build::{BuildError, GraphBuilder};
pub use class::{NodeClass, NodeKind};
pub use csr::Csr;
pub use id::{IdIndex, NodeId, NodeIndex};
pub use model::{Attributes, Edge, Graph, Node, Value};
