//! `set_view`, `set_encoding`, `open_view`: what they ask for, checked against the graph.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::find::{Filter, FilterAsked};
use crate::graph::{Graph, NodeKind, colour_of};
use crate::mcp::args::{Id, ToolError, arguments, bounded, choice, counted, did_you_mean, nearest, need, short};
use crate::mcp::encoding::{AUTO, Channel, Icon, Kind, LOOKED_MAX, Rule, Scheme, Shown};
use crate::mcp::reply::printable;
use crate::mcp::stage::{Camera, OnStage, Scene, Staging};
use crate::mcp::view::View;

/// Bytes of the name of a view.
const VIEW_NAME_BYTES_MAX: usize = 64;

/// Nodes that a view holds by name.
const FOCUS_MAX: usize = 200;

/// Characters of a note.
const NOTE_LETTERS_MAX: usize = 280;

/// Values with something of their own.
const MAPPED_MAX: usize = 32;

/// Bytes of a value, and of the name of a property.
const VALUE_BYTES_MAX: usize = 128;

/// Colours of a palette.
const PALETTE_MAX: usize = 12;

/// How far away a camera may be, and what it looks at, world units.
const FAR_MAX: f64 = 1_000_000.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct CameraAsked {
    position: [f64; 3],
    target: [f64; 3],
}

arguments!(SetView {
    #[serde(borrow)]
    name: Option<Cow<'line, str>>,
    #[serde(borrow)]
    focus: Option<Vec<Id<'line>>>,
    #[serde(borrow)]
    selected: Option<Id<'line>>,
    camera: Option<CameraAsked>,
    #[serde(borrow)]
    filter: Option<FilterAsked<'line>>,
    #[serde(borrow)]
    group_by: Option<Cow<'line, str>>,
    #[serde(borrow)]
    note: Option<Cow<'line, str>>,
});

arguments!(SetEncoding {
    #[serde(borrow)]
    channel: Option<Cow<'line, str>>,
    #[serde(borrow)]
    by: Option<Cow<'line, str>>,
    #[serde(borrow)]
    property: Option<Cow<'line, str>>,
    value: Option<Value>,
    #[serde(borrow)]
    mapping: Option<BTreeMap<Cow<'line, str>, Value>>,
    #[serde(borrow)]
    palette: Option<Vec<Cow<'line, str>>>,
});

arguments!(OpenView { #[serde(borrow)] view: Option<Cow<'line, str>>, });

/// A name that fits into a line and into an answer.
fn named<'text>(field: &str, name: &'text str) -> Result<&'text str, ToolError> {
    let name = bounded(field, name, VIEW_NAME_BYTES_MAX)?;
    if name.is_empty() || printable(name, VIEW_NAME_BYTES_MAX) != name {
        return Err(ToolError::field(field, format!("{name:?}"), "1 to 64 bytes of text that can be seen"));
    }
    Ok(name)
}

fn on_stage(view: &View<'_>, field: &str, id: &Id<'_>) -> Result<OnStage, ToolError> {
    let index = need(view.graph, field, Some(id))?;
    let node = view.graph.node(index).ok_or_else(|| ToolError::new(format!("{field}: there is no node {id}")))?;
    Ok(OnStage { node_id: node.id.get(), key: node.key.clone() })
}

fn camera(asked: &CameraAsked) -> Result<Camera, ToolError> {
    for (field, point) in [("camera.position", asked.position), ("camera.target", asked.target)] {
        if let Some(far) = point.iter().find(|axis| axis.abs() > FAR_MAX) {
            return Err(ToolError::field(field, format!("at {far}"), format!("within +-{FAR_MAX} on every axis")));
        }
    }
    let camera = Camera { position: asked.position.map(|it| it as f32), target: asked.target.map(|it| it as f32) };
    if camera.position == camera.target {
        return Err(ToolError::new("camera: position and target are the same point: a camera looks at something else"));
    }
    Ok(camera)
}

pub(super) fn set_view(asked: &SetView<'_>, view: &View<'_>) -> Result<Staging, ToolError> {
    let looks = asked.focus.is_some() || asked.selected.is_some() || asked.camera.is_some();
    if !looks && asked.filter.is_none() && asked.group_by.is_none() {
        return Err(ToolError::new(
            "nothing to show: pass at least one of focus, selected, camera, filter, group_by; focus [] is the whole graph",
        ));
    }
    let ids = asked.focus.as_deref().unwrap_or(&[]);
    counted("focus", ids.len(), 0, FOCUS_MAX)?;
    let mut focus: Vec<OnStage> = Vec::with_capacity(ids.len());
    for id in ids {
        let node = on_stage(view, "focus", id)?;
        if !focus.contains(&node) {
            focus.push(node);
        }
    }
    let note = asked.note.as_deref().map(|note| match note.chars().count() {
        0..=NOTE_LETTERS_MAX => Ok(printable(note, NOTE_LETTERS_MAX).into()),
        letters => {
            let found = format!("{letters} characters long");
            Err(ToolError::field("note", found, format!("at most {NOTE_LETTERS_MAX} characters long")))
        }
    });
    Ok(Staging::View(Box::new(Scene {
        name: named("name", asked.name.as_deref().unwrap_or("main"))?.into(),
        focus,
        selected: asked.selected.as_ref().map(|id| on_stage(view, "selected", id)).transpose()?,
        camera: asked.camera.as_ref().map(camera).transpose()?,
        filter: asked.filter.as_ref().map(|filter| filtered(filter, view)).transpose()?,
        group_by: asked.group_by.as_deref().map(|name| grouped(name, view)).transpose()?,
        note: note.transpose()?,
    })))
}

