//! `[[group]]`: one table of the file to a [`GroupDraft`].

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};
use swarmcast::wire::RATE_HZ_MAX;
use toml::de::DeValue;

use super::group::{CLIENTS_MAX, GroupDraft, SPOKEN, Spoken};
use super::stages::RUN_NS_MAX;
use super::table::{Table, whole};
use crate::clock::{MILLISECOND_NS, SECOND_NS};
use crate::plan::{Behaviour, Call, Framing, Message, Sending, Stamp, StampClock, StampKind};
use crate::target::{BITS_FORM, Url, is_bits};

/// Groups that a run may have: each has records of its own on every thread.
pub(super) const GROUPS_MAX: usize = 64;

/// Kinds of call in a mix.
const CALLS_MAX: usize = 256;

/// Bytes of a text that is sent.
const TEXT_BYTES_MAX: usize = 65_536;

/// Ids of nodes to drag.
const NODES_MAX: usize = 100_000;

/// Headers that the handshake writes itself.
const OWN_HEADERS: [&str; 4] = ["host", "connection", "upgrade", "content-length"];

const STAMP_KINDS: [(&str, StampKind); 4] = [
    ("u64-le", StampKind::U64Le),
    ("u64-be", StampKind::U64Be),
    ("f64-le", StampKind::F64Le),
    ("f64-be", StampKind::F64Be),
];

const STAMP_UNITS: [(&str, u32); 4] = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];

const STAMP_CLOCKS: [(&str, StampClock); 2] = [("monotonic", StampClock::Monotonic), ("unix", StampClock::Unix)];

/// Reads one group. A value that is wrong is noted and left at its default, so that the rest is checked too.
pub(super) fn read(table: &Table<'_, '_>) -> GroupDraft {
    let name = table.text("name", 64).unwrap_or_default();
    if !table.has("name") {
        table.say("name", "is missing");
    } else if !is_name(&name) {
        table.say("name", "must be 1 to 64 letters, digits, - and _");
    }
    let clients = table.whole("clients", 1..=u64::from(CLIENTS_MAX), "");
    if !table.has("clients") {
        table.say("clients", "is missing");
    }
    let clients = clients.and_then(|clients| u32::try_from(clients).ok()).unwrap_or(1);
    let mut draft = GroupDraft::new(&name, clients);
    draft.target = target(table);
    draft.target_refused = draft.target.is_none() && table.has("target");
    draft.spoken = table.choice("protocol", &SPOKEN).unwrap_or(Spoken::Swarmcast(None));
    let rate = table.whole("rate", 1..=u64::from(RATE_HZ_MAX), " Hz");
    draft.rate_hz = rate.and_then(|rate| u16::try_from(rate).ok());
    let bits =
        |value: &DeValue<'_>| whole(value).and_then(|bits| u8::try_from(bits).ok()).filter(|bits| is_bits(*bits));
    draft.bits = table.any("bits", BITS_FORM, bits);
    draft.dimensions = table.whole("dimensions", 2..=3, "").and_then(|count| u8::try_from(count).ok());
    draft.interest = table.any("interest", INTEREST_FORM, interest);
    draft.ack_every = table.whole("ack_every", 0..=10_000, " frames").and_then(|count| u32::try_from(count).ok());
    draft.owed_hz = table.positive("expect", 100_000.0, " Hz");
    draft.start_ns = table.duration("start", 0..=RUN_NS_MAX).unwrap_or(0);
    draft.during =
        table.list("during", "a name of a stage, or a list of names", |name| Ok(name.to_owned())).unwrap_or_default();
    draft.behaviours = behaviours(table);
    draft.sending = sending(table);
    draft.stamp = stamp(table);
    draft.framing = table.any("framing", FRAMING_FORM, |value| match value {
        DeValue::String(text) => framing(text),
        value => fixed(whole(value)?),
    });
    draft.hello = table.list("hello", "a text, or a list of texts", |text| Ok(text.to_owned())).unwrap_or_default();
    draft.headers = headers(table);
    draft.subprotocols = table.list("subprotocols", "a name, or a list of names", subprotocol).unwrap_or_default();
    draft.calls_hz = table.positive("calls_per_s", 10_000_000.0, "");
    draft.mix = table.tables("call", CALLS_MAX).into_iter().filter_map(call).collect();
    draft.timeout_ns = table.duration("timeout", MILLISECOND_NS..=600 * SECOND_NS);
    draft.in_flight = table.whole("in_flight", 1..=65_536, "").and_then(|count| u32::try_from(count).ok());
    draft.reconnect = table.duration_or_never("reconnect", 0..=3_600 * SECOND_NS);
    draft.verify = table.flag("verify");
    let receive_buffer = table.size("receive_buffer", 1_024..=1 << 30, false);
    draft.receive_buffer = receive_buffer.and_then(|bytes| u32::try_from(bytes).ok());
    draft
}

/// Names of groups and runs stand in file names, tags of `.hlog` files and thresholds.
pub(crate) fn is_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(letters)
}

