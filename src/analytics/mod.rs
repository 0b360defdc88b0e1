//! Analytics: paths, components, ranks, clusters, communities, outliers, stress. Pure functions of a [`crate::graph::Csr`]
//! and, where they ask for it, of positions.
//!
//! Every function is exact for what its doc comment says, and deterministic: the same input and seed give the same bytes.
//! None knows of threads or clocks. Each reports how far it is to a [`Watch`], which can stop it; between two reports
//! lies a bounded piece of work. Tables that grow with nodes times something have a limit in [`crate::limits`].

#![forbid(unsafe_code)]

mod community;
mod components;
mod dbscan;
mod error;
mod job;
mod kmeans;
mod landmarks;
pub mod layout;
mod leiden;
mod outliers;
mod pagerank;
mod paths;
mod random;
mod spatial;
mod stress;
#[cfg(test)]
mod tests;
mod watch;

pub use community::{LabelOptions, Partition, label_propagation, modularity};
pub use components::{Components, connected_components};
pub use dbscan::{DbscanOptions, Density, NOISE, dbscan};
pub use error::AnalyticsError;
pub use job::{Job, Outcome};
pub use kmeans::{KMeans, KMeansOptions, kmeans, kmeans_from};
pub use landmarks::{Landmarks, landmarks};
pub use leiden::{LeidenOptions, leiden};
pub use outliers::{Feature, LofOptions, ZScores, feature, local_outlier_factor, z_scores};
pub use pagerank::{PageRank, PageRankOptions, pagerank};
pub use paths::{Lengths, NO_PARENT, Paths, shortest_paths};
pub use stress::{Stress, StressOptions, majorise};
pub use watch::{Unwatched, Watch};