/// A filter that some node passes: one that none does would leave everybody before an empty picture.
fn filtered(asked: &FilterAsked<'_>, view: &View<'_>) -> Result<Filter, ToolError> {
    let filter = Filter::read(asked)?;
    let nodes = view.graph.nodes().len();
    let none = nodes <= LOOKED_MAX && !(0..nodes).any(|index| filter.takes(view, index));
    match none {
        true => Err(ToolError::new("filter: no node passes it; try its conditions with find_nodes first")),
        false => Ok(filter),
    }
}

/// What nodes can be grouped by; every other name is that of a property.
const GROUPS: [&str; 5] = ["class", "group", "community", "cluster", "component"];

fn grouped(name: &str, view: &View<'_>) -> Result<Rule, ToolError> {
    let rule = match GROUPS.iter().find(|group| **group == name) {
        Some(by) => Rule::by(by),
        None => Rule { property: property_of("group_by", name, false, view)?, ..Rule::by("property") },
    };
    Ok(Rule { apart: true, ..rule })
}

pub(super) fn set_encoding(asked: &SetEncoding<'_>, view: &View<'_>) -> Result<Staging, ToolError> {
    let channels = Channel::ALL.map(|channel| (channel.name(), channel));
    let names = Channel::ALL.map(Channel::name).join(", ");
    let channel = asked.channel.as_deref().ok_or_else(|| ToolError::missing("channel", &format!("one of {names}")))?;
    let channel = choice("channel", Some(channel), &channels, Channel::Color)?;
    let by: Vec<_> = channel.by().iter().map(|name| (*name, *name)).collect();
    let names = || format!("one of {}", channel.by().join(", "));
    let by = choice("by", Some(asked.by.as_deref().ok_or_else(|| ToolError::missing("by", &names()))?), &by, AUTO)?;
    let rule = Rule {
        property: property(asked.property.as_deref(), by, channel, view)?,
        value: constant(asked.value.as_ref(), by, channel)?,
        mapping: asked.mapping.as_ref().map(|it| mapped(it, by, channel, view.graph)).transpose()?.unwrap_or_default(),
        palette: asked.palette.as_deref().map(|it| palette(it, by, channel)).transpose()?.unwrap_or_default(),
        ..Rule::by(by)
    };
    if by == AUTO {
        let legend = json!({ "values": [], "total": null, "range": null, "scale": null, "sampled": 0 });
        return Ok(Staging::Encode { channel, rule: None, legend });
    }
    let scheme = Scheme::of(channel, &rule, view, LOOKED_MAX, None)?;
    if scheme.needs_mapping() {
        return Err(ToolError::new(format!(
            "{} by {by} needs mapping: values that are no numbers say how much each counts, such as \
             {{\"agent\": {}}}",
            channel.name(),
            if channel == Channel::Opacity { 0.5 } else { 2.0 }
        )));
    }
    let legend = scheme.legend();
    Ok(Staging::Encode { channel, rule: Some(Box::new(rule)), legend })
}

/// The property that a channel goes by: one that some node or edge has.
fn property(name: Option<&str>, by: &str, channel: Channel, view: &View<'_>) -> Result<Option<Box<str>>, ToolError> {
    let whose = if channel.is_of_edges() { "edges" } else { "nodes" };
    match (name, by) {
        (None, "property") => Err(ToolError::missing("property", &format!("the name of a property of {whose}"))),
        (None, _) => Ok(None),
        (Some(_), by) if by != "property" => {
            Err(ToolError::new(format!("property goes with by \"property\", not with {by:?}")))
        }
        (Some(name), _) => property_of("property", name, channel.is_of_edges(), view),
    }
}

fn property_of(field: &str, name: &str, of_edges: bool, view: &View<'_>) -> Result<Option<Box<str>>, ToolError> {
    let name = bounded(field, name, VALUE_BYTES_MAX)?;
    let (nodes, edges) = (view.graph.nodes(), view.graph.edges());
    let there: BTreeSet<&str> = match of_edges {
        true => edges.iter().take(LOOKED_MAX).flat_map(|edge| edge.attributes()).map(|(key, _)| &**key).collect(),
        false => nodes.iter().take(LOOKED_MAX).flat_map(|node| &node.attributes).map(|(key, _)| &**key).collect(),
    };
    let all = if of_edges { edges.len() } else { nodes.len() } <= LOOKED_MAX;
    if all && !there.contains(name) {
        let near = did_you_mean(nearest(name, there.iter().copied()));
        let (one, name) = (if of_edges { "edge" } else { "node" }, short(name));
        let words = format!("{field}: no {one} has the property {name:?}.{near} get_schema shows those there are.");
        return Err(ToolError::new(words));
    }
    Ok(Some(name.into()))
}

