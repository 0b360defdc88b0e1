//! Which frames of a client are decoded and checked, and by what.

use crate::plan::{Group, Protocol};
use crate::verify::{ChainVerifier, Verifier};

/// In a group of the compact profile at most so many clients are decoded: each holds the whole state.
const DECODED_MAX: u32 = 32;

/// Checks what came, by the profile.
#[derive(Debug)]
pub enum Checker {
    /// Frames that are whole.
    Full(Verifier),
    /// A chain of the compact profile.
    Chain(Box<ChainVerifier>),
}

impl Checker {
    /// For client `number` of a group, when its frames are to be checked.
    #[must_use]
    pub fn of(group: &Group, number: u32) -> Option<Self> {
        match &group.protocol {
            Protocol::Swarmcast { profile, .. } if group.verify => Some(Self::Full(Verifier::new(*profile))),
            Protocol::Compact(_) if group.verify => {
                let one_of = group.clients.div_ceil(DECODED_MAX);
                number.is_multiple_of(one_of).then(|| Self::Chain(Box::default()))
            }
            _ => None,
        }
    }
}
