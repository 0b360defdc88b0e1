//! Results to lines, in the shape of the revision that asked. Text that comes from the graph is data: what cannot be seen of it
//! (control, bidirectional, zero-width and tag characters) leaves as JSON escapes, which keeps it exact and makes it visible.

use serde_json::value::RawValue;

use super::Server;
use super::era::Version;
use super::rpc::text;

/// Where a server says who it is.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// How long a client may keep a list, ms.
const LIST_TTL_MS: u64 = 300_000;

/// One block of a tool's result, or of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Text.
    Text(String),
    /// A picture.
    Image {
        /// MIME type.
        mime: &'static str,
        /// Base64.
        data: String,
    },
    /// Where to read more.
    Link {
        /// A resource of this server.
        uri: String,
        /// For a person.
        name: String,
        /// MIME type.
        mime: &'static str,
    },
}

/// What a tool says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolResult {
    /// A JSON object, as it stands in the tool's `outputSchema`.
    pub structured: Option<String>,
    /// Blocks. Empty, with `structured`, they are that as one text.
    pub content: Vec<Content>,
    /// It could not be done; the text says why and what to do.
    pub is_error: bool,
}

/// What a request comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Of `tools/call`.
    Tool(ToolResult),
    /// Of `resources/read`.
    Resource {
        /// Which.
        uri: String,
        /// MIME type.
        mime: &'static str,
        /// Text, or base64.
        body: Body,
        /// How long it may be kept, ms.
        ttl_ms: u64,
        /// `_meta` of it, a JSON object.
        meta: Option<Box<str>>,
    },
    /// Of `prompts/get`: one message of the user.
    Prompt {
        /// What it is for.
        description: String,
        /// What is said.
        text: String,
    },
    /// Of `completion/complete`.
    Completion {
        /// At most 100.
        values: Vec<String>,
        /// How many there are.
        total: usize,
    },
    /// Of any of these, as it stands on the wire.
    Members {
        /// `resultType` of 2026-07-28: `complete`, or `input_required` where the client is asked for more.
        kind: &'static str,
        /// The members of the result, without their braces.
        members: String,
    },
}

/// What a resource holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Text.
    Text(String),
    /// Bytes, in base64.
    Blob(String),
}

