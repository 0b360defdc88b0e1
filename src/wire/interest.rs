//! Which nodes a client of the compact profile wants, as it asks and as blocks. Fixed in size, so that a shard can take
//! a request without allocating.

use std::marker::PhantomData;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::client::{ClientError, RawPosition, object};
use crate::limits::{BLOCKS_MAX, COORDINATE_MAX, INTEREST_IDS_MAX, NODE_ID_MAX};

/// Planes of a frustum at most.
const PLANES_MAX: usize = 6;

/// Names of the node classes a client may want, by the bit of [`InterestAsk::kinds`]. The bits are those of an id word,
/// counted from bit 26.
const KINDS: [&str; 6] =
    ["ontology_class", "ontology_individual", "ontology_property", "private", "knowledge", "agent"];

/// A set of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSet {
    words: [u64; BLOCKS_MAX / 64],
}

impl Default for BlockSet {
    fn default() -> Self {
        Self { words: [0; BLOCKS_MAX / 64] }
    }
}

impl BlockSet {
    /// Adds a block; one that no graph can have is passed over.
    pub fn insert(&mut self, block: usize) {
        if let Some(word) = self.words.get_mut(block / 64) {
            *word |= 1 << (block % 64);
        }
    }

    /// Whether the block is in it.
    #[must_use]
    pub fn contains(&self, block: usize) -> bool {
        self.words.get(block / 64).is_some_and(|word| word >> (block % 64) & 1 == 1)
    }

    /// Blocks in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Takes every block out.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Adds the blocks of another set.
    pub fn add_all(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Keeps only what the other set has too.
    pub fn keep(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Takes out what the other set has.
    pub fn take_out(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// Whether this set has a block that the other lacks.
    #[must_use]
    pub fn exceeds(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(word, other)| word & !other != 0)
    }

    /// The blocks, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(place, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros())?;
                word &= word - 1;
                Some(place * 64 + bit as usize)
            })
        })
    }

    /// The blocks as runs, first and last of each, in ascending order.
    pub fn runs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut blocks = self.iter().peekable();
        std::iter::from_fn(move || {
            let first = blocks.next()?;
            let mut last = first;
            while blocks.peek() == Some(&(last + 1)) {
                last += 1;
                blocks.next();
            }
            Some((first, last))
        })
    }
}

/// At most `MAX` values, in place.
#[derive(Clone, Debug)]
pub struct Few<T, const MAX: usize> {
    values: [T; MAX],
    count: usize,
}

impl<T: Copy + Default, const MAX: usize> Default for Few<T, MAX> {
    fn default() -> Self {
        Self { values: [T::default(); MAX], count: 0 }
    }
}

impl<T: Copy, const MAX: usize> Few<T, MAX> {
    /// The values.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        self.values.get(..self.count).unwrap_or(&[])
    }

    /// Appends one; false, and nothing appended, when there is no room.
    fn push(&mut self, value: T) -> bool {
        match self.values.get_mut(self.count) {
            Some(place) => {
                *place = value;
                self.count += 1;
                true
            }
            None => false,
        }
    }
}

/// What an `interest` message asks for: the union of all that it names.
#[derive(Clone, Debug, Default)]
pub struct InterestAsk {
    /// Every node: the interest ends.
    pub all: bool,
    /// These blocks of the wire order.
    pub blocks: BlockSet,
    /// The blocks of these nodes.
    pub ids: Few<u32, INTEREST_IDS_MAX>,
    /// Bits of the wanted node classes: an id word shifted down by 26.
    pub kinds: u8,
    /// Nodes within this radius of a point, world units.
    pub sphere: Option<([f32; 3], f32)>,
    /// Nodes on the inner side of all of these: `a x + b y + c z + d >= 0`.
    pub planes: Few<[f32; 4], PLANES_MAX>,
    /// At most so many nodes, in whole blocks.
    pub max_nodes: Option<u32>,
    /// The blocks of these nodes are kept first when `max_nodes` binds.
    pub priority: Few<u32, INTEREST_IDS_MAX>,
}

