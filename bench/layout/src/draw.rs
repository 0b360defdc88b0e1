//! Pictures of layouts: thin translucent edges over each other, so that density shows, and a dot for each node where
//! there are few.

#![allow(clippy::indexing_slicing, reason = "arrays of two and three axes, indexed by the axis")]

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use color_quant::NeuQuant;
use tiny_skia::{Color, FillRule, FilterQuality, Paint, PathBuilder, Pixmap, PixmapPaint, Rect, Stroke, Transform};

use crate::graph::Network;
use crate::points::{Points, distance};

/// Side of one layout's square, pixels.
const SIDE: u32 = 400;

/// Squares in a row of a sheet.
const ACROSS: usize = 4;

/// Between the drawing and the square's border, pixels.
const MARGIN: f64 = 14.0;

/// Largest file of a picture, bytes.
pub const BYTES_MAX: usize = 300_000;

/// Nodes up to which each is drawn as a dot.
const DOTS_MAX: usize = 12_000;

/// Draws the layouts of one graph beside each other, each turned so that its longest axis lies flat, and scaled to fill
/// its square, row by row. `None` leaves the square grey.
///
/// Colours are the groups where they are known; else the hops from one end of the largest component, from blue over green
/// to red: a fold shows as two colours over each other.
///
/// # Errors
/// When a picture of that size cannot be made.
pub fn sheet(network: &Network, layouts: &[Option<&Points>]) -> Result<Pixmap> {
    let (wide, high) = (layouts.len().clamp(1, ACROSS), layouts.len().div_ceil(ACROSS).max(1));
    let mut picture = Pixmap::new(SIDE * wide as u32, SIDE * high as u32).context("a picture of no pixels")?;
    picture.fill(Color::WHITE);
    let colours = colours(network);
    for (place, points) in layouts.iter().enumerate() {
        let corner = [place % ACROSS, place / ACROSS].map(|count| (SIDE * count as u32) as f32);
        match points {
            Some(points) => draw(&mut picture, corner, network, &flattened(points), &colours),
            None => block(&mut picture, corner, [SIDE as f32; 2], Color::from_rgba8(228, 228, 228, 255)),
        }
        for size in [[1.0, SIDE as f32], [SIDE as f32, 1.0]] {
            block(&mut picture, corner, size, Color::from_rgba8(200, 200, 200, 255));
        }
    }
    Ok(picture)
}

fn block(picture: &mut Pixmap, [left, top]: [f32; 2], [width, height]: [f32; 2], colour: Color) {
    let mut paint = Paint::default();
    paint.set_color(colour);
    if let Some(rect) = Rect::from_xywh(left, top, width, height) {
        picture.fill_rect(rect, &paint, Transform::identity(), None);
    }
}

