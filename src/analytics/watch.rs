//! How far a computation is, and whether it shall go on.

use super::AnalyticsError;

/// Whoever waits for a result.
pub trait Watch {
    /// Hears that `part` of the work, 0 to 1 and never falling, is done.
    ///
    /// # Errors
    /// [`AnalyticsError::Stopped`] ends the computation.
    fn progress(&self, part: f64) -> Result<(), AnalyticsError>;
}

/// Nobody: the computation runs to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn progress(&self, _part: f64) -> Result<(), AnalyticsError> {
        Ok(())
    }
}

/// One phase of a longer computation: its 0 to 1 is `from` to `to` of the whole.
pub(super) struct Phase<'a> {
    whole: &'a dyn Watch,
    from: f64,
    to: f64,
}

impl<'a> Phase<'a> {
    pub(super) fn new(whole: &'a dyn Watch, from: f64, to: f64) -> Self {
        debug_assert!(from <= to, "progress never falls");
        Self { whole, from, to }
    }
}

impl Watch for Phase<'_> {
    fn progress(&self, part: f64) -> Result<(), AnalyticsError> {
        self.whole.progress(self.from + (self.to - self.from) * part.clamp(0.0, 1.0))
    }
}

/// Reports once in `each` units of work.
///
/// # Errors
/// What the watcher says.
#[inline]
pub(super) fn every(each: usize, done: usize, total: usize, watch: &dyn Watch) -> Result<(), AnalyticsError> {
    match done.is_multiple_of(each) {
        true => watch.progress(done as f64 / total.max(1) as f64),
        false => Ok(()),
    }
}
