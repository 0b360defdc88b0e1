//! A kept layout: a row that says of what, and parts of positions, each with its checksum.
//!
//! A position is 16 bytes: id as `u32`, x, y, z as `f32`, little-endian. A layout counts when its last part is there, and the
//! one before it is kept until then and after: if the newest is damaged, the layout goes on from the other.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::Layout;
use crate::graph::NodeId;
use crate::limits::STORE_LAYOUT_PART_NODES;

/// Bytes of a position.
const POSITION_BYTES: usize = 16;

/// Writes part `part`; true while there is another.
pub(super) fn put(transaction: &Transaction<'_>, layout: &Layout, part: usize) -> rusqlite::Result<bool> {
    if part == 0 {
        transaction.execute_batch(
            "DELETE FROM layout_part WHERE layout IN (SELECT id FROM layout WHERE complete = 0);
             DELETE FROM layout WHERE complete = 0",
        )?;
        transaction.execute(
            "INSERT INTO layout (epoch, tick, at_unix_ms, nodes, complete) VALUES (?1, ?2, ?3, ?4, 0)",
            params![layout.epoch, layout.tick as i64, layout.at_unix_ms as i64, layout.positions.len() as i64],
        )?;
    }
    let id: i64 = transaction.query_row("SELECT max(id) FROM layout WHERE complete = 0", [], |row| row.get(0))?;
    let mut parts = layout.positions.chunks(STORE_LAYOUT_PART_NODES);
    let positions = encode(parts.nth(part).unwrap_or_default());
    transaction.prepare_cached("INSERT INTO layout_part VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        id,
        part as i64,
        crc32fast::hash(&positions),
        positions
    ])?;
    let more = parts.next().is_some();
    if !more {
        transaction.execute("UPDATE layout SET complete = 1 WHERE id = ?1", [id])?;
        let previous = "SELECT id FROM layout WHERE complete = 1 ORDER BY id DESC LIMIT 2";
        transaction.execute_batch(&format!(
            "DELETE FROM layout_part WHERE layout NOT IN ({previous}); DELETE FROM layout WHERE id NOT IN ({previous})"
        ))?;
    }
    Ok(more)
}

/// The newest layout that is whole, and what is wrong with those that are newer.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<(Option<Layout>, Vec<String>)> {
    let mut wrong = Vec::new();
    let mut statement = connection
        .prepare("SELECT id, epoch, tick, at_unix_ms, nodes FROM layout WHERE complete = 1 ORDER BY id DESC LIMIT 2")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let mut layout = Layout {
            epoch: row.get::<_, i64>(1)? as u32,
            tick: row.get::<_, i64>(2)? as u64,
            at_unix_ms: row.get::<_, i64>(3)? as u64,
            positions: Vec::new(),
        };
        match read(connection, id, row.get::<_, i64>(4)? as usize, &mut layout)? {
            Ok(()) => return Ok((Some(layout), wrong)),
            Err(reason) => wrong.push(format!("layout {id}: {reason}")),
        }
    }
    Ok((None, wrong))
}

fn read(connection: &Connection, id: i64, nodes: usize, layout: &mut Layout) -> rusqlite::Result<Result<(), String>> {
    for part in 0..nodes.div_ceil(STORE_LAYOUT_PART_NODES).max(1) {
        let found: Option<(i64, Vec<u8>)> = connection
            .prepare_cached("SELECT checksum, positions FROM layout_part WHERE layout = ?1 AND part = ?2")?
            .query_row(params![id, part as i64], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((checksum, bytes)) = found else { return Ok(Err(format!("part {part} is missing"))) };
        if i64::from(crc32fast::hash(&bytes)) != checksum {
            return Ok(Err(format!("part {part} is damaged")));
        }
        if let Err(reason) = decode(&bytes, &mut layout.positions) {
            return Ok(Err(format!("part {part}: {reason}")));
        }
    }
    Ok(match layout.positions.len() {
        found if found == nodes => Ok(()),
        found => Err(format!("it has {found} nodes of {nodes}")),
    })
}

fn encode(positions: &[(NodeId, [f32; 3])]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(positions.len() * POSITION_BYTES);
    for (id, position) in positions {
        bytes.extend_from_slice(&id.get().to_le_bytes());
        position.iter().for_each(|axis| bytes.extend_from_slice(&axis.to_le_bytes()));
    }
    bytes
}

fn decode(bytes: &[u8], positions: &mut Vec<(NodeId, [f32; 3])>) -> Result<(), &'static str> {
    let (records, rest) = bytes.as_chunks::<POSITION_BYTES>();
    if !rest.is_empty() {
        return Err("it ends within a position");
    }
    for record in records {
        let (words, _) = record.as_chunks::<4>();
        let [id, x, y, z] = words else { return Err("it ends within a position") };
        let id = NodeId::new(u32::from_le_bytes(*id)).ok_or("it has an id past the largest")?;
        let position = [x, y, z].map(|axis| f32::from_le_bytes(*axis));
        if positions.last().is_some_and(|(before, _)| *before >= id) {
            return Err("its ids do not ascend");
        }
        if !position.iter().all(|axis| axis.is_finite()) {
            return Err("it has a position that is no number");
        }
        positions.push((id, position));
    }
    Ok(())
}
