//! Nodes and edges as rows: to write, and to read with every value checked.

use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{CachedStatement, Connection, Row, params};

use crate::graph::{Attributes, EdgeId, EdgeRow, Node, NodeClass, NodeId, NodeKind, Value, attributes, colour_of};
use crate::limits::{ATTRIBUTES_MAX, TEXT_BYTES_MAX};

/// The statements that write rows, prepared once per connection.
pub(super) struct Writer<'run> {
    put_node: CachedStatement<'run>,
    remove_node: CachedStatement<'run>,
    put_edge: CachedStatement<'run>,
    remove_edge: CachedStatement<'run>,
    text: Vec<u8>,
}

/// An edge to write, whose parts are wherever they are.
pub(super) struct EdgeParts<'run> {
    pub(super) id: EdgeId,
    pub(super) source: NodeId,
    pub(super) target: NodeId,
    pub(super) weight: f32,
    pub(super) directed: bool,
    pub(super) relation: Option<&'run str>,
    pub(super) label: Option<&'run str>,
    pub(super) attributes: &'run Attributes,
}

impl<'run> From<&'run EdgeRow> for EdgeParts<'run> {
    fn from(edge: &'run EdgeRow) -> Self {
        Self {
            id: edge.id,
            source: edge.source,
            target: edge.target,
            weight: edge.weight,
            directed: edge.directed,
            relation: edge.relation.as_deref(),
            label: edge.label.as_deref(),
            attributes: &edge.attributes,
        }
    }
}

impl<'run> Writer<'run> {
    pub(super) fn new(connection: &'run Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            put_node: connection.prepare_cached(
                "INSERT OR REPLACE INTO node VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?,
            remove_node: connection.prepare_cached("DELETE FROM node WHERE id = ?1")?,
            put_edge: connection
                .prepare_cached("INSERT OR REPLACE INTO edge VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?,
            remove_edge: connection.prepare_cached("DELETE FROM edge WHERE id = ?1")?,
            text: Vec::new(),
        })
    }

    pub(super) fn put_node(&mut self, node: &Node) -> rusqlite::Result<()> {
        let colour = node.colour.map(|rgb| format!("#{:06x}", rgb & 0x00FF_FFFF));
        let place = |axis: usize| node.position.and_then(|position| position.get(axis).copied()).map(readable);
        let attributes = json(&node.attributes, &mut self.text)?;
        self.put_node.execute(params![
            node.id.get(),
            node.key,
            node.label,
            node.class.kind.name(),
            node.class.private,
            node.group,
            readable(node.weight),
            colour,
            place(0),
            place(1),
            place(2),
            node.pinned,
            attributes,
        ])?;
        Ok(())
    }

    pub(super) fn put_edge(&mut self, edge: &EdgeParts<'_>) -> rusqlite::Result<()> {
        let attributes = json(edge.attributes, &mut self.text)?;
        self.put_edge.execute(params![
            edge.id.0,
            edge.source.get(),
            edge.target.get(),
            readable(edge.weight),
            edge.directed,
            edge.relation,
            edge.label,
            attributes,
        ])?;
        Ok(())
    }

    pub(super) fn remove_node(&mut self, id: NodeId) -> rusqlite::Result<()> {
        self.remove_node.execute([id.get()]).map(drop)
    }

    pub(super) fn remove_edge(&mut self, id: EdgeId) -> rusqlite::Result<()> {
        self.remove_edge.execute([id.0]).map(drop)
    }
}

/// The number that a person would write and that is this one again as a `f32`: 0.1, not 0.10000000149011612.
fn readable(value: f32) -> f64 {
    if value.fract() == 0.0 {
        return f64::from(value);
    }
    let short = value.to_string().parse::<f64>().unwrap_or_else(|_| f64::from(value));
    if (short as f32).to_bits() == value.to_bits() { short } else { f64::from(value) }
}

fn json<'text>(given: &Attributes, text: &'text mut Vec<u8>) -> rusqlite::Result<&'text str> {
    if given.is_empty() {
        return Ok("{}");
    }
    text.clear();
    let wrong = |error: Box<dyn std::error::Error + Send + Sync>| rusqlite::Error::ToSqlConversionFailure(error);
    attributes::serialize(given, &mut serde_json::Serializer::new(&mut *text)).map_err(|error| wrong(error.into()))?;
    std::str::from_utf8(text).map_err(|error| wrong(error.into()))
}

/// Columns of a node, in the order in which [`node`] reads them.
pub(super) const NODE_COLUMNS: &str =
    "id, key, label, class, private, grp, weight, colour, x, y, z, pinned, attributes";

/// Columns of an edge, in the order in which [`edge`] reads them.
pub(super) const EDGE_COLUMNS: &str = "id, source, target, weight, directed, relation, label, attributes";

/// A row of `node`, or what is wrong with it.
pub(super) fn node(row: &Row<'_>) -> Result<Node, String> {
    Ok(Node {
        id: node_id(row, 0, "id")?,
        key: text(row, 1, "key")?,
        label: text(row, 2, "label")?,
        class: NodeClass { kind: kind(row, 3)?, private: flag(row, 4, "private")? },
        group: optional_text(row, 5, "grp")?,
        weight: weight(row, 6).and_then(|weight| match weight > 0.0 {
            true => Ok(weight),
            false => Err(format!("weight must be above 0, found {weight}")),
        })?,
        colour: optional_text(row, 7, "colour")?
            .map(|text| colour_of(&text).ok_or_else(|| format!("colour must be #rrggbb, found {text:?}")))
            .transpose()?,
        position: position(row)?,
        pinned: flag(row, 11, "pinned")?,
        attributes: read_attributes(row, 12)?,
    })
}

