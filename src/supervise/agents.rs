//! The agents' door: its addresses, its token, and who may do what.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::run::listen;
use super::{StartError, tokens};
use crate::base::hex;
use crate::bridge::{SOCKET_NAME, TOKEN_NAME, home};
use crate::config::{AnonymousAgents, McpOptions};
use crate::mcp::{Principal, RateLimits, Scopes, Server};
use crate::net::McpListeners;
use crate::store::default_path;

/// Bytes of a token and of the secret.
const SECRET_BYTES: usize = 32;

/// What the agents' side begins with.
pub(super) struct AgentsDoor {
    pub(super) listeners: McpListeners,
    pub(super) server: Arc<Server>,
    pub(super) own_user: Principal,
    pub(super) anonymous: Option<Principal>,
    /// Where agents connect, for the user to read.
    pub(super) tcp: Option<SocketAddr>,
    /// They come in by `/mcp` as well.
    pub(super) http: bool,
    pub(super) socket: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
}

impl Drop for AgentsDoor {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            let _ = fs::remove_file(socket);
        }
    }
}

fn failed(step: &'static str) -> impl Fn(std::io::Error) -> StartError {
    move |reason| StartError::System { step, reason }
}

/// Opens the door; `None` when nobody is to come in.
pub(super) fn open(options: &McpOptions) -> Result<Option<AgentsDoor>, StartError> {
    let runtime = runtime_folder();
    let http = options.serves_http();
    let everything = Principal { name: "agent".into(), scopes: Scopes::ALL };
    let mut server = server(options)?;
    // Before anybody can connect: `swarmcast mcp` reads the token as soon as it can.
    let token_file = match options.tcp.is_some() || http {
        true => {
            let path = token_place(options, runtime.as_deref())?;
            let mut fresh = [0; SECRET_BYTES];
            getrandom::fill(&mut fresh).map_err(no_random)?;
            server.add_token(&token(&path, &fresh)?, everything.clone());
            Some(path)
        }
        false => None,
    };
    if let Some(path) = &options.tokens_file {
        server = tokens::named(&server, path)?;
    }
    let tcp = match options.tcp.map(|address| listen("mcp.tcp", "mcp", address)).transpose() {
        Err(StartError::InUse { address, holder, .. }) if address == McpOptions::TCP => {
            let holder = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
            tracing::warn!(
                "agents cannot connect by TCP: {address} is in use{holder}; choose another with --mcp ADDRESS"
            );
            None
        }
        other => other?,
    };
    let socket = match (&options.socket, &runtime) {
        (Some(path), _) => Some((path.clone(), true)),
        (None, Some(folder)) => Some((folder.join(SOCKET_NAME), false)),
        (None, None) => None,
    };
    let unix = match socket {
        Some((path, named)) => bind(&path, named)?.map(|listener| (listener, path)),
        None => None,
    };
    if tcp.is_none() && unix.is_none() && !http {
        return Ok(None);
    }
    let anonymous = match options.anonymous {
        AnonymousAgents::None => None,
        AnonymousAgents::Read => Some(Principal { name: "anonymous".into(), scopes: Scopes::READ }),
        AnonymousAgents::Write => {
            Some(Principal { name: "anonymous".into(), scopes: Scopes::READ.with(Scopes::WRITE).with(Scopes::AGENT) })
        }
    };
    let address = tcp.as_ref().and_then(|listener| listener.local_addr().ok());
    let (unix, socket) = unix.unzip();
    Ok(Some(AgentsDoor {
        listeners: McpListeners { tcp, unix },
        server: Arc::new(server),
        own_user: everything,
        anonymous,
        tcp: address,
        http,
        socket,
        token_file,
    }))
}

fn no_random(error: getrandom::Error) -> StartError {
    StartError::System { step: "random bits for the agents' door", reason: std::io::Error::other(error.to_string()) }
}

/// What all connections share, nobody known yet.
fn server(options: &McpOptions) -> Result<Server, StartError> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(no_random)?;
    let sets: Vec<&str> = options.toolsets.iter().map(|set| set.name()).collect();
    let mut server = Server::new(env!("CARGO_PKG_VERSION"), secret, &sets).map_err(|error| StartError::System {
        step: "the tools of MCP",
        reason: std::io::Error::other(error.to_string()),
    })?;
    server.rate_limits = RateLimits { calls: options.calls_per_second, changes: options.changes_per_second };
    server.connections_max = options.connections_per_token as usize;
    Ok(server)
}

/// Where the token is: where the user says, beside the socket, or in the user's data folder.
fn token_place(options: &McpOptions, runtime: Option<&Path>) -> Result<PathBuf, StartError> {
    let named = options.token_file.clone().or_else(|| runtime.map(|folder| folder.join(TOKEN_NAME)));
    let kept = || default_path(|name| std::env::var_os(name)).map(|store| store.with_file_name(TOKEN_NAME));
    named.or_else(kept).ok_or(StartError::NoTokenPlace)
}

/// Where a person on this machine opens what listens at `address`: one that stands for all addresses is none to open.
pub(super) fn page(mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}/")
}

/// `swarmcast` in the user's runtime folder, where there is such a folder; it is made for the user alone.
fn runtime_folder() -> Option<PathBuf> {
    let folder = home(std::env::var_os("XDG_RUNTIME_DIR").as_deref().map(Path::new))?;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.ok().map(|()| folder)
}

/// A socket that only this user can use. `None` when another engine has the customary one.
fn bind(path: &Path, named: bool) -> Result<Option<UnixListener>, StartError> {
    if UnixStream::connect(path).is_ok() {
        if named {
            let reason = std::io::Error::new(ErrorKind::AddrInUse, format!("{} is in use", path.display()));
            return Err(StartError::System { step: "mcp.socket", reason });
        }
        tracing::warn!("agents cannot connect by {}: another engine has it", path.display());
        return Ok(None);
    }
    // What is left of an engine that was killed; anything but a socket is kept, and found in the way.
    if fs::symlink_metadata(path).is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_socket(&found.file_type())) {
        fs::remove_file(path).map_err(failed("mcp.socket"))?;
    }
    let listener = UnixListener::bind(path).map_err(failed("mcp.socket"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed("mcp.socket"))?;
    listener.set_nonblocking(true).map_err(failed("mcp.socket"))?;
    Ok(Some(listener))
}

/// The token in the file; `fresh` goes there when there is none.
fn token(path: &Path, fresh: &[u8]) -> Result<String, StartError> {
    let failed = failed("the token for agents (mcp.token_file)");
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(&failed)?;
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(mut file) => {
            let text = hex(fresh);
            file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(&failed)?;
            Ok(text)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mut text = String::new();
            OpenOptions::new()
                .read(true)
                .open(path)
                .and_then(|mut file| file.read_to_string(&mut text))
                .map_err(&failed)?;
            let text = text.trim().to_owned();
            if text.len() < 2 * SECRET_BYTES / 4 {
                let reason = std::io::Error::new(
                    ErrorKind::InvalidData,
                    format!("{} holds no token of 16 or more characters; remove it for a new one", path.display()),
                );
                return Err(failed(reason));
            }
            Ok(text)
        }
        Err(error) => Err(failed(error)),
    }
}
