//! The binary messages of the settings: `PROTOCOL.md` section 4.3. Bytes to types and back; what a path means is not known here.
//!
//! Every count, length and depth is checked against what is there before memory is taken for it.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use crate::limits::{SETTINGS_DEPTH_MAX, SETTINGS_MESSAGE_BYTES_MAX};

/// First byte of a message as it is.
pub const SETTINGS_PLAIN: u8 = 0x00;
/// First byte of a message whose body is compressed.
pub const SETTINGS_PACKED: u8 = 0xFF;

/// A body longer than this is compressed, when that makes it shorter.
const PACK_BYTES_MIN: usize = 256;

/// Effort of the compression, of 10. Bodies are a few kilobytes at most.
const PACK_LEVEL: u8 = 6;

/// In place of an id: a name follows.
const NAMED: u16 = u16::MAX;

/// A value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum SettingsValue {
    Null,
    Bool(bool),
    I32(i32),
    I64(i64),
    F32(f32),
    F64(f64),
    Text(String),
    Bytes(Vec<u8>),
    Array(Vec<SettingsValue>),
    Object(Vec<(String, SettingsValue)>),
}

/// How a message names a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsPath {
    /// By its number in the registry, below 65,535.
    Id(u16),
    /// By its path.
    Name(String),
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingsMessage {
    /// The client's own number, which comes back in the answer; 0 in what nobody asked for.
    pub request: u32,
    /// Version of the registry that ids are of; 0 when there are none.
    pub registry: u32,
    /// What it says.
    pub body: SettingsBody,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingsBody {
    /// 01: read one.
    Get(SettingsPath),
    /// 02: set one.
    Set(SettingsPath, SettingsValue),
    /// 03: read several.
    BatchGet(Vec<SettingsPath>),
    /// 04: set several, all or none.
    BatchSet(Vec<(SettingsPath, SettingsValue)>),
    /// 05: from a client, what it has; from the server, what has changed.
    Delta {
        /// The version that the changes build on; 0 when they are everything, and from a client.
        from: u64,
        /// The version after them; from a client the one that it has, 0 for none.
        version: u64,
        /// Blake3 of the whole at `version`.
        hash: [u8; 32],
        /// None from a client.
        changes: Vec<(SettingsPath, SettingsValue)>,
    },
    /// 06: what was asked for, or what has been set, as it is in force.
    Response {
        /// Of the settings.
        version: u64,
        /// In the order of the request.
        values: Vec<(SettingsPath, SettingsValue)>,
    },
    /// 07: nothing was done.
    Error {
        /// Stable name.
        code: String,
        /// For a person.
        message: String,
        /// The same may work later.
        retryable: bool,
        /// What is at fault.
        paths: Vec<String>,
    },
    /// 08: answered with the same number.
    Ping(u64),
    /// 09: the answer.
    Pong(u64),
}

/// Why bytes are no message. `request` of the answer is 0 then, since nothing of them is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It ends in the middle, or a count or length says more than there is.
    #[error("the message ends too early: a count or a length says more than there is")]
    Short,
    /// There is more than the message.
    #[error("{0} bytes are left behind the message")]
    Long(usize),
    /// Not 01 to 09.
    #[error("there is no message of kind {0}")]
    Kind(u8),
    /// Not a value's.
    #[error("there is no value of type {0}")]
    Type(u8),
    /// A text that is none.
    #[error("a text is not UTF-8")]
    Text,
    /// Arrays or objects in each other.
    #[error("values are nested deeper than {SETTINGS_DEPTH_MAX}")]
    Deep,
    /// The compressed body is damaged, or not as long as it says.
    #[error("the compressed body is damaged, or not as long as it says")]
    Packed,
    /// It would be too long.
    #[error("a message of {0} bytes is longer than {SETTINGS_MESSAGE_BYTES_MAX}")]
    TooLong(usize),
}

/// Whether a binary message of a client is one of these, whatever else it says.
#[must_use]
pub fn is_settings(message: &[u8]) -> bool {
    matches!(message.first(), Some(&(SETTINGS_PLAIN | SETTINGS_PACKED)))
}

