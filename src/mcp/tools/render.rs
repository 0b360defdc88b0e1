//! `render_view`: the live layout as a picture, drawn with `tiny-skia`, or as SVG.

mod draw;
mod dress;

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use self::draw::{raster, svg};
use self::dress::Dress;
use super::around::{Direction, walk};
use super::{Done, done};
use crate::graph::{NodeId, NodeIndex};
use crate::limits::MCP_IMAGE_BYTES_MAX;
use crate::mcp::args::{Id, ToolError, arguments, choice, counted, need, whole};
use crate::mcp::encoding::Icon;
use crate::mcp::reply::{Content, printable};
use crate::mcp::stage::{Camera, OnStage, Scene};
use crate::mcp::uri::encode as encode_name;
use crate::mcp::view::{Bounds, View};

arguments!(RenderView {
    #[serde(borrow)]
    focus: Vec<Id<'line>>,
    #[serde(borrow)]
    view: Option<std::borrow::Cow<'line, str>>,
    hops: Option<i64>,
    width: Option<i64>,
    height: Option<i64>,
    #[serde(borrow)]
    format: Option<std::borrow::Cow<'line, str>>,
    labels: Option<i64>,
});

/// Edges that are drawn; the rest is counted.
const EDGES_DRAWN_MAX: usize = 20_000;

/// Nodes that are drawn around a focus.
const FOCUS_NODES_MAX: usize = 5_000;

/// Space around the picture, pixels.
const MARGIN: f32 = 16.0;

/// Pixels of a letter.
const LETTER_WIDTH: f32 = 8.0;

/// Letters of a label that are drawn.
const LETTERS_MAX: usize = 24;

/// Colours of groups, readable on the dark ground. Source: Okabe and Ito, with lighter greys.
const COLOURS: [u32; 8] =
    [0xE6_9F_00, 0x56_B4_E9, 0x00_9E_73, 0xF0_E4_42, 0x4C_8D_FF, 0xD5_5E_00, 0xCC_79_A7, 0xB0_B0_B0];

/// Radius of a node of plain size where nothing is crowded, pixels.
const PLAIN: f32 = 1.7;

/// What is drawn, in pixels.
struct Picture {
    width: u32,
    height: u32,
    edges: Vec<Line>,
    nodes: Vec<Dot>,
    /// Of the legend.
    keys: Vec<Dot>,
    labels: Vec<Label>,
    edges_left_out: usize,
}

struct Line {
    at: [f32; 4],
    /// Where it has one of its own.
    colour: Option<u32>,
    width: f32,
    opacity: f32,
}

struct Dot {
    x: f32,
    y: f32,
    radius: f32,
    colour: u32,
    icon: Icon,
    badge: Option<u32>,
    opacity: f32,
    /// It stands out.
    marked: bool,
}

struct Label {
    x: f32,
    y: f32,
    text: String,
}

/// What of the layout is drawn, and from where.
#[derive(Default)]
struct Motif {
    /// `None` is everything.
    chosen: Option<HashSet<usize>>,
    /// `None` is along the thinnest axis, from as far as it takes.
    camera: Option<Camera>,
    marked: Option<usize>,
    /// Names that are written.
    labels: usize,
}

impl Motif {
    /// These nodes and what is around them.
    fn around(
        centres: impl Iterator<Item = NodeIndex>,
        hops: usize,
        view: &View<'_>,
        bounds: &Bounds<'_>,
    ) -> Result<Self, ToolError> {
        let mut chosen: Option<HashSet<usize>> = None;
        for centre in centres {
            let around = walk(view, bounds, centre, hops, Direction::Both, &[], FOCUS_NODES_MAX)?;
            chosen.get_or_insert_default().extend(around.order.iter().map(|(index, _)| index.get()));
        }
        Ok(Self { chosen, ..Self::default() })
    }

