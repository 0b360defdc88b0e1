//! One computation as a value: what is asked for, done, and what came of it.

use super::{
    AnalyticsError, Components, DbscanOptions, Density, Feature, KMeans, KMeansOptions, LabelOptions, Landmarks,
    LeidenOptions, Lengths, LofOptions, PageRank, PageRankOptions, Partition, Paths, Stress, StressOptions, Watch,
    ZScores, connected_components, dbscan, feature, kmeans, label_propagation, landmarks, leiden, local_outlier_factor,
    majorise, pagerank, shortest_paths, z_scores,
};
use crate::graph::Csr;

/// What is to be computed. Nodes are indices of the graph it is run on.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Distances and parents.
    Paths {
        /// Where they begin.
        source: u32,
        /// What an edge measures.
        lengths: Lengths,
    },
    /// Connected components.
    Components,
    /// Ranks.
    PageRank(PageRankOptions),
    /// Clusters around centres.
    KMeans(KMeansOptions),
    /// Clusters by density.
    Dbscan(DbscanOptions),
    /// Communities by labels that spread.
    Labels(LabelOptions),
    /// Communities of high modularity.
    Leiden(LeidenOptions),
    /// Outliers among positions.
    Lof {
        /// How local.
        options: LofOptions,
        /// Factor from which a node is called an outlier.
        threshold: f64,
    },
    /// Outliers of a measured feature.
    ZScore {
        /// What is measured.
        feature: Feature,
        /// Standard deviations from which a node is called an outlier.
        threshold: f64,
    },
    /// A layout of low stress.
    Stress(StressOptions),
    /// Distances over landmarks.
    Landmarks {
        /// How many.
        count: usize,
        /// What an edge measures.
        lengths: Lengths,
        /// Pairs whose distances are estimated.
        pairs: Vec<(u32, u32)>,
    },
}

/// What came of a [`Job`].
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Of [`Job::Paths`].
    Paths(Paths),
    /// Of [`Job::Components`].
    Components(Components),
    /// Of [`Job::PageRank`].
    PageRank(PageRank),
    /// Of [`Job::KMeans`].
    KMeans(KMeans),
    /// Of [`Job::Dbscan`].
    Dbscan(Density),
    /// Of [`Job::Labels`] and [`Job::Leiden`].
    Partition(Partition),
    /// Of [`Job::Lof`]: factors.
    Lof(Vec<f64>),
    /// Of [`Job::ZScore`]: the values and their scores.
    ZScore(Vec<f64>, ZScores),
    /// Of [`Job::Stress`].
    Stress(Stress),
    /// Of [`Job::Landmarks`].
    Landmarks(Landmarks),
}

impl Job {
    /// Whether the positions of the nodes are looked at.
    #[must_use]
    pub fn needs_positions(&self) -> bool {
        match self {
            Self::KMeans(_) | Self::Dbscan(_) | Self::Lof { .. } | Self::Stress(_) => true,
            Self::ZScore { feature, .. } => !matches!(feature, Feature::Degree | Feature::Strength),
            Self::Paths { .. } | Self::Components | Self::PageRank(_) => false,
            Self::Labels(_) | Self::Leiden(_) | Self::Landmarks { .. } => false,
        }
    }

    /// Does it. `positions` may be empty when they are not needed.
    ///
    /// # Errors
    /// [`AnalyticsError`], as the function behind it says.
    pub fn run(&self, csr: &Csr, positions: &[[f32; 3]], watch: &dyn Watch) -> Result<Outcome, AnalyticsError> {
        if self.needs_positions() && positions.len() != csr.node_count() {
            return Err(AnalyticsError::Positions { positions: positions.len(), nodes: csr.node_count() });
        }
        Ok(match self {
            Self::Paths { source, lengths } => Outcome::Paths(shortest_paths(csr, *source as usize, *lengths, watch)?),
            Self::Components => Outcome::Components(connected_components(csr, watch)?),
            Self::PageRank(options) => Outcome::PageRank(pagerank(csr, options, watch)?),
            Self::KMeans(options) => Outcome::KMeans(kmeans(positions, options, watch)?),
            Self::Dbscan(options) => Outcome::Dbscan(dbscan(positions, options, watch)?),
            Self::Labels(options) => Outcome::Partition(label_propagation(csr, options, watch)?),
            Self::Leiden(options) => Outcome::Partition(leiden(csr, options, watch)?),
            Self::Lof { options, .. } => Outcome::Lof(local_outlier_factor(positions, options, watch)?),
            Self::ZScore { feature: kind, .. } => {
                let values = feature(csr, positions, *kind, watch)?;
                let scores = z_scores(&values);
                Outcome::ZScore(values, scores)
            }
            Self::Stress(options) => Outcome::Stress(majorise(csr, positions, options, watch)?),
            Self::Landmarks { count, lengths, .. } => Outcome::Landmarks(landmarks(csr, *count, *lengths, watch)?),
        })
    }
}