impl SettingsMessage {
    /// Takes a message apart.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn decode(message: &[u8]) -> Result<Self, SettingsError> {
        let (flag, kind, body) = match message {
            [flag, kind, body @ ..] => (*flag, *kind, body),
            _ => return Err(SettingsError::Short),
        };
        if flag != SETTINGS_PACKED {
            return Self::read(kind, body);
        }
        let (length, packed) = body.split_first_chunk().ok_or(SettingsError::Short)?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > SETTINGS_MESSAGE_BYTES_MAX {
            return Err(SettingsError::TooLong(length));
        }
        // The limit is what it says, so that one that says less than it holds takes no more memory either.
        let body = decompress_to_vec_with_limit(packed, length).map_err(|_| SettingsError::Packed)?;
        if body.len() == length { Self::read(kind, &body) } else { Err(SettingsError::Packed) }
    }

    fn read(kind: u8, body: &[u8]) -> Result<Self, SettingsError> {
        let mut reader = Reader { rest: body };
        let (request, registry) = (reader.u32()?, reader.u32()?);
        let body = match kind {
            1 => SettingsBody::Get(reader.path()?),
            2 => SettingsBody::Set(reader.path()?, reader.value(0)?),
            3 => SettingsBody::BatchGet(reader.list(Reader::path)?),
            4 => SettingsBody::BatchSet(reader.list(Reader::item)?),
            5 => SettingsBody::Delta {
                from: reader.u64()?,
                version: reader.u64()?,
                hash: reader.array()?,
                changes: reader.list(Reader::item)?,
            },
            6 => SettingsBody::Response { version: reader.u64()?, values: reader.list(Reader::item)? },
            7 => SettingsBody::Error {
                code: reader.short_text()?,
                message: reader.short_text()?,
                retryable: reader.u8()? != 0,
                paths: reader.list(Reader::short_text)?,
            },
            8 => SettingsBody::Ping(reader.u64()?),
            9 => SettingsBody::Pong(reader.u64()?),
            kind => return Err(SettingsError::Kind(kind)),
        };
        match reader.rest.len() {
            0 => Ok(Self { request, registry, body }),
            left => Err(SettingsError::Long(left)),
        }
    }

    /// The message as bytes, compressed when its body is longer than 256 and that makes it shorter. Texts of more than 65,535 bytes
    /// where a short one belongs are cut, and lists of more items.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(64);
        body.extend(self.request.to_le_bytes());
        body.extend(self.registry.to_le_bytes());
        let kind = self.body.write(&mut body);
        if body.len() > PACK_BYTES_MIN {
            let packed = compress_to_vec(&body, PACK_LEVEL);
            if packed.len() + 4 < body.len() {
                let length = (body.len() as u32).to_le_bytes();
                return [&[SETTINGS_PACKED, kind][..], &length, &packed].concat();
            }
        }
        [&[SETTINGS_PLAIN, kind][..], &body].concat()
    }
}

impl SettingsBody {
    /// Appends it; returns its kind.
    fn write(&self, out: &mut Vec<u8>) -> u8 {
        match self {
            Self::Get(path) => {
                write_path(path, out);
                1
            }
            Self::Set(path, value) => {
                write_path(path, out);
                write_value(value, out);
                2
            }
            Self::BatchGet(paths) => {
                write_list(paths, out, write_path);
                3
            }
            Self::BatchSet(items) => {
                write_list(items, out, write_item);
                4
            }
            Self::Delta { from, version, hash, changes } => {
                out.extend(from.to_le_bytes());
                out.extend(version.to_le_bytes());
                out.extend(hash);
                write_list(changes, out, write_item);
                5
            }
            Self::Response { version, values } => {
                out.extend(version.to_le_bytes());
                write_list(values, out, write_item);
                6
            }
            Self::Error { code, message, retryable, paths } => {
                write_short_text(code, out);
                write_short_text(message, out);
                out.push(u8::from(*retryable));
                write_list(paths, out, |path, out| write_short_text(path, out));
                7
            }
            Self::Ping(number) => {
                out.extend(number.to_le_bytes());
                8
            }
            Self::Pong(number) => {
                out.extend(number.to_le_bytes());
                9
            }
        }
    }
}

fn write_list<Item>(items: &[Item], out: &mut Vec<u8>, mut each: impl FnMut(&Item, &mut Vec<u8>)) {
    let items = items.get(..usize::from(u16::MAX)).unwrap_or(items);
    out.extend((items.len() as u16).to_le_bytes());
    items.iter().for_each(|item| each(item, out));
}

fn write_item((path, value): &(SettingsPath, SettingsValue), out: &mut Vec<u8>) {
    write_path(path, out);
    write_value(value, out);
}

fn write_path(path: &SettingsPath, out: &mut Vec<u8>) {
    match path {
        SettingsPath::Id(id) => out.extend(id.to_le_bytes()),
        SettingsPath::Name(name) => {
            out.extend(NAMED.to_le_bytes());
            write_short_text(name, out);
        }
    }
}

fn write_short_text(text: &str, out: &mut Vec<u8>) {
    let text = text.get(..text.floor_char_boundary(usize::from(u16::MAX))).unwrap_or(text);
    out.extend((text.len() as u16).to_le_bytes());
    out.extend(text.as_bytes());
}

