//! `ws://host:port/path` and `tcp://host:port`: from what the user writes to a [`Target`].

use std::net::{SocketAddr, ToSocketAddrs};

use http::Uri;
use swarmcast::wire::{BITS_MAX, BITS_MIN, Profile, RATE_HZ_MAX};

use crate::plan::{Target, Transport};

/// Path of a stream of Swarmcast, where the URL has none.
const STREAM_PATH: &str = "/stream";

/// An address that could be read, not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// As the user wrote it.
    text: String,
    transport: Transport,
    /// Without brackets.
    host: String,
    port: u16,
    /// As in the URL, brackets and port included.
    authority: String,
    /// `None` where the URL ends before it.
    path: Option<String>,
    query: Option<String>,
}

/// What a stream of Swarmcast is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Format of the frames.
    pub profile: Profile,
    /// Frames per second.
    pub rate_hz: u16,
    /// Of a position; only of the compact profile, and `None` leaves it to the server.
    pub bits: Option<u8>,
    /// 2 or 3, likewise.
    pub dimensions: Option<u8>,
}

/// What is said of a stream elsewhere than in its address. `None`: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// As in [`Asked`].
    pub profile: Option<Profile>,
    /// As in [`Asked`].
    pub rate_hz: Option<u16>,
    /// As in [`Asked`].
    pub bits: Option<u8>,
    /// As in [`Asked`].
    pub dimensions: Option<u8>,
}

/// Parameters of the query by which a stream is asked for.
const PARAMETERS: [&str; 4] = ["profile", "rate", "bits", "dimensions"];

/// Why an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// `wss`, `https` and the like.
    #[error(
        "{0}:// needs TLS, which this tool does not speak: aim at the server's plain port, or put a proxy that \
         ends TLS (stunnel, socat, haproxy) between and use ws://"
    )]
    Tls(String),
    /// `http://`.
    #[error("http:// is no stream: write {0}")]
    Http(String),
    /// Another scheme, or none.
    #[error("must begin with ws:// or tcp://, as in ws://127.0.0.1:7400/stream or tcp://127.0.0.1:7401")]
    Scheme,
    /// Not a URL.
    #[error("is not an address: {0}")]
    Syntax(String),
    /// `tcp://` without a port.
    #[error("tcp:// needs a port, as in tcp://127.0.0.1:7401")]
    NoPort,
    /// `tcp://host:port/path`.
    #[error("tcp:// has no path; leave out {0}")]
    TcpPath(String),
    /// `user:password@`.
    #[error("a name and password in the address are not sent; give an Authorization header in `headers` instead")]
    UserInfo,
    /// `#part`.
    #[error("a part behind # is never sent; leave it out")]
    Fragment,
    /// The name leads nowhere.
    #[error("cannot resolve {host}: {error}")]
    Resolve {
        /// As in the URL.
        host: String,
        /// What the resolver said.
        error: String,
    },
    /// Query and scenario disagree.
    #[error("the query of the address says {name}={query}, and `{key}` says {said}: leave one out")]
    Disagree {
        /// In the query.
        name: &'static str,
        /// What it says.
        query: String,
        /// In the scenario.
        key: &'static str,
        /// What that says.
        said: String,
    },
    /// The query asks for what there is not.
    #[error("the query of the address says {name}={query}; {name} must be {allowed}")]
    Query {
        /// In the query.
        name: &'static str,
        /// What it says.
        query: String,
        /// What it may say.
        allowed: String,
    },
}

