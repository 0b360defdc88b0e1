//! Goal: what a person gives by file, environment and flags is what the engine runs with; anything else is refused
//! before it starts, with every problem at its place, and never by a panic.
//! Method: `resolve` with command lines, environments and files written here, down to the exact messages.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clap::Parser;
use proptest::prelude::*;
use swarmcast::config::{
    Action, Args, Config, ConfigError, CpuId, GraphFormat, IdleStrategy, LogLevel, Origin, Resolved, default_toml,
    resolve,
};
use swarmcast::sim::Dimensions;

/// A configuration file that is removed when the test ends.
struct TempFile(PathBuf);

impl TempFile {
    fn new(content: impl AsRef<[u8]>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("swarmcast-config-{}-{}.toml", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn args(flags: &[&str]) -> Args {
    Args::try_parse_from(["swarmcast"].iter().chain(flags)).unwrap_or_else(|error| panic!("{error}"))
}

fn given(flags: &[&str], environment: &[(&str, &str)]) -> Result<Resolved, ConfigError> {
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    resolve(&args(flags), environment)
}

/// Resolves `content` as a file, with flags and environment; the error shows the file as `swarm.toml`.
fn given_file(content: &str, flags: &[&str], environment: &[(&str, &str)]) -> Result<Resolved, String> {
    let file = TempFile::new(content);
    let flags: Vec<&str> = ["--config", file.path()].iter().chain(flags).copied().collect();
    given(&flags, environment).map_err(|error| error.to_string().replace(file.path(), "swarm.toml"))
}

fn refused_file(content: &str) -> String {
    given_file(content, &[], &[]).map(|resolved| resolved.show(true)).unwrap_err()
}

#[test]
fn nothing_given_is_the_default() {
    let resolved = given(&[], &[("PATH", "/bin"), ("SWARM", "no"), ("swarmcast_sim_rate_hz", "no")]).unwrap();
    assert_eq!(resolved.config, Config::default());
    assert_eq!(resolved.origin("sim.rate_hz"), Some(&Origin::Default));
    assert_eq!(resolved.origin("sim.rate"), None);
}

#[test]
fn the_default_file_is_the_default() {
    let resolved = given_file(&default_toml(), &[], &[]).unwrap();
    assert_eq!(resolved.config, Config::default());
    assert!(!resolved.show(true).contains("# default"), "every key stands in it");
}

#[test]
fn each_source_overrides_the_one_before() {
    let file = "[sim]\nrate_hz = 30\nseed = 1\n\n[log]\nlevel = \"warn\"\n";
    let environment = [("SWARMCAST_SIM_RATE_HZ", "40"), ("SWARMCAST_LOG", "debug")];
    let resolved = given_file(file, &["--rate", "50", "--set", "net.shards=3"], &environment).unwrap();
    assert_eq!(resolved.config.sim.rate_hz, 50);
    assert_eq!(resolved.config.sim.params.seed, 1);
    assert_eq!(resolved.config.log.level, LogLevel::Debug);

    let shown = resolved.show(true);
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert_eq!(line("rate_hz"), "rate_hz = 50 # flag --rate");
    assert!(line("seed").starts_with("seed = 1 # file ") && line("seed").ends_with(".toml:3"), "{}", line("seed"));
    assert_eq!(line("level"), "level = \"debug\" # env SWARMCAST_LOG");
    assert_eq!(line("shards"), "shards = 3 # flag --set");
    assert_eq!(line("http"), "http = \"127.0.0.1:7400\" # default");
}

#[test]
fn every_flag_reaches_its_field() {
    let flags = "--graph g.csv --format csv --skip-bad --vault-all-pages --http [::1]:80 --tcp= --rate 24 --seed 7 \
                 --dimensions 2 --shards 5 --log error --no-pin --set threads.shard_cores=3,1 --set threads.sim_core=0 \
                 --set net.stall_seconds=90 --set net.frame_lease_max_ms=250 --set net.notsent_lowat_bytes=0 \
                 --set net.ping_seconds=7 --set net.pong_seconds=3 --set net.hold_max=9 --set net.hold_ms_max=450 \
                 --set net.connections_per_address_max=11 --set net.send_buffer_bytes=8192 \
                 --set threads.sim_idle=spin --set threads.shard_idle=spin_then_park --set threads.spin_us=30";
    let config = given(&flags.split_whitespace().collect::<Vec<_>>(), &[]).unwrap().config;
    assert_eq!(config.graph.path, Some(PathBuf::from("g.csv")));
    assert_eq!(config.graph.format, GraphFormat::Csv);
    assert!(config.graph.skip_bad && config.graph.vault_all_pages && !config.threads.pin);
    assert_eq!(config.net.http, "[::1]:80".parse::<SocketAddr>().unwrap());
    assert_eq!(config.net.tcp, None);
    assert_eq!((config.sim.rate_hz, config.sim.params.seed), (24, 7));
    assert_eq!(config.sim.params.dimensions, Dimensions::Two);
    assert_eq!(config.net.shards.map(u32::from), Some(5));
    assert_eq!(config.log.level, LogLevel::Error);
    assert_eq!(config.threads.shard_cores, [CpuId::new(3).unwrap(), CpuId::new(1).unwrap()]);
    assert_eq!(config.threads.sim_core, CpuId::new(0));
    assert_eq!(config.net.stall, Duration::from_secs(90));
    assert_eq!(config.net.frame_lease_max, Duration::from_millis(250));
    assert_eq!(config.net.notsent_lowat_bytes, None);
    assert_eq!((config.net.ping, config.net.pong), (Duration::from_secs(7), Duration::from_secs(3)));
    assert_eq!((config.net.hold_max, config.net.hold_time_max), (9, Duration::from_millis(450)));
    assert_eq!(config.net.connections_per_address_max.map(u32::from), Some(11));
    assert_eq!(config.net.send_buffer_bytes.map(u32::from), Some(8_192));
    let idle = (config.threads.sim_idle, config.threads.shard_idle, config.threads.spin_us);
    assert_eq!(idle, (IdleStrategy::Spin, IdleStrategy::SpinThenPark, 30));
}

#[test]
fn what_is_shown_resolves_to_the_same_again() {
    let odd = "a \"quoted\" \\ path\nwith # and \u{7f}\u{e9}";
    let flags = ["--graph", odd, "--tcp", "", "--set", "threads.shard_cores=[2, 3]", "--rate", "1", "--set"];
    let flags: Vec<&str> = flags.into_iter().chain(["sim.theta=0.333"]).collect();
    let first = given(&flags, &[("SWARMCAST_SIM_DAMPING", "1e-7"), ("SWARMCAST_SIM_BOUNDS", "1000000")]).unwrap();
    for origin in [false, true] {
        let again = given_file(&first.show(origin), &[], &[]).unwrap();
        assert_eq!(again.config, first.config);
        assert_eq!(again.show(false), first.show(false));
    }
}

#[test]
fn the_file_may_be_named_by_the_environment_and_the_flag_wins() {
    let (from_environment, from_flag) =
        (TempFile::new("[sim]\nrate_hz = 10\n"), TempFile::new("[sim]\nrate_hz = 20\n"));
    let environment = [("SWARMCAST_CONFIG", from_environment.path())];
    assert_eq!(given(&[], &environment).unwrap().config.sim.rate_hz, 10);
    assert_eq!(given(&["--config", from_flag.path()], &environment).unwrap().config.sim.rate_hz, 20);
}

#[test]
fn flags_stand_on_either_side_of_the_subcommand() {
    assert_eq!(args(&[]).action(), Action::Serve { check: false });
    assert_eq!(args(&["--graph", "x"]).action(), Action::Serve { check: false });
    assert_eq!(args(&["serve", "--check"]).action(), Action::Serve { check: true });
    assert_eq!(args(&["config", "show", "--origin"]).action(), Action::Show { origin: true });
    assert_eq!(args(&["config", "default"]).action(), Action::ShowDefault);

    let both = ["--set", "sim.seed=5", "--rate", "30", "serve", "--set", "net.shards=2", "--no-pin"];
    let config = given(&both, &[]).unwrap().config;
    assert_eq!((config.sim.params.seed, config.sim.rate_hz, config.threads.pin), (5, 30, false));
    assert_eq!(config.net.shards.map(u32::from), Some(2));
    assert_eq!(given(&["config", "show", "--rate", "9"], &[]).unwrap().config.sim.rate_hz, 9);
}

#[test]
fn usage_errors_exit_like_configuration_errors() {
    for wrong in [&["--grph", "x"][..], &["sreve"], &["--rate"], &["--rate", "1", "--rate", "2"]] {
        let error = Args::try_parse_from(["swarmcast"].iter().chain(wrong)).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(ConfigError::EXIT_CODE), "{wrong:?}");
    }
}

#[test]
fn a_wrong_file_is_refused_with_place_key_limit_and_finding() {
    let cases = [
        ("[sim]\nrate_hz = 500\n", "2:11: sim.rate_hz: must be a whole number from 1 to 120 Hz, found 500"),
        ("[sim]\nrate_hz = \"fast\"\n", "2:11: sim.rate_hz: must be a whole number from 1 to 120 Hz, found \"fast\""),
        ("sim = { rate_hz = 60.0 }", "1:19: sim.rate_hz: must be a whole number from 1 to 120 Hz, found 60.0"),
        ("sim.rate_hz = 0x1ff", "1:15: sim.rate_hz: must be a whole number from 1 to 120 Hz, found 511"),
        (
            "[sim]\nseed = 99999999999999999999\n",
            "2:8: sim.seed: must be a whole number from 0 to 9223372036854775807, found 99999999999999999999",
        ),
        (
            "[sim]\nseed = 2026-01-02\n",
            "2:8: sim.seed: must be a whole number from 0 to 9223372036854775807, found 2026-01-02",
        ),
        ("[sim]\ntheta = nan\n", "2:9: sim.theta: must be a number from 0 to 2, found NaN"),
        ("[sim]\ntheta = true\n", "2:9: sim.theta: must be a number from 0 to 2, found true"),
        ("[sim]\n  raet_hz = 1\n", "2:3: sim.raet_hz: no such key; did you mean sim.rate_hz?"),
        ("[net]\nrate_hz = 1\n", "2:1: net.rate_hz: no such key; did you mean sim.rate_hz?"),
        ("\u{feff}rate_hz = 1\n", "1:1: rate_hz: no such key; did you mean sim.rate_hz?"),
        ("[log]\nx = 1\n", "2:1: log.x: no such key; `swarmcast config default` lists them all"),
        ("[log.level]\nx = 1\n", "1:1: log.level: must be one of error, warn, info, debug, trace, found [log.level]"),
        ("[simm]\nrate_hz = 1\n", "1:2: simm: no such section; did you mean [sim]?"),
        ("[tls]\n", "1:2: tls: no such section; `swarmcast config default` lists them all"),
        ("sim = 3\n", "1:7: sim: must be a section of keys, found a value"),
        ("[[sim]]\nrate_hz = 1\n", "1:1: sim: must be a section of keys, found a value"),
        (
            "[graph]\nformat = \"graphlm\"\n",
            "2:10: graph.format: must be one of auto, vault, csv, tsv, whitespace, json, graphml, gexf, gml, dot, mtx, parquet, \
             found \"graphlm\"; did you mean \"graphml\"?",
        ),
        ("[net]\nhttp = \"localhost:80\"\n", "2:8: net.http: must be an IP address and port, found \"localhost:80\""),
        ("[net]\ntcp = 7401\n", "2:7: net.tcp: must be an IP address and port, or \"\" (off), found 7401"),
        (
            "[net]\nframes = 7\n",
            "2:10: net.frames: must be a whole number from 8 to 256 frames, or 0 (automatic), found 7",
        ),
        (
            "[threads]\nshard_cores = [1, 2, 1]\n",
            "2:15: threads.shard_cores: must be a list of CPU ids from 0 to 1023, each once, found [1, 2, 1]",
        ),
        (
            "[threads]\nshard_cores = [1, \"a\"]\n",
            "2:15: threads.shard_cores: must be a list of CPU ids from 0 to 1023, each once, found [1, \"a\"]",
        ),
        (
            "[threads]\nsim_core = 1024\n",
            "2:12: threads.sim_core: must be a whole number from 0 to 1023, or -1 (automatic), found 1024",
        ),
        (
            "[net]\nhttp = \"0.0.0.0:7400\"\n",
            "2:1: net.http: 0.0.0.0:7400 can be reached from other machines, and there is no authentication yet; \
             listen on a loopback address such as 127.0.0.1, or set net.allow_remote = true to let everyone in",
        ),
        ("[net]\ntcp = \"127.0.0.1:7400\"\n", "2:1: net.tcp: 127.0.0.1:7400 is taken by net.http"),
    ];
    for (file, message) in cases {
        assert_eq!(refused_file(file), format!("configuration refused: swarm.toml:{message}"), "{file}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_place() {
    for (file, place) in [
        ("[sim]\nrate_hz 60\n", "swarm.toml:2:"),
        ("[sim]\nrate_hz = 1\nrate_hz = 2\n", "swarm.toml:3:1: "),
        ("[sim\n", "swarm.toml:1:"),
        ("x = \"\u{1b}[31m\"", "swarm.toml:1:"),
    ] {
        let message = refused_file(file);
        assert!(message.contains(place) && message.contains("is not TOML: "), "{message}");
        assert!(!message.contains('\u{1b}'), "{message:?}");
    }
    for (bytes, message) in [
        (b"[sim]\n# \xff\n".to_vec(), "must be UTF-8 text"),
        (vec![b'#'; (1 << 20) + 1], "is longer than 1048576 bytes"),
    ] {
        let file = TempFile::new(bytes);
        let error = given(&["--config", file.path()], &[]).unwrap_err();
        assert_eq!(error.to_string(), format!("configuration refused: {}: {message}", file.path()));
    }
    let error = given(&["--config", "/no/such/swarm.toml"], &[]).unwrap_err().to_string();
    assert!(error.starts_with("configuration refused: /no/such/swarm.toml: cannot be read: No such file"), "{error}");
}

#[test]
fn a_wrong_variable_is_refused_by_its_name() {
    for (name, value, message) in [
        ("SWARMCAST_SIM_RATE_HZ", "fast", "sim.rate_hz: must be a whole number from 1 to 120 Hz, found \"fast\""),
        ("SWARMCAST_SIM_RATE_HZ", "0", "sim.rate_hz: must be a whole number from 1 to 120 Hz, found 0"),
        ("SWARMCAST_SIM_RATE_HZ", "", "sim.rate_hz: must be a whole number from 1 to 120 Hz, found \"\""),
        ("SWARMCAST_THREADS_PIN", "yes", "threads.pin: must be true or false, found \"yes\""),
        (
            "SWARMCAST_LOG",
            "inof",
            "log.level: must be one of error, warn, info, debug, trace, found \"inof\"; did you mean \"info\"?",
        ),
        ("SWARMCAST_SIM_RATE", "1", "no such variable; did you mean SWARMCAST_SIM_RATE_HZ?"),
        ("SWARMCAST_RATE_HZ", "1", "no such variable; did you mean SWARMCAST_SIM_RATE_HZ?"),
        ("SWARMCAST_CONFG", "1", "no such variable; did you mean SWARMCAST_CONFIG?"),
        ("SWARMCAST_", "1", "no such variable; `swarmcast config default` lists them all"),
        ("SWARMCAST_QQQ", "1", "no such variable; `swarmcast config default` lists them all"),
    ] {
        let error = given(&[], &[(name, value)]).unwrap_err();
        assert_eq!(error.to_string(), format!("configuration refused: {name}: {message}"));
    }
    let both = given(&[], &[("SWARMCAST_LOG", "info"), ("SWARMCAST_LOG_LEVEL", "info")]).unwrap_err();
    let message = "configuration refused: SWARMCAST_LOG_LEVEL: log.level: was given by SWARMCAST_LOG already";
    assert_eq!(both.to_string(), message);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let environment = [(OsString::from("SWARMCAST_GRAPH_PATH"), OsString::from_vec(vec![b'a', 0xff]))];
    let error = resolve(&args(&[]), environment).unwrap_err();
    assert_eq!(error.to_string(), "configuration refused: SWARMCAST_GRAPH_PATH: graph.path: must be UTF-8 text");
}

#[test]
fn a_wrong_flag_is_refused_by_its_name() {
    for (flags, message) in [
        (&["--rate", "-5"][..], "--rate: sim.rate_hz: must be a whole number from 1 to 120 Hz, found -5"),
        (&["--dimensions", "4"], "--dimensions: sim.dimensions: must be a whole number from 2 to 3, found 4"),
        (&["--set", "sim.rate"], "--set: sim.rate: must be KEY=VALUE"),
        (&["--set", "sim.rate=1"], "--set: sim.rate: no such key; did you mean sim.rate_hz?"),
        (&["--set", "sim.theta=inf"], "--set: sim.theta: must be a number from 0 to 2, found inf"),
        (&["--set", "=1"], "--set: no such key; `swarmcast config default` lists them all"),
        (&["--set", "a\u{7}=1"], "--set: a\\u{7}: no such key; `swarmcast config default` lists them all"),
        (&["--rate", "1", "--set", "sim.rate_hz=1"], "--set: sim.rate_hz: was given by --rate already"),
        (&["--seed", "1", "serve", "--seed", "1"], "--seed: sim.seed: was given by --seed already"),
        (&["--config", "/dev/null", "serve", "--config", "b"], "--config: was given by --config already"),
        (
            &["--http", "[::]:80"],
            "--http: net.http: [::]:80 can be reached from other machines, and there is no \
            authentication yet; listen on a loopback address such as 127.0.0.1, or set net.allow_remote = true to let \
            everyone in",
        ),
    ] {
        let error = given(flags, &[]).unwrap_err();
        assert_eq!(error.to_string(), format!("configuration refused: {message}"));
    }
    let remote = given(&["--http", "[::]:80", "--set", "net.allow_remote=true"], &[]).unwrap();
    assert_eq!(remote.config.net.http, "[::]:80".parse::<SocketAddr>().unwrap());
    // Tokens of agents go over no network, whatever is allowed.
    for (address, allowed) in [("0.0.0.0:7402", "false"), ("10.0.0.1:7402", "true"), ("[::ffff:10.0.0.1]:1", "true")] {
        let error = given(&["--mcp", address, "--set", &format!("net.allow_remote={allowed}")], &[]).unwrap_err();
        let said = error.to_string();
        for words in ["--mcp: mcp.tcp: ", address, "unencrypted", "127.0.0.1", "ssh -L", "stunnel"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    for address in ["127.0.0.2:7402", "[::1]:7402"] {
        assert!(given(&["--mcp", address], &[]).is_ok(), "{address}");
    }
}

#[test]
fn all_problems_are_reported_together_in_the_order_of_the_sources() {
    let file = "[sim]\nseed = -1\n\n[net]\nfrmaes = 9\nallow_remote = \"yes\"\nhttp = \"0.0.0.0:1\"\n";
    let environment = [("SWARMCAST_SIM_SEED", "x"), ("SWARMCAST_GRAPH_PAHT", "p")];
    let error = given_file(file, &["--rate", "0", "--set", "net.tcp=10.0.0.1:1"], &environment).unwrap_err();
    let expected = "\
configuration refused, 6 problems:
  swarm.toml:2:8: sim.seed: must be a whole number from 0 to 9223372036854775807, found -1
  swarm.toml:5:1: net.frmaes: no such key; did you mean net.frames?
  swarm.toml:6:16: net.allow_remote: must be true or false, found \"yes\"
  SWARMCAST_GRAPH_PAHT: no such variable; did you mean SWARMCAST_GRAPH_PATH?
  SWARMCAST_SIM_SEED: sim.seed: must be a whole number from 0 to 9223372036854775807, found \"x\"
  --rate: sim.rate_hz: must be a whole number from 1 to 120 Hz, found 0";
    assert_eq!(error, expected);
}

#[test]
fn a_file_made_to_be_large_is_refused_soon_and_briefly() {
    let depth = 200_000;
    let many: String = (0..60_000).map(|n| format!("k{n} = 1\n")).collect();
    for file in [
        format!("x = {}", "[".repeat(depth)),
        format!("x = {}1{}", "[".repeat(depth), "]".repeat(depth)),
        format!("{}a = 1", "a.".repeat(depth)),
        format!("[{}a]", "a.".repeat(depth)),
        format!("[sim]\n{} = 1", "s".repeat(depth)),
        format!("[sim]\nseed = \"{}\"", "s".repeat(depth)),
        format!("[sim]\n{many}"),
        format!("sim = {{ {} }}", many.trim_end().replace('\n', ", ")),
        "=\n".repeat(depth),
    ] {
        let started = std::time::Instant::now();
        let message = refused_file(&file);
        assert!(message.len() < 20_000, "{} bytes", message.len());
        // A square of these lengths takes minutes.
        assert!(started.elapsed() < Duration::from_secs(60), "{:.60}: {:?}", file, started.elapsed());
    }
}

/// Pieces that a parser stumbles over sooner than over random bytes.
fn scrap() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "[sim]\n",
        "[[net]]\n",
        "[graph.path]\n",
        "rate_hz",
        "sim.theta",
        "threads.shard_cores",
        "net.http",
        " = ",
        "=",
        "\n",
        "[",
        "]",
        "{",
        "}",
        ",",
        ".",
        "\"",
        "'",
        "#",
        "-1",
        "1e400",
        "nan",
        "0x",
        "99999999999999999999",
        "true",
        "\"0.0.0.0:0\"",
        "\"\"\"",
        "1979-05-27",
        "\u{0}",
        "\u{feff}",
        "\u{e9}",
        "\\u{",
        "_",
    ];
    let piece = prop_oneof![4 => prop::sample::select(PIECES).prop_map(str::to_owned), 1 => "\\PC{0,3}"];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_that_is_given_panics(file in scrap(), set in scrap(), value in scrap(), name in "[A-Z_]{0,8}") {
        let file = TempFile::new(file);
        let flags = Args::try_parse_from(["swarmcast", "--config", file.path(), &format!("--set={set}")]).unwrap();
        let environment = [(format!("SWARMCAST_{name}"), &value), ("SWARMCAST_SIM_THETA".to_owned(), &value)];
        let environment = environment.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        if let Err(error) = resolve(&flags, environment) {
            prop_assert!(!error.problems().is_empty());
            prop_assert!(!error.to_string().contains(|c: char| c.is_control() && c != '\n'), "{error:?}");
        }
    }
}
