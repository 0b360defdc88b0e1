//! What the layout bench is made of: graphs, layouts as files, their scores, the engine's own layout, those of others,
//! and pictures.

#![forbid(unsafe_code)]

pub mod change;
pub mod compare;
pub mod draw;
pub mod gallery;
pub mod generate;
pub mod graph;
pub mod ours;
pub mod peers;
pub mod points;
pub mod random;
pub mod report;
pub mod score;