impl Url {
    /// Reads `text`. Resolves nothing.
    ///
    /// # Errors
    /// When it is not an address that this tool can connect to.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let (scheme, rest) = text.split_once("://").ok_or(TargetError::Scheme)?;
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "ws" => Transport::WebSocket,
            "tcp" => Transport::Tcp,
            "wss" | "https" | "tls" | "ssl" | "tcps" => return Err(TargetError::Tls(scheme.to_owned())),
            "http" => return Err(TargetError::Http(format!("ws://{rest}"))),
            _ => return Err(TargetError::Scheme),
        };
        if rest.contains('#') {
            return Err(TargetError::Fragment);
        }
        let uri: Uri = text.parse().map_err(|error: http::uri::InvalidUri| TargetError::Syntax(error.to_string()))?;
        let authority = uri.authority().ok_or_else(|| TargetError::Syntax("the host is missing".to_owned()))?;
        if authority.as_str().contains('@') {
            return Err(TargetError::UserInfo);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(TargetError::Syntax("the host is missing".to_owned()));
        }
        // The parser gives an absent path as "/", which is a path of its own to a server.
        let tail = rest.find(['/', '?']).and_then(|start| rest.get(start..)).unwrap_or("");
        let port = match (authority.port_u16(), transport) {
            (Some(port), _) => port,
            // Something follows the host, and it is no port.
            (None, _) if authority.as_str().len() > authority.host().len() => {
                return Err(TargetError::Syntax("the port is not a number from 1 to 65535".to_owned()));
            }
            (None, Transport::WebSocket) => 80,
            (None, Transport::Tcp) => return Err(TargetError::NoPort),
        };
        if port == 0 {
            return Err(TargetError::Syntax("the port is not a number from 1 to 65535".to_owned()));
        }
        if transport == Transport::Tcp && !matches!(tail, "" | "/") {
            return Err(TargetError::TcpPath(tail.to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            transport,
            host: host.to_owned(),
            port,
            authority: authority.to_string(),
            path: tail.starts_with('/').then(|| uri.path().to_owned()),
            query: uri.query().map(str::to_owned),
        })
    }

    /// WebSocket or bare TCP.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Settles what is asked for: what `said` says, else the query of the address, else `swarmcast.v1` at 60 Hz.
    ///
    /// # Errors
    /// When both say something and it is not the same, or the query says what there is not.
    pub fn ask(&self, said: Said) -> Result<Asked, TargetError> {
        let profiles = "swarmcast.v1, swarmcast.compact, v1, v2 or v3";
        let profile = self.read("profile", profiles, Profile::from_name)?;
        let rates = format!("a whole number from 1 to {RATE_HZ_MAX}");
        let within = |rate: &u16| (1..=RATE_HZ_MAX).contains(rate);
        let rate_hz = self.read("rate", &rates, |text| text.parse().ok().filter(within))?;
        let bits = self.read("bits", BITS_FORM, |text| text.parse().ok().filter(|bits| is_bits(*bits)))?;
        let spatial = |count: &u8| matches!(count, 2 | 3);
        let dimensions = self.read("dimensions", "2 or 3", |text| text.parse().ok().filter(spatial))?;
        let name = |profile: Profile| profile.name().to_owned();
        Ok(Asked {
            profile: agree("profile", "protocol", profile, said.profile, name)?.unwrap_or(Profile::Own),
            rate_hz: agree("rate", "rate", rate_hz, said.rate_hz, |rate| rate.to_string())?.unwrap_or(60),
            bits: agree("bits", "bits", bits, said.bits, |bits| bits.to_string())?,
            dimensions: agree("dimensions", "dimensions", dimensions, said.dimensions, |count| count.to_string())?,
        })
    }

    /// The same address without what its query asks a stream of Swarmcast for.
    #[must_use]
    pub fn without_asking(&self) -> Self {
        let asks = |pair: &str| PARAMETERS.contains(&pair.split('=').next().unwrap_or(pair));
        let kept = |query: &String| query.split('&').filter(|pair| !asks(pair)).collect::<Vec<_>>().join("&");
        Self { query: self.query.as_ref().map(kept), ..self.clone() }
    }

    /// Resolves the name: the first IPv4 address, else the first there is, for a server that listens on localhost
    /// mostly does so on 127.0.0.1. A stream of Swarmcast is `asked` for in the query and lives at `/stream` where the
    /// URL has no path; other servers get `/` then.
    ///
    /// # Errors
    /// When the name leads nowhere.
    pub fn resolve(&self, asked: Option<Asked>) -> Result<Target, TargetError> {
        let wrong = |error: String| TargetError::Resolve { host: self.host.clone(), error };
        let found = (self.host.as_str(), self.port).to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
        let found: Vec<SocketAddr> = found.collect();
        let address = found.iter().find(|address| address.is_ipv4()).or(found.first());
        let address = *address.ok_or_else(|| wrong("the name has no address".to_owned()))?;
        Ok(Target {
            url: self.text.clone(),
            transport: self.transport,
            authority: self.authority.clone(),
            path: self.request_path(asked),
            address,
            headers: Vec::new(),
            subprotocols: Vec::new(),
        })
    }

    fn request_path(&self, asked: Option<Asked>) -> String {
        if self.transport == Transport::Tcp {
            return String::new();
        }
        let default = if asked.is_some() { STREAM_PATH } else { "/" };
        let mut path = self.path.clone().unwrap_or_else(|| default.to_owned());
        let mut mark = '?';
        let mut push = |part: &str| {
            path.push(std::mem::replace(&mut mark, '&'));
            path.push_str(part);
        };
        if let Some(query) = self.query.as_deref().filter(|query| !query.is_empty()) {
            push(query);
        }
        if let Some(asked) = asked {
            let values = [
                Some(asked.profile.name().to_owned()),
                Some(asked.rate_hz.to_string()),
                asked.bits.map(|bits| bits.to_string()),
                asked.dimensions.map(|count| count.to_string()),
            ];
            for (name, value) in PARAMETERS.into_iter().zip(values) {
                if let Some(value) = value.filter(|_| self.parameter(name).is_none()) {
                    push(&format!("{name}={value}"));
                }
            }
        }
        path
    }

    /// A parameter of the query as `read` understands it.
    fn read<T>(
        &self,
        name: &'static str,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, TargetError> {
        let Some(text) = self.parameter(name) else { return Ok(None) };
        let wrong = || TargetError::Query { name, query: text.to_owned(), allowed: allowed.to_owned() };
        read(text).ok_or_else(wrong).map(Some)
    }

    /// The first value of a parameter of the query.
    fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query.as_deref()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// What `bits` may be.
