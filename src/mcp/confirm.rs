//! What a person is asked before something that nothing brings back, where the client says that it can ask one: over its connection up
//! to 2025-11-25, by an answer that wants more in 2026-07-28.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::args::ToolError;
use super::era::Version;
use super::reply::Reply;
use super::rpc::{RpcError, code};
use super::session::{Ask, Call};
use super::tools::{Plan, plan, reply};
use super::view::View;
use super::{Catalogue, Server};

/// The tool that a person is asked about.
const ASKED_ABOUT: &str = "clear_graph";

/// What the answer is called, and the member of it that counts.
const CONFIRM: &str = "confirm";

/// How long a question of 2026-07-28 may be answered, ms.
const STATE_MS: u64 = 300_000;

/// What is to be done about a call.
#[derive(Debug)]
pub enum Confirm {
    /// There is nothing to ask: it is run as it is.
    Nothing,
    /// A person is asked over the connection, with these parameters of `elicitation/create`; this is run when they agree.
    Question {
        /// The parameters.
        params: Value,
        /// The call.
        agreed: Ask<'static>,
    },
    /// They have agreed: this is run.
    Agreed(Ask<'static>),
    /// This is the answer.
    Answer(Result<Reply, RpcError>),
}

/// Whether a call is one of those.
pub(super) fn is_asked_about(catalogue: &Catalogue, ask: &Ask<'_>) -> bool {
    let Ask::Tool { tool, .. } = ask else { return false };
    catalogue.tools().get(*tool).is_some_and(|row| &*row.name == ASKED_ABOUT)
}

/// Whether a client with these capabilities can have a person fill in a form. Without modes it is forms that it can.
pub(super) fn can_ask(capabilities: Option<&RawValue>) -> bool {
    #[derive(Deserialize)]
    struct Capabilities {
        elicitation: Option<BTreeMap<String, IgnoredAny>>,
    }
    let read = capabilities.and_then(|it| serde_json::from_str::<Capabilities>(it.get()).ok());
    read.and_then(|it| it.elicitation).is_some_and(|modes| modes.is_empty() || modes.contains_key("form"))
}

/// What is to be done first about a call whose client can ask a person ([`Call::can_ask`]). `now_ms` is Unix ms.
#[must_use]
pub fn confirm(server: &Server, call: &Call<'_>, view: &View<'_>, now_ms: u64) -> Confirm {
    let Ask::Tool { tool, arguments } = &call.ask else { return Confirm::Nothing };
    let Ok(mut given) = serde_json::from_str::<Map<String, Value>>(arguments) else { return Confirm::Nothing };
    if given.get("dry_run") == Some(&Value::Bool(true)) {
        return Confirm::Nothing;
    }
    given.insert(CONFIRM.to_owned(), "main".into());
    let agreed = Ask::Tool { tool: *tool, arguments: Value::Object(given).to_string().into() };
    let nodes = match plan(server, &agreed, &call.principal, view) {
        Ok(Plan::Write(write)) => write.batch.ops.len(),
        Ok(_) => return Confirm::Nothing,
        Err(error) => return Confirm::Answer(Ok(reply(Err(error)))),
    };
    if nodes == 0 {
        return Confirm::Agreed(agreed);
    }
    let question = question(call, nodes, view.graph.edges().len());
    if !call.version.is_modern() {
        return Confirm::Question { params: question, agreed };
    }
    let params: Value = call.params.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let Ask::Tool { arguments, .. } = &agreed else { return Confirm::Nothing };
    let scope = format!("{ASKED_ABOUT} {arguments}");
    let answer = params.get("inputResponses").and_then(|responses| responses.get(CONFIRM));
    let Some(answer) = answer else {
        let asks = json!({ CONFIRM: { "method": "elicitation/create", "params": question } });
        let state = server.sign(&call.principal.name, &scope, now_ms + STATE_MS);
        let (asks, state) = (asks.to_string(), json!(state).to_string());
        let members = format!(r#""inputRequests":{asks},"requestState":{state}"#);
        return Confirm::Answer(Ok(Reply::Members { kind: "input_required", members }));
    };
    let state = params.get("requestState").and_then(Value::as_str);
    let until_ms = state.and_then(|state| server.verify(&call.principal.name, &scope, state));
    if until_ms.is_none_or(|until_ms| now_ms > until_ms) {
        let words =
            "params.requestState is not one that this call was given, or is older than five minutes: call again";
        return Confirm::Answer(Err(RpcError::new(code::PARAMS, words)));
    }
    match has_agreed(answer) {
        Ok(()) => Confirm::Agreed(agreed),
        Err(error) => Confirm::Answer(Ok(reply(Err(error)))),
    }
}

fn question(call: &Call<'_>, nodes: usize, edges: usize) -> Value {
    let by = &call.principal.name;
    let message = format!(
        "{by} wants to delete everything in the live graph: {nodes} nodes and their {edges} edges. Without a snapshot nothing brings them back."
    );
    let mut params = json!({ "message": message, "requestedSchema": {
        "type": "object",
        "properties": { CONFIRM: { "type": "boolean", "title": "Delete everything", "default": false } },
        "required": [CONFIRM],
    } });
    if call.version >= Version::V2025_11_25
        && let Some(members) = params.as_object_mut()
    {
        members.insert("mode".to_owned(), "form".into());
    }
    params
}

/// Whether a person has agreed, by the result of `elicitation/create`.
///
/// # Errors
/// What to tell the model: they have not.
pub fn has_agreed(answer: &Value) -> Result<(), ToolError> {
    let action = answer.get("action").and_then(Value::as_str);
    let ticked = answer.get("content").and_then(|content| content.get(CONFIRM)) == Some(&Value::Bool(true));
    match action {
        Some("accept") if ticked => Ok(()),
        Some("accept") => Err(ToolError::new("the person who was asked did not confirm it: nothing was deleted")),
        Some("cancel") => Err(ToolError::new("the person who was asked did not decide: nothing was deleted")),
        _ => Err(ToolError::new("the person who was asked said no: nothing was deleted. Do not ask again for it.")),
    }
}
