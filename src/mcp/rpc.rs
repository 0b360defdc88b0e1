//! JSON-RPC 2.0: one line to a message, and errors to lines. Borrowed in, written straight out.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::limits::{MCP_DEPTH_MAX, MCP_ID_BYTES_MAX, MCP_MEMBERS_MAX};

/// Codes of the specification, and our own outside of what it reserves.
pub mod code {
    /// The line is no JSON, or nested too deeply.
    pub const PARSE: i32 = -32700;
    /// JSON, but no request.
    pub const REQUEST: i32 = -32600;
    /// There is no such method.
    pub const METHOD: i32 = -32601;
    /// The parameters are not what the method takes; also: no such tool, prompt, or (from 2026-07-28) resource.
    pub const PARAMS: i32 = -32602;
    /// Our fault.
    pub const INTERNAL: i32 = -32603;
    /// No such resource, up to 2025-11-25.
    pub const RESOURCE: i32 = -32002;
    /// The protocol version is not spoken here.
    pub const VERSION: i32 = -32022;
    /// The client has not said that it can do what this needs.
    pub const CAPABILITY: i32 = -32021;
    /// A header of HTTP does not say what the message says.
    pub const HEADER: i32 = -32020;
    /// Who asks has not said who it is, or may not do this.
    pub const FORBIDDEN: i32 = 4_001;
    /// Too much was asked; `data.retry_after_ms` says when to ask again.
    pub const RATE: i32 = 4_029;
    /// There is no room for this connection.
    pub const FULL: i32 = 4_503;
}

/// An error of the protocol: the request was not run.
#[derive(Clone, Debug, PartialEq)]
pub struct RpcError {
    /// One of [`code`].
    pub code: i32,
    /// For a person.
    pub message: Cow<'static, str>,
    /// JSON to go with it.
    pub data: Option<serde_json::Value>,
}

impl RpcError {
    /// An error of this code.
    #[must_use]
    pub fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// There is no resource of this URI.
    #[must_use]
    pub fn no_resource(uri: &str) -> Self {
        Self::new(code::RESOURCE, "there is no such resource").with(serde_json::json!({ "uri": uri }))
    }

    /// The same, with JSON to go with it.
    #[must_use]
    pub fn with(self, data: serde_json::Value) -> Self {
        Self { data: Some(data), ..self }
    }

