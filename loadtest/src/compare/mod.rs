//! Two reports against each other: what differs beyond noise.