    /// What a view that is kept shows: where its camera looks, else its focus, else the node that it marks. Nodes that are gone are passed
    /// over.
    fn of(scene: &Scene, hops: usize, view: &View<'_>, bounds: &Bounds<'_>) -> Result<Self, ToolError> {
        let index = |node: &OnStage| view.graph.index_of(NodeId::new(node.node_id)?);
        let marked = scene.selected.as_ref().and_then(index);
        let motif = match (scene.camera, scene.focus.is_empty()) {
            (Some(camera), _) => Self { camera: Some(camera), ..Self::default() },
            (None, false) => Self::around(scene.focus.iter().filter_map(index), hops, view, bounds)?,
            (None, true) => Self::around(marked.into_iter(), hops, view, bounds)?,
        };
        let mut motif = Self { marked: marked.map(NodeIndex::get), ..motif };
        if let Some(filter) = &scene.filter {
            bounds.spend(view.graph.nodes().len() as u64)?;
            let takes = |index: &usize| filter.takes(view, *index);
            motif.chosen = Some(match motif.chosen {
                Some(chosen) => chosen.into_iter().filter(takes).collect(),
                None => (0..view.graph.nodes().len()).filter(takes).collect(),
            });
        }
        Ok(motif)
    }
}

/// Names of a picture that nobody has asked for a number of.
const LABELS: usize = 20;

pub(super) fn render_view(asked: &RenderView<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    counted("focus", asked.focus.len(), 0, 200)?;
    let hops = whole("hops", asked.hops, (0, 3), 1)?;
    let width = whole("width", asked.width, (64, 1_024), 800)? as u32;
    let height = whole("height", asked.height, (64, 1_024), 600)? as u32;
    let labels = whole("labels", asked.labels, (0, 100), LABELS as i64)?;
    let png = choice("format", asked.format.as_deref(), &[("png", true), ("svg", false)], true)?;
    let (motif, named) = match asked.view.as_deref() {
        Some(_) if !asked.focus.is_empty() => {
            return Err(ToolError::new("render_view takes focus or view, not both"));
        }
        Some(name) => {
            let (_, scene) = view.stage.kept(name).ok_or_else(|| view.stage.unknown(name))?;
            (Motif::of(scene, hops, view, bounds)?, Some(name))
        }
        None => {
            let centres = asked.focus.iter().map(|id| need(view.graph, "focus", Some(id)));
            let centres: Vec<NodeIndex> = centres.collect::<Result<_, _>>()?;
            (Motif::around(centres.into_iter(), hops, view, bounds)?, None)
        }
    };
    let motif = Motif { labels, ..motif };
    let grouped = named.and_then(|name| view.stage.kept(name)).and_then(|(_, scene)| scene.group_by.as_ref());
    let dress = Dress::of(view, grouped, bounds)?;
    let picture = lay_out(view, bounds, &motif, &dress, (width, height))?;
    let (mime, data, picture) = encode(picture, png, view, bounds, &motif, &dress)?;
    let format = if png { "png" } else { "svg" };
    let mut result = done(&json!({
        "view": named, "nodes": picture.nodes.len(), "edges": picture.edges.len(),
        "edges_left_out": picture.edges_left_out, "width": picture.width, "height": picture.height, "format": format,
        "legend": dress.legends(), "tick": view.tick, "revision": view.revision,
    }))?;
    let said = result.structured.clone().unwrap_or_default();
    let of = named.unwrap_or(MAIN);
    let shows = match view.stage.kept(of) {
        Some(_) => format!("The view {of}, as it is then"),
        None => "The whole layout, as it is then".to_owned(),
    };
    let link = Content::Link { uri: format!("graph://view/{}.{format}", encode_name(of)), name: shows, mime };
    result.content = vec![Content::Image { mime, data }, Content::Text(said), link];
    Ok(result)
}

/// The view that there is before anybody has kept one of this name: the whole layout.
pub(in crate::mcp) const MAIN: &str = "main";

