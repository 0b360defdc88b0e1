//! A layout: where each node is. As a file: CSV with the columns id, x, y and, in space, z.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Positions of all nodes, in node order; z is 0 in the plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    /// 2 or 3.
    pub dimensions: usize,
    /// `[node_count]`, all finite.
    pub at: Vec<[f64; 3]>,
}

impl Points {
    /// Reads `node_count` rows in any order. A first line that does not begin with a number is a heading.
    ///
    /// # Errors
    /// When a node is missing, named twice or out of range, or a coordinate is not a finite number.
    pub fn read(path: &Path, node_count: usize) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text, node_count).with_context(|| path.display().to_string())
    }

    fn parse(text: &str, node_count: usize) -> Result<Self> {
        let mut at: Vec<Option<[f64; 3]>> = vec![None; node_count];
        let mut dimensions = 0;
        for (line, row) in (1..).zip(text.lines()) {
            let fields: Vec<&str> = row.split([',', ' ', '\t']).filter(|field| !field.is_empty()).collect();
            let [id, place @ ..] = fields.as_slice() else { continue };
            let Ok(id) = id.parse::<usize>() else {
                ensure!(line == 1, "line {line}: {id} is not a node's number");
                continue;
            };
            let place: Vec<f64> = place
                .iter()
                .map(|field| field.parse().ok().filter(|value: &f64| value.is_finite()))
                .collect::<Option<_>>()
                .with_context(|| format!("line {line}: a coordinate is not a finite number"))?;
            let point = match place.as_slice() {
                [x, y] => [*x, *y, 0.0],
                [x, y, z] => [*x, *y, *z],
                _ => bail!("line {line}: {} coordinates", place.len()),
            };
            ensure!(
                [0, place.len()].contains(&dimensions),
                "line {line}: {} coordinates, not {dimensions}",
                place.len()
            );
            dimensions = place.len();
            let slot = at.get_mut(id).with_context(|| format!("line {line}: there is no node {id}"))?;
            ensure!(slot.replace(point).is_none(), "line {line}: node {id} again");
        }
        let missing = at.iter().position(Option::is_none);
        ensure!(missing.is_none(), "node {} is missing", missing.unwrap_or_default());
        Ok(Self { dimensions, at: at.into_iter().flatten().collect() })
    }

    /// Writes the CSV that [`Self::read`] reads.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = String::from(if self.dimensions == 2 { "id,x,y\n" } else { "id,x,y,z\n" });
        for (node, [x, y, z]) in self.at.iter().enumerate() {
            write!(text, "{node},{x},{y}")?;
            if self.dimensions == 3 {
                write!(text, ",{z}")?;
            }
            text.push('\n');
        }
        fs::write(path, text).with_context(|| path.display().to_string())
    }
}

/// Distance of two points.
#[must_use]
pub fn distance(left: [f64; 3], right: [f64; 3]) -> f64 {
    let [x, y, z] = [left[0] - right[0], left[1] - right[1], left[2] - right[2]];
    (x * x + y * y + z * z).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_may_come_in_any_order_and_with_a_heading() {
        let points = Points::parse("id,x,y\n1,2.5,-3\n0,0,1e3\n", 2).unwrap();
        assert_eq!(points, Points { dimensions: 2, at: vec![[0.0, 1_000.0, 0.0], [2.5, -3.0, 0.0]] });
        assert_eq!(Points::parse("0 1 2 3\n", 1).unwrap().dimensions, 3);
    }

    #[test]
    fn what_is_not_a_whole_layout_is_refused() {
        let refused = |text: &str, nodes: usize| Points::parse(text, nodes).unwrap_err().to_string();
        assert!(refused("0,1,2\n", 2).contains("node 1 is missing"));
        assert!(refused("0,1,2\n0,1,2\n", 1).contains("again"));
        assert!(refused("5,1,2\n", 1).contains("no node 5"));
        assert!(refused("0,1,NaN\n", 1).contains("finite"));
        assert!(refused("0,1,2\n1,1,2,3\n", 2).contains("3 coordinates"));
        assert!(refused("0,1\n", 1).contains("1 coordinates"));
    }

    #[test]
    fn what_is_written_is_read() {
        let path = std::env::temp_dir().join(format!("swarmcast-points-{}.csv", std::process::id()));
        let points = Points { dimensions: 3, at: vec![[0.1, -2e-9, 3e12], [1.0 / 3.0, 0.0, -1.0]] };
        points.write(&path).unwrap();
        assert_eq!(Points::read(&path, 2).unwrap(), points);
        fs::remove_file(path).unwrap();
    }
}