/// What a channel is set to, checked.
fn shown(field: &str, value: &Value, channel: Channel) -> Result<Shown, ToolError> {
    let wrong = |allowed: &str| ToolError::field(field, value, allowed);
    match channel.kind() {
        Kind::Colour => value.as_str().and_then(colour_of).map(Shown::Colour).ok_or_else(|| wrong("#rrggbb")),
        Kind::Number(least, most) => {
            let number = value.as_f64().map(|number| number as f32).filter(|it| (least..=most).contains(it));
            number.map(Shown::Number).ok_or_else(|| wrong(&format!("a number from {least} to {most}")))
        }
        Kind::Icon => {
            let icons = Icon::ALL.map(|icon| (icon.name(), icon));
            let name =
                value.as_str().ok_or_else(|| wrong(&format!("one of {}", Icon::ALL.map(Icon::name).join(", "))))?;
            choice(field, Some(name), &icons, Icon::Disc).map(Shown::Icon)
        }
        Kind::Text => {
            let text = value.as_str().ok_or_else(|| wrong("a text"))?;
            let text = bounded(field, text, VIEW_NAME_BYTES_MAX)?;
            Ok(Shown::Text(printable(text, VIEW_NAME_BYTES_MAX).into()))
        }
    }
}

fn constant(value: Option<&Value>, by: &str, channel: Channel) -> Result<Option<Shown>, ToolError> {
    match (value, by) {
        (Some(value), "constant") => shown("value", value, channel).map(Some),
        (None, "constant") => Err(ToolError::missing("value", "what all have")),
        (Some(_), by) => Err(ToolError::new(format!("value goes with by \"constant\", not with {by:?}"))),
        (None, _) => Ok(None),
    }
}

fn palette(colours: &[Cow<'_, str>], by: &str, channel: Channel) -> Result<Vec<u32>, ToolError> {
    if channel.kind() != Kind::Colour || matches!(by, "auto" | "constant") {
        let words = "palette is for color, badge and edge_color, by something that has several values";
        return Err(ToolError::new(words));
    }
    counted("palette", colours.len(), 2, PALETTE_MAX)?;
    let read = |(place, colour): (usize, &Cow<'_, str>)| {
        colour_of(colour)
            .ok_or_else(|| ToolError::field(&format!("palette[{place}]"), format!("{colour:?}"), "#rrggbb"))
    };
    colours.iter().enumerate().map(read).collect()
}

/// What else than words and numbers of groups has one value for each node.
const OF_SCALES: [&str; 9] = [AUTO, "constant", "equal", "none", "degree", "weight", "rank", "anomaly", "distance"];

fn mapped(
    mapping: &BTreeMap<Cow<'_, str>, Value>,
    by: &str,
    channel: Channel,
    graph: &Graph,
) -> Result<BTreeMap<Box<str>, Shown>, ToolError> {
    if OF_SCALES.contains(&by) || matches!((channel, by), (Channel::Label, "id" | "label")) {
        return Err(ToolError::new(format!(
            "mapping is for values that can be named, such as by class, group or property: {} by {by} has none",
            channel.name()
        )));
    }
    counted("mapping", mapping.len(), 1, MAPPED_MAX)?;
    let mut read = BTreeMap::new();
    for (value, to) in mapping {
        let value = bounded("mapping", value, VALUE_BYTES_MAX)?;
        let there = || graph.nodes().iter().take(LOOKED_MAX);
        let all = graph.nodes().len() <= LOOKED_MAX;
        let groups = || there().filter_map(|node| node.group.as_deref());
        let near = match by {
            "class" if NodeKind::from_name(value).is_none() => {
                Some(nearest(value, there().map(|node| node.class.kind.name())))
            }
            "group" if all && !groups().any(|known| known == value) => Some(nearest(value, groups())),
            _ => None,
        };
        if let Some(near) = near {
            let (near, value) = (did_you_mean(near), short(value));
            let words = format!("mapping: no node has the {by} {value:?}.{near} get_schema shows those there are.");
            return Err(ToolError::new(words));
        }
        read.insert(value.into(), shown(&format!("mapping.{}", short(value)), to, channel)?);
    }
    Ok(read)
}

pub(super) fn open_view(asked: &OpenView<'_>) -> Result<Staging, ToolError> {
    Ok(Staging::Open { view: asked.view.as_deref().map(|name| named("view", name)).transpose()?.map(Into::into) })
}
