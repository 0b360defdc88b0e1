//! `swarmcast`: arguments, configuration, then [`swarmcast::supervise`].

#[cfg(not(loom))]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;

    use clap::Parser;
    use swarmcast::config::{Action, Args, ConfigError, default_toml, resolve};
    use swarmcast::supervise;

    let args = Args::parse();
    let action = args.action();
    if action == Action::ShowDefault {
        print!("{}", default_toml());
        return ExitCode::SUCCESS;
    }
    if let Action::Mcp(asked) = &action {
        return bridge(asked);
    }
    let resolved = match resolve(&args, std::env::vars_os()) {
        Ok(resolved) => resolved,
        Err(error) => {
            swarmcast::base::say(format_args!("swarmcast: {error}"));
            return ExitCode::from(ConfigError::EXIT_CODE);
        }
    };
    let ended = match action {
        Action::Serve { check: true } => supervise::check(&resolved),
        Action::Serve { check: false } => supervise::serve(&resolved),
        Action::Convert { output, to } => supervise::convert(&resolved, &output, to.as_deref()),
        Action::Show { origin } => {
            // What is configured is shown even where what was saved cannot be.
            let shown = supervise::shown(&resolved);
            print!("{}", shown.as_ref().unwrap_or(&resolved).show(origin));
            shown.map(|_| ())
        }
        Action::ShowDefault | Action::Mcp(_) => Ok(()),
        Action::Store(action) => supervise::store_command(&resolved, &action),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            swarmcast::base::say(format_args!("swarmcast: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Standard output is the host's: everything else is said on standard error.
#[cfg(not(loom))]
fn bridge(asked: &swarmcast::config::McpArgs) -> std::process::ExitCode {
    use std::process::ExitCode;

    use swarmcast::bridge::{Options, run};

    let connect = match asked.connect.as_deref().map(str::parse).transpose() {
        Ok(connect) => connect,
        Err(reason) => {
            swarmcast::base::say(format_args!("swarmcast mcp: --connect: {reason}"));
            return ExitCode::from(2);
        }
    };
    // Where an engine without a runtime folder keeps the token.
    let data = swarmcast::store::default_path(|name| std::env::var_os(name));
    let kept = data.map(|store| store.with_file_name(swarmcast::bridge::TOKEN_NAME));
    let options = Options {
        connect,
        token_file: asked.token_file.clone(),
        token_kept: kept,
        spawn: asked.spawn,
        engine: asked.engine.clone(),
    };
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").map(std::path::PathBuf::from);
    let token = std::env::var("SWARMCAST_MCP_TOKEN").ok();
    match run(&options, runtime_dir.as_deref(), token) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            swarmcast::base::say(format_args!("swarmcast mcp: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The model checker builds the library's hand-off only.
#[cfg(loom)]
fn main() {}