/// An address at `target`; what is wrong with it is noted.
pub(super) fn target(table: &Table<'_, '_>) -> Option<Url> {
    let text = table.text("target", 2_048)?;
    Url::parse(&text).map_err(|error| table.say("target", error.to_string())).ok()
}

fn behaviours(table: &Table<'_, '_>) -> Vec<(&'static str, Behaviour)> {
    let mut all = Vec::new();
    if let Some(bytes_per_s) = table.size("read", 1..=100_000_000_000, true) {
        all.push(("read", Behaviour::Slow { bytes_per_s }));
    }
    if let Some(stall) = table.table("stall") {
        let after_ns = stall.duration("after", 0..=RUN_NS_MAX);
        let for_ns = stall.duration_or_never("for", MILLISECOND_NS..=RUN_NS_MAX);
        if !stall.has("for") {
            stall.say("for", "is missing: how long nothing is read, or \"never\" for reading never again");
        }
        all.push(("stall", Behaviour::Stall { after_ns: after_ns.unwrap_or(0), for_ns: for_ns.flatten() }));
        stall.close();
    }
    for (key, behaviour) in [("half_open", Behaviour::HalfOpen), ("silent", Behaviour::Silent)] {
        if table.flag(key) {
            all.push((key, behaviour));
        }
    }
    if let Some(storm) = table.table("storm") {
        let every_ns = storm.duration("every", 100 * MILLISECOND_NS..=RUN_NS_MAX);
        if !storm.has("every") {
            storm.say("every", "is missing: from one storm to the next");
        }
        let reset = storm.flag("reset");
        all.push(("storm", Behaviour::Storm { every_ns: every_ns.unwrap_or(SECOND_NS), reset }));
        storm.close();
    }
    all
}

#[derive(Clone, Copy)]
enum What {
    Ping,
    WsPing,
    Drag,
    Text,
}

fn sending(table: &Table<'_, '_>) -> Option<Sending> {
    let send = table.table("send")?;
    let names = [("ping", What::Ping), ("ws-ping", What::WsPing), ("drag", What::Drag), ("text", What::Text)];
    let what = send.choice("what", &names);
    let rate_hz = send.positive("rate", 100_000.0, " Hz");
    for key in ["what", "rate"] {
        if !send.has(key) {
            send.say(key, "is missing");
        }
    }
    let text = send.text("text", TEXT_BYTES_MAX);
    let nodes = send.any("nodes", NODES_FORM, nodes);
    for (key, given, wanted) in [
        ("text", send.has("text"), matches!(what, Some(What::Text))),
        ("nodes", send.has("nodes"), matches!(what, Some(What::Drag))),
    ] {
        match (given, wanted) {
            (true, false) if what.is_some() => send.say(key, "does not belong to this `what`"),
            (false, true) => send.say(key, "is missing"),
            _ => {}
        }
    }
    send.close();
    let what = match what? {
        What::Ping => Message::Ping,
        What::WsPing => Message::WsPing,
        What::Drag => Message::Drag { nodes: nodes? },
        What::Text => Message::Text(text?),
    };
    Some(Sending { rate_hz: rate_hz?, what })
}

/// What an `interest` looks like.
pub(crate) const INTEREST_FORM: &str =
    "a table as in the protocol, such as { sphere = { center = [0, 0, 0], radius = 100 } }, or its JSON as a text";

fn interest(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => interest_message(text),
        value => interest_of(json(value)?),
    }
}

/// The message, from the JSON of one; `type` may be left out.
pub(crate) fn interest_message(text: &str) -> Option<String> {
    interest_of(serde_json::from_str(text).ok()?)
}

fn interest_of(value: Value) -> Option<String> {
    let Value::Object(mut fields) = value else { return None };
    let kind = fields.entry("type").or_insert_with(|| "interest".into());
    let fits = kind == "interest" && fields.len() > 1;
    fits.then(|| Value::Object(fields).to_string())
}

const NODES_FORM: &str = "a range of ids such as \"0-99\" or a list of ids, not empty, each at most 67108863";

fn nodes(value: &DeValue<'_>) -> Option<Vec<u32>> {
    let id_max = swarmcast::limits::NODE_ID_MAX;
    let nodes: Vec<u32> = match value {
        DeValue::String(range) => {
            let (low, high) = range.split_once('-')?;
            let (low, high): (u32, u32) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            (low..=high).take(NODES_MAX + 1).collect()
        }
        DeValue::Array(ids) => {
            let ids = ids.iter().map(|id| whole(id.get_ref()).and_then(|id| u32::try_from(id).ok()));
            ids.collect::<Option<_>>()?
        }
        _ => return None,
    };
    ((1..=NODES_MAX).contains(&nodes.len()) && nodes.iter().all(|id| *id <= id_max)).then_some(nodes)
}

