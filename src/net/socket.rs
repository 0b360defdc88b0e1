//! What a streaming socket is set to before a shard has it.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::liveness::Patience;
use crate::base::clock::MILLISECOND_NS;

/// Options of streaming sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketOptions {
    /// `TCP_NOTSENT_LOWAT`; `None` leaves the kernel's.
    pub notsent_lowat_bytes: Option<u32>,
    /// `SO_SNDBUF`; `None` leaves the kernel's.
    pub send_buffer_bytes: Option<u32>,
    /// When the kernel asks a silent peer, and how long it waits for what it sent to be acknowledged.
    pub patience: Patience,
    /// A client may take nothing for this long, ns: the kernel is not to give it up before.
    pub stall_ns_max: u64,
}

/// Questions that the kernel asks within the time for an answer. How many go unanswered before it gives up is for
/// `TCP_USER_TIMEOUT` to say.
const KEEPALIVE_PROBES: u64 = 4;

/// Sets what `options` ask for, and `TCP_NODELAY`: a frame leaves whole and at once.
///
/// Unsent bytes stay with us, where a newer frame can replace them, instead of in the kernel. A peer that is gone is given
/// up by the kernel, whether something was sent to it (`TCP_USER_TIMEOUT`) or not (`SO_KEEPALIVE`).
///
/// # Errors
/// What the system says about the first option that it refuses. The others are tried all the same.
pub fn prepare(stream: &TcpStream, options: &SocketOptions) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let Patience { ping_ns, pong_ns } = options.patience;
    let interval = Duration::from_nanos(pong_ns / KEEPALIVE_PROBES).max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new().with_time(Duration::from_nanos(ping_ns)).with_interval(interval);
    // A closed window is somebody's slowness, for which there is a limit of its own: this one comes after it.
    let timeout_ns = (ping_ns + pong_ns).max(options.stall_ns_max.saturating_add(1_000 * MILLISECOND_NS));
    let results = [
        socket.set_tcp_nodelay(true),
        options.notsent_lowat_bytes.map_or(Ok(()), |bytes| socket.set_tcp_notsent_lowat(bytes)),
        options.send_buffer_bytes.map_or(Ok(()), |bytes| socket.set_send_buffer_size(bytes as usize)),
        socket.set_tcp_keepalive(&keepalive),
        socket.set_tcp_user_timeout(Some(Duration::from_nanos(timeout_ns))),
    ];
    results.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    #[test]
    fn every_option_reads_back() {
        let (server, _client) = pair();
        let second = Duration::from_secs(1);
        let nanoseconds = second.as_nanos() as u64;
        let options = SocketOptions {
            notsent_lowat_bytes: Some(65_536),
            send_buffer_bytes: Some(100_000),
            patience: Patience { ping_ns: 30 * nanoseconds, pong_ns: 10 * nanoseconds },
            stall_ns_max: 10 * nanoseconds,
        };
        prepare(&server, &options).unwrap();
        let socket = SockRef::from(&server);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 65_536);
        // Linux books its own overhead on the buffer and says twice the figure.
        assert_eq!(socket.send_buffer_size().unwrap(), 200_000);
        assert_eq!(socket.tcp_keepalive_time().unwrap(), 30 * second);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(40 * second));
    }

    #[test]
    fn what_is_not_asked_for_stays_and_a_patient_stall_is_not_cut_short() {
        let (server, client) = pair();
        let (lowat, buffer) = {
            let socket = SockRef::from(&server);
            (socket.tcp_notsent_lowat().unwrap(), socket.send_buffer_size().unwrap())
        };
        prepare(&server, &SocketOptions { stall_ns_max: 3_600 * 1_000_000_000, ..SocketOptions::default() }).unwrap();
        let socket = SockRef::from(&server);
        assert_eq!((socket.tcp_notsent_lowat().unwrap(), socket.send_buffer_size().unwrap()), (lowat, buffer));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(3_601)));
        assert!(!SockRef::from(&client).keepalive().unwrap(), "the client's end is its own");
    }
}
