//! HTTP/1.1 as the door speaks it: a request head taken apart with httparse, and answers put together.

use bytes::Bytes;

use crate::handoff::Query;
use crate::wire::{PROBLEM_JSON, RETRY_AFTER_S, problem};

/// Bytes of a request line and its headers.
pub const HEAD_BYTES_MAX: usize = 8 << 10;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// A request head, with what the door looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// As sent.
    pub method: String,
    /// Before the question mark.
    pub path: String,
    /// Behind it, decoded, in order.
    pub query: Query,
    /// Lower-case names, in order.
    pub headers: Vec<(String, String)>,
    /// HTTP/1.1 rather than 1.0, which knows no upgrade.
    pub http_1_1: bool,
    /// HTTP/1.1, or 1.0 with keep-alive, and no `Connection: close`.
    pub keep_alive: bool,
    /// Announced bytes of a body.
    pub content_length: u64,
    /// The body comes in chunks instead.
    pub chunked: bool,
}

/// Why bytes are not a request; carries the status to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRequest {
    /// 400, 413, 431, 501 or 505.
    pub status: u16,
    /// For a person.
    pub message: &'static str,
}

impl Request {
    /// The value of the first header called `name` (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The value of a query parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    /// Whether a comma-separated header holds `token`, case apart.
    #[must_use]
    pub fn header_has(&self, name: &str, token: &str) -> bool {
        self.headers
            .iter()
            .filter(|(found, _)| found == name)
            .flat_map(|(_, value)| value.split(','))
            .any(|found| found.trim().eq_ignore_ascii_case(token))
    }
}

/// Takes a request head off the front of `bytes`: the request and the bytes it took, or `None` while it is unfinished.
///
/// # Errors
/// [`BadRequest`], after which the connection is of no use.
pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, BadRequest> {
    let bad = |status, message| BadRequest { status, message };
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let taken = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(taken)) if taken <= HEAD_BYTES_MAX => taken,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(_) => return Err(bad(431, "the request head is longer than 8192 bytes")),
        Err(httparse::Error::TooManyHeaders) => return Err(bad(431, "the request has more than 64 headers")),
        Err(httparse::Error::Version) => return Err(bad(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")),
        Err(_) => return Err(bad(400, "this is not an HTTP request")),
    };
    let target = parsed.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Vec::with_capacity(parsed.headers.len());
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).map_err(|_| bad(400, "a header is not UTF-8"))?;
        headers.push((header.name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request {
        method: parsed.method.unwrap_or("").to_owned(),
        path: path.to_owned(),
        query: parse_query(query).ok_or(bad(400, "the query is not percent-encoded UTF-8"))?,
        headers,
        http_1_1: parsed.version == Some(1),
        keep_alive: false,
        content_length: 0,
        chunked: false,
    };
    if let Some(coding) = request.header("transfer-encoding") {
        if !coding.eq_ignore_ascii_case("chunked") || !request.http_1_1 {
            return Err(bad(501, "of transfer codings, chunked alone is known, and that of HTTP/1.1"));
        }
        // Who believes the one and who the other would see different requests.
        if request.header("content-length").is_some() {
            return Err(bad(400, "a chunked body has no Content-Length"));
        }
        request.chunked = true;
    }
    let mut lengths = request.headers.iter().filter(|(name, _)| name == "content-length");
    if let Some((_, length)) = lengths.next() {
        request.content_length = length.parse().map_err(|_| bad(400, "Content-Length is not a number"))?;
    }
    if request.headers.iter().filter(|(name, _)| name == "content-length").count() > 1 {
        return Err(bad(400, "Content-Length is given twice"));
    }
    request.keep_alive = match parsed.version {
        Some(1) => !request.header_has("connection", "close"),
        _ => request.header_has("connection", "keep-alive"),
    };
    if parsed.version == Some(1) && request.header("host").is_none() {
        return Err(bad(400, "an HTTP/1.1 request names its Host"));
    }
    Ok(Some((request, taken)))
}

/// The chunked body at the front of `bytes`, put together, and the bytes it took; `None` while it is unfinished.
///
/// # Errors
/// [`BadRequest`] when it is no such body, or longer than `limit`.
pub fn parse_chunks(bytes: &[u8], limit: usize) -> Result<Option<(Vec<u8>, usize)>, BadRequest> {
    let broken = BadRequest { status: 400, message: "the chunked body is broken" };
    let (mut at, mut body) = (0, Vec::new());
    loop {
        let rest = bytes.get(at..).unwrap_or(&[]);
        let (head, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((head, size))) => (head, usize::try_from(size).unwrap_or(usize::MAX)),
            Ok(httparse::Status::Partial) if rest.len() < HEAD_BYTES_MAX => return Ok(None),
            _ => return Err(broken),
        };
        at += head;
        if size == 0 {
            break;
        }
        if size > limit.saturating_sub(body.len()) {
            return Err(BadRequest { status: 413, message: "the body is too long" });
        }
        let Some(chunk) = bytes.get(at..at + size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        at += size;
        match bytes.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(_) => return Err(broken),
            None => return Ok(None),
        }
    }
    // Trailers say nothing that is asked for here.
    let rest = bytes.get(at..).unwrap_or(&[]);
    if rest.starts_with(b"\r\n") {
        return Ok(Some((body, at + 2)));
    }
    match rest.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(end) => Ok(Some((body, at + end + 4))),
        None if rest.len() < HEAD_BYTES_MAX => Ok(None),
        None => Err(broken),
    }
}