fn draw(picture: &mut Pixmap, [left, top]: [f32; 2], network: &Network, at: &[[f64; 2]], colours: &[[u8; 3]]) {
    let ends = |axis: usize| {
        let values = at.iter().map(|at| at[axis]);
        (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
    };
    let ((x0, x1), (y0, y1)) = (ends(0), ends(1));
    let inner = f64::from(SIDE) - 2.0 * MARGIN;
    let scale = inner / (x1 - x0).max(y1 - y0).max(f64::MIN_POSITIVE);
    let pixel = |[x, y]: [f64; 2]| {
        let middle = f64::from(SIDE) / 2.0;
        let x = (x - f64::midpoint(x0, x1)) * scale + middle;
        let y = (y - f64::midpoint(y0, y1)) * scale + middle;
        (x as f32 + left, y as f32 + top)
    };
    let of = |node: u32| Some((pixel(*at.get(node as usize)?), *colours.get(node as usize)?));
    let length: f64 = network
        .edges
        .iter()
        .filter_map(|[from, to]| {
            let (from, to) = (at.get(*from as usize)?, at.get(*to as usize)?);
            Some((from[0] - to[0]).hypot(from[1] - to[1]) * scale)
        })
        .sum();
    // The ink of all edges covers the square about twice when each is opaque: thinner, and a hairball stays legible.
    let alpha = (1.6 * inner * inner / length.max(1.0)).clamp(0.05, 0.75) as f32;
    let width = if network.edges.len() < 400 { 1.2 } else { 0.7 };
    let stroke = Stroke { width, ..Stroke::default() };
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    for [from, to] in &network.edges {
        let (Some((from, left)), Some((to, right))) = (of(*from), of(*to)) else { continue };
        let mut path = PathBuilder::new();
        path.move_to(from.0, from.1);
        path.line_to(to.0, to.1);
        let Some(path) = path.finish() else { continue };
        let mixed: [u8; 3] = std::array::from_fn(|part| left[part].midpoint(right[part]));
        paint.set_color(colour(mixed, alpha));
        picture.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
    }
    if network.node_count > DOTS_MAX {
        return;
    }
    let radius = (30.0 / (network.node_count as f32).sqrt()).clamp(0.6, 3.2);
    for node in 0..network.node_count as u32 {
        let Some(((x, y), tint)) = of(node) else { continue };
        let Some(dot) = PathBuilder::from_circle(x, y, radius) else { continue };
        paint.set_color(colour(tint.map(|part| (f32::from(part) * 0.75) as u8), 0.9));
        picture.fill_path(&dot, &paint, FillRule::Winding, Transform::identity(), None);
    }
}

fn colour([red, green, blue]: [u8; 3], alpha: f32) -> Color {
    let mut colour = Color::from_rgba8(red, green, blue, 255);
    colour.set_alpha(alpha);
    colour
}

/// The layout seen along its shortest axis, with the longest one flat: its two principal components.
fn flattened(points: &Points) -> Vec<[f64; 2]> {
    let count = points.at.len().max(1) as f64;
    let mean: [f64; 3] = std::array::from_fn(|axis| points.at.iter().map(|at| at[axis]).sum::<f64>() / count);
    let centred: Vec<[f64; 3]> = points.at.iter().map(|at| std::array::from_fn(|axis| at[axis] - mean[axis])).collect();
    let mut covariance = [[0.0; 3]; 3];
    for at in &centred {
        for (row, left) in covariance.iter_mut().zip(at) {
            for (entry, right) in row.iter_mut().zip(at) {
                *entry += left * right;
            }
        }
    }
    let first = dominant(&covariance, &[]);
    let second = dominant(&covariance, &[first]);
    centred.iter().map(|at| [dot(at, &first), dot(at, &second)]).collect()
}

/// The eigenvector of the largest eigenvalue that is at right angles to `others`, by repeated multiplication.
fn dominant(matrix: &[[f64; 3]; 3], others: &[[f64; 3]]) -> [f64; 3] {
    let mut vector = [0.9, 0.4, 0.2];
    for _ in 0..200 {
        let product: [f64; 3] = std::array::from_fn(|row| matrix.get(row).map_or(0.0, |row| dot(row, &vector)));
        let mut next = if dot(&product, &product) > 0.0 { product } else { vector };
        for other in others {
            let share = dot(&next, other);
            next = std::array::from_fn(|axis| next[axis] - share * other[axis]);
        }
        let length = distance(next, [0.0; 3]);
        if length <= 0.0 {
            break;
        }
        vector = next.map(|axis| axis / length);
    }
    vector
}

fn dot(left: &[f64; 3], right: &[f64; 3]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// A colour for each node.
fn colours(network: &Network) -> Vec<[u8; 3]> {
    if network.group.is_empty() {
        let hops = hops(network);
        let most = hops.iter().copied().max().unwrap_or(0).max(1);
        return hops.iter().map(|hops| hue(0.66 * (1.0 - f64::from(*hops) / f64::from(most)), 0.85)).collect();
    }
    // Turned by the golden ratio, so that neighbouring numbers differ.
    network.group.iter().map(|group| hue((f64::from(*group) * 0.618_034).fract(), 0.8)).collect()
}

/// Hops from an end of each component, found by two walks.
fn hops(network: &Network) -> Vec<u32> {
    let rows = network.rows();
    let mut hops = vec![u32::MAX; network.node_count];
    let walk = |from: u32, hops: &mut [u32]| {
        let mut queue = VecDeque::from([(from, 0)]);
        let mut last = from;
        while let Some((node, distance)) = queue.pop_front() {
            let Some(slot) = hops.get_mut(node as usize).filter(|slot| distance < **slot) else { continue };
            *slot = distance;
            last = node;
            queue.extend(rows.row(node as usize).map(|(other, _)| (other, distance + 1)));
        }
        last
    };
    let mut scratch = hops.clone();
    for node in 0..network.node_count as u32 {
        if hops.get(node as usize) == Some(&u32::MAX) {
            let end = walk(node, &mut scratch);
            walk(end, &mut hops);
        }
    }
    hops
}

/// A colour of the wheel, 0 red, 1/3 green, 2/3 blue, not too light for a white ground.
fn hue(turn: f64, strength: f64) -> [u8; 3] {
    [0.0, 2.0 / 3.0, 1.0 / 3.0].map(|shift: f64| {
        let part = ((turn + shift).fract() * 6.0 - 3.0).abs() - 1.0;
        ((1.0 - strength + strength * part.clamp(0.0, 1.0)) * 215.0) as u8
    })
}

/// Writes a picture with as many colours of its own as [`BYTES_MAX`] allows, and smaller where even few are too much.
///
/// # Errors
/// When it cannot be written.
pub fn write(picture: &Pixmap, path: &Path) -> Result<()> {
    // Everything is drawn on opaque white, so there is nothing to divide by.
    for colours in [128, 64, 32] {
        let bytes = indexed(picture.width(), picture.height(), picture.data(), colours)?;
        if bytes.len() <= BYTES_MAX {
            return fs::write(path, bytes).with_context(|| path.display().to_string());
        }
    }
    write(&shrunk(picture)?, path)
}

/// Two thirds as wide and high.
fn shrunk(picture: &Pixmap) -> Result<Pixmap> {
    let [width, height] = [picture.width(), picture.height()].map(|side| (side * 2 / 3).max(1));
    let mut small = Pixmap::new(width, height).context("a picture of no pixels")?;
    let paint = PixmapPaint { quality: FilterQuality::Bicubic, ..PixmapPaint::default() };
    small.fill(Color::WHITE);
    small.draw_pixmap(0, 0, picture.as_ref(), &paint, Transform::from_scale(2.0 / 3.0, 2.0 / 3.0), None);
    Ok(small)
}

/// PNG with a palette.
fn indexed(width: u32, height: u32, pixels: &[u8], colours: usize) -> Result<Vec<u8>> {
    const SAMPLE_EVERY: i32 = 5;
    let palette = NeuQuant::new(SAMPLE_EVERY, colours, pixels);
    let mut table = palette.color_map_rgb();
    // The paper stays white whatever the network of the quantiser has made of it.
    let white = palette.index_of(&[255; 4]);
    table.iter_mut().skip(3 * white).take(3).for_each(|part| *part = 255);
    let indices: Vec<u8> = pixels.chunks_exact(4).map(|pixel| palette.index_of(pixel) as u8).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(table);
    encoder.set_compression(png::Compression::Best);
    encoder.set_filter(png::FilterType::NoFilter);
    encoder.write_header()?.write_image_data(&indices)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::by_name;

    #[test]
    fn a_layout_is_seen_along_its_shortest_axis() {
        let points =
            Points { dimensions: 3, at: vec![[0.0, -9.0, 0.0], [0.1, 9.0, 0.0], [0.0, 0.0, 4.0], [0.0, 0.0, -4.0]] };
        let flat = flattened(&points);
        assert!((flat[0][0].abs() - 9.0).abs() < 0.1 && (flat[2][1].abs() - 4.0).abs() < 0.1, "{flat:?}");
        assert!((flat[0][0] + flat[1][0]).abs() < 0.2);
    }

    #[test]
    fn ink_is_where_the_edges_are_and_the_file_is_small() {
        let network = by_name("path").unwrap();
        let at = (0..200).map(|node| [f64::from(node), 0.0, 0.0]).collect();
        let picture = sheet(&network, &[Some(&Points { dimensions: 2, at }), None]).unwrap();
        let inked = |x: u32, y: u32| picture.pixel(x, y).is_some_and(|pixel| pixel.green() < 250);
        assert!(inked(SIDE / 2, SIDE / 2) && !inked(SIDE / 2, SIDE / 4));
        assert!(inked(SIDE + SIDE / 2, SIDE / 4), "a layout that is not there is a grey square");
        let path = std::env::temp_dir().join(format!("swarmcast-draw-{}.png", std::process::id()));
        write(&picture, &path).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 30_000);
        fs::remove_file(path).unwrap();
    }
}
