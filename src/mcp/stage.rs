//! What people who watch are shown: where they look, and what the channels of the picture mean. One view and one encoding are in force for everybody;
//! views are kept by name as well. Values alone: whoever has the streams tells them.

use serde_json::{Value, json};

use super::args::{ToolError, nearest};
use super::encoding::{AUTO, Channel, Encoding, Rule};
use super::reply::{Content, ToolResult};
use super::tools::{Done, Filter, done};
use super::uri::encode;
use crate::limits::MCP_VIEWS_MAX;

/// A node, as streams and as tools name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnStage {
    /// Its number.
    pub node_id: u32,
    /// Its id.
    pub key: Box<str>,
}

/// Where a camera stands and what it looks at, world units.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Camera {
    /// Where it is.
    pub position: [f32; 3],
    /// What is in the middle of the picture.
    pub target: [f32; 3],
}

/// Who has put something on the stage, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// The principal.
    pub by: Box<str>,
    /// Unix ms; no two are the same, also after a start.
    pub time_ms: u64,
    /// Of the graph at that time.
    pub revision: u64,
}

/// Where everybody looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// What it is kept as.
    pub name: Box<str>,
    /// What the picture is to hold; empty is the whole graph.
    pub focus: Vec<OnStage>,
    /// The node that is marked, with its neighbours.
    pub selected: Option<OnStage>,
    /// Goes before `focus`.
    pub camera: Option<Camera>,
    /// Nodes that are shown; `None` is all.
    pub filter: Option<Filter>,
    /// What colours tell apart where no encoding says what they mean.
    pub group_by: Option<Rule>,
    /// For those who look.
    pub note: Option<Box<str>>,
}

/// What a tool of the set `view` asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Staging {
    /// Everybody is to look there.
    View(Box<Scene>),
    /// From now on this is what a channel means; what a legend says of it.
    Encode {
        /// The channel.
        channel: Channel,
        /// `None` is what viewers have by themselves.
        rule: Option<Box<Rule>>,
        /// As it stands in the answer.
        legend: Value,
    },
    /// Where a person can look.
    Open {
        /// A view that is kept; `None` is the one in force.
        view: Option<Box<str>>,
    },
}

/// Whoever asks, and what is known of those who watch.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a> {
    /// The principal.
    pub by: &'a str,
    /// Unix ms.
    pub now_ms: u64,
    /// Of the graph.
    pub revision: u64,
    /// Address of the viewer's page, with a slash at its end.
    pub page: &'a str,
    /// Streams there are.
    pub viewers: usize,
}

/// What everybody is shown.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// The one in force last.
    views: Vec<(Placed, Scene)>,
    encoding: Option<(Placed, Encoding)>,
    last_ms: u64,
}

impl Stage {
    /// The view in force, once there was one.
    #[must_use]
    pub fn view(&self) -> Option<&(Placed, Scene)> {
        self.views.last()
    }

    /// The encoding in force, once there was one.
    #[must_use]
    pub fn encoding(&self) -> Option<&(Placed, Encoding)> {
        self.encoding.as_ref()
    }

    /// A view that is kept, by its name.
    #[must_use]
    pub fn kept(&self, name: &str) -> Option<&(Placed, Scene)> {
        self.views.iter().find(|(_, scene)| *scene.name == *name)
    }

    /// Does what is asked, and answers it.
    ///
    /// # Errors
    /// There is no view of that name.
    pub fn obey(&mut self, asked: &Staging, audience: &Audience<'_>) -> Done {
        let (channel, rule, legend) = match asked {
            Staging::Open { view } => return self.open(view.as_deref(), audience),
            Staging::View(scene) => {
                let placed = self.placed(audience);
                self.views.retain(|(_, kept)| kept.name != scene.name);
                if self.views.len() >= MCP_VIEWS_MAX {
                    self.views.remove(0);
                }
                let answer = json!({
                    "view": shown(scene), "url": self.url(scene, audience.page, placed.time_ms), "viewers": audience.viewers,
                    "by": placed.by, "time": placed.time_ms, "revision": audience.revision,
                });
                self.views.push((placed, (**scene).clone()));
                return done(&answer);
            }
            Staging::Encode { channel, rule, legend } => (*channel, rule, legend),
        };
        let placed = self.placed(audience);
        let mut encoding = self.encoding.take().map(|(_, encoding)| encoding).unwrap_or_default();
        match rule {
            Some(rule) => encoding.channels.insert(channel, (**rule).clone()),
            None => encoding.channels.remove(&channel),
        };
        let answer = json!({
            "channel": channel, "by": rule.as_ref().map_or(AUTO, |rule| rule.by), "encoding": encoding.shown(),
            "legend": legend, "viewers": audience.viewers, "set_by": placed.by, "time": placed.time_ms,
            "revision": audience.revision,
        });
        self.encoding = Some((placed, encoding));
        done(&answer)
    }

