//! The opening of a connection, without sockets: the request of RFC 6455, and the check of its answer.

use swarmcast::wire::Profile;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use crate::plan::{Protocol, Target};

/// Longest answer: status line and headers.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// Most header lines of an answer.
const HEADERS_MAX: usize = 64;

/// What has come of an answer so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not all of it.
    Partial,
    /// It is right; this many bytes belong to it.
    Accepted(usize),
    /// It is not; the kind of error it counts as.
    Refused(String),
}

/// A request for an upgrade: its bytes, and the key that the answer must match.
#[must_use]
pub fn request(target: &Target) -> (Vec<u8>, String) {
    let key = generate_key();
    let mut out = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Version: 13\r\n",
        target.path, target.authority
    );
    if !target.subprotocols.is_empty() {
        out += &format!("Sec-WebSocket-Protocol: {}\r\n", target.subprotocols.join(", "));
    }
    for (name, value) in &target.headers {
        out += &format!("{name}: {value}\r\n");
    }
    out += "\r\n";
    (out.into_bytes(), key)
}

/// The first line of a TCP client of Swarmcast; nothing for other protocols.
#[must_use]
pub fn hello(protocol: &Protocol) -> Vec<u8> {
    match protocol {
        Protocol::Swarmcast { profile, rate_hz } => {
            format!("{{\"profile\":\"{}\",\"rate\":{rate_hz}}}\n", profile.name()).into_bytes()
        }
        Protocol::Compact(compact) => {
            let field =
                |name: &str, value: Option<u8>| value.map_or_else(String::new, |value| format!(",\"{name}\":{value}"));
            let (bits, dimensions) = (field("bits", compact.bits), field("dimensions", compact.dimensions));
            let (profile, rate_hz) = (Profile::Compact.name(), compact.rate_hz);
            format!("{{\"profile\":\"{profile}\",\"rate\":{rate_hz}{bits}{dimensions}}}\n").into_bytes()
        }
        Protocol::Generic { .. } | Protocol::JsonRpc(_) => Vec::new(),
    }
}

/// Reads the answer to a request with `key`.
#[must_use]
pub fn answer(bytes: &[u8], key: &str) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < ANSWER_BYTES_MAX => return Answer::Partial,
        _ => return Answer::Refused("handshake_not_http".to_owned()),
    };
    let status = response.code.unwrap_or(0);
    if status != 101 {
        return Answer::Refused(format!("http_{status}"));
    }
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value)
    };
    if header("Sec-WebSocket-Accept").map(<[u8]>::trim_ascii) != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Answer::Refused("handshake_bad_accept".to_owned());
    }
    if header("Sec-WebSocket-Extensions").is_some() {
        return Answer::Refused("handshake_unasked_extension".to_owned());
    }
    Answer::Accepted(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_says_what_is_asked_for_and_no_more() {
        let of = |bits, dimensions| {
            let compact = crate::plan::Compact { rate_hz: 20, bits, dimensions, interest: None, ack_every: 0 };
            String::from_utf8(hello(&Protocol::Compact(compact))).unwrap()
        };
        assert_eq!(of(None, None), "{\"profile\":\"swarmcast.compact\",\"rate\":20}\n");
        let all = "{\"profile\":\"swarmcast.compact\",\"rate\":20,\"bits\":12,\"dimensions\":2}\n";
        assert_eq!(of(Some(12), Some(2)), all);
    }

    #[test]
    fn an_answer_is_read_in_any_pieces() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x02frame";
        let length = good.len() - 6;
        for end in 0..length {
            assert_eq!(answer(&good.as_bytes()[..end], key), Answer::Partial, "{end}");
        }
        assert_eq!(answer(good.as_bytes(), key), Answer::Accepted(length));
        let refused = |bytes: &[u8]| match answer(bytes, key) {
            Answer::Refused(kind) => kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(b"HTTP/1.1 503 Full\r\n\r\n"), "http_503");
        assert_eq!(refused(good.replace("s3p", "s4p").as_bytes()), "handshake_bad_accept");
        assert_eq!(refused(b"HTTP/1.1 101 x\r\n\r\n"), "handshake_bad_accept");
        assert_eq!(
            refused(good.replace("Upgrade: w", "Sec-WebSocket-Extensions: x\r\nA: w").as_bytes()),
            "handshake_unasked_extension"
        );
        assert_eq!(refused(b"SSH-2.0-x\r\n\r\n"), "handshake_not_http");
        let endless = [b"HTTP/1.1 101 x\r\nA: ".to_vec(), vec![b'a'; ANSWER_BYTES_MAX]].concat();
        assert_eq!(refused(&endless), "handshake_not_http");
    }
}