/// Reads an `interest` message into `ask`, whatever that held before. Allocates nothing.
///
/// # Errors
/// [`ClientError`], naming the field and its limit; `ask` then holds nothing useful.
pub fn parse_interest(text: &[u8], ask: &mut InterestAsk) -> Result<(), ClientError> {
    *ask = InterestAsk::default();
    let raw: Raw = object(text)?;
    let mut named = false;
    if raw.cluster.is_some() {
        return Err(ClientError::Unsupported { field: "cluster", allowed: "absent: no clusters are computed" });
    }
    let block_max = (BLOCKS_MAX - 1) as f64;
    if let Some(blocks) = numbers("blocks", raw.blocks, block_max)? {
        blocks.as_slice().iter().for_each(|block| ask.blocks.insert(*block as usize));
        named = true;
    }
    if let Some(ids) = numbers("ids", raw.ids, f64::from(NODE_ID_MAX))? {
        ask.ids = ids;
        named = true;
    }
    ask.priority = numbers("priority", raw.priority, f64::from(NODE_ID_MAX))?.unwrap_or_default();
    if let Some(List { few, overrun }) = raw.classes {
        let allowed = "some of knowledge, agent, ontology_class, ontology_individual, ontology_property, private";
        if overrun || few.count == 0 || few.as_slice().iter().any(|kind| kind.0 == 0) {
            return Err(ClientError::Unsupported { field: "classes", allowed });
        }
        ask.kinds = few.as_slice().iter().fold(0, |kinds, kind| kinds | kind.0);
        named = true;
    }
    if let Some(sphere) = raw.sphere {
        ask.sphere = Some(checked_sphere(&sphere)?);
        named = true;
    }
    if let Some(frustum) = raw.frustum {
        let planes = frustum.planes.ok_or(ClientError::Missing { field: "frustum.planes" })?;
        if planes.overrun || planes.few.count == 0 || planes.few.as_slice().iter().flatten().any(|x| !x.is_finite()) {
            return Err(ClientError::Unsupported { field: "frustum.planes", allowed: "1 to 6 rows of 4 numbers" });
        }
        ask.planes = planes.few;
        named = true;
    }
    if let Some(nodes) = raw.max_nodes {
        let max = f64::from(u32::MAX);
        if !(1.0..=max).contains(&nodes) || nodes.fract() != 0.0 {
            return Err(ClientError::Range { field: "max_nodes", min: 1.0, max });
        }
        ask.max_nodes = Some(nodes as u32);
    }
    ask.all = raw.all.unwrap_or(false) || (!named && ask.max_nodes.is_some());
    if !named && !ask.all {
        return Err(ClientError::Missing { field: "blocks, ids, classes, sphere, frustum, max_nodes or all" });
    }
    Ok(())
}

/// A list of whole numbers from 0 to `max`.
fn numbers(
    field: &'static str,
    list: Option<List<f64, INTEREST_IDS_MAX>>,
    max: f64,
) -> Result<Option<Few<u32, INTEREST_IDS_MAX>>, ClientError> {
    let Some(List { few, overrun }) = list else { return Ok(None) };
    if overrun {
        return Err(ClientError::Unsupported { field, allowed: "at most 256 numbers" });
    }
    whole(&few, max).map(Some).ok_or(ClientError::Range { field, min: 0.0, max })
}

fn checked_sphere(sphere: &RawSphere) -> Result<([f32; 3], f32), ClientError> {
    let max = f64::from(COORDINATE_MAX);
    let RawPosition(center) = sphere.center.ok_or(ClientError::Missing { field: "sphere.center" })?;
    let radius = sphere.radius.ok_or(ClientError::Missing { field: "sphere.radius" })?;
    if !center.iter().all(|axis| (-max..=max).contains(axis)) {
        return Err(ClientError::Range { field: "sphere.center", min: -max, max });
    }
    if !(0.0..=4.0 * max).contains(&radius) {
        return Err(ClientError::Range { field: "sphere.radius", min: 0.0, max: 4.0 * max });
    }
    Ok((center.map(|axis| axis as f32), radius as f32))
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    all: Option<bool>,
    #[serde(default)]
    blocks: Option<List<f64, INTEREST_IDS_MAX>>,
    #[serde(default)]
    ids: Option<List<f64, INTEREST_IDS_MAX>>,
    #[serde(default)]
    priority: Option<List<f64, INTEREST_IDS_MAX>>,
    #[serde(default)]
    classes: Option<List<KindBit, { KINDS.len() }>>,
    #[serde(default)]
    sphere: Option<RawSphere>,
    #[serde(default)]
    frustum: Option<RawFrustum>,
    #[serde(default)]
    max_nodes: Option<f64>,
    #[serde(default)]
    cluster: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct RawSphere {
    #[serde(default)]
    center: Option<RawPosition>,
    #[serde(default)]
    radius: Option<f64>,
}

#[derive(Deserialize)]
struct RawFrustum {
    #[serde(default)]
    planes: Option<List<[f32; 4], PLANES_MAX>>,
}

/// A list of JSON values, in place; what does not fit is passed over and said.
struct List<T, const MAX: usize> {
    few: Few<T, MAX>,
    overrun: bool,
}

impl<'de, T: Deserialize<'de> + Copy + Default, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Copy + Default, const MAX: usize> Visitor<'de> for Reader<T, MAX> {
            type Value = List<T, MAX>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = List { few: Few::default(), overrun: false };
                while let Some(value) = seq.next_element()? {
                    list.overrun |= !list.few.push(value);
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(Reader(PhantomData))
    }
}

