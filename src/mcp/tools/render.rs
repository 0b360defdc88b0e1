//! `render_view`: the live layout as a picture, drawn with `tiny-skia`, or as SVG.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};
use serde_json::json;
use tiny_skia::{Color, FillRule, Paint, PathBuilder, Pixmap, Stroke, Transform};

use super::around::{Direction, walk};
use super::{Done, done};
use crate::graph::NodeIndex;
use crate::limits::MCP_IMAGE_BYTES_MAX;
use crate::mcp::args::{Id, ToolError, arguments, choice, counted, need, whole};
use crate::mcp::reply::{Content, printable};
use crate::mcp::view::{Bounds, View};

arguments!(RenderView {
    #[serde(borrow)]
    focus: Vec<Id<'line>>,
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

const GROUND: u32 = 0x10_14_1C;

/// What is drawn, in pixels.
struct Picture {
    width: u32,
    height: u32,
    edges: Vec<[f32; 4]>,
    nodes: Vec<Dot>,
    labels: Vec<Label>,
    edges_left_out: usize,
}

struct Dot {
    x: f32,
    y: f32,
    radius: f32,
    colour: u32,
}

struct Label {
    x: f32,
    y: f32,
    text: String,
}

pub(super) fn render_view(asked: &RenderView<'_>, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    counted("focus", asked.focus.len(), 0, 200)?;
    let hops = whole("hops", asked.hops, (0, 3), 1)?;
    let width = whole("width", asked.width, (64, 1_024), 800)? as u32;
    let height = whole("height", asked.height, (64, 1_024), 600)? as u32;
    let labels = whole("labels", asked.labels, (0, 100), 20)?;
    let png = choice("format", asked.format.as_deref(), &[("png", true), ("svg", false)], true)?;
    let mut chosen: Option<HashSet<usize>> = None;
    for id in &asked.focus {
        let centre = need(view.graph, "focus", Some(id))?;
        let around = walk(view, bounds, centre, hops, Direction::Both, &[], FOCUS_NODES_MAX)?;
        chosen.get_or_insert_default().extend(around.order.iter().map(|(index, _)| index.get()));
    }
    let picture = lay_out(view, bounds, chosen.as_ref(), (width, height), labels)?;
    let (mime, data, picture) = encode(picture, png, view, bounds, chosen.as_ref(), labels)?;
    let format = if png { "png" } else { "svg" };
    let mut result = done(&json!({
        "nodes": picture.nodes.len(), "edges": picture.edges.len(), "edges_left_out": picture.edges_left_out,
        "width": picture.width, "height": picture.height, "format": format, "tick": view.tick, "revision": view.revision,
    }))?;
    let said = result.structured.clone().unwrap_or_default();
    let link = Content::Link { uri: format!("graph://view/main.{format}"), name: "The whole layout".to_owned(), mime };
    result.content = vec![Content::Image { mime, data }, Content::Text(said), link];
    Ok(result)
}

/// The whole layout as base64.
pub(super) fn picture(format: &str, view: &View<'_>, bounds: &Bounds<'_>) -> Result<String, ToolError> {
    let picture = lay_out(view, bounds, None, (800, 600), 20)?;
    encode(picture, format == "png", view, bounds, None, 20).map(|(_, data, _)| data)
}

/// Draws; a picture of too many bytes is drawn again smaller, an SVG with fewer edges.
fn encode(
    mut picture: Picture,
    png: bool,
    view: &View<'_>,
    bounds: &Bounds<'_>,
    chosen: Option<&HashSet<usize>>,
    labels: usize,
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
            picture = lay_out(view, bounds, chosen, (picture.width / 2, picture.height / 2), labels)?;
        } else {
            return Err(ToolError::new("the picture is larger than 1 MiB"));
        }
    }
}