pub(crate) const BITS_FORM: &str = "10, 12, 14 or 16";

/// Whether positions can have so many bits.
pub(crate) fn is_bits(bits: u8) -> bool {
    (BITS_MIN..=BITS_MAX).contains(&bits) && bits.is_multiple_of(2)
}

/// What both say, or the one that says something.
fn agree<T: Copy + PartialEq>(
    name: &'static str,
    key: &'static str,
    query: Option<T>,
    said: Option<T>,
    show: impl Fn(T) -> String,
) -> Result<Option<T>, TargetError> {
    match (query, said) {
        (Some(query), Some(said)) if query != said => {
            Err(TargetError::Disagree { name, query: show(query), key, said: show(said) })
        }
        (query, said) => Ok(said.or(query)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(url: &str, profile: Option<Profile>, rate: Option<u16>) -> String {
        let url = Url::parse(url).unwrap();
        let asked = url.ask(Said { profile, rate_hz: rate, ..Said::default() }).unwrap();
        url.resolve(Some(asked)).unwrap().path
    }

    #[test]
    fn a_stream_of_swarmcast_is_asked_for_in_the_query() {
        for (url, wanted) in [
            ("ws://127.0.0.1:7400", "/stream?profile=swarmcast.v1&rate=60"),
            ("ws://127.0.0.1:7400/ws", "/ws?profile=swarmcast.v1&rate=60"),
            ("ws://127.0.0.1:7400/", "/?profile=swarmcast.v1&rate=60"),
            ("ws://127.0.0.1:7400?rate=30", "/stream?rate=30&profile=swarmcast.v1"),
            ("ws://127.0.0.1:7400/stream?", "/stream?profile=swarmcast.v1&rate=60"),
            ("ws://127.0.0.1:7400/stream?profile=v2&rate=7", "/stream?profile=v2&rate=7"),
            ("ws://127.0.0.1:7400/a/b?key=x", "/a/b?key=x&profile=swarmcast.v1&rate=60"),
            ("tcp://127.0.0.1:7401", ""),
            ("tcp://127.0.0.1:7401/", ""),
        ] {
            assert_eq!(path(url, None, None), wanted, "{url}");
        }
        assert_eq!(path("ws://127.0.0.1:1/x", Some(Profile::V1), Some(20)), "/x?profile=v1&rate=20");
        assert_eq!(path("ws://127.0.0.1:1/x?rate=20", Some(Profile::V1), Some(20)), "/x?rate=20&profile=v1");
    }

    #[test]
    fn other_streams_keep_their_path() {
        let of = |url: &str| Url::parse(url).unwrap().resolve(None).unwrap();
        assert_eq!(of("ws://127.0.0.1:9000").path, "/");
        assert_eq!(of("ws://127.0.0.1:9000/feed?a=b&c").path, "/feed?a=b&c");
        let target = of("ws://[::1]/feed");
        assert_eq!((target.authority.as_str(), target.address), ("[::1]", "[::1]:80".parse().unwrap()));
        let target = of("WS://127.0.0.1:9000");
        assert_eq!((target.url.as_str(), target.authority.as_str()), ("WS://127.0.0.1:9000", "127.0.0.1:9000"));
        assert_eq!(of("tcp://127.0.0.1:5").transport, Transport::Tcp);
        assert!(of("ws://localhost:9000").address.ip().is_loopback());
    }

    #[test]
    fn what_the_query_says_holds_unless_something_else_is_said() {
        let url = Url::parse("ws://127.0.0.1:1/s?profile=v3&rate=25").unwrap();
        let asked = Asked { profile: Profile::V3, rate_hz: 25, bits: None, dimensions: None };
        assert_eq!(url.ask(Said::default()), Ok(asked));
        let error = |profile, rate_hz| url.ask(Said { profile, rate_hz, ..Said::default() }).unwrap_err().to_string();
        assert_eq!(
            error(Some(Profile::V1), None),
            "the query of the address says profile=v3, and `protocol` says v1: leave one out"
        );
        assert_eq!(error(None, Some(60)), "the query of the address says rate=25, and `rate` says 60: leave one out");
        let wrong = |url: &str| Url::parse(url).unwrap().ask(Said::default()).unwrap_err().to_string();
        assert_eq!(
            wrong("ws://127.0.0.1:1/?rate=500"),
            "the query of the address says rate=500; rate must be a whole number from 1 to 120"
        );
        assert_eq!(
            wrong("ws://127.0.0.1:1/?profile=v9"),
            "the query of the address says profile=v9; profile must be swarmcast.v1, swarmcast.compact, v1, v2 or v3"
        );
    }

    #[test]
    fn the_compact_profile_is_asked_for_with_bits_and_dimensions() {
        let said = Said { profile: Some(Profile::Compact), rate_hz: Some(20), bits: Some(12), dimensions: Some(2) };
        let url = Url::parse("ws://127.0.0.1:1").unwrap();
        let target = url.resolve(Some(url.ask(said).unwrap())).unwrap();
        assert_eq!(target.path, "/stream?profile=swarmcast.compact&rate=20&bits=12&dimensions=2");
        let url = Url::parse("ws://127.0.0.1:1/s?key=x&bits=12&profile=swarmcast.compact").unwrap();
        let asked = url.ask(Said::default()).unwrap();
        assert_eq!((asked.profile, asked.bits, asked.dimensions), (Profile::Compact, Some(12), None));
        let plain = url.without_asking();
        let target = plain.resolve(Some(plain.ask(Said::default()).unwrap())).unwrap();
        assert_eq!(target.path, "/s?key=x&profile=swarmcast.v1&rate=60");
        for (query, says) in
            [("bits=11", "bits must be 10, 12, 14 or 16"), ("dimensions=4", "dimensions must be 2 or 3")]
        {
            let url = Url::parse(&format!("ws://127.0.0.1:1/?{query}")).unwrap();
            assert!(url.ask(Said::default()).unwrap_err().to_string().ends_with(says), "{query}");
        }
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused_with_the_way_out() {
        for (url, says) in [
            ("wss://host/x", "wss:// needs TLS, which this tool does not speak: aim at the server's plain port"),
            ("https://host", "https:// needs TLS"),
            ("http://host:80/x", "http:// is no stream: write ws://host:80/x"),
            ("127.0.0.1:7400", "must begin with ws:// or tcp://"),
            ("udp://127.0.0.1:7400", "must begin with ws:// or tcp://"),
            ("", "must begin with ws:// or tcp://"),
            ("tcp://127.0.0.1", "tcp:// needs a port"),
            ("tcp://127.0.0.1:1/x", "tcp:// has no path; leave out /x"),
            ("ws://u:p@127.0.0.1:1/", "a name and password in the address are not sent"),
            ("ws://127.0.0.1:1/#a", "a part behind # is never sent"),
            ("ws://127.0.0.1:0/", "is not an address: the port is not"),
            ("ws://127.0.0.1:99999/", "is not an address: "),
            ("ws://127.0.0.1:/", "is not an address: "),
            ("ws://", "is not an address: "),
            ("ws:///stream", "is not an address: "),
            ("ws://a b/", "is not an address: "),
        ] {
            let error = Url::parse(url).unwrap_err().to_string();
            assert!(error.starts_with(says), "{url}: {error}");
        }
        let error = Url::parse("ws://no-such-name.invalid:1").unwrap().resolve(None).unwrap_err().to_string();
        assert!(error.starts_with("cannot resolve no-such-name.invalid: "), "{error}");
    }
}
