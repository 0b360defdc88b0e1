//! What the layout bench is made of: graphs, layouts as files, their scores, the engine's own layout, those of others,
//! and pictures.

#![forbid(unsafe_code)]

pub mod generate;
pub mod graph;
pub mod ours;
pub mod points;
pub mod random;
pub mod score;