/// From world units to pixels: along the two axes of largest extent, the same scale for both.
fn lay_out(
    view: &View<'_>,
    bounds: &Bounds<'_>,
    chosen: Option<&HashSet<usize>>,
    (width, height): (u32, u32),
    labels: usize,
) -> Result<Picture, ToolError> {
    let graph = view.graph;
    let positions = view.positions.filter(|positions| positions.len() == graph.nodes().len());
    let positions = positions.ok_or_else(|| ToolError::new("there are no positions yet: try again in a second"))?;
    let drawn = |index: &usize| chosen.is_none_or(|chosen| chosen.contains(index));
    let kept: Vec<usize> = (0..positions.len()).filter(drawn).collect();
    bounds.spend(positions.len() as u64)?;
    let points: Vec<[f32; 3]> = kept.iter().filter_map(|index| positions.get(*index)).copied().collect();
    let (low, high) = super::survey::extent(&points).unwrap_or_default();
    let (across, down) = axes(low, high);
    let of = |point: [f32; 3], axis: usize| point.get(axis).copied().unwrap_or(0.0);
    let room = |pixels: u32, axis: usize| (pixels as f32 - 2.0 * MARGIN) / (of(high, axis) - of(low, axis)).max(1e-6);
    let scale = room(width, across).min(room(height, down)).min(1e6);
    let place = |point: [f32; 3]| {
        let middle = |axis: usize| f32::midpoint(of(low, axis), of(high, axis));
        let x = width as f32 / 2.0 + (of(point, across) - middle(across)) * scale;
        let y = height as f32 / 2.0 - (of(point, down) - middle(down)) * scale;
        (x, y)
    };
    let mut picture =
        Picture { width, height, edges: Vec::new(), nodes: Vec::new(), labels: Vec::new(), edges_left_out: 0 };
    for edge in graph.edges() {
        bounds.spend(1)?;
        let (from, to) = (edge.source.get(), edge.target.get());
        if from == to || !drawn(&from) || !drawn(&to) {
            continue;
        }
        if picture.edges.len() >= EDGES_DRAWN_MAX {
            picture.edges_left_out += 1;
            continue;
        }
        let Some((a, b)) = positions.get(from).zip(positions.get(to)) else { continue };
        let ((ax, ay), (bx, by)) = (place(*a), place(*b));
        picture.edges.push([ax, ay, bx, by]);
    }
    let mut groups: HashMap<&str, usize> = HashMap::new();
    let crowd = (20_000.0 / (kept.len() as f32 + 100.0)).sqrt().clamp(0.6, 4.0);
    let mut by_degree: Vec<(usize, f32, f32, f32, &str)> = Vec::new();
    for index in &kept {
        let Some((node, at)) = graph.nodes().get(*index).zip(positions.get(*index)) else { continue };
        let group = node.group.as_deref().unwrap_or_else(|| node.class.kind.name());
        let next = groups.len();
        let of_group = *groups.entry(group).or_insert(next);
        let colour = node.colour.or_else(|| COLOURS.get(of_group % COLOURS.len()).copied()).unwrap_or(0xB0_B0_B0);
        let degree = graph.incident(NodeIndex(*index as u32)).len();
        let ((x, y), radius) = (place(*at), crowd * (1.0 + ((degree + 1) as f32).log2() * 0.35));
        picture.nodes.push(Dot { x, y, radius, colour });
        by_degree.push((degree, x, y, radius, &node.label));
    }
    by_degree.sort_by_key(|row| std::cmp::Reverse(row.0));
    for (_, x, y, radius, label) in &by_degree {
        if picture.labels.len() >= labels {
            break;
        }
        bounds.spend(1)?;
        let text = printable(label, LETTERS_MAX);
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

fn colour(rgb: u32) -> Color {
    let part = |shift: u32| (rgb >> shift & 0xFF) as u8;
    Color::from_rgba8(part(16), part(8), part(0), 255)
}

fn raster(picture: &Picture, bounds: &Bounds<'_>) -> Result<Vec<u8>, ToolError> {
    let failed = || ToolError::new("the picture could not be drawn");
    let mut map = Pixmap::new(picture.width, picture.height).ok_or_else(failed)?;
    map.fill(colour(GROUND));
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color(Color::from_rgba8(140, 160, 190, if picture.edges.len() > 2_000 { 60 } else { 130 }));
    let stroke = Stroke { width: 1.0, ..Stroke::default() };
    for [ax, ay, bx, by] in &picture.edges {
        bounds.spend(32)?;
        let mut path = PathBuilder::new();
        path.move_to(*ax, *ay);
        path.line_to(*bx, *by);
        if let Some(path) = path.finish() {
            map.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
        }
    }
    for dot in &picture.nodes {
        bounds.spend(8)?;
        paint.set_color(colour(dot.colour));
        if let Some(path) = PathBuilder::from_circle(dot.x, dot.y, dot.radius) {
            map.fill_path(&path, &paint, FillRule::Winding, Transform::identity(), None);
        }
    }
    for label in &picture.labels {
        write(&mut map, label);
    }
    map.encode_png().map_err(|_| failed())
}

/// Writes a label, left aligned, its middle at `y`. Letters that the font does not have are a question mark.
fn write(map: &mut Pixmap, label: &Label) {
    let (mut x, y) = (label.x as i64, label.y as i64 - 8);
    let (width, height) = (i64::from(map.width()), i64::from(map.height()));
    for letter in label.text.chars() {
        let raster = |letter| get_raster(letter, FontWeight::Regular, RasterHeight::Size16);
        let Some(glyph) = raster(letter).or_else(|| raster('?')) else { continue };
        for (row, line) in (0i64..).zip(glyph.raster()) {
            for (column, ink) in (0i64..).zip(line.iter()) {
                let (at_x, at_y) = (x + column, y + row);
                if *ink == 0 || !(0..width).contains(&at_x) || !(0..height).contains(&at_y) {
                    continue;
                }
                let at = (at_y * width + at_x) as usize * 4;
                for part in map.data_mut().get_mut(at..at + 3).unwrap_or_default() {
                    *part = (u32::from(*part) + (240 - u32::from(*part).min(240)) * u32::from(*ink) / 255) as u8;
                }
            }
        }
        x += glyph.width() as i64;
    }
}

fn svg(picture: &Picture) -> String {
    let (width, height) = (picture.width, picture.height);
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"><rect width="100%" height="100%" fill="#{GROUND:06x}"/><path stroke="#8ca0be" stroke-opacity="0.5" stroke-width="1" fill="none" d=""##
    );
    for [ax, ay, bx, by] in &picture.edges {
        out.push_str(&format!("M{ax:.1} {ay:.1}L{bx:.1} {by:.1}"));
    }
    out.push_str("\"/>");
    for dot in &picture.nodes {
        out.push_str(&format!(
            r##"<circle cx="{:.1}" cy="{:.1}" r="{:.1}" fill="#{:06x}"/>"##,
            dot.x, dot.y, dot.radius, dot.colour
        ));
    }
    for label in &picture.labels {
        let text = label.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        out.push_str(&format!(
            r##"<text x="{:.1}" y="{:.1}" fill="#f0f0f0" font-family="monospace" font-size="12">{text}</text>"##,
            label.x,
            label.y + 4.0
        ));
    }
    out.push_str("</svg>");
    out
}
