//! What the server offers, read once from `catalogue.json`, and its lists as bytes, one for each revision and set of scopes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::era::Version;
use super::rpc;

/// What somebody may do: bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Read the graph.
    pub const READ: Self = Self(1);
    /// Change the graph and steer the layout.
    pub const WRITE: Self = Self(2);
    /// Be an agent of the graph.
    pub const AGENT: Self = Self(4);
    /// What concerns the engine.
    pub const ADMIN: Self = Self(8);
    /// Everything.
    pub const ALL: Self = Self(15);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `needed` are here.
    #[must_use]
    pub const fn allow(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// The name of one scope.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "graph:read",
            2 => "graph:write",
            4 => "agent:report",
            8 => "admin",
            _ => "several",
        }
    }

    /// Each of them, alone.
    const EACH: [Self; 4] = [Self::READ, Self::WRITE, Self::AGENT, Self::ADMIN];

    /// The scope of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|scope| scope.name() == name)
    }

    /// The names of those that are here.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::EACH.into_iter().filter(move |scope| self.allow(*scope)).map(Self::name)
    }
}

/// One tool, as the dispatcher needs it.
#[derive(Clone, Debug)]
pub struct ToolRow {
    /// Its name.
    pub name: Box<str>,
    /// What calling it needs.
    pub scope: Scopes,
    /// The set it belongs to.
    pub set: &'static str,
    /// The names of its arguments.
    pub arguments: Vec<Box<str>>,
    /// Arguments that a client of HTTP says again in a header: the way to each, and the header's name in lower case.
    pub headers: Vec<(Vec<Box<str>>, Box<str>)>,
    /// It says of itself that it changes nothing.
    pub only_looks: bool,
    /// Arguments that change the graph, of a tool that only looks without them: for those who may write.
    pub writing: Vec<Box<str>>,
    /// As it stands in the list of the newest revision.
    pub shown: Map<String, Value>,
}

/// A prompt's arguments.
#[derive(Clone, Debug)]
pub struct PromptRow {
    /// Its name.
    pub name: Box<str>,
    /// What it is for.
    pub description: Box<str>,
    /// Names, and whether they must be there.
    pub arguments: Vec<(Box<str>, bool)>,
    /// What is said, `{name}` standing for an argument.
    pub text: Box<str>,
}

/// A set beside the core: name and text.
type FurtherSet = (&'static str, &'static str);

/// The engine's sets beside the core, in the order of the list.
const FURTHER_SETS: [FurtherSet; 6] = [
    ("memory", include_str!("sets/memory.json")),
    ("sim", include_str!("sets/sim.json")),
    ("admin", include_str!("sets/admin.json")),
    ("io", include_str!("sets/io.json")),
    ("agents", include_str!("sets/agents.json")),
    ("view", include_str!("sets/view.json")),
];

/// The set of the catalogue's own tools.
const CORE: &str = "core";

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It is not JSON.
    #[error("the catalogue is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A part is missing or of another kind.
    #[error("{part} of the catalogue is missing or of the wrong kind")]
    Part {
        /// Which.
        part: String,
    },
    /// There is no set of this name.
    #[error("there is no tool set {name:?}; there are {known}")]
    Set {
        /// As asked for.
        name: String,
        /// Those there are.
        known: String,
    },
}

/// Everything that is offered.
#[derive(Debug)]
pub struct Catalogue {
    /// Of every set.
    tools: Vec<ToolRow>,
    by_name: BTreeMap<Box<str>, usize>,
    /// The sets that are switched on.
    sets: Vec<Box<str>>,
    prompts: Vec<PromptRow>,
    instructions: Box<str>,
    /// `"tools":[..]` by shape of the revision (0 to 2) and scopes.
    tool_lists: Vec<Vec<u8>>,
    prompt_list: Vec<u8>,
    resource_list: Vec<u8>,
    template_list: Vec<u8>,
    static_uris: Vec<Box<str>>,
}

fn part<'json>(value: &'json Value, name: &str) -> Result<&'json [Value], CatalogueError> {
    let list = value.get(name).and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or_else(|| CatalogueError::Part { part: name.to_owned() })
}

fn word(value: &Value, name: &str) -> Result<Box<str>, CatalogueError> {
    value
        .get(name)
        .and_then(Value::as_str)
        .map(Into::into)
        .ok_or_else(|| CatalogueError::Part { part: name.to_owned() })
}

impl Catalogue {
    /// Reads a catalogue: `tools` (each with `scope`), `resources`, `templates`, `prompts`, `instructions`.
    ///
    /// # Errors
    /// [`CatalogueError`].
    pub fn new(text: &str) -> Result<Self, CatalogueError> {
        Self::with_sets(text, &[], &[CORE])
    }

    /// The engine's own, with the tools of these sets switched on. Those of the others are known, and not offered.
    ///
    /// # Errors
    /// [`CatalogueError`]: of a set that there is not.
    pub fn of_engine(sets: &[&str]) -> Result<Self, CatalogueError> {
        Self::with_sets(include_str!("catalogue.json"), &FURTHER_SETS, sets)
    }

