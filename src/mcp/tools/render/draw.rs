//! A picture as PNG and as SVG.

use std::collections::BTreeMap;
use std::f32::consts::{FRAC_PI_2, PI};

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};
use tiny_skia::{Color, FillRule, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};

use super::{Dot, Label, Line, Picture};
use crate::mcp::args::ToolError;
use crate::mcp::encoding::Icon;
use crate::mcp::view::Bounds;

const GROUND: u32 = 0x10_14_1C;

/// Of an edge that nothing has been said of.
const EDGE: u32 = 0x8C_A0_BE;

/// Around a node that is marked, and how wide, pixels.
const MARK: u32 = 0xFF_FF_FF;
const RING: f32 = 3.0;

/// Edges from which on each has less ink.
const MANY_EDGES: usize = 2_000;

fn colour(rgb: u32, alpha: f32) -> Color {
    let part = |shift: u32| (rgb >> shift & 0xFF) as u8;
    Color::from_rgba8(part(16), part(8), part(0), (alpha.clamp(0.0, 1.0) * 255.0).round() as u8)
}

/// Corners of an outline around `(x, y)`; `None` of those that are round.
fn corners(icon: Icon, x: f32, y: f32, radius: f32) -> Option<Vec<(f32, f32)>> {
    let on_circle = |count: usize, turned: f32, reach: &dyn Fn(usize) -> f32| -> Vec<(f32, f32)> {
        let corner = |place: usize| {
            let angle = turned + 2.0 * PI * place as f32 / count as f32;
            (x + reach(place) * angle.cos(), y + reach(place) * angle.sin())
        };
        (0..count).map(corner).collect()
    };
    Some(match icon {
        Icon::Disc | Icon::Ring => return None,
        Icon::Diamond => on_circle(4, -FRAC_PI_2, &|_| radius * 1.3),
        Icon::Square => on_circle(4, -FRAC_PI_2 / 2.0, &|_| radius * 1.25),
        Icon::Triangle => on_circle(3, -FRAC_PI_2, &|_| radius * 1.35),
        Icon::Hexagon => on_circle(6, 0.0, &|_| radius * 1.1),
        Icon::Star => on_circle(10, -FRAC_PI_2, &|place| radius * if place % 2 == 0 { 1.35 } else { 0.6 }),
        Icon::Cross => {
            let (arm, reach) = (radius * 0.4, radius * 1.2);
            let quarter = [(arm, -reach), (arm, -arm), (reach, -arm)];
            let turned = |(a, b): (f32, f32), turn: usize| match turn {
                0 => (a, b),
                1 => (-b, a),
                2 => (-a, -b),
                _ => (b, -a),
            };
            let all = (0..4).flat_map(|turn| quarter.map(|corner| turned(corner, turn)));
            all.map(|(a, b)| (x + a, y + b)).collect()
        }
    })
}

fn outline(dot: &Dot, more: f32) -> Option<Path> {
    let radius = dot.radius + more;
    let Some(corners) = corners(dot.icon, dot.x, dot.y, radius) else {
        return PathBuilder::from_circle(dot.x, dot.y, radius);
    };
    let mut path = PathBuilder::new();
    for (place, (x, y)) in corners.iter().enumerate() {
        if place == 0 { path.move_to(*x, *y) } else { path.line_to(*x, *y) }
    }
    path.close();
    path.finish()
}

/// Where the badge of a node is, and how large.
fn badge(dot: &Dot) -> (f32, f32, f32) {
    let off = dot.radius * 0.75;
    (dot.x + off, dot.y - off, (dot.radius * 0.5).max(2.0))
}