fn write_long(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

fn write_value(value: &SettingsValue, out: &mut Vec<u8>) {
    match value {
        SettingsValue::Null => out.push(0),
        SettingsValue::Bool(value) => out.extend([1, u8::from(*value)]),
        SettingsValue::I32(value) => {
            out.push(2);
            out.extend(value.to_le_bytes());
        }
        SettingsValue::I64(value) => {
            out.push(3);
            out.extend(value.to_le_bytes());
        }
        SettingsValue::F32(value) => {
            out.push(4);
            out.extend(value.to_le_bytes());
        }
        SettingsValue::F64(value) => {
            out.push(5);
            out.extend(value.to_le_bytes());
        }
        SettingsValue::Text(text) => {
            out.push(6);
            write_long(text.as_bytes(), out);
        }
        SettingsValue::Bytes(bytes) => {
            out.push(7);
            write_long(bytes, out);
        }
        SettingsValue::Array(items) => {
            out.push(8);
            out.extend((items.len() as u32).to_le_bytes());
            items.iter().for_each(|item| write_value(item, out));
        }
        SettingsValue::Object(members) => {
            out.push(9);
            out.extend((members.len() as u32).to_le_bytes());
            for (name, value) in members {
                write_long(name.as_bytes(), out);
                write_value(value, out);
            }
        }
    }
}

/// What is left of a body.
struct Reader<'body> {
    rest: &'body [u8],
}

