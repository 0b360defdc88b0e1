//! What is said over a connection that the engine makes itself: lines in, lines out, and a time to be asked again. `net` has the socket,
//! whoever knows the protocol has this.

/// What is to become of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Leave it as it is.
    Go,
    /// Make one; there is none.
    Connect,
    /// End it, or the attempt to make it.
    Close,
}

/// One peer that is called. Pure: time comes in, bytes go out.
pub trait Dialogue {
    /// What it tells another thread.
    type Report: Send;

    /// Host and port.
    fn address(&self) -> &str;

    /// When [`Self::turn`] has something to do, monotonic ns.
    fn due_ns(&self) -> u64;

    /// Does what is due at `now_ns`.
    fn turn(&mut self, now_ns: u64) -> Deed;

    /// The connection stands.
    fn connected(&mut self, now_ns: u64);

    /// The connection is gone, or there will be none; `why` in words.
    fn lost(&mut self, why: &str, now_ns: u64);

    /// A line has come; `None` is one that was too long.
    fn line(&mut self, line: Option<&[u8]>, now_ns: u64) -> Deed;

    /// What is to be sent: taken out by whoever sends it.
    fn out(&mut self) -> &mut Vec<u8>;

    /// What there is to tell since the last time.
    fn report(&mut self) -> Option<Self::Report>;
}
