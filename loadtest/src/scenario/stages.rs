//! `[[stage]]`: how many clients there are, and when it counts.

use super::table::Table;
use crate::clock::{MILLISECOND_NS, SECOND_NS};
use crate::plan::{Stage, StageKind};

/// The longest run.
pub(super) const RUN_NS_MAX: u64 = 7 * 86_400 * SECOND_NS;

/// Stages that a run may have.
const STAGES_MAX: usize = 1_000;

const KINDS: [(&str, StageKind); 4] =
    [("ramp", StageKind::Ramp), ("hold", StageKind::Hold), ("spike", StageKind::Spike), ("soak", StageKind::Soak)];

/// All stages in order, or `None` when one of them is refused: what the others make together is guesswork then. A ramp
/// leads to all clients unless it says otherwise, and is not measured.
pub(super) fn read(root: &Table<'_, '_>) -> Option<Vec<Stage>> {
    let mut level = 0.0;
    let mut stages = Vec::new();
    let tables = root.tables("stage", STAGES_MAX);
    for table in &tables {
        let stage = read_one(table, level);
        table.close();
        if let Some(stage) = &stage {
            level = stage.level_after(level);
        }
        stages.extend(stage);
    }
    (stages.len() == tables.len()).then_some(stages)
}

fn read_one(table: &Table<'_, '_>, level: f64) -> Option<Stage> {
    let kind = table.choice("kind", &KINDS);
    let duration_ns = table.duration("duration", MILLISECOND_NS..=RUN_NS_MAX);
    let to = table.share("to");
    let name = table.text("name", 64);
    for (key, missing) in [("kind", !table.has("kind")), ("duration", !table.has("duration"))] {
        if missing {
            table.say(key, "is missing");
        }
    }
    let measured = table.flag_or("measured", kind != Some(StageKind::Ramp));
    let kind = kind?;
    let to = match kind {
        StageKind::Ramp => to.unwrap_or(1.0),
        StageKind::Hold | StageKind::Soak => {
            if table.has("to") {
                table.say("to", "is for ramp and spike; hold and soak keep the clients that there are");
            }
            level
        }
        StageKind::Spike => {
            if !table.has("to") {
                table.say("to", "is missing: a spike jumps to a share of the clients, such as to = \"100%\"");
            }
            to.unwrap_or(1.0)
        }
    };
    let kind_name = KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| *name);
    let name = name.unwrap_or_else(|| kind_name.to_owned());
    Some(Stage { name, kind, duration_ns: duration_ns?, to, measured })
}

/// What a run does when nobody says: everyone connects, and then a stretch counts for `duration_ns`, after the warm-up.
pub(super) fn simple(ramp_ns: u64, warmup_ns: u64, duration_ns: u64) -> Vec<Stage> {
    let stage =
        |kind, name: &str, duration_ns, measured| Stage { name: name.to_owned(), kind, duration_ns, to: 1.0, measured };
    vec![stage(StageKind::Ramp, "ramp", ramp_ns, false), stage(StageKind::Hold, "hold", warmup_ns + duration_ns, true)]
}