/// `graph://view/{name}.{format}`: a view that is kept as base64, or `main`, which is the whole layout where it is not; `None` where there
/// is none of that name.
pub(in crate::mcp) fn picture(
    name: &str,
    format: &str,
    view: &View<'_>,
    bounds: &Bounds<'_>,
) -> Option<Result<String, ToolError>> {
    let motif = match view.stage.kept(name) {
        Some((_, scene)) => Motif::of(scene, 1, view, bounds),
        None if name == MAIN => Ok(Motif::default()),
        None => return None,
    };
    Some(motif.and_then(|motif| {
        let motif = Motif { labels: LABELS, ..motif };
        let grouped = view.stage.kept(name).and_then(|(_, scene)| scene.group_by.as_ref());
        let dress = Dress::of(view, grouped, bounds)?;
        let picture = lay_out(view, bounds, &motif, &dress, (800, 600))?;
        encode(picture, format == "png", view, bounds, &motif, &dress).map(|(_, data, _)| data)
    }))
}

/// Draws; a picture of too many bytes is drawn again smaller, an SVG with fewer edges.
fn encode(
    mut picture: Picture,
    png: bool,
    view: &View<'_>,
    bounds: &Bounds<'_>,
    motif: &Motif,
    dress: &Dress<'_>,
) -> Result<(&'static str, String, Picture), ToolError> {
    loop {
        let bytes = if png { raster(&picture, bounds)? } else { svg(&picture).into_bytes() };
        if bytes.len() / 3 * 4 + 4 <= MCP_IMAGE_BYTES_MAX {
            return Ok((if png { "image/png" } else { "image/svg+xml" }, STANDARD.encode(bytes), picture));
        }
        if !png {
            let (edges, nodes) = (picture.edges.len() / 2, picture.nodes.len());
            if edges == 0 && nodes > 0 {
                return Err(ToolError::new(
                    "an SVG of so many nodes is larger than 1 MiB: ask for png, or for a focus",
                ));
            }
            picture.edges_left_out += picture.edges.len() - edges;
            picture.edges.truncate(edges);
        } else if picture.width > 128 {
            picture = lay_out(view, bounds, motif, dress, (picture.width / 2, picture.height / 2))?;
        } else {
            return Err(ToolError::new("the picture is larger than 1 MiB"));
        }
    }
}

/// From world units to pixels.
enum Projection {
    /// Along the two axes of largest extent, the same scale for both.
    Flat { across: usize, down: usize, middle: [f32; 3], scale: f32, size: (f32, f32) },
    /// As the viewer's camera has it.
    Camera { from: [f32; 3], right: [f32; 3], up: [f32; 3], ahead: [f32; 3], pixels: f32, size: (f32, f32) },
}

/// Of the viewer's camera, from the top of the picture to its bottom. The same as in `clients/viewer/src/scene/view.ts`.
const FIELD_OF_VIEW_DEG: f32 = 42.0;

/// What is nearer to a camera is not drawn, world units.
const NEAR: f32 = 1.0;

fn minus(left: [f32; 3], right: [f32; 3]) -> [f32; 3] {
    let ([a, b, c], [x, y, z]) = (left, right);
    [a - x, b - y, c - z]
}

