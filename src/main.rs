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
    let resolved = match resolve(&args, std::env::vars_os()) {
        Ok(resolved) => resolved,
        Err(error) => {
            eprintln!("swarmcast: {error}");
            return ExitCode::from(ConfigError::EXIT_CODE);
        }
    };
    let ended = match action {
        Action::Serve { check: true } => supervise::check(&resolved),
        Action::Serve { check: false } => supervise::serve(&resolved),
        Action::Convert { output, to } => supervise::convert(&resolved, &output, to.as_deref()),
        Action::Show { origin } => {
            print!("{}", resolved.show(origin));
            Ok(())
        }
        Action::ShowDefault => Ok(()),
        Action::Store(action) => supervise::store_command(&resolved, &action),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swarmcast: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// The model checker builds the library's hand-off only.
#[cfg(loom)]
fn main() {}