/// Writes the line of a result.
pub fn write(server: &Server, version: Version, id: &RawValue, reply: &Reply, out: &mut Vec<u8>) {
    match reply {
        Reply::Members { kind, .. } => begin_as(server, version, id, kind, out),
        _ => begin(server, version, id, out),
    }
    match reply {
        Reply::Members { members, .. } => visible(members, out),
        Reply::Tool(result) => tool(version, result, out),
        Reply::Resource { uri, mime, body, ttl_ms, meta } => {
            cache(version, *ttl_ms, "private", out);
            out.extend_from_slice(br#""contents":[{"uri":"#);
            visible_text(uri, out);
            member("mimeType", mime, out);
            match body {
                Body::Text(body) => {
                    out.extend_from_slice(br#","text":"#);
                    visible_text(body, out);
                }
                Body::Blob(body) => member("blob", body, out),
            }
            if let Some(meta) = meta {
                out.extend_from_slice(br#","_meta":"#);
                visible(meta, out);
            }
            out.extend_from_slice(b"}]");
        }
        Reply::Prompt { description, text: said } => {
            out.extend_from_slice(br#""description":"#);
            text(description, out);
            out.extend_from_slice(br#","messages":[{"role":"user","content":{"type":"text","text":"#);
            visible_text(said, out);
            out.extend_from_slice(b"}}]");
        }
        Reply::Completion { values, total } => {
            out.extend_from_slice(br#""completion":{"values":["#);
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                visible_text(value, out);
            }
            let more = *total > values.len();
            out.extend_from_slice(format!(r#"],"total":{total},"hasMore":{more}}}"#).as_bytes());
        }
    }
    end(out);
}

/// The beginning of a result's line, up to and with what every result of the revision carries.
pub fn begin(server: &Server, version: Version, id: &RawValue, out: &mut Vec<u8>) {
    begin_as(server, version, id, "complete", out);
}

fn begin_as(server: &Server, version: Version, id: &RawValue, kind: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.get().as_bytes());
    out.extend_from_slice(br#","result":{"#);
    if version.is_modern() {
        out.extend_from_slice(br#""resultType":""#);
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(&server.modern_lead);
    }
}

/// Its end. A comma that nothing followed goes.
pub fn end(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.extend_from_slice(b"}}\n");
}

/// Writes the line of a list that is always the same.
pub fn write_list(server: &Server, version: Version, id: &RawValue, list: &[u8], scope: &str, out: &mut Vec<u8>) {
    begin(server, version, id, out);
    cache(version, LIST_TTL_MS, scope, out);
    out.extend_from_slice(list);
    end(out);
}

/// How long a result may be kept, for revisions that say so.
pub fn cache(version: Version, ttl_ms: u64, scope: &str, out: &mut Vec<u8>) {
    if version.is_modern() {
        out.extend_from_slice(format!(r#""ttlMs":{ttl_ms},"cacheScope":"{scope}","#).as_bytes());
    }
}

fn member(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b',');
    text(name, out);
    out.push(b':');
    text(value, out);
}

fn tool(version: Version, result: &ToolResult, out: &mut Vec<u8>) {
    out.extend_from_slice(br#""content":["#);
    let mut first = true;
    if let (Some(structured), true) = (&result.structured, result.content.is_empty()) {
        text_block(structured, out);
        first = false;
    }
    for block in &result.content {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        content(version, block, out);
    }
    out.push(b']');
    if let (Some(structured), true) = (&result.structured, version.has_structured()) {
        out.extend_from_slice(br#","structuredContent":"#);
        visible(structured, out);
    }
    if result.is_error {
        out.extend_from_slice(br#","isError":true"#);
    }
}

/// The block of a text.
fn text_block(said: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"text","text":"#);
    visible_text(said, out);
    out.push(b'}');
}

fn content(version: Version, block: &Content, out: &mut Vec<u8>) {
    match block {
        Content::Text(said) => text_block(said, out),
        Content::Image { mime, data } => {
            out.extend_from_slice(br#"{"type":"image","data":""#);
            out.extend_from_slice(data.as_bytes());
            out.push(b'"');
            member("mimeType", mime, out);
            out.push(b'}');
        }
        Content::Link { uri, name, mime } if version.has_structured() => {
            out.extend_from_slice(br#"{"type":"resource_link","uri":"#);
            visible_text(uri, out);
            out.extend_from_slice(br#","name":"#);
            visible_text(name, out);
            member("mimeType", mime, out);
            out.push(b'}');
        }
        Content::Link { uri, .. } => text_block(uri, out),
    }
}

/// Whether a character says something to a program and nothing to an eye.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e01ef}')
}

/// The usual case, found fast.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    // Without a way out in the middle of a chunk its bytes are looked at together.
    text.as_bytes().chunks(64).all(|chunk| chunk.iter().fold(true, |all, byte| all & is_plain(byte)))
}

/// Whether a text leaves as it is.
#[must_use]
pub fn is_visible(text: &str) -> bool {
    is_plain(text) || !text.chars().any(is_invisible)
}

/// Writes JSON with every invisible character escaped.
pub fn visible(json: &str, out: &mut Vec<u8>) {
    if is_plain(json) {
        return out.extend_from_slice(json.as_bytes());
    }
    let mut letter_bytes = [0; 4];
    for letter in json.chars() {
        if is_invisible(letter) {
            let mut units = [0u16; 2];
            for unit in letter.encode_utf16(&mut units) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
        } else {
            out.extend_from_slice(letter.encode_utf8(&mut letter_bytes).as_bytes());
        }
    }
}

/// Writes a plain text as a JSON string. JSON in a string is quotes for the most part: what is between them is not worth a copy of its own.
fn plain_text(said: &str, out: &mut Vec<u8>) {
    const CHUNK: usize = 64;
    out.reserve(said.len() + said.len() / 4 + 2);
    out.push(b'"');
    for chunk in said.as_bytes().chunks(CHUNK) {
        // Each byte may need one in front of it.
        let (mut written, mut count) = ([0; 2 * CHUNK], 0);
        let mut put = |byte: u8, is_there: bool| {
            if let Some(place) = written.get_mut(count) {
                *place = byte;
            }
            count += usize::from(is_there);
        };
        for byte in chunk {
            let letter = match byte {
                b'\n' => b'n',
                b'\t' => b't',
                other => *other,
            };
            put(b'\\', matches!(byte, b'"' | b'\\' | b'\n' | b'\t'));
            put(letter, true);
        }
        out.extend_from_slice(written.get(..count).unwrap_or(&[]));
    }
    out.push(b'"');
}

/// Writes a text as a JSON string in which nothing is invisible even after it was decoded.
fn visible_text(said: &str, out: &mut Vec<u8>) {
    if is_plain(said) {
        return plain_text(said, out);
    }
    let mut seen = Vec::with_capacity(said.len() + 16);
    visible(said, &mut seen);
    text(&String::from_utf8_lossy(&seen), out);
}

/// A text without what cannot be seen, and of at most so many characters: for pictures and completions.
#[must_use]
pub fn printable(said: &str, letters_max: usize) -> String {
    let shown = said.chars().filter(|letter| !letter.is_control() && !is_invisible(*letter));
    shown.take(letters_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn plain_text_is_written_as_serde_writes_it(said in "[ -~\\n\\t\"\\\\]{0,300}") {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            assert!(is_plain(&said));
            plain_text(&said, &mut ours);
            text(&said, &mut theirs);
            assert_eq!(String::from_utf8(ours), String::from_utf8(theirs));
        }
    }

    #[test]
    fn nothing_invisible_leaves_and_nothing_is_lost() {
        let hidden = "a\u{202e}b\u{e0041}c\u{200b}\u{1b}[31m";
        let json = serde_json::to_string(hidden).unwrap();
        let mut out = Vec::new();
        visible(&json, &mut out);
        let shown = String::from_utf8(out).unwrap();
        assert!(shown.is_ascii(), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), hidden);
        assert_eq!(printable(hidden, 9), "abc[31m");
        let mut out = Vec::new();
        visible_text(hidden, &mut out);
        let decoded: String = serde_json::from_slice(&out).unwrap();
        assert!(!decoded.chars().any(is_invisible), "{decoded:?}");
    }
}