/// Numbers of a JSON list as whole ones; `None` when one is not from 0 to `max`.
fn whole<const MAX: usize>(numbers: &Few<f64, MAX>, max: f64) -> Option<Few<u32, MAX>> {
    let mut few = Few::default();
    for number in numbers.as_slice() {
        if !(0.0..=max).contains(number) || number.fract() != 0.0 {
            return None;
        }
        few.push(*number as u32);
    }
    Some(few)
}

/// The bit of a node class in [`InterestAsk::kinds`]; 0 for a name that is not known.
#[derive(Clone, Copy, Default)]
struct KindBit(u8);

impl<'de> Deserialize<'de> for KindBit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = KindBit;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("the name of a node class")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<KindBit, E> {
                Ok(KindBit(KINDS.iter().position(|kind| *kind == name).map_or(0, |bit| 1 << bit)))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<InterestAsk, ClientError> {
        let mut ask = InterestAsk::default();
        parse_interest(text.as_bytes(), &mut ask).map(|()| ask)
    }

    #[test]
    fn every_way_of_naming_nodes_is_read() {
        let ask =
            asked(r#"{"type":"interest","blocks":[0,65,1],"ids":[7,9],"priority":[9],"max_nodes":2000}"#).unwrap();
        assert_eq!(ask.blocks.iter().collect::<Vec<_>>(), [0, 1, 65]);
        assert_eq!(ask.blocks.runs().collect::<Vec<_>>(), [(0, 1), (65, 65)]);
        assert_eq!((ask.ids.as_slice(), ask.priority.as_slice()), (&[7, 9][..], &[9][..]));
        assert_eq!((ask.max_nodes, ask.all), (Some(2_000), false));
        let ask = asked(r#"{"classes":["agent","knowledge"],"sphere":{"center":[1,2,3],"radius":5}}"#).unwrap();
        assert_eq!((ask.kinds, ask.sphere), (0b11_0000, Some(([1.0, 2.0, 3.0], 5.0))));
        let ask = asked(r#"{"frustum":{"planes":[[1,0,0,5],[0,1,0,-2.5]]}}"#).unwrap();
        assert_eq!(ask.planes.as_slice(), [[1.0, 0.0, 0.0, 5.0], [0.0, 1.0, 0.0, -2.5]]);
        assert!(asked(r#"{"all":true}"#).unwrap().all);
        assert!(asked(r#"{"max_nodes":10}"#).unwrap().all, "of all nodes, so many");
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_its_field() {
        let ids = (0..300).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
        let cases = [
            (
                r#"{"type":"interest"}"#.to_owned(),
                "field blocks, ids, classes, sphere, frustum, max_nodes or all is missing",
            ),
            (r#"{"blocks":[4096]}"#.to_owned(), "field blocks must be from 0 to 4095"),
            (r#"{"ids":[1.5]}"#.to_owned(), "field ids must be from 0 to 67108863"),
            (r#"{"priority":[-1],"all":true}"#.to_owned(), "field priority must be from 0 to 67108863"),
            (format!("{{\"ids\":[{ids}]}}"), "field ids must be at most 256 numbers"),
            (
                r#"{"classes":["robot"]}"#.to_owned(),
                "field classes must be some of knowledge, agent, ontology_class, ontology_individual, ontology_property, private",
            ),
            (r#"{"sphere":{"radius":1}}"#.to_owned(), "field sphere.center is missing"),
            (r#"{"sphere":{"center":[0,0,0],"radius":-1}}"#.to_owned(), "field sphere.radius must be from 0 to 40000"),
            (r#"{"frustum":{"planes":[]}}"#.to_owned(), "field frustum.planes must be 1 to 6 rows of 4 numbers"),
            (r#"{"max_nodes":0}"#.to_owned(), "field max_nodes must be from 1 to 4294967295"),
            (r#"{"cluster":3}"#.to_owned(), "field cluster must be absent: no clusters are computed"),
        ];
        for (text, expected) in cases {
            assert_eq!(asked(&text).unwrap_err().to_string(), expected, "{text}");
        }
        assert!(matches!(asked(r#"{"ids":7}"#), Err(ClientError::Json { .. })));
    }

    #[test]
    fn sets_of_blocks_are_sets() {
        let (mut few, mut more) = (BlockSet::default(), BlockSet::default());
        few.insert(3);
        more.add_all(&few);
        more.insert(4_000);
        more.insert(1 << 40);
        assert_eq!((more.len(), more.contains(3), more.contains(4)), (2, true, false));
        assert!(more.exceeds(&few) && !few.exceeds(&more));
        more.keep(&few);
        assert_eq!(more, few);
        more.clear();
        assert!(more.is_empty() && !few.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse_interest(&bytes, &mut InterestAsk::default());
        }
    }
}
