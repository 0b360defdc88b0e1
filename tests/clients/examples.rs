//! Goal: the programs of `examples/clients` watch a server as their page says, and end in order when they cannot.
//! Method: each against the real server: a while of watching, a node that is not there, a port where nobody listens, and
//! the server's end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::{PATIENCE, Server, graph, refusing, repository, within};

fn compiled() -> String {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("watch");
    let strict = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"];
    let done = Command::new("cc").args(strict).arg(&out).arg(repository("examples/clients/watch.c")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    out.display().to_string()
}

/// Starts one of them: what is run, and how it takes an address.
fn start(program: &[String], to: SocketAddr, index: &str) -> Child {
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]);
    match program.len() {
        1 => command.args([to.ip().to_string(), to.port().to_string()]),
        _ => command.arg(to.to_string()),
    };
    command.arg(index).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Its output once it has ended by itself.
fn ended(mut child: Child) -> Output {
    let by_itself = within(PATIENCE, || child.try_wait().unwrap().is_some());
    if !by_itself {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(by_itself, "it goes on: {}", String::from_utf8_lossy(&output.stdout));
    output
}

#[test]
fn the_small_clients_watch_and_end_in_order() {
    let script = |interpreter: &str, name: &str| {
        vec![interpreter.to_owned(), repository("examples/clients").join(name).display().to_string()]
    };
    let programs = [script("python3", "watch.py"), script("node", "watch.mjs"), vec![compiled()]];
    let [flag, path] = graph("karate.gexf");
    let mut server = Server::start(&[flag.as_str(), &path, "--set", "sim.cooling=0"]);

    let (_held, nobody) = refusing();
    for program in &programs {
        for (to, index, message) in [(server.tcp, "34", "there is no node 34"), (nobody, "0", "refused")] {
            let output = ended(start(program, to, index));
            let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
            assert!(!output.status.success(), "{program:?}: {said}");
            assert!(said.contains(message) || said.contains("econnrefused"), "{program:?}: {said}");
            assert!(!said.contains("traceback"), "{program:?}: {said}");
        }
    }

    let watching: Vec<Child> = programs.iter().map(|program| start(program, server.tcp, "33")).collect();
    std::thread::sleep(Duration::from_secs(4));
    server.signal(15);
    assert!(server.wait(PATIENCE).unwrap().success());
    for (child, program) in watching.into_iter().zip(&programs) {
        let output = ended(child);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{program:?}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("connection_established"), "{program:?}: {said}");
        let line = said.lines().find(|line| line.contains(" frames/s  tick ")).unwrap_or_else(|| panic!("{said}"));
        let rate: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
        assert!(rate > 0.0 && line.contains("  node 33 at "), "{program:?}: {line}");
        assert!(said.contains("goodbye") && said.contains("the server ended the stream"), "{program:?}: {said}");
    }
}