    /// Names of the engine's sets.
    pub fn set_names() -> impl Iterator<Item = &'static str> {
        std::iter::once(CORE).chain(FURTHER_SETS.iter().map(|(name, _)| *name))
    }

    fn with_sets(text: &str, further: &[FurtherSet], on: &[&str]) -> Result<Self, CatalogueError> {
        let mut known = std::iter::once(CORE).chain(further.iter().map(|(name, _)| *name));
        if let Some(name) = on.iter().find(|name| !known.clone().any(|known| known == **name)) {
            let known = known.by_ref().collect::<Vec<_>>().join(", ");
            return Err(CatalogueError::Set { name: (*name).to_owned(), known });
        }
        let is_on = |set: &str| on.contains(&set);
        let whole: Value = serde_json::from_str(text)?;
        let mut tools = Vec::new();
        for tool in part(&whole, "tools")? {
            tools.push(tool_row(tool, CORE)?);
        }
        // What a model is told names no tool that it cannot call.
        let mut instructions = match is_on(CORE) {
            true => word(&whole, "instructions")?.into_string(),
            false => "Swarmcast holds one live graph that people watch in 3D.".to_owned(),
        };
        let mut templates = part(&whole, "templates")?.to_vec();
        let mut resources = part(&whole, "resources")?.to_vec();
        for (set, text) in further {
            let whole: Value = serde_json::from_str(text)?;
            for tool in part(&whole, "tools")? {
                tools.push(tool_row(tool, set)?);
            }
            if is_on(set) {
                instructions.push(' ');
                instructions.push_str(&word(&whole, "instructions")?);
                let more = |name: &str| whole.get(name).and_then(Value::as_array).into_iter().flatten().cloned();
                templates.extend(more("templates"));
                resources.extend(more("resources"));
            }
        }
        let mut prompts = Vec::new();
        for prompt in part(&whole, "prompts")? {
            prompts.push(prompt_row(prompt)?);
        }
        let mut tool_lists = Vec::new();
        for shape in [Version::V2024_11_05, Version::V2025_03_26, Version::V2025_06_18] {
            for scopes in 0..=Scopes::ALL.0 {
                let shown = tools.iter().filter(|tool| is_on(tool.set) && Scopes(scopes).allow(tool.scope));
                let shown: Vec<Value> = shown.map(|tool| shaped(&tool.for_scopes(Scopes(scopes)), shape)).collect();
                tool_lists.push(listed("tools", &Value::Array(shown)));
            }
        }
        let shown_prompts: Vec<Value> = part(&whole, "prompts")?.iter().map(|prompt| without(prompt, "text")).collect();
        Ok(Self {
            by_name: tools.iter().enumerate().map(|(index, tool)| (tool.name.clone(), index)).collect(),
            tools,
            prompts,
            sets: on.iter().map(|name| (*name).into()).collect(),
            instructions: instructions.into(),
            tool_lists,
            prompt_list: listed("prompts", &Value::Array(shown_prompts)),
            resource_list: listed("resources", &json!(resources)),
            template_list: listed("resourceTemplates", &json!(templates)),
            static_uris: resources.iter().map(|resource| word(resource, "uri")).collect::<Result<_, _>>()?,
        })
    }

    /// The tools of every set, in the order of the list.
    #[must_use]
    pub fn tools(&self) -> &[ToolRow] {
        &self.tools
    }

    /// The tools that are offered.
    pub fn offered(&self) -> impl Iterator<Item = &ToolRow> {
        self.tools.iter().filter(|tool| self.is_on(tool.set))
    }

    /// Whether a set is switched on.
    #[must_use]
    pub fn is_on(&self, set: &str) -> bool {
        self.sets.iter().any(|on| **on == *set)
    }

    /// The sets that are switched on.
    #[must_use]
    pub fn sets(&self) -> &[Box<str>] {
        &self.sets
    }

    /// The tool of that name, of whatever set, with its place in the list.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<(usize, &ToolRow)> {
        let index = *self.by_name.get(name)?;
        self.tools.get(index).map(|tool| (index, tool))
    }

    /// The prompt of that name.
    #[must_use]
    pub fn prompt(&self, name: &str) -> Option<&PromptRow> {
        self.prompts.iter().find(|prompt| &*prompt.name == name)
    }

    /// Names of the prompts.
    pub fn prompt_names(&self) -> impl Iterator<Item = &str> {
        self.prompts.iter().map(|prompt| &*prompt.name)
    }

    /// URIs of the resources that are always there.
    #[must_use]
    pub fn static_uris(&self) -> &[Box<str>] {
        &self.static_uris
    }

    /// What a client is told about how to work with the server.
    #[must_use]
    pub fn instructions(&self) -> &str {
        &self.instructions
    }

    /// `"tools":[..]`.
    #[must_use]
    pub fn tool_list(&self, version: Version, scopes: Scopes) -> &[u8] {
        let shape = usize::from(version.has_annotations()) + usize::from(version.has_structured());
        let at = shape * (usize::from(Scopes::ALL.0) + 1) + usize::from(scopes.0 & Scopes::ALL.0);
        self.tool_lists.get(at).map_or(&b"\"tools\":[]"[..], Vec::as_slice)
    }

    /// `"prompts":[..]`.
    #[must_use]
    pub fn prompt_list(&self) -> &[u8] {
        &self.prompt_list
    }

    /// `"resources":[..]`.
    #[must_use]
    pub fn resource_list(&self) -> &[u8] {
        &self.resource_list
    }

    /// `"resourceTemplates":[..]`.
    #[must_use]
    pub fn template_list(&self) -> &[u8] {
        &self.template_list
    }
}

