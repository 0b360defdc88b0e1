//! What the channels of the picture mean: a rule for each that is set, and what it makes of the values there are. The browser does the
//! same by `clients/viewer/src/encoding.ts`; `tests/data/encoding.json` holds both to the same answers.

mod colours;
mod scheme;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use self::scheme::short;
pub(super) use scheme::{LOOKED_MAX, Scheme, of_edge, of_node};

/// What a viewer shows where nobody has said anything.
pub const AUTO: &str = "auto";

/// A part of the picture that can mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Of nodes.
    Color,
    /// Of nodes: the radius, as a multiple of the plain one.
    Size,
    /// The outline of nodes.
    Icon,
    /// A dot at the upper right of nodes.
    Badge,
    /// What is written below nodes.
    Label,
    /// Of nodes and of the ends of their edges.
    Opacity,
    /// Of edges.
    EdgeColor,
    /// Of edges, in pixels.
    EdgeWidth,
}

/// What a channel is set to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `#rrggbb`.
    Colour,
    /// Within these.
    Number(f32, f32),
    /// One of [`Icon`].
    Icon,
    /// As it is.
    Text,
}

/// What a channel of nodes can go by: these, and what every node has.
macro_rules! of_nodes {
    ($($own:literal),*) => {
        &[
            AUTO, $($own,)* "class", "group", "degree", "weight", "community", "cluster", "component", "rank", "anomaly",
            "distance",
        ]
    };
}

impl Channel {
    /// All, in the order in which they are named.
    pub const ALL: [Self; 8] = [
        Self::Color,
        Self::Size,
        Self::Icon,
        Self::Badge,
        Self::Label,
        Self::Opacity,
        Self::EdgeColor,
        Self::EdgeWidth,
    ];

    /// As tools and streams name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Color => "color",
            Self::Size => "size",
            Self::Icon => "icon",
            Self::Badge => "badge",
            Self::Label => "label",
            Self::Opacity => "opacity",
            Self::EdgeColor => "edge_color",
            Self::EdgeWidth => "edge_width",
        }
    }

    /// Whether it is of edges.
    #[must_use]
    pub const fn is_of_edges(self) -> bool {
        matches!(self, Self::EdgeColor | Self::EdgeWidth)
    }

    /// What it is set to.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Color | Self::Badge | Self::EdgeColor => Kind::Colour,
            Self::Size => Kind::Number(0.25, 4.0),
            Self::Opacity => Kind::Number(0.05, 1.0),
            Self::EdgeWidth => Kind::Number(0.5, 12.0),
            Self::Icon => Kind::Icon,
            Self::Label => Kind::Text,
        }
    }

    /// What it can go by.
    #[must_use]
    pub const fn by(self) -> &'static [&'static str] {
        match self {
            Self::Size => of_nodes!("equal", "constant", "property"),
            Self::Label => of_nodes!("none", "constant", "property", "id", "label"),
            Self::EdgeColor | Self::EdgeWidth => &[AUTO, "constant", "property", "type", "weight"],
            _ => of_nodes!("constant", "property"),
        }
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The outline of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    /// What nodes have.
    Disc,
    /// What agents have.
    Diamond,
    /// What parts of ontologies have.
    Square,
    /// On its broad side.
    Triangle,
    /// Six corners.
    Hexagon,
    /// Five points.
    Star,
    /// As of a sum.
    Cross,
    /// A disc with a hole.
    Ring,
}

impl Icon {
    /// In the order in which values get one; the place of each is its number in the viewer's shader.
    pub const ALL: [Self; 8] =
        [Self::Disc, Self::Diamond, Self::Square, Self::Triangle, Self::Hexagon, Self::Star, Self::Cross, Self::Ring];

    /// As it is named.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disc => "disc",
            Self::Diamond => "diamond",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Hexagon => "hexagon",
            Self::Star => "star",
            Self::Cross => "cross",
            Self::Ring => "ring",
        }
    }
}

/// What a node or an edge has in a channel.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// `0xRRGGBB`.
    Colour(u32),
    /// In the unit of the channel.
    Number(f32),
    /// An outline.
    Icon(Icon),
    /// To be written.
    Text(Box<str>),
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Colour(rgb) => serializer.collect_str(&format_args!("#{rgb:06x}")),
            // As short as it was said: what a float of half the width adds is nobody's.
            Self::Number(number) => serializer.serialize_f64(short(*number)),
            Self::Icon(icon) => serializer.serialize_str(icon.name()),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// What a channel means.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// One of [`Channel::by`].
    pub by: &'static str,
    /// Of nodes, or of edges, where it goes by a property.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<Box<str>>,
    /// What all have, where it is constant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Shown>,
    /// What some values have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mapping: BTreeMap<Box<str>, Shown>,
    /// Colours of values in the order of how many have them, or from the least number to the greatest.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "colours_of")]
    pub palette: Vec<u32>,
    /// Numbers are told apart like words: they make no scale.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
}

fn colours_of<S: Serializer>(palette: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(palette.iter().map(|rgb| format!("#{rgb:06x}")))
}

impl Rule {
    /// By something alone.
    #[must_use]
    pub const fn by(by: &'static str) -> Self {
        Self { by, property: None, value: None, mapping: BTreeMap::new(), palette: Vec::new(), apart: false }
    }
}

/// What every channel means, to everybody. A channel without a rule is as the viewer has it by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoding {
    /// By channel.
    pub channels: BTreeMap<Channel, Rule>,
}

/// What `colour` and `size` of `encoding_set` can say: clients from before there were other channels know these.
const PLAIN_COLOURS: [&str; 9] =
    ["class", "group", "degree", "community", "cluster", "component", "rank", "anomaly", "distance"];
const PLAIN_SIZES: [&str; 4] = ["equal", "degree", "weight", "rank"];

impl Encoding {
    fn by(&self, channel: Channel) -> &'static str {
        self.channels.get(&channel).map_or(AUTO, |rule| rule.by)
    }

    /// The colour's name, as far as one word says it.
    #[must_use]
    pub fn plain_colour(&self) -> &'static str {
        Some(self.by(Channel::Color)).filter(|by| PLAIN_COLOURS.contains(by)).unwrap_or(AUTO)
    }

    /// The same of the size.
    #[must_use]
    pub fn plain_size(&self) -> &'static str {
        Some(self.by(Channel::Size)).filter(|by| PLAIN_SIZES.contains(by)).unwrap_or(AUTO)
    }

    /// Colours of single classes or groups.
    #[must_use]
    pub fn plain_colours(&self) -> Value {
        let rule = self.channels.get(&Channel::Color).filter(|rule| ["class", "group"].contains(&rule.by));
        rule.map_or_else(|| json!({}), |rule| json!(rule.mapping))
    }

    /// The rules, by the names of the channels.
    #[must_use]
    pub fn rules(&self) -> Value {
        json!(self.channels)
    }

    /// As `set_encoding` answers it.
    #[must_use]
    pub fn shown(&self) -> Value {
        json!({
            "color": self.by(Channel::Color), "colors": self.plain_colours(), "size": self.by(Channel::Size),
            "channels": self.rules(),
        })
    }
}

#[cfg(test)]
mod tests;
