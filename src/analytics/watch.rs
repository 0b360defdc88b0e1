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

/// Half-edges, distances or comparisons between two looks at the watcher. One of them takes some ns, a tenth of a microsecond when it
/// misses every cache: a few ms at most, of the 50 ms that a cancelled computation may go on.
pub(super) const WORK_PER_LOOK: usize = 1 << 16;

/// Looks at the watcher once in [`WORK_PER_LOOK`], and at the beginning.
pub(super) struct Pace<'a> {
    watch: &'a dyn Watch,
    since: usize,
}

impl<'a> Pace<'a> {
    pub(super) fn new(watch: &'a dyn Watch) -> Self {
        Self { watch, since: WORK_PER_LOOK }
    }

    /// So many units are about to be done; `done` of `total` is what is told.
    ///
    /// # Errors
    /// What the watcher says.
    #[inline]
    pub(super) fn spend(&mut self, units: usize, done: usize, total: usize) -> Result<(), AnalyticsError> {
        self.since += units;
        if self.since < WORK_PER_LOOK {
            return Ok(());
        }
        self.since = 0;
        self.watch.progress(done as f64 / total.max(1) as f64)
    }
}

/// Sorts with looks in between: pieces first, then what is made of sorted pieces, which a sort by merging finds.
///
/// # Errors
/// What the watcher says.
pub(super) fn sort_by<T>(
    items: &mut [T],
    watch: &dyn Watch,
    mut order: impl FnMut(&T, &T) -> std::cmp::Ordering,
) -> Result<(), AnalyticsError> {
    let mut sorted = WORK_PER_LOOK / 16;
    for piece in items.chunks_mut(sorted) {
        watch.progress(0.0)?;
        piece.sort_by(&mut order);
    }
    while sorted < items.len() {
        sorted *= 2;
        for piece in items.chunks_mut(sorted) {
            watch.progress(0.0)?;
            piece.sort_by(&mut order);
        }
    }
    Ok(())
}
