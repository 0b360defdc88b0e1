//! The URIs of the resources, `graph://..` and one each of the sets `memory` and `view`, taken apart and put together.

use std::borrow::Cow;

/// The whole graph as the reference memory server has it.
const MEMORY: &str = "memory://knowledge-graph";

/// The page of a host that shows the live graph.
pub(super) const APP: &str = "ui://graph/view";

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uri<'uri> {
    /// `graph://overview`
    Overview,
    /// `graph://schema`
    Schema,
    /// `graph://agents`
    Agents,
    /// `graph://layout`
    Layout,
    /// `graph://stats`
    Stats,
    /// `graph://changes`
    Changes,
    /// `memory://knowledge-graph`, of the set `memory`
    Memory,
    /// `ui://graph/view`, of the set `view`
    App,
    /// `graph://help/{page}`
    Help {
        /// tools, query or agents.
        page: &'uri str,
    },
    /// `graph://node/{id}`
    Node {
        /// Decoded.
        key: Cow<'uri, str>,
    },
    /// `graph://node/{id}/neighbors{?hops,limit}`
    Neighbours {
        /// Decoded.
        key: Cow<'uri, str>,
        /// As written.
        hops: Option<u32>,
        /// As written.
        limit: Option<u32>,
    },
    /// `graph://edge/{id}`
    Edge {
        /// Its number.
        id: u32,
    },
    /// `graph://agent/{id}`
    Agent {
        /// Decoded.
        key: Cow<'uri, str>,
    },
    /// `graph://agent/{id}/events`
    AgentEvents {
        /// Decoded.
        key: Cow<'uri, str>,
    },
    /// `graph://task/{id}`
    Task {
        /// Decoded.
        key: Cow<'uri, str>,
    },
    /// `graph://export/{id}/{part}`
    Export {
        /// As it was given out.
        name: &'uri str,
        /// From 0.
        part: usize,
    },
    /// `graph://view/{name}.{format}`
    View {
        /// Of a view that is kept, decoded.
        name: Cow<'uri, str>,
        /// png, svg or json.
        format: &'uri str,
    },
    /// `graph://snapshot/{name}`
    Snapshot {
        /// Decoded.
        name: Cow<'uri, str>,
    },
}

/// Takes a URI apart; `None` when it is none of ours.
#[must_use]
pub fn parse(uri: &str) -> Option<Uri<'_>> {
    if uri == MEMORY {
        return Some(Uri::Memory);
    }
    if uri == APP {
        return Some(Uri::App);
    }
    let rest = uri.strip_prefix("graph://")?;
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let parts: Vec<&str> = path.split('/').collect();
    let known = match parts.as_slice() {
        ["overview"] => Uri::Overview,
        ["schema"] => Uri::Schema,
        ["agents"] => Uri::Agents,
        ["layout"] => Uri::Layout,
        ["stats"] => Uri::Stats,
        ["changes"] => Uri::Changes,
        ["help", page @ ("tools" | "query" | "agents")] => Uri::Help { page },
        ["node", key] if !key.is_empty() => Uri::Node { key: decode(key)? },
        ["agent", key] if !key.is_empty() => Uri::Agent { key: decode(key)? },
        ["agent", key, "events"] if !key.is_empty() => Uri::AgentEvents { key: decode(key)? },
        ["task", key] if !key.is_empty() => Uri::Task { key: decode(key)? },
        ["edge", id] => Uri::Edge { id: id.parse().ok()? },
        ["export", name] if !name.is_empty() => Uri::Export { name, part: 0 },
        ["export", name, part] if !name.is_empty() => Uri::Export { name, part: part.parse().ok()? },
        ["view", name] => match name.rsplit_once('.')? {
            (name, format @ ("png" | "svg" | "json")) if !name.is_empty() => Uri::View { name: decode(name)?, format },
            _ => return None,
        },
        ["snapshot", name] if !name.is_empty() => Uri::Snapshot { name: decode(name)? },
        ["node", key, "neighbors"] if !key.is_empty() => {
            let (mut hops, mut limit) = (None, None);
            for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
                match pair.split_once('=')? {
                    ("hops", value) => hops = Some(value.parse().ok()?),
                    ("limit", value) => limit = Some(value.parse().ok()?),
                    _ => return None,
                }
            }
            return Some(Uri::Neighbours { key: decode(key)?, hops, limit });
        }
        _ => return None,
    };
    query.is_none().then_some(known)
}

/// Percent-decodes; `None` when an escape is broken or the result is not UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        let digits = std::str::from_utf8(&digits).ok().filter(|text| text.bytes().all(|it| it.is_ascii_hexdigit()))?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// Percent-encodes everything but letters, digits and `-._~`.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_taken_apart() {
        assert_eq!(parse("memory://knowledge-graph"), Some(Uri::Memory));
        assert_eq!(parse("graph://export/0a/3"), Some(Uri::Export { name: "0a", part: 3 }));
        assert_eq!(parse("graph://node/a%2Fb%20c"), Some(Uri::Node { key: "a/b c".into() }));
        assert_eq!(parse("graph://edge/7"), Some(Uri::Edge { id: 7 }));
        assert_eq!(parse("graph://view/a%20b.c.png"), Some(Uri::View { name: "a b.c".into(), format: "png" }));
        assert_eq!(parse("graph://snapshot/v1-2"), Some(Uri::Snapshot { name: "v1-2".into() }));
        let neighbours = parse("graph://node/x/neighbors?hops=2&limit=9");
        assert_eq!(neighbours, Some(Uri::Neighbours { key: "x".into(), hops: Some(2), limit: Some(9) }));
        for bad in [
            "graph://",
            "graph://node/",
            "graph://node/%",
            "graph://node/%+1",
            "graph://node/%ff",
            "http://a",
            "memory://",
            "memory://knowledge-graph/x",
            "graph://overview?x",
            "graph://edge/-1",
            "graph://help/x",
            "graph://view/main",
            "graph://view/.png",
            "graph://view/main.gif",
            "graph://snapshot/",
            "graph://snapshot/a/b",
            "graph://node/x/neighbors?hops=x",
            "graph://node/a/b",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_key_has_a_uri(key in ".+") {
            let uri = format!("graph://node/{}", encode(&key));
            proptest::prop_assert_eq!(parse(&uri), Some(Uri::Node { key: key.into() }));
        }
    }
}
