//! What people who watch are shown: agents set it, and every shard is told the newest.

use std::sync::Arc;

use crate::base::clock::unix_ms;
use crate::control::turn::Control;
use crate::handoff::{ShardMessage, StagePart};
use crate::limits::STAGE_INTERVAL_NS;
use crate::mcp::{Audience, Camera, Done, LogLevel, Placed, Scene, Stage, Staging};
use crate::wire::{CameraPose, ServerMessage};

use serde_json::json;

/// The stage, and who has not heard of it.
#[derive(Debug, Default)]
pub(super) struct Staged {
    stage: Arc<Stage>,
    /// By shard, the parts that it has not been told.
    untold: Vec<[bool; StagePart::ALL.len()]>,
    told_ns: u64,
}

impl Staged {
    /// As it is now, for somebody who looks later.
    pub(super) fn stage(&self) -> Arc<Stage> {
        Arc::clone(&self.stage)
    }

    /// As it is now.
    pub(super) fn stage_now(&self) -> &Stage {
        &self.stage
    }

    /// Whether some shard is to be told something.
    pub(super) fn is_untold(&self) -> bool {
        self.untold.iter().flatten().any(|untold| *untold)
    }

    /// A part as clients read it.
    fn text(&self, part: StagePart) -> Option<Vec<u8>> {
        let message = match part {
            StagePart::View => {
                let (Placed { by, time_ms, revision }, scene) = self.stage.view()?;
                let Scene { name, focus, selected, camera, filter, group_by, note } = scene;
                let pose = |Camera { position, target }| CameraPose { position, target };
                ServerMessage::ViewSet {
                    by,
                    time: *time_ms,
                    revision: *revision,
                    name,
                    camera: camera.map(pose),
                    focus: focus.iter().map(|node| node.node_id).collect(),
                    selected: selected.as_ref().map(|node| node.node_id),
                    filter: json!(filter),
                    group_by: json!(group_by),
                    note: note.as_deref(),
                }
            }
            StagePart::Encoding => {
                let (Placed { by, time_ms, revision }, encoding) = self.stage.encoding()?;
                let (colour, size) = (encoding.plain_colour(), encoding.plain_size());
                let (colours, channels) = (encoding.plain_colours(), encoding.rules());
                ServerMessage::EncodingSet { by, time: *time_ms, revision: *revision, colour, colours, size, channels }
            }
        };
        Some(message.to_vec())
    }
}

impl Control {
    /// Does what a tool of the set `view` asks for.
    pub(super) fn put_on_stage(&mut self, page: &str, asked: &Staging, by: &str) -> Done {
        let (revision, viewers) = (self.version(), self.sessions.len());
        let done = Arc::make_mut(&mut self.mcp.staged.stage)
            .obey(asked, &Audience { by, now_ms: unix_ms(), revision, page, viewers })?;
        let (part, event) = match asked {
            Staging::View(_) => (StagePart::View, "view_set"),
            Staging::Encode { .. } => (StagePart::Encoding, "encoding_set"),
            Staging::Open { .. } => return Ok(done),
        };
        let untold = &mut self.mcp.staged.untold;
        untold.resize(self.lanes.shard_messages.len(), [false; StagePart::ALL.len()]);
        for shard in untold {
            if let Some(untold) = shard.get_mut(part as usize) {
                *untold = true;
            }
        }
        let line = || json!({ "event": event, "revision": revision, "by": by }).to_string();
        self.mcp.talks.log(LogLevel::Info, "view", line);
        Ok(done)
    }

    /// Tells the shards what is new on the stage, not oftener than people can look. One whose lane is full hears of it later.
    pub(super) fn show_stage(&mut self, now_ns: u64) {
        if !self.mcp.staged.is_untold() || now_ns < self.mcp.staged.told_ns + STAGE_INTERVAL_NS {
            return;
        }
        self.mcp.staged.told_ns = now_ns;
        for part in StagePart::ALL {
            let Some(text) = self.mcp.staged.text(part).map(bytes::Bytes::from) else { continue };
            for (shard, untold) in self.lanes.shard_messages.iter_mut().zip(&mut self.mcp.staged.untold) {
                let Some(untold) = untold.get_mut(part as usize) else { continue };
                if *untold {
                    *untold = shard.push(ShardMessage::Stage { part, text: text.clone() }).is_err();
                }
            }
        }
    }
}
