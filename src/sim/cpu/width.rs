//! Which vectors the loops of this thread use, so that a test can compare them.

use std::cell::Cell;

/// Vectors narrower than the widest that the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// Those of every x86-64.
    Plain,
    /// AVX2 where there is, also on a processor with AVX-512.
    Avx2,
}

thread_local! {
    static FORCED: Cell<Option<Width>> = const { Cell::new(None) };
}

/// Holds this thread to a width; `None` is the widest.
pub(super) fn force(width: Option<Width>) {
    FORCED.set(width);
}

/// What the thread is held to.
pub(super) fn forced() -> Option<Width> {
    FORCED.get()
}
