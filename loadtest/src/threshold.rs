//! `latency.p99 < 5ms`: a bound on a figure, parsed and checked before the run.

use serde::{Deserialize, Serialize};

/// A bound that decides the exit code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// As the user wrote it.
    pub text: String,
    /// The group it is about; `None` is all of them together.
    pub group: Option<String>,
    /// Name of the figure, as in `figures::lookup`.
    pub figure: String,
    /// How they compare.
    pub relation: Relation,
    /// In the figure's own unit: ns, a share from 0 to 1, a count, a rate.
    pub bound: f64,
}

/// How a figure and its bound compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// `<`
    #[serde(rename = "<")]
    Less,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `>`
    #[serde(rename = ">")]
    Greater,
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `==`
    #[serde(rename = "==")]
    Equal,
}

impl Relation {
    /// Whether `figure` keeps it.
    #[must_use]
    pub fn holds(self, figure: f64, bound: f64) -> bool {
        match self {
            Self::Less => figure < bound,
            Self::AtMost => figure <= bound,
            Self::Greater => figure > bound,
            Self::AtLeast => figure >= bound,
            Self::Equal => figure == bound,
        }
    }
}