fn tool_row(tool: &Value, set: &'static str) -> Result<ToolRow, CatalogueError> {
    let name = word(tool, "name")?;
    let at = |member: &str| CatalogueError::Part { part: format!("tools.{name}.{member}") };
    let scope = Scopes::from_name(&word(tool, "scope")?).ok_or_else(|| at("scope"))?;
    let mut shown = tool.as_object().cloned().unwrap_or_default();
    shown.remove("scope");
    let writing = shown.remove("writing");
    let writing = writing.as_ref().and_then(Value::as_array).into_iter().flatten();
    let writing = writing.filter_map(Value::as_str).map(Into::into).collect();
    let only_looks = shown.get("annotations").and_then(|hints| hints.get("readOnlyHint")) == Some(&json!(true));
    let input = shown.get_mut("inputSchema").and_then(Value::as_object_mut).ok_or_else(|| at("inputSchema"))?;
    input.entry("type").or_insert_with(|| json!("object"));
    input.entry("additionalProperties").or_insert(json!(false));
    let properties = input.entry("properties").or_insert_with(|| json!({}));
    let arguments = properties.as_object().ok_or_else(|| at("inputSchema.properties"))?;
    let headers = mirrored(arguments);
    let arguments = arguments.keys().map(|name| name.as_str().into()).collect();
    Ok(ToolRow { name, scope, set, arguments, headers, only_looks, writing, shown })
}

impl ToolRow {
    /// As somebody with these scopes is shown it: who may not write sees a tool that only looks.
    fn for_scopes(&self, scopes: Scopes) -> Map<String, Value> {
        let mut shown = self.shown.clone();
        if self.writing.is_empty() || scopes.allow(Scopes::WRITE) {
            return shown;
        }
        let properties = shown.get_mut("inputSchema").and_then(|schema| schema.get_mut("properties"));
        if let Some(properties) = properties.and_then(Value::as_object_mut) {
            properties.retain(|name, _| !self.writing.iter().any(|writing| **writing == **name));
        }
        if let Some(hints) = shown.get_mut("annotations").and_then(Value::as_object_mut) {
            hints.insert("readOnlyHint".to_owned(), json!(true));
        }
        shown
    }
}

/// The arguments with `x-mcp-header`, at any depth that `properties` alone lead to.
fn mirrored(properties: &Map<String, Value>) -> Vec<(Vec<Box<str>>, Box<str>)> {
    let mut headers = Vec::new();
    let mut left = vec![(Vec::new(), properties)];
    while let Some((above, properties)) = left.pop() {
        for (name, schema) in properties {
            let mut path: Vec<Box<str>> = above.clone();
            path.push(name.as_str().into());
            if let Some(header) = schema.get("x-mcp-header").and_then(Value::as_str) {
                headers.push((path.clone(), format!("mcp-param-{}", header.to_ascii_lowercase()).into()));
            }
            if let Some(inner) = schema.get("properties").and_then(Value::as_object) {
                left.push((path, inner));
            }
        }
    }
    headers
}

fn prompt_row(prompt: &Value) -> Result<PromptRow, CatalogueError> {
    let mut arguments = Vec::new();
    for argument in prompt.get("arguments").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
        arguments.push((word(argument, "name")?, argument.get("required").is_some_and(|it| it == &Value::Bool(true))));
    }
    let (name, text) = (word(prompt, "name")?, word(prompt, "text")?);
    Ok(PromptRow { name, description: word(prompt, "description")?, arguments, text })
}

/// A tool without what its revision does not know.
fn shaped(tool: &Map<String, Value>, version: Version) -> Value {
    let mut tool = tool.clone();
    if !version.has_annotations() {
        tool.remove("annotations");
    }
    if !version.has_structured() {
        tool.remove("outputSchema");
        tool.remove("title");
        tool.remove("_meta");
    }
    Value::Object(tool)
}

fn without(value: &Value, name: &str) -> Value {
    let mut object = value.as_object().cloned().unwrap_or_default();
    object.remove(name);
    Value::Object(object)
}

fn listed(name: &str, list: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rpc::text(name, &mut out);
    out.push(b':');
    out.extend_from_slice(list.to_string().as_bytes());
    out
}