impl<'body> Reader<'body> {
    fn bytes(&mut self, count: usize) -> Result<&'body [u8], SettingsError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(SettingsError::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], SettingsError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(SettingsError::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, SettingsError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, SettingsError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, SettingsError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, SettingsError> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self, count: usize) -> Result<String, SettingsError> {
        let text = std::str::from_utf8(self.bytes(count)?).map_err(|_| SettingsError::Text)?;
        Ok(text.to_owned())
    }

    fn short_text(&mut self) -> Result<String, SettingsError> {
        let count = self.u16()?;
        self.text(usize::from(count))
    }

    fn long_text(&mut self) -> Result<String, SettingsError> {
        let count = self.u32()?;
        self.text(count as usize)
    }

    fn list<Item>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<Item, SettingsError>,
    ) -> Result<Vec<Item>, SettingsError> {
        let count = self.u16()?;
        self.items(usize::from(count), &mut each)
    }

    /// An item is a byte at least, so what is left bounds the memory that a count can ask for.
    fn items<Item>(
        &mut self,
        count: usize,
        each: &mut impl FnMut(&mut Self) -> Result<Item, SettingsError>,
    ) -> Result<Vec<Item>, SettingsError> {
        if count > self.rest.len() {
            return Err(SettingsError::Short);
        }
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(each(self)?);
        }
        Ok(items)
    }

    fn path(&mut self) -> Result<SettingsPath, SettingsError> {
        match self.u16()? {
            NAMED => self.short_text().map(SettingsPath::Name),
            id => Ok(SettingsPath::Id(id)),
        }
    }

    fn item(&mut self) -> Result<(SettingsPath, SettingsValue), SettingsError> {
        Ok((self.path()?, self.value(0)?))
    }

    fn value(&mut self, depth: usize) -> Result<SettingsValue, SettingsError> {
        if depth > SETTINGS_DEPTH_MAX {
            return Err(SettingsError::Deep);
        }
        Ok(match self.u8()? {
            0 => SettingsValue::Null,
            1 => SettingsValue::Bool(self.u8()? != 0),
            2 => SettingsValue::I32(self.array().map(i32::from_le_bytes)?),
            3 => SettingsValue::I64(self.array().map(i64::from_le_bytes)?),
            4 => SettingsValue::F32(self.array().map(f32::from_le_bytes)?),
            5 => SettingsValue::F64(self.array().map(f64::from_le_bytes)?),
            6 => SettingsValue::Text(self.long_text()?),
            7 => {
                let count = self.u32()?;
                SettingsValue::Bytes(self.bytes(count as usize)?.to_vec())
            }
            8 => {
                let count = self.u32()?;
                SettingsValue::Array(self.items(count as usize, &mut |reader| reader.value(depth + 1))?)
            }
            9 => {
                let count = self.u32()?;
                let member = &mut |reader: &mut Self| Ok((reader.long_text()?, reader.value(depth + 1)?));
                SettingsValue::Object(self.items(count as usize, member)?)
            }
            kind => return Err(SettingsError::Type(kind)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = SettingsValue> {
        let number = |value: f64| if value.is_nan() { 0.5 } else { value };
        let leaf = prop_oneof![
            Just(SettingsValue::Null),
            any::<bool>().prop_map(SettingsValue::Bool),
            any::<i32>().prop_map(SettingsValue::I32),
            any::<i64>().prop_map(SettingsValue::I64),
            any::<f32>().prop_map(move |value| SettingsValue::F32(number(f64::from(value)) as f32)),
            any::<f64>().prop_map(move |value| SettingsValue::F64(number(value))),
            ".{0,40}".prop_map(SettingsValue::Text),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(SettingsValue::Bytes),
        ];
        leaf.prop_recursive(4, 24, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(SettingsValue::Array),
                proptest::collection::vec((".{0,9}", inner), 0..6).prop_map(SettingsValue::Object),
            ]
        })
    }

    fn path() -> impl Strategy<Value = SettingsPath> {
        prop_oneof![(0..u16::MAX).prop_map(SettingsPath::Id), ".{0,40}".prop_map(SettingsPath::Name)]
    }

    fn body() -> impl Strategy<Value = SettingsBody> {
        let items = || proptest::collection::vec((path(), value()), 0..8);
        prop_oneof![
            path().prop_map(SettingsBody::Get),
            (path(), value()).prop_map(|(path, value)| SettingsBody::Set(path, value)),
            proptest::collection::vec(path(), 0..60).prop_map(SettingsBody::BatchGet),
            items().prop_map(SettingsBody::BatchSet),
            (any::<u64>(), any::<u64>(), any::<[u8; 32]>(), items())
                .prop_map(|(from, version, hash, changes)| SettingsBody::Delta { from, version, hash, changes }),
            (any::<u64>(), items()).prop_map(|(version, values)| SettingsBody::Response { version, values }),
            ("[a-z_]{1,20}", ".{0,90}", any::<bool>(), proptest::collection::vec(".{0,30}", 0..5))
                .prop_map(|(code, message, retryable, paths)| SettingsBody::Error { code, message, retryable, paths }),
            any::<u64>().prop_map(SettingsBody::Ping),
            any::<u64>().prop_map(SettingsBody::Pong),
        ]
    }

    proptest! {
        #[test]
        fn every_message_round_trips_and_no_part_of_it_is_one(request: u32, registry: u32, body in body()) {
            let message = SettingsMessage { request, registry, body };
            let bytes = message.encode();
            prop_assert_eq!(SettingsMessage::decode(&bytes), Ok(message));
            prop_assert!(is_settings(&bytes));
            for cut in 0..bytes.len() {
                prop_assert!(SettingsMessage::decode(&bytes[..cut]).is_err(), "cut at {}", cut);
            }
            let longer = [&bytes[..], &[0]].concat();
            prop_assert!(bytes[0] == SETTINGS_PACKED || SettingsMessage::decode(&longer) == Err(SettingsError::Long(1)));
        }

        #[test]
        fn damaged_messages_never_panic(
            body in body(),
            place in any::<prop::sample::Index>(),
            byte: u8,
            noise in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = SettingsMessage { request: 1, registry: 0, body }.encode();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            let _ = SettingsMessage::decode(&bytes);
            for flag in [SETTINGS_PLAIN, SETTINGS_PACKED] {
                let _ = SettingsMessage::decode(&[&[flag], &noise[..]].concat());
            }
        }
    }

    #[test]
    fn long_bodies_are_compressed_and_short_ones_are_not() {
        let of = |count| {
            let paths = vec![SettingsPath::Name("sim.damping".to_owned()); count];
            SettingsMessage { request: 7, registry: 0, body: SettingsBody::BatchGet(paths) }.encode()
        };
        assert_eq!(of(1)[..2], [SETTINGS_PLAIN, 3]);
        let long = of(50);
        assert!(long[..2] == [SETTINGS_PACKED, 3] && long.len() < 100, "{}", long.len());
    }

    #[test]
    fn bombs_and_depth_are_refused_before_they_take_memory() {
        let bomb = compress_to_vec(&vec![0; 8 << 20], 10);
        let packed = |length: u32| [&[SETTINGS_PACKED, 3][..], &length.to_le_bytes(), &bomb].concat();
        assert_eq!(SettingsMessage::decode(&packed(8 << 20)), Err(SettingsError::TooLong(8 << 20)));
        assert_eq!(SettingsMessage::decode(&packed(1_000)), Err(SettingsError::Packed), "it says less than it holds");
        let deep = |depth: usize| {
            let mut bytes = vec![SETTINGS_PLAIN, 2, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0];
            bytes.extend([8, 1, 0, 0, 0].repeat(depth));
            bytes.push(0);
            bytes
        };
        assert!(SettingsMessage::decode(&deep(SETTINGS_DEPTH_MAX)).is_ok());
        assert_eq!(SettingsMessage::decode(&deep(SETTINGS_DEPTH_MAX + 1)), Err(SettingsError::Deep));
        assert_eq!(SettingsMessage::decode(&deep(10_000)), Err(SettingsError::Deep));
        let huge = [&deep(0)[..12], &[8, 255, 255, 255, 255]].concat();
        assert_eq!(SettingsMessage::decode(&huge), Err(SettingsError::Short));
    }
}
