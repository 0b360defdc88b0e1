//! Other servers of MCP that are asked for their agents: the thread that calls them, made ready.

use std::fs;
use std::sync::Arc;

use super::StartError;
use super::topology::{LaneMaker, SOURCE_REPORTS, SOURCES_STOP};
use crate::config::{AgentOptions, AgentSource};
use crate::control::SourcesDesk;
use crate::handoff::{Doorbell, Producer};
use crate::mcp::{Source, SourceOptions};
use crate::net::{Caller, poll_with_bell};

/// What the sources' side begins with.
pub(super) struct SourcesSide {
    pub(super) caller: Caller<Source>,
    pub(super) stop: Producer<()>,
}

fn source(index: usize, given: &AgentSource, options: &AgentOptions) -> Result<Source, StartError> {
    let token = given.token_file.as_ref().map(|path| {
        let named = |reason: std::io::Error| StartError::System {
            step: "the token of a source (agents.sources)",
            reason: std::io::Error::new(reason.kind(), format!("{}: {reason}", path.display())),
        };
        fs::read_to_string(path).map(|text| text.trim().into()).map_err(named)
    });
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| StartError::System {
        step: "random bits for the pauses between calls",
        reason: std::io::Error::other(error.to_string()),
    })?;
    let options = SourceOptions {
        address: given.address.as_str().into(),
        token: token.transpose()?,
        tool: (!options.tool.is_empty()).then(|| options.tool.as_str().into()),
        interval_ns: options.interval.as_nanos() as u64,
    };
    Ok(Source::new(index, options, u64::from_le_bytes(seed)))
}

/// Lanes and thread; `None` where nobody is asked.
pub(super) fn prepare(
    options: &AgentOptions,
    lanes: &mut LaneMaker,
    control_bell: &Arc<Doorbell>,
) -> Result<Option<(SourcesDesk, SourcesSide)>, StartError> {
    if options.sources.is_empty() {
        return Ok(None);
    }
    let sources = options.sources.iter().enumerate().map(|(index, given)| source(index, given, options));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let addresses = options.sources.iter().map(|source| source.address.as_str().into()).collect();
    let loops = |reason| StartError::System { step: "starting a network loop", reason };
    let (poll, bell) = poll_with_bell().map_err(loops)?;
    let (reports_out, reports) = lanes.make(&SOURCE_REPORTS, None, control_bell);
    let (stop, stop_in) = lanes.make(&SOURCES_STOP, None, &bell);
    let caller = Caller::new(poll, bell, sources, reports_out, stop_in);
    Ok(Some((SourcesDesk { reports, addresses }, SourcesSide { caller, stop })))
}