    /// Times tell what is put on the stage apart.
    fn placed(&mut self, audience: &Audience<'_>) -> Placed {
        self.last_ms = audience.now_ms.max(self.last_ms + 1);
        Placed { by: audience.by.into(), time_ms: self.last_ms, revision: audience.revision }
    }

    fn open(&self, view: Option<&str>, audience: &Audience<'_>) -> Done {
        let (page, viewers, revision) = (audience.page, audience.viewers, audience.revision);
        let kept = match view {
            None => self.view(),
            Some(name) => Some(self.kept(name).ok_or_else(|| self.unknown(name))?),
        };
        let url = kept.map_or_else(
            || page.to_owned(),
            |(_, scene)| self.url(scene, page, self.view().map_or(0, |(placed, _)| placed.time_ms)),
        );
        let result = done(&json!({
            "url": url, "view": kept.map(|(_, scene)| shown(scene)), "views": self.names(), "viewers": viewers, "revision": revision,
        }))?;
        let link = Content::Link { uri: url, name: "The live graph".to_owned(), mime: "text/html" };
        let text = result.structured.clone().map(Content::Text);
        Ok(ToolResult { content: text.into_iter().chain([link]).collect(), ..result })
    }

    /// Names of the views that are kept, the newest first.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.views.iter().rev().map(|(_, scene)| &*scene.name).collect()
    }

    /// What to say of a view that is not kept.
    #[must_use]
    pub fn unknown(&self, name: &str) -> ToolError {
        let names = self.names();
        let near = nearest(name, names.iter().copied());
        let near = near.map(|near| format!(": did you mean {near}?")).unwrap_or_default();
        let there =
            if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) };
        ToolError::new(format!("view: there is no view {name:?}{near}; {there}; set_view makes one"))
    }

    /// The page that shows a view, whatever else is in force: what was put on the stage up to `seen` does not move it.
    fn url(&self, scene: &Scene, page: &str, seen: u64) -> String {
        let mut parts = Vec::new();
        if !scene.focus.is_empty() {
            let ids: Vec<String> = scene.focus.iter().map(|node| node.node_id.to_string()).collect();
            parts.push(format!("focus={}", ids.join(",")));
        }
        if let Some(node) = &scene.selected {
            parts.push(format!("selected={}", node.node_id));
        }
        if let Some(Camera { position: [x, y, z], target: [a, b, c] }) = scene.camera {
            parts.push(format!("camera={x},{y},{z},{a},{b},{c}"));
        }
        if let Some(filter) = &scene.filter {
            parts.push(format!("filter={}", encode(&json!(filter).to_string())));
        }
        if let Some(rule) = &scene.group_by {
            parts.push(format!("group_by={}", encode(&json!(rule).to_string())));
        }
        parts.push(format!("seen={seen}"));
        format!("{page}?{}", parts.join("&"))
    }
}

/// The word that `group_by` was.
fn grouped_by(rule: &Rule) -> &str {
    rule.property.as_deref().unwrap_or(rule.by)
}

/// A view as tools show it: nodes by their ids.
pub(super) fn shown(scene: &Scene) -> Value {
    let focus: Vec<&str> = scene.focus.iter().map(|node| &*node.key).collect();
    json!({
        "name": scene.name, "focus": focus, "selected": scene.selected.as_ref().map(|node| &node.key),
        "camera": scene.camera, "filter": scene.filter, "group_by": scene.group_by.as_ref().map(grouped_by),
        "note": scene.note,
    })
}
