//! Sockets that begin to connect, and the names of what goes wrong with them.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::TcpStream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::plan::Group;

/// Descriptors that the tool needs besides its sockets.
const SPARE_FILES: u64 = 64;

/// Begins to connect a client of `group`, from `source` when there is one.
///
/// # Errors
/// What the system says; [`kind`] names it.
pub fn dial(group: &Group, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let address = group.target.address;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = group.receive_buffer_bytes {
        // Before the connection: the window is announced with the first packet.
        socket.set_recv_buffer_size(bytes as usize)?;
    }
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// The kind of error that `error` counts as.
#[must_use]
pub fn kind(error: &io::Error) -> &'static str {
    use rustix::io::Errno;
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect_refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => "reset",
        io::ErrorKind::TimedOut => "network_timeout",
        io::ErrorKind::AddrNotAvailable => "no_local_port",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable",
        _ if [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error())).contains(&error.raw_os_error()) => {
            "too_many_open_files"
        }
        _ => "io_error",
    }
}

/// Makes room for `sockets` descriptors, as far as this process may.
///
/// # Errors
/// What to do about it, for a person.
pub fn raise_open_files(sockets: u64) -> Result<(), String> {
    let wanted = sockets + SPARE_FILES;
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    // Root may raise the hard limit too.
    let hard = now.maximum.map_or(Some(wanted), |maximum| Some(maximum.max(wanted)));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: hard });
    let within = || setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    match raised {
        Ok(()) => Ok(()),
        Err(_) => {
            let _ = within();
            let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
            if limit >= wanted {
                return Ok(());
            }
            Err(format!(
                "{sockets} connections need {wanted} open files and this process may have {limit}; raise the limit with \
                 `ulimit -Hn {wanted}` as root, or run it with `prlimit --nofile={wanted} swarmcast-load ...`"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_names() {
        let named = |code: rustix::io::Errno| kind(&io::Error::from_raw_os_error(code.raw_os_error()));
        assert_eq!(named(rustix::io::Errno::MFILE), "too_many_open_files");
        assert_eq!(named(rustix::io::Errno::CONNRESET), "reset");
        assert_eq!(named(rustix::io::Errno::INVAL), "io_error");
        assert_eq!(raise_open_files(10), Ok(()));
    }
}
