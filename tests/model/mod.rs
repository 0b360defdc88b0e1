//! The parts of the model: chance, the script of the nodes, sockets, clients, and the world they meet in.

pub mod chance;
pub mod client;
pub mod script;
pub mod socket;
pub mod world;
