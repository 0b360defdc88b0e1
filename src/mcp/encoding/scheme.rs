//! What a rule makes of the values there are.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_json::{Value as Json, json};

use super::colours::{NONE, RAMP, hue, of_class, ramp};
use super::{Channel, Icon, Rule, Shown};
use crate::graph::{Attributes, Edge, NodeIndex, Value};
use crate::mcp::args::ToolError;
use crate::mcp::view::{Bounds, View};

/// Rows of a legend.
const LEGEND_MAX: usize = 25;

/// Nodes or edges that a legend counts, so that no large graph holds up anybody.
pub const LOOKED_MAX: usize = 50_000;

/// Bytes of a value that tell it apart from others.
const VALUE_BYTES_MAX: usize = 128;

/// What a node or an edge has of what a rule goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Datum<'a> {
    Text(&'a str),
    Number(f64),
    Flag(bool),
}

impl<'a> Datum<'a> {
    /// What it is called.
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(crate::mcp::tools::cut(text, VALUE_BYTES_MAX)),
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Flag(flag) => Cow::Borrowed(if flag { "true" } else { "false" }),
        }
    }
}

fn attribute<'a>(attributes: &'a Attributes, key: &str) -> Option<Datum<'a>> {
    attributes.iter().find(|(name, _)| &**name == key).map(|(_, value)| match value {
        Value::Bool(it) => Datum::Flag(*it),
        Value::Int(it) => Datum::Number(*it as f64),
        Value::Float(it) => Datum::Number(*it),
        Value::Text(it) => Datum::Text(it),
    })
}

/// A number that JSON would write so, without what a float of half the width adds to it.
pub(super) fn short(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// What a node has of what a rule goes by; `None` where it has no value.
pub fn of_node<'a>(view: &View<'a>, index: usize, by: &str, property: Option<&str>) -> Option<Datum<'a>> {
    let node = view.graph.nodes().get(index)?;
    let side = view.side;
    let number = |values: Option<&[f32]>| {
        values.and_then(|values| values.get(index)).filter(|it| it.is_finite()).map(|it| Datum::Number(short(*it)))
    };
    let counted = |values: Option<&[u32]>| {
        values.and_then(|values| values.get(index)).filter(|it| **it > 0).map(|it| Datum::Number(f64::from(*it)))
    };
    Some(match by {
        "id" => Datum::Text(&node.key),
        "label" => Datum::Text(&node.label),
        "class" => Datum::Text(node.class.kind.name()),
        "group" => Datum::Text(node.group.as_deref()?),
        "weight" => Datum::Number(short(node.weight)),
        "degree" => Datum::Number(view.graph.incident(NodeIndex(index as u32)).len() as f64),
        "property" => return attribute(&node.attributes, property?),
        "community" => return counted(side?.community.as_deref()),
        "cluster" => return counted(side?.cluster.as_deref()),
        "component" => return counted(side?.component.as_deref()),
        "rank" => return number(side?.rank.as_deref()),
        "anomaly" => return number(side?.anomaly.as_deref()),
        "distance" => return number(side?.distance.as_deref()),
        _ => return None,
    })
}

/// The same of an edge.
pub fn of_edge<'a>(edge: &'a Edge, by: &str, property: Option<&str>) -> Option<Datum<'a>> {
    Some(match by {
        "type" => Datum::Text(edge.relation.as_deref()?),
        "weight" => Datum::Number(short(edge.weight)),
        "property" => return attribute(edge.attributes(), property?),
        _ => return None,
    })
}

/// A rule, and the values it was made for.
#[derive(Debug)]
pub struct Scheme<'rule> {
    channel: Channel,
    rule: &'rule Rule,
    made: Made,
    looked: usize,
}

#[derive(Debug)]
enum Made {
    /// All have the same.
    Constant,
    /// From the least to the greatest finite number.
    Scale { low: f64, high: f64 },
    /// By the most frequent first: how many have which value.
    Values { counts: Vec<(Box<str>, usize)>, ranks: HashMap<Box<str>, usize> },
}