fn parse_query(query: &str) -> Option<Query> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect::<Option<_>>()
        .map(Query)
}

/// Percent-decodes one part of a query; `None` when an escape is broken or the result is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                u8::from_str_radix(digits, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// An answer before it is bytes.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// MIME type of the body.
    pub content_type: &'static str,
    /// First bytes of the body, the answer's own.
    pub lead: Bytes,
    /// The rest of the body, which many answers may share.
    pub body: Bytes,
    /// Further header lines, each with its line end.
    pub extra: String,
}

impl Response {
    /// An answer with a body.
    #[must_use]
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, lead: Bytes::new(), body: body.into(), extra: String::new() }
    }

    /// An error as problem details.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str, paths: &[&str]) -> Self {
        Self::new(status, PROBLEM_JSON, problem(status, code, message, paths)).with_retry_after()
    }

    /// Says when to come again, if there is a point in it.
    #[must_use]
    pub fn with_retry_after(self) -> Self {
        if self.status == 503 { self.with("Retry-After", &RETRY_AFTER_S.to_string()) } else { self }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.extra.push_str(name);
        self.extra.push_str(": ");
        self.extra.push_str(value);
        self.extra.push_str("\r\n");
        self
    }

    /// Status line and headers. The body follows unless the request was a HEAD.
    #[must_use]
    pub fn head(&self, keep_alive: bool) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n\
             X-Content-Type-Options: nosniff\r\nCache-Control: no-cache\r\n{}\r\n",
            self.status,
            reason.unwrap_or("Unknown"),
            self.content_type,
            self.lead.len() + self.body.len(),
            if keep_alive { "keep-alive" } else { "close" },
            self.extra,
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_apart_and_its_end_is_found() {
        let bytes = b"GET /stream?profile=v1&rate=60&x=%41+b HTTP/1.1\r\nHost: h\r\nUpgrade:  websocket \r\n\r\nrest";
        for cut in 0..bytes.len() - 4 {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
        let (request, taken) = parse(bytes).unwrap().unwrap();
        assert_eq!(&bytes[taken..], b"rest");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/stream"));
        assert_eq!((request.parameter("profile"), request.parameter("x")), (Some("v1"), Some("A b")));
        assert!(request.header_has("upgrade", "WebSocket") && request.keep_alive);
    }

    #[test]
    fn bad_heads_have_their_status() {
        let status = |bytes: &[u8]| parse(bytes).unwrap_err().status;
        assert_eq!(status(b"\x16\x03\x01 tls\r\n\r\n"), 400);
        assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), 400, "no host");
        assert_eq!(status(b"GET /?a=%zz HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
        assert_eq!(status(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 501);
        let both = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(status(both), 400);
        assert_eq!(status(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400);
        let mut long = b"GET / HTTP/1.1\r\nHost: h\r\nX: ".to_vec();
        long.resize(HEAD_BYTES_MAX + 1, b'x');
        assert_eq!(status(&long), 431);
        let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(70));
        assert_eq!(status(many.as_bytes()), 431);
    }

    #[test]
    fn chunks_are_put_together_and_their_end_is_found() {
        let whole = b"4;x=y\r\nWiki\r\nC\r\npedia in \r\nc\r\n0\r\nA: b\r\n\r\nGET /";
        for cut in 0..whole.len() - 5 {
            assert_eq!(parse_chunks(&whole[..cut], 64), Ok(None), "cut at {cut}");
        }
        let (body, taken) = parse_chunks(whole, 64).unwrap().unwrap();
        assert_eq!((&body[..], &whole[taken..]), (&b"Wikipedia in \r\nc"[..], &b"GET /"[..]));
        assert_eq!(parse_chunks(b"0\r\n\r\n", 0), Ok(Some((Vec::new(), 5))));
        assert_eq!(parse_chunks(whole, 5).unwrap_err().status, 413);
        assert_eq!(parse_chunks(b"4\r\nWikix\r\n", 64).unwrap_err().status, 400);
        assert_eq!(parse_chunks(b"zz\r\n", 64).unwrap_err().status, 400);
        assert_eq!(parse_chunks(b"ffffffffffffffff\r\n", 64).unwrap_err().status, 413);
    }

    #[test]
    fn an_answer_has_a_length_and_a_reason() {
        let response = Response::error(503, "full", "the server is full", &[]);
        let head = String::from_utf8(response.head(false)).unwrap();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", response.body.len())), "{head}");
        assert!(head.contains("Retry-After: 1\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = parse(&bytes);
            let _ = parse_chunks(&bytes, 100);
        }
    }
}