pub(super) fn raster(picture: &Picture, bounds: &Bounds<'_>) -> Result<Vec<u8>, ToolError> {
    let failed = || ToolError::new("the picture could not be drawn");
    let mut map = Pixmap::new(picture.width, picture.height).ok_or_else(failed)?;
    map.fill(colour(GROUND, 1.0));
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    let ink = if picture.edges.len() > MANY_EDGES { 60.0 / 255.0 } else { 130.0 / 255.0 };
    for Line { at: [ax, ay, bx, by], colour: own, width, opacity } in &picture.edges {
        bounds.spend(32)?;
        let mut path = PathBuilder::new();
        path.move_to(*ax, *ay);
        path.line_to(*bx, *by);
        paint.set_color(own.map_or_else(|| colour(EDGE, ink * opacity), |own| colour(own, 0.8 * opacity)));
        let stroke = Stroke { width: *width, ..Stroke::default() };
        if let Some(path) = path.finish() {
            map.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
        }
    }
    let fill = |map: &mut Pixmap, path: Option<Path>, paint: &Paint<'_>| {
        if let Some(path) = path {
            map.fill_path(&path, paint, FillRule::Winding, Transform::identity(), None);
        }
    };
    for dot in picture.nodes.iter().chain(&picture.keys) {
        bounds.spend(8)?;
        if dot.marked {
            paint.set_color(colour(MARK, 1.0));
            fill(&mut map, outline(dot, RING), &paint);
        }
        paint.set_color(colour(dot.colour, dot.opacity));
        if dot.icon == Icon::Ring {
            let stroke = Stroke { width: dot.radius * 0.5, ..Stroke::default() };
            if let Some(path) = PathBuilder::from_circle(dot.x, dot.y, dot.radius * 0.75) {
                map.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
            }
        } else {
            fill(&mut map, outline(dot, 0.0), &paint);
        }
        if let Some(of_badge) = dot.badge {
            let (x, y, radius) = badge(dot);
            paint.set_color(colour(GROUND, 1.0));
            fill(&mut map, PathBuilder::from_circle(x, y, radius + 1.0), &paint);
            paint.set_color(colour(of_badge, 1.0));
            fill(&mut map, PathBuilder::from_circle(x, y, radius), &paint);
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

pub(super) fn svg(picture: &Picture) -> String {
    let (width, height) = (picture.width, picture.height);
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"><rect width="100%" height="100%" fill="#{GROUND:06x}"/>"##
    );
    // One path for all edges that look alike.
    let mut paths: BTreeMap<(u32, u32, u32), String> = BTreeMap::new();
    for Line { at: [ax, ay, bx, by], colour, width, opacity } in &picture.edges {
        let ink = if colour.is_some() { 0.8 } else { 0.5 };
        let alike = (colour.unwrap_or(EDGE), (width * 10.0).round() as u32, (ink * opacity * 100.0).round() as u32);
        paths.entry(alike).or_default().push_str(&format!("M{ax:.1} {ay:.1}L{bx:.1} {by:.1}"));
    }
    for ((colour, width, ink), path) in &paths {
        let (width, ink) = (f64::from(*width) / 10.0, f64::from(*ink) / 100.0);
        out.push_str(&format!(
            r##"<path stroke="#{colour:06x}" stroke-opacity="{ink}" stroke-width="{width}" fill="none" d="{path}"/>"##
        ));
    }
    for dot in picture.nodes.iter().chain(&picture.keys) {
        write_node(dot, &mut out);
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

fn write_node(dot: &Dot, out: &mut String) {
    let Dot { x, y, radius, colour, .. } = *dot;
    let mark = if dot.marked { format!(r##" stroke="#{MARK:06x}" stroke-width="{RING}""##) } else { String::new() };
    let ink = if dot.opacity < 1.0 { format!(r#" opacity="{:.2}""#, dot.opacity) } else { String::new() };
    match corners(dot.icon, x, y, radius) {
        Some(corners) => {
            let points: Vec<String> = corners.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let points = points.join(" ");
            out.push_str(&format!(r##"<polygon points="{points}" fill="#{colour:06x}"{mark}{ink}/>"##));
        }
        None if dot.icon == Icon::Ring => {
            let (middle, wide) = (radius * 0.75, radius * 0.5);
            out.push_str(&format!(
                r##"<circle cx="{x:.1}" cy="{y:.1}" r="{middle:.1}" fill="none" stroke="#{colour:06x}" stroke-width="{wide:.1}"{ink}/>"##
            ));
        }
        None => {
            let round =
                format!(r##"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" fill="#{colour:06x}"{mark}{ink}/>"##);
            out.push_str(&round);
        }
    }
    if let Some(of_badge) = dot.badge {
        let (x, y, radius) = badge(dot);
        out.push_str(&format!(
            r##"<circle class="badge" cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" fill="#{of_badge:06x}" stroke="#{GROUND:06x}"/>"##
        ));
    }
}