impl<'rule> Scheme<'rule> {
    /// For all nodes, or all edges, of a view; the first so many of them when it is a legend that is wanted.
    ///
    /// # Errors
    /// It was stopped.
    pub fn of(
        channel: Channel,
        rule: &'rule Rule,
        view: &View<'_>,
        limit: usize,
        bounds: Option<&Bounds<'_>>,
    ) -> Result<Self, ToolError> {
        let property = rule.property.as_deref();
        if channel.is_of_edges() {
            let edges = view.graph.edges().iter().take(limit);
            return Self::made(channel, rule, edges.map(|edge| of_edge(edge, rule.by, property)), bounds);
        }
        let nodes = 0..view.graph.nodes().len().min(limit);
        Self::made(channel, rule, nodes.map(|index| of_node(view, index, rule.by, property)), bounds)
    }

    fn made<'a>(
        channel: Channel,
        rule: &'rule Rule,
        data: impl Iterator<Item = Option<Datum<'a>>>,
        bounds: Option<&Bounds<'_>>,
    ) -> Result<Self, ToolError> {
        if matches!(rule.by, "constant" | "equal" | "none") {
            return Ok(Self { channel, rule, made: Made::Constant, looked: 0 });
        }
        let (mut looked, mut numbers, mut others) = (0, None::<(f64, f64)>, false);
        let mut counts: BTreeMap<Cow<'a, str>, usize> = BTreeMap::new();
        let is_metric = matches!(rule.by, "degree" | "weight" | "rank" | "anomaly" | "distance");
        let may_scale = !matches!(channel, Channel::Icon | Channel::Label) && rule.mapping.is_empty() && !rule.apart;
        for datum in data {
            looked += 1;
            if let Some(bounds) = bounds {
                bounds.spend(1)?;
            }
            match datum {
                Some(Datum::Number(number)) if number.is_finite() => {
                    let (low, high) = numbers.unwrap_or((number, number));
                    numbers = Some((low.min(number), high.max(number)));
                }
                Some(_) => others = true,
                None => continue,
            }
            if let Some(datum) = datum.filter(|_| !(may_scale && is_metric)) {
                *counts.entry(datum.text()).or_default() += 1;
            }
        }
        if let Some((low, high)) = numbers.filter(|_| may_scale && (is_metric || rule.by == "property") && !others) {
            return Ok(Self { channel, rule, made: Made::Scale { low, high }, looked });
        }
        let mut counts: Vec<(Box<str>, usize)> =
            counts.into_iter().map(|(value, count)| (Box::from(&*value), count)).collect();
        counts.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| by_value(&left.0, &right.0)));
        let ranks = counts.iter().enumerate().map(|(rank, (value, _))| (value.clone(), rank)).collect();
        Ok(Self { channel, rule, made: Made::Values { counts, ranks }, looked })
    }

    /// What whoever has this value is shown as; `None` is plain.
    pub fn show(&self, datum: Option<Datum<'_>>) -> Option<Shown> {
        match &self.made {
            Made::Constant => self.constant(),
            Made::Scale { low, high } => match datum? {
                Datum::Number(number) if number.is_finite() => Some(self.scaled(number, *low, *high)),
                _ => None,
            },
            Made::Values { ranks, .. } => {
                let datum = datum?;
                let value = datum.text();
                self.valued(&value, ranks.get(&*value).copied().unwrap_or(usize::MAX), datum == Datum::Flag(false))
            }
        }
    }

    fn constant(&self) -> Option<Shown> {
        match self.rule.by {
            "equal" => Some(Shown::Number(1.0)),
            "none" => Some(Shown::Text("".into())),
            _ => self.rule.value.clone(),
        }
    }

    fn scaled(&self, number: f64, low: f64, high: f64) -> Shown {
        let colours = if self.rule.palette.is_empty() { &RAMP[..] } else { &self.rule.palette };
        let bend = |number: f64| match self.rule.by {
            "rank" => number.max(f64::MIN_POSITIVE).ln(),
            "degree" => number.ln_1p(),
            _ => number,
        };
        let (from, to) = (if self.rule.by == "degree" { 0.0 } else { bend(low) }, bend(high));
        let share = if to > from { (bend(number) - from) / (to - from) } else { 1.0 };
        match self.channel {
            Channel::Opacity => Shown::Number((0.15 + 0.85 * share) as f32),
            Channel::EdgeWidth => Shown::Number((1.0 + 5.0 * share) as f32),
            // Area tells the amount.
            Channel::Size => {
                let amount = if high > 0.0 { (number.max(0.0) / high).sqrt() } else { 0.0 };
                Shown::Number(((SIZE_LEAST + SIZE_MORE * amount) / (SIZE_LEAST + SIZE_MORE / 4.0)) as f32)
            }
            _ => Shown::Colour(ramp(colours, share)),
        }
    }

    fn valued(&self, value: &str, rank: usize, is_no: bool) -> Option<Shown> {
        let Rule { by, mapping, palette, .. } = self.rule;
        if let Some(shown) = mapping.get(value) {
            return Some(shown.clone());
        }
        match self.channel {
            Channel::Label => Some(Shown::Text(value.into())),
            Channel::Icon if !mapping.is_empty() => None,
            Channel::Icon => Some(Shown::Icon(Icon::ALL.get(rank).copied().unwrap_or(Icon::Disc))),
            // Where some values have a badge, or it is a question of yes and no, the others have none.
            Channel::Badge if !mapping.is_empty() || is_no => None,
            Channel::Color | Channel::Badge | Channel::EdgeColor => {
                let class = of_class(value).filter(|_| *by == "class" && palette.is_empty());
                let given = palette.get(rank.checked_rem(palette.len()).unwrap_or(0)).copied();
                Some(Shown::Colour(
                    class.or(given).unwrap_or_else(|| if rank == usize::MAX { NONE } else { hue(rank) }),
                ))
            }
            _ => None,
        }
    }

    /// Whether the values are no numbers and the channel is: without a mapping it would show nothing of them.
    pub fn needs_mapping(&self) -> bool {
        let numeric = matches!(self.channel, Channel::Size | Channel::Opacity | Channel::EdgeWidth);
        let Made::Values { counts, .. } = &self.made else { return false };
        let named = matches!(self.rule.by, "class" | "group" | "type" | "community" | "cluster" | "component");
        numeric && self.rule.mapping.is_empty() && (named || !counts.is_empty())
    }

    /// The values that most have, at most so many: the value, how many have it, and what it is shown as.
    pub fn rows(&self, most: usize) -> impl Iterator<Item = (&str, usize, Option<Shown>)> {
        let counts = if let Made::Values { counts, .. } = &self.made { &counts[..] } else { &[] };
        counts.iter().take(most).enumerate().map(|(rank, (value, count))| {
            let is_no = &**value == "false";
            (&**value, *count, self.valued(value, rank, is_no))
        })
    }

    /// Least and greatest, with what they are shown as.
    pub fn ends(&self) -> Option<[(f64, Shown); 2]> {
        let Made::Scale { low, high } = self.made else { return None };
        Some([low, high].map(|end| (end, self.scaled(end, low, high))))
    }

    /// As a tool answers it.
    pub fn legend(&self) -> Json {
        let counted = if self.channel.is_of_edges() { "edges" } else { "nodes" };
        let rows: Vec<Json> = self
            .rows(LEGEND_MAX)
            .map(|(value, count, shown)| json!({ "value": value, counted: count, "shows": shown }))
            .collect();
        let total = if let Made::Values { counts, .. } = &self.made { Some(counts.len()) } else { None };
        let ends = self.ends();
        let range = ends.as_ref().map(|ends| ends.each_ref().map(|(end, _)| *end));
        let scale = ends.map(|ends| ends.map(|(_, shown)| shown));
        json!({ "values": rows, "total": total, "range": range, "scale": scale, "sampled": self.looked })
    }
}

/// Radius of the least node among those of the greatest, and how much larger the greatest is; what is plain lies between.
pub(super) const SIZE_LEAST: f64 = 0.72;
pub(super) const SIZE_MORE: f64 = 2.1;

/// Numbers by how large they are, everything else by its letters.
fn by_value(left: &str, right: &str) -> std::cmp::Ordering {
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => left.total_cmp(&right),
        _ => left.cmp(right),
    }
}

#[cfg(test)]
pub(super) fn made<'rule>(channel: Channel, rule: &'rule Rule, data: &[Option<Datum<'_>>]) -> Scheme<'rule> {
    Scheme::made(channel, rule, data.iter().copied(), None).unwrap()
}