fn dot(left: [f32; 3], right: [f32; 3]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn cross([a, b, c]: [f32; 3], [x, y, z]: [f32; 3]) -> [f32; 3] {
    [b * z - c * y, c * x - a * z, a * y - b * x]
}

fn unit(vector: [f32; 3]) -> [f32; 3] {
    let length = dot(vector, vector).sqrt().max(1e-12);
    vector.map(|axis| axis / length)
}

impl Projection {
    /// Of a picture of everything between two corners.
    fn flat(low: [f32; 3], high: [f32; 3], (width, height): (u32, u32)) -> Self {
        let (across, down) = axes(low, high);
        let extent = minus(high, low);
        let of = |axis: usize| extent.get(axis).copied().unwrap_or(0.0).max(1e-6);
        let room = |pixels: u32, axis: usize| (pixels as f32 - 2.0 * MARGIN) / of(axis);
        let scale = room(width, across).min(room(height, down)).min(1e6);
        let mut middle = low;
        middle.iter_mut().zip(high).for_each(|(low, high)| *low = f32::midpoint(*low, high));
        Self::Flat { across, down, middle, scale, size: (width as f32, height as f32) }
    }

    /// Of a camera whose up is y, as far as that goes.
    fn camera(camera: Camera, (width, height): (u32, u32)) -> Self {
        let ahead = unit(minus(camera.target, camera.position));
        // Straight up or down, z is what is above.
        let above = if ahead.get(1).is_some_and(|y| y.abs() > 0.999_9) { [0.0, 0.0, 1.0] } else { [0.0, 1.0, 0.0] };
        let right = unit(cross(ahead, above));
        let pixels = height as f32 / 2.0 / (FIELD_OF_VIEW_DEG.to_radians() / 2.0).tan();
        let up = cross(right, ahead);
        Self::Camera { from: camera.position, right, up, ahead, pixels, size: (width as f32, height as f32) }
    }

    /// Where a point is in the picture; `None` where it is behind the camera.
    fn place(&self, point: [f32; 3]) -> Option<(f32, f32)> {
        match self {
            Self::Flat { across, down, middle, scale, size: (width, height) } => {
                let off = minus(point, *middle);
                let of = |axis: usize| off.get(axis).copied().unwrap_or(0.0);
                Some((width / 2.0 + of(*across) * scale, height / 2.0 - of(*down) * scale))
            }
            Self::Camera { from, right, up, ahead, pixels, size: (width, height) } => {
                let off = minus(point, *from);
                let far = dot(off, *ahead);
                let at = |axis: [f32; 3]| dot(off, axis) / far * pixels;
                (far >= NEAR).then(|| (width / 2.0 + at(*right), height / 2.0 - at(*up)))
            }
        }
    }

    /// Whether a node there would be seen: of the flat picture all are.
    fn is_in(&self, (x, y): (f32, f32)) -> bool {
        match self {
            Self::Flat { .. } => true,
            Self::Camera { size: (width, height), .. } => {
                (-MARGIN..width + MARGIN).contains(&x) && (-MARGIN..height + MARGIN).contains(&y)
            }
        }
    }
}

fn lay_out(
    view: &View<'_>,
    bounds: &Bounds<'_>,
    motif: &Motif,
    dress: &Dress<'_>,
    (width, height): (u32, u32),
) -> Result<Picture, ToolError> {
    let graph = view.graph;
    let positions = view.positions.filter(|positions| positions.len() == graph.nodes().len());
    let positions = positions.ok_or_else(|| ToolError::new("there are no positions yet: try again in a second"))?;
    bounds.spend(positions.len() as u64)?;
    let is_chosen = |index: &usize| motif.chosen.as_ref().is_none_or(|chosen| chosen.contains(index));
    let points: Vec<[f32; 3]> =
        positions.iter().enumerate().filter(|(index, _)| is_chosen(index)).map(|(_, at)| *at).collect();
    let (low, high) = super::survey::extent(&points).unwrap_or_default();
    let projection = match motif.camera {
        Some(camera) => Projection::camera(camera, (width, height)),
        None => Projection::flat(low, high, (width, height)),
    };
    let place = |index: usize| positions.get(index).and_then(|at| projection.place(*at));
    let seen = |index: &usize| is_chosen(index) && place(*index).is_some_and(|at| projection.is_in(at));
    let kept: Vec<usize> = (0..positions.len()).filter(seen).collect();
    let mut picture = Picture {
        width,
        height,
        edges: Vec::new(),
        nodes: Vec::new(),
        keys: Vec::new(),
        labels: Vec::new(),
        edges_left_out: 0,
    };
    for edge in graph.edges() {
        bounds.spend(1)?;
        let (from, to) = (edge.source.get(), edge.target.get());
        if from == to || !is_chosen(&from) || !is_chosen(&to) || (motif.camera.is_some() && !seen(&from) && !seen(&to))
        {
            continue;
        }
        if picture.edges.len() >= EDGES_DRAWN_MAX {
            picture.edges_left_out += 1;
            continue;
        }
        let Some(((ax, ay), (bx, by))) = place(from).zip(place(to)) else { continue };
        picture.edges.push(Line {
            at: [ax, ay, bx, by],
            colour: dress.edge_colour(edge),
            width: dress.edge_width(edge),
            opacity: dress.opacity(from).min(dress.opacity(to)),
        });
    }
    let mut groups: HashMap<&str, usize> = HashMap::new();
    let crowd = (20_000.0 / (kept.len() as f32 + 100.0)).sqrt().clamp(0.6, 4.0);
    let mut by_degree: Vec<(usize, f32, f32, f32, usize)> = Vec::new();
    for index in &kept {
        let Some((node, (x, y))) = graph.nodes().get(*index).zip(place(*index)) else { continue };
        let group = node.group.as_deref().unwrap_or_else(|| node.class.kind.name());
        let next = groups.len();
        let of_group = *groups.entry(group).or_insert(next);
        let own = || node.colour.or_else(|| COLOURS.get(of_group % COLOURS.len()).copied());
        let colour = dress.colour(*index).or_else(own).unwrap_or(0xB0_B0_B0);
        let degree = graph.incident(NodeIndex(*index as u32)).len();
        let radius = crowd * dress.size(*index).map_or(1.0 + ((degree + 1) as f32).log2() * 0.35, |size| size * PLAIN);
        let (icon, badge) = (dress.icon(*index, node.class.kind), dress.badge(*index));
        let (opacity, marked) = (dress.opacity(*index), motif.marked == Some(*index));
        picture.nodes.push(Dot { x, y, radius, colour, icon, badge, opacity, marked });
        by_degree.push((degree, x, y, radius, *index));
    }
    draw_legend(&mut picture, &dress.rows());
    by_degree.sort_by_key(|row| std::cmp::Reverse(row.0));
    let of_legend = picture.labels.len();
    for (_, x, y, radius, index) in &by_degree {
        if picture.labels.len() - of_legend >= motif.labels {
            break;
        }
        bounds.spend(1)?;
        let own = graph.nodes().get(*index).map_or("", |node| &node.label);
        let text = printable(dress.label(*index).as_deref().unwrap_or(own), LETTERS_MAX);
        let wide = text.chars().count() as f32 * LETTER_WIDTH;
        // Beside the node, on the side where there is room; left out where another name stands already.
        let right = x + radius + 3.0;
        let x = if right + wide <= width as f32 { right } else { x - radius - 3.0 - wide };
        let free = picture.labels.iter().all(|other| {
            let other_wide = other.text.chars().count() as f32 * LETTER_WIDTH;
            (other.y - y).abs() >= 14.0 || other.x > x + wide || other.x + other_wide < x
        });
        if free && x >= 0.0 && !text.trim().is_empty() {
            picture.labels.push(Label { x, y: *y, text });
        }
    }
    Ok(picture)
}

/// What colours mean, at the lower left.
fn draw_legend(picture: &mut Picture, rows: &[(String, u32)]) {
    for (place, (value, colour)) in rows.iter().rev().enumerate() {
        let (x, y, radius) = (MARGIN, picture.height as f32 - MARGIN - 18.0 * place as f32, 5.0);
        let (icon, badge, opacity, marked) = (Icon::Disc, None, 1.0, false);
        picture.keys.push(Dot { x, y, radius, colour: *colour, icon, badge, opacity, marked });
        picture.labels.push(Label { x: x + 10.0, y, text: printable(value, LETTERS_MAX) });
    }
}

/// The two axes of largest extent, in the order x, y, z.
fn axes(low: [f32; 3], high: [f32; 3]) -> (usize, usize) {
    let extent: Vec<f32> = low.iter().zip(high).map(|(low, high)| high - low).collect();
    let thinnest =
        extent.iter().enumerate().min_by(|left, right| left.1.total_cmp(right.1)).map_or(2, |(axis, _)| axis);
    match thinnest {
        0 if extent.iter().any(|it| *it > 0.0) => (1, 2),
        1 if extent.iter().any(|it| *it > 0.0) => (0, 2),
        _ => (0, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_sees_as_far_to_the_side_as_the_viewers() {
        let viewer = include_str!("../../../clients/viewer/src/scene/view.ts");
        assert!(viewer.contains(&format!("const FIELD_OF_VIEW_DEG = {FIELD_OF_VIEW_DEG};")));
    }
}
