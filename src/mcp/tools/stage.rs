//! `set_view`, `set_encoding`, `open_view`: what they ask for, checked against the graph.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::graph::{Graph, Node, NodeIndex, NodeKind, colour_of};
use crate::mcp::args::{Id, ToolError, arguments, bounded, choice, counted, nearest, need, short};
use crate::mcp::reply::printable;
use crate::mcp::stage::{AUTO, Camera, OnStage, Scene, Staging};
use crate::mcp::view::View;

/// Bytes of the name of a view.
const VIEW_NAME_BYTES_MAX: usize = 64;

/// Nodes that a view holds by name.
const FOCUS_MAX: usize = 200;

/// Characters of a note.
const NOTE_LETTERS_MAX: usize = 280;

/// Classes or groups with a colour of their own.
const COLOURS_MAX: usize = 32;

/// Bytes of the name of one of them.
const COLOURED_BYTES_MAX: usize = 128;

/// Rows of a legend.
const LEGEND_MAX: usize = 25;

/// Nodes that a legend counts, so that no large graph holds up anybody.
const LOOKED_MAX: usize = 50_000;

/// How far away a camera may be, and what it looks at, world units.
const FAR_MAX: f64 = 1_000_000.0;

/// What colour may mean. The same for viewers, by the same names.
const COLOURS: [&str; 10] =
    [AUTO, "class", "group", "degree", "community", "cluster", "component", "rank", "anomaly", "distance"];

/// What size may mean.
const SIZES: [&str; 5] = [AUTO, "equal", "degree", "weight", "rank"];

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
    note: Option<Cow<'line, str>>,
});

arguments!(SetEncoding {
    #[serde(borrow)]
    channel: Option<Cow<'line, str>>,
    #[serde(borrow)]
    by: Option<Cow<'line, str>>,
    #[serde(borrow)]
    mapping: Option<BTreeMap<Cow<'line, str>, Cow<'line, str>>>,
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
    if asked.focus.is_none() && asked.selected.is_none() && asked.camera.is_none() {
        return Err(ToolError::new(
            "nothing to show: pass at least one of focus, selected, camera; focus [] is the whole graph",
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
        note: note.transpose()?,
    })))
}

/// The name of what a channel shows.
fn meaning(by: Option<&str>, names: &[&'static str]) -> Result<&'static str, ToolError> {
    let of: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
    let by = by.ok_or_else(|| ToolError::missing("by", &format!("one of {}", names.join(", "))))?;
    choice("by", Some(by), &of, AUTO)
}

pub(super) fn set_encoding(asked: &SetEncoding<'_>, view: &View<'_>) -> Result<Staging, ToolError> {
    let channel = asked.channel.as_deref().ok_or_else(|| ToolError::missing("channel", "color or size"))?;
    let is_colour = choice("channel", Some(channel), &[("color", true), ("size", false)], true)?;
    let names = if is_colour { &COLOURS[..] } else { &SIZES[..] };
    let by = meaning(asked.by.as_deref(), names)?;
    let colours = match &asked.mapping {
        None => BTreeMap::new(),
        Some(_) if !is_colour || !["class", "group"].contains(&by) => {
            return Err(ToolError::new(
                "mapping is for channel color by class or group: what else is shown has colours of the viewer's",
            ));
        }
        Some(mapping) => mapped(mapping, by, view.graph)?,
    };
    let legend = legend(by, &colours, view.graph);
    Ok(if is_colour { Staging::Colour { by, colours, legend } } else { Staging::Size { by, legend } })
}

/// The class or the group of a node.
fn value_of<'node>(by: &str, node: &'node Node) -> Option<&'node str> {
    if by == "class" { Some(node.class.kind.name()) } else { node.group.as_deref() }
}

fn mapped(
    mapping: &BTreeMap<Cow<'_, str>, Cow<'_, str>>,
    by: &str,
    graph: &Graph,
) -> Result<BTreeMap<Box<str>, Box<str>>, ToolError> {
    counted("mapping", mapping.len(), 1, COLOURS_MAX)?;
    let mut colours = BTreeMap::new();
    for (value, colour) in mapping {
        let value = bounded("mapping", value, COLOURED_BYTES_MAX)?;
        let there = || graph.nodes().iter().take(LOOKED_MAX).filter_map(|node| value_of(by, node));
        let all = graph.nodes().len() <= LOOKED_MAX;
        let known = match by {
            "class" => NodeKind::from_name(value).is_some(),
            _ => !all || there().any(|known| known == value),
        };
        if !known {
            let near = nearest(value, there()).map(|near| format!(" Did you mean {near:?}?")).unwrap_or_default();
            let value = short(value);
            let words = format!("mapping: no node has the {by} {value:?}.{near} get_schema shows those there are.");
            return Err(ToolError::new(words));
        }
        let number = colour_of(colour)
            .ok_or_else(|| ToolError::field(&format!("mapping.{}", short(value)), format!("{colour:?}"), "#rrggbb"))?;
        colours.insert(value.into(), format!("#{number:06x}").into());
    }
    Ok(colours)
}

/// What the engine knows of the values: how many nodes have which class or group, and how far degrees and weights reach.
/// Results of analytics are with the streams.
fn legend(by: &str, colours: &BTreeMap<Box<str>, Box<str>>, graph: &Graph) -> Value {
    let nodes = graph.nodes().get(..LOOKED_MAX).unwrap_or(graph.nodes());
    let sampled = nodes.len();
    let range = |values: &mut dyn Iterator<Item = f64>| {
        let ends = values.fold(None, |ends: Option<(f64, f64)>, value| {
            Some(ends.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        });
        json!({ "values": [], "total": null, "range": ends.map(|(low, high)| [low, high]), "sampled": sampled })
    };
    match by {
        "class" | "group" => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for value in nodes.iter().filter_map(|node| value_of(by, node)) {
                *counts.entry(value).or_default() += 1;
            }
            let mut rows: Vec<(&str, usize)> = counts.into_iter().collect();
            rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let total = rows.len();
            let rows = rows.into_iter().take(LEGEND_MAX);
            let rows: Vec<Value> = rows
                .map(|(value, count)| json!({ "value": value, "nodes": count, "color": colours.get(value) }))
                .collect();
            json!({ "values": rows, "total": total, "range": null, "sampled": sampled })
        }
        "degree" => range(&mut (0..nodes.len()).map(|index| graph.incident(NodeIndex(index as u32)).len() as f64)),
        "weight" => range(&mut nodes.iter().map(|node| f64::from(node.weight))),
        _ => json!({ "values": [], "total": null, "range": null, "sampled": 0 }),
    }
}

pub(super) fn open_view(asked: &OpenView<'_>) -> Result<Staging, ToolError> {
    Ok(Staging::Open { view: asked.view.as_deref().map(|name| named("view", name)).transpose()?.map(Into::into) })
}