    /// Writes the line. Without `id` when the request's could not be read.
    pub fn write(&self, id: Option<&RawValue>, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"jsonrpc":"2.0","#);
        if let Some(id) = id {
            out.extend_from_slice(br#""id":"#);
            out.extend_from_slice(id.get().as_bytes());
            out.push(b',');
        }
        out.extend_from_slice(br#""error":{"code":"#);
        out.extend_from_slice(self.code.to_string().as_bytes());
        out.extend_from_slice(br#","message":"#);
        text(&self.message, out);
        if let Some(data) = &self.data {
            out.extend_from_slice(br#","data":"#);
            out.extend_from_slice(data.to_string().as_bytes());
        }
        out.extend_from_slice(b"}}\n");
    }
}

/// Writes `text` as a JSON string.
pub fn text(text: &str, out: &mut Vec<u8>) {
    // Writing to a Vec does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// What a line says.
#[derive(Debug)]
pub enum Message<'line> {
    /// It wants an answer.
    Request {
        /// As sent.
        id: &'line RawValue,
        /// What to do.
        method: Cow<'line, str>,
        /// With what.
        params: Option<&'line RawValue>,
    },
    /// It does not.
    Notification {
        /// What has happened.
        method: Cow<'line, str>,
        /// With what.
        params: Option<&'line RawValue>,
    },
    /// An answer to something that was asked of the client.
    Response {
        /// As it was asked.
        id: &'line RawValue,
        /// The result, or the error.
        answer: Result<&'line RawValue, &'line RawValue>,
    },
}

#[derive(Deserialize)]
struct Envelope<'line> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'line, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'line RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'line, str>>,
    #[serde(borrow)]
    params: Option<&'line RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'line RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'line RawValue>,
}

/// A member that is there, even when it is null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A refusal, and the id to answer it with where one could be read.
pub type Refused<'line> = (Option<&'line RawValue>, RpcError);

/// Takes a line apart.
///
/// # Errors
/// [`code::PARSE`] for what is no JSON or nested too deeply, [`code::REQUEST`] for what is no JSON-RPC message.
pub fn parse(line: &[u8]) -> Result<Message<'_>, Refused<'_>> {
    let refuse = |code, message| Err((None, RpcError::new(code, message)));
    let Ok(line) = std::str::from_utf8(line) else {
        return refuse(code::PARSE, "the line is not UTF-8");
    };
    shape(line.as_bytes()).map_err(|error| (None, error))?;
    if line.trim_ascii_start().starts_with('[') {
        let message = "batches are not taken: send one JSON object a line";
        return match serde_json::from_str::<&RawValue>(line) {
            Ok(_) => refuse(code::REQUEST, message),
            Err(_) => refuse(code::PARSE, "the line is not JSON"),
        };
    }
    let envelope: Envelope<'_> = match serde_json::from_str(line) {
        Ok(envelope) => envelope,
        Err(error) if error.is_data() && serde_json::from_str::<&RawValue>(line).is_ok() => {
            return refuse(code::REQUEST, "the line is not a JSON-RPC message");
        }
        Err(error) => {
            let message = format!("the line is not JSON: column {}", error.column());
            return Err((None, RpcError::new(code::PARSE, message)));
        }
    };
    let id = match envelope.id {
        None => None,
        Some(id) if is_id(id) => Some(id),
        Some(_) => {
            let message = format!("id must be a string or a whole number of at most {MCP_ID_BYTES_MAX} bytes");
            return Err((None, RpcError::new(code::REQUEST, message)));
        }
    };
    if envelope.jsonrpc.as_deref() != Some("2.0") {
        return Err((id, RpcError::new(code::REQUEST, "jsonrpc must be \"2.0\"")));
    }
    match (envelope.method, id) {
        (Some(_), _) if envelope.params.is_some_and(|params| !params.get().starts_with('{')) => {
            Err((id, RpcError::new(code::PARAMS, "params must be an object")))
        }
        (Some(method), Some(id)) => Ok(Message::Request { id, method, params: envelope.params }),
        (Some(method), None) => Ok(Message::Notification { method, params: envelope.params }),
        (None, Some(id)) => match (envelope.result, envelope.error) {
            (_, Some(error)) => Ok(Message::Response { id, answer: Err(error) }),
            (Some(result), None) => Ok(Message::Response { id, answer: Ok(result) }),
            (None, None) => Err((Some(id), RpcError::new(code::REQUEST, "method is missing"))),
        },
        (None, None) => Err((id, RpcError::new(code::REQUEST, "method is missing"))),
    }
}

/// A string, or a whole number; not null.
pub(super) fn is_id(id: &RawValue) -> bool {
    let text = id.get();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= MCP_ID_BYTES_MAX && (text.starts_with('"') || whole)
}

/// Checks depth and breadth in one pass over the bytes, before anything recurses into them.
fn shape(line: &[u8]) -> Result<(), RpcError> {
    // What opens and parts so little cannot be too deep, or too broad.
    let count = |is: fn(&u8) -> bool| line.iter().fold(0usize, |count, byte| count + usize::from(is(byte)));
    if count(|byte| matches!(byte, b'{' | b'[')) <= MCP_DEPTH_MAX && count(|byte| *byte == b',') < MCP_MEMBERS_MAX {
        return Ok(());
    }
    // Members of the objects that are open; `None` for a list, whose items their tool counts.
    let mut members = [None; MCP_DEPTH_MAX];
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for byte in line {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                let Some(count) = members.get_mut(depth) else {
                    let message = format!("the line is nested more than {MCP_DEPTH_MAX} deep");
                    return Err(RpcError::new(code::PARSE, message));
                };
                *count = (*byte == b'{').then_some(1usize);
                depth += 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => {
                let open = depth.checked_sub(1).and_then(|depth| members.get_mut(depth));
                let Some(Some(count)) = open else { continue };
                *count += 1;
                if *count > MCP_MEMBERS_MAX {
                    let message = format!("an object of the line has more than {MCP_MEMBERS_MAX} members");
                    return Err(RpcError::new(code::PARSE, message));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a first line is HTTP or anything else that is not JSON-RPC: the connection is closed without a word, so that a
/// page in a browser cannot make it speak (a `POST` whose body is a request is the case in point).
#[must_use]
pub fn is_foreign(line: &[u8]) -> bool {
    !line.trim_ascii_start().starts_with(b"{") || serde_json::from_slice::<&RawValue>(line).is_err()
}

/// Whether a line is a header of HTTP that no JSON-RPC client sends.
#[must_use]
pub fn is_http_header(line: &[u8]) -> bool {
    line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"host:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> (bool, i32) {
        let (id, error) = parse(line.as_bytes()).unwrap_err();
        (id.is_some(), error.code)
    }

    #[test]
    fn ids_are_kept_byte_for_byte() {
        for id in ["1", "-7", "\"a\\u0041\"", "18446744073709551616", "\"\""] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#);
            let Message::Request { id: found, .. } = parse(line.as_bytes()).unwrap() else { panic!("{line}") };
            assert_eq!(found.get(), id);
        }
    }

    #[test]
    fn what_is_no_message_has_its_code() {
        let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
        let broad =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{{}"z":1}}}}"#, r#""a":1,"#.repeat(4_096));
        let long_id = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"m"}}"#, "x".repeat(256));
        let table = [
            ("{", (false, code::PARSE)),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"} x", (false, code::PARSE)),
            ("[]", (false, code::REQUEST)),
            ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}]", (false, code::REQUEST)),
            ("[1", (false, code::PARSE)),
            ("7", (false, code::REQUEST)),
            (r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, (false, code::REQUEST)),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#, (false, code::REQUEST)),
            (r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, (false, code::REQUEST)),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#, (false, code::REQUEST)),
            (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, (true, code::REQUEST)),
            (r#"{"id":1,"method":"m"}"#, (true, code::REQUEST)),
            (r#"{"jsonrpc":"2.0","id":1}"#, (true, code::REQUEST)),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, (false, code::REQUEST)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#, (true, code::PARAMS)),
            (&deep, (false, code::PARSE)),
            (&broad, (false, code::PARSE)),
            (&long_id, (false, code::REQUEST)),
        ];
        for (line, expected) in table {
            assert_eq!(refusal(line), expected, "{}", &line[..line.len().min(80)]);
        }
        assert!(parse(b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}").is_err());
        assert!(matches!(parse(br#"{"jsonrpc":"2.0","id":1,"result":null}"#), Ok(Message::Response { .. })));
        assert!(matches!(parse(br#"{"jsonrpc":"2.0","method":"n"}"#), Ok(Message::Notification { .. })));
    }

    #[test]
    fn a_first_line_that_is_no_json_object_is_foreign() {
        for line in ["POST / HTTP/1.1", "GET /", "PRI * HTTP/2.0", "{not json", "[]", "\"x\"", "\u{16}\u{3}"] {
            assert!(is_foreign(line.as_bytes()), "{line}");
        }
        assert!(!is_foreign(br#" {"jsonrpc":"2.0"}"#));
        assert!(is_http_header(b"Host: a") && is_http_header(b"host:a") && !is_http_header(b"{}"));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse(&bytes);
            let _ = is_foreign(&bytes);
        }
    }
}
