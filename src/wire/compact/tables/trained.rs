//! Printed by `trajectories --train`; not to be edited by hand.

use super::{FLAG_CONTEXTS, HOT_CONTEXTS, QUIET_CONTEXTS, SYMBOLS_HOT, SYMBOLS_QUIET};

/// Of 4,096 quiet nodes, how many are corrected.
#[rustfmt::skip]
pub(super) const FLAGS: [u16; FLAG_CONTEXTS] = [400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400];
/// Corrections of quiet nodes.
#[rustfmt::skip]
pub(super) const QUIET: [[u16; SYMBOLS_QUIET]; QUIET_CONTEXTS] = [[1624, 702, 702, 305, 305, 132, 132, 57, 57, 25, 25, 10, 10, 4, 4, 2]; QUIET_CONTEXTS];
/// Corrections of hot nodes.
#[rustfmt::skip]
pub(super) const HOT: [[u16; SYMBOLS_HOT]; HOT_CONTEXTS] = [[826, 542, 542, 363, 363, 243, 243, 163, 163, 109, 109, 73, 73, 49, 49, 33, 33, 22, 22, 14, 14, 9, 9, 6, 6, 4, 4, 2, 2, 2, 2, 2]; HOT_CONTEXTS];