/// A row of `edge`, or what is wrong with it.
pub(super) fn edge(row: &Row<'_>) -> Result<EdgeRow, String> {
    let id = value::<i64>(row, 0, "id")?;
    Ok(EdgeRow {
        id: EdgeId(u32::try_from(id).map_err(|_| format!("id must be from 0 to {}, found {id}", u32::MAX))?),
        source: node_id(row, 1, "source")?,
        target: node_id(row, 2, "target")?,
        weight: weight(row, 3)?,
        directed: flag(row, 4, "directed")?,
        relation: optional_text(row, 5, "relation")?,
        label: optional_text(row, 6, "label")?,
        attributes: read_attributes(row, 7)?,
    })
}

fn value<T: FromSql>(row: &Row<'_>, column: usize, name: &str) -> Result<T, String> {
    row.get(column).map_err(|error| format!("{name}: {error}"))
}

fn node_id(row: &Row<'_>, column: usize, name: &str) -> Result<NodeId, String> {
    let id = value::<i64>(row, column, name)?;
    let known = u32::try_from(id).ok().and_then(NodeId::new);
    known.ok_or_else(|| format!("{name} must be from 0 to {}, found {id}", crate::limits::NODE_ID_MAX))
}

fn text(row: &Row<'_>, column: usize, name: &str) -> Result<Box<str>, String> {
    optional_text(row, column, name)?.ok_or_else(|| format!("{name} is NULL"))
}

fn optional_text(row: &Row<'_>, column: usize, name: &str) -> Result<Option<Box<str>>, String> {
    match row.get_ref(column).map_err(|error| error.to_string())? {
        ValueRef::Null => Ok(None),
        ValueRef::Text(bytes) if bytes.len() <= TEXT_BYTES_MAX => {
            std::str::from_utf8(bytes).map(|text| Some(text.into())).map_err(|error| format!("{name}: {error}"))
        }
        ValueRef::Text(bytes) => Err(format!("{name} may have {TEXT_BYTES_MAX} bytes, found {}", bytes.len())),
        other => Err(format!("{name} must be text, found {}", other.data_type())),
    }
}

fn flag(row: &Row<'_>, column: usize, name: &str) -> Result<bool, String> {
    match value::<i64>(row, column, name)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(format!("{name} must be 0 or 1, found {other}")),
    }
}

fn kind(row: &Row<'_>, column: usize) -> Result<NodeKind, String> {
    let found = text(row, column, "class")?;
    NodeKind::from_name(&found).ok_or_else(|| format!("class is {found:?}, which is none"))
}

fn weight(row: &Row<'_>, column: usize) -> Result<f32, String> {
    let weight = value::<f64>(row, column, "weight")? as f32;
    match weight.is_finite() && weight >= 0.0 {
        true => Ok(weight),
        false => Err(format!("weight must be a finite number from 0 on, found {weight}")),
    }
}

fn position(row: &Row<'_>) -> Result<Option<[f32; 3]>, String> {
    let axis = |column, name| match value::<Option<f64>>(row, column, name)? {
        Some(place) if (place as f32).is_finite() => Ok(Some(place as f32)),
        Some(place) => Err(format!("{name} must be a finite number, found {place}")),
        None => Ok(None),
    };
    match (axis(8, "x")?, axis(9, "y")?, axis(10, "z")?) {
        (Some(x), Some(y), Some(z)) => Ok(Some([x, y, z])),
        (None, None, None) => Ok(None),
        _ => Err("x, y and z must be numbers, or NULL all three".to_owned()),
    }
}

fn read_attributes(row: &Row<'_>, column: usize) -> Result<Attributes, String> {
    let named = |reason: String| format!("attributes: {reason}");
    let text = row.get_ref(column).map_err(|error| error.to_string())?;
    let text = text.as_str().map_err(|error| named(error.to_string()))?;
    if text == "{}" {
        return Ok(Attributes::new());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let given = attributes::deserialize(&mut json).map_err(|error| named(error.to_string()))?;
    json.end().map_err(|error| named(error.to_string()))?;
    if given.len() > ATTRIBUTES_MAX {
        return Err(named(format!("there may be {ATTRIBUTES_MAX}, found {}", given.len())));
    }
    let mut names: Vec<&str> = given.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [left, right] if left == right => Some(left),
        _ => None,
    });
    if let Some(twice) = twice {
        return Err(named(format!("{twice:?} is there twice")));
    }
    let long = given.iter().find(|(name, value)| {
        name.len() > TEXT_BYTES_MAX || matches!(value, Value::Text(text) if text.len() > TEXT_BYTES_MAX)
    });
    match long {
        Some((name, _)) => {
            let start: String = name.chars().take(40).collect();
            Err(named(format!("{start:?}: name and text may have {TEXT_BYTES_MAX} bytes")))
        }
        None => Ok(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readable_number_is_the_same_number() {
        assert_eq!(readable(0.1), 0.1);
        let mut state = 1_u32;
        for _ in 0..100_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(state);
            if value.is_finite() {
                assert_eq!((readable(value) as f32).to_bits(), value.to_bits(), "{value:e}");
            }
        }
    }
}