fn stamp(table: &Table<'_, '_>) -> Option<Stamp> {
    let stamp = table.table("stamp")?;
    let offset = stamp.whole("offset", 0..=255, "");
    let kind = stamp.choice("kind", &STAMP_KINDS);
    let unit_ns = stamp.choice("unit", &STAMP_UNITS);
    let clock = stamp.choice("clock", &STAMP_CLOCKS);
    for key in ["offset", "kind"] {
        if !stamp.has(key) {
            stamp.say(key, "is missing");
        }
    }
    stamp.close();
    let (unit_ns, clock) = (unit_ns.unwrap_or(1), clock.unwrap_or(StampClock::Unix));
    Some(Stamp { offset: u8::try_from(offset?).ok()?, kind: kind?, unit_ns, clock })
}

/// What a stamp on the command line looks like.
pub(crate) const STAMP_FORM: &str = "OFFSET:KIND:UNIT[:CLOCK], such as 48:u64-le:ns:monotonic (u64-le, u64-be, f64-le, \
                                     f64-be; ns, us, ms, s; unix, monotonic)";

/// `OFFSET:KIND:UNIT[:CLOCK]`.
pub(crate) fn parse_stamp(text: &str) -> Option<Stamp> {
    fn named<T: Copy>(names: &[(&str, T)], text: &str) -> Option<T> {
        names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
    }
    let mut parts = text.split(':');
    let offset = parts.next()?.parse().ok()?;
    let kind = named(&STAMP_KINDS, parts.next()?)?;
    let unit_ns = named(&STAMP_UNITS, parts.next()?)?;
    let clock = parts.next().map_or(Some(StampClock::Unix), |clock| named(&STAMP_CLOCKS, clock))?;
    parts.next().is_none().then_some(Stamp { offset, kind, unit_ns, clock })
}

/// What a framing looks like.
pub(crate) const FRAMING_FORM: &str =
    "\"u32-le\", \"u32-be\", \"line\", \"none\", or the bytes of every message (1 to 16777216)";

/// A framing by its name, or by its bytes.
pub(crate) fn framing(text: &str) -> Option<Framing> {
    match text {
        "u32-le" => Some(Framing::U32Le),
        "u32-be" => Some(Framing::U32Be),
        "line" => Some(Framing::Line),
        "none" => Some(Framing::None),
        bytes => fixed(bytes.parse().ok()?),
    }
}

fn fixed(bytes: u64) -> Option<Framing> {
    (1..=1 << 24).contains(&bytes).then(|| u32::try_from(bytes).ok().map(Framing::Fixed))?
}

fn headers(table: &Table<'_, '_>) -> Vec<(String, String)> {
    let pairs = table.pairs("headers");
    for (name, value) in &pairs {
        let lower = name.to_ascii_lowercase();
        if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("sec-websocket-") {
            table.say("headers", format!("{name} is written by the handshake itself"));
        } else if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err() {
            table.say("headers", format!("{} is no header that HTTP can carry", name.escape_debug()));
        }
    }
    pairs
}

fn subprotocol(name: &str) -> Result<String, String> {
    // Sub-protocols are tokens, as the names of headers are.
    let token = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no name of a sub-protocol"));
    token.map(|_| name.to_owned())
}

fn call(table: Table<'_, '_>) -> Option<Call> {
    let method = table.text("method", 256);
    if !table.has("method") {
        table.say("method", "is missing");
    }
    let params = table.any("params", "a table or a list of values that JSON has", json);
    if let Some(params) = &params {
        if !params.is_object() && !params.is_array() {
            table.say("params", "must be a table or a list: JSON-RPC takes nothing else");
        }
        check_random(params, &table);
    }
    let weight = table.positive("weight", 1e9, "");
    table.close();
    Some(Call { method: method?, params, weight: weight.unwrap_or(1.0) })
}

fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok()?.into(),
        DeValue::Float(digits) => Value::Number(serde_json::Number::from_f64(digits.as_str().parse().ok()?)?),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(item.get_ref())).collect::<Option<_>>()?),
        DeValue::Table(table) => {
            let pairs = table.iter().map(|(name, value)| Some((name.get_ref().to_string(), json(value.get_ref())?)));
            Value::Object(pairs.collect::<Option<Map<_, _>>>()?)
        }
    })
}

/// A `$int(LOW,HIGH)` that is none would be sent as it stands, which nobody means.
fn check_random(value: &Value, table: &Table<'_, '_>) {
    match value {
        Value::String(text) if text.starts_with("$int(") => {
            let bounds = text.strip_prefix("$int(").and_then(|rest| rest.strip_suffix(')'));
            let bounds = bounds.and_then(|bounds| bounds.split_once(','));
            let parse = |text: &str| text.trim().parse::<i64>().ok();
            let right = bounds.and_then(|(low, high)| Some(parse(low)? <= parse(high)?));
            if right != Some(true) {
                table.say("params", format!("{text:?} must be $int(LOW,HIGH) with whole numbers, LOW at most HIGH"));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| check_random(item, table)),
        Value::Object(fields) => fields.values().for_each(|field| check_random(field, table)),
        _ => {}
    }
}
