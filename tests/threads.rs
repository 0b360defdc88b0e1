//! Goal: the pinned threads make the system calls that their module docs list and no others, an agent's look costs its read and its
//! write and wakes nobody, and the clock of the ticks is true (C1, C2).
//! Method: the real program with a hundred clients, or one agent, under strace; the check must refuse threads that never sleep, and calls
//! that `control` is woken for. For the clock, a short run beside the ten minutes on a virtual clock in `sim/tick_clock.rs`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

#[path = "support/schema.rs"]
mod schema;
mod support;
#[path = "mcp/talk.rs"]
mod talk;

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::{Server, Ws, graph, within};

const CLIENTS: usize = 100;

/// Slow enough for a thread that is stopped at each call, fast enough that no shard waits 50 ms for a frame: then it
/// would look at the clock in between.
const RATE: u64 = 30;

/// How long calls are counted.
const SPAN: Duration = Duration::from_secs(4);

/// Calls of one thread by name; a `write` to an eventfd is `wake`.
type Calls = BTreeMap<String, u64>;

/// The kernel's id of the thread called `name`.
fn thread_id(server: &Server, name: &str) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().flatten();
    let named = |task: &std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap().trim() == name;
    tasks.into_iter().find(named).unwrap().file_name().into_string().unwrap()
}

/// The name of the call that a line of strace begins; none where it ends one, or tells of something else.
fn call(line: &str) -> Option<&str> {
    let (name, arguments) = line.split_once('(')?;
    let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    match (name, arguments.contains("[eventfd")) {
        _ if !is_name => None,
        ("write", true) => Some("wake"),
        // The sleep in which strace found the thread.
        ("restart_syscall", _) => None,
        _ => Some(name),
    }
}

#[test]
fn lines_of_strace_are_read() {
    let eventfd = "write(9<anon_inode:[eventfd]>, \"\\1\\0\\0\\0\\0\\0\\0\\0\", 8) = 8";
    assert_eq!(call(eventfd), Some("wake"));
    assert_eq!(call("writev(31<socket:[77]>, [{iov_base=\"\\202~\"..., iov_len=78}], 2) = 1030"), Some("writev"));
    assert_eq!(
        call("futex(0x7f00, FUTEX_WAIT_BITSET_PRIVATE, 0, {...}, FUTEX_BITSET_MATCH_ANY <unfinished ...>"),
        Some("futex")
    );
    assert_eq!(call("<... futex resumed>) = -1 ETIMEDOUT"), None);
    assert_eq!(call("--- SIGINT {si_signo=SIGINT} ---"), None);
}

/// What the threads called `names` call within `span`.
fn trace(server: &Server, names: &[&str], span: Duration) -> Vec<Calls> {
    let ids: Vec<String> = names.iter().map(|name| thread_id(server, name)).collect();
    let file = std::env::temp_dir().join(format!("swarmcast-calls-{}-{}", std::process::id(), server.pid()));
    let mut command = Command::new("strace");
    command.args(["-q", "-y", "-o"]).arg(&file).stderr(Stdio::piped());
    for id in &ids {
        command.args(["-p", id]);
    }
    let mut strace = command.spawn().unwrap_or_else(|error| panic!("strace: {error}; tests/setup.sh installs it"));
    let started = Instant::now();
    let written = || std::fs::metadata(&file).is_ok_and(|file| file.len() > 0);
    assert!(within(support::PATIENCE, || written() || strace.try_wait().unwrap().is_some()), "strace is silent");
    if strace.try_wait().unwrap().is_some() {
        let mut said = String::new();
        let _ = strace.stderr.take().unwrap().read_to_string(&mut said);
        panic!("strace may not look at the server: {said}");
    }
    thread::sleep(span.saturating_sub(started.elapsed()));
    Command::new("kill").args(["-INT", &strace.id().to_string()]).status().unwrap();
    strace.wait().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let calls_of = |id: &String| {
        let own = text.lines().filter_map(|line| line.strip_prefix(id.as_str())).map(str::trim_start);
        own.filter_map(call).fold(Calls::new(), |mut calls, name| {
            *calls.entry(name.to_owned()).or_default() += 1;
            calls
        })
    };
    ids.iter().map(calls_of).collect()
}

fn of(calls: &Calls, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| calls.get(*name)).sum()
}

fn only(calls: &Calls, listed: &[&str]) -> Result<(), String> {
    match calls.keys().find(|name| !listed.contains(&name.as_str())) {
        Some(name) => Err(format!("`{name}` is not in the list: {calls:?}")),
        None => Ok(()),
    }
}

/// The list of `sim/turn.rs`: one sleep a tick, and one wake-up of the shard a frame.
fn check_sim(calls: &Calls) -> Result<(), String> {
    only(calls, &["futex", "wake"])?;
    let (ticks, wakes) = (of(calls, &["futex"]), of(calls, &["wake"]));
    let asked = RATE * SPAN.as_secs();
    if ticks < asked / 3 || ticks > asked + 5 {
        return Err(format!("{ticks} sleeps, where about {asked} ticks were due"));
    }
    if wakes > ticks + 1 {
        return Err(format!("{wakes} wake-ups in {ticks} ticks"));
    }
    Ok(())
}

/// The list of `net/shard.rs`, while clients say nothing: one `epoll_wait` a turn, one write for each client and frame.
fn check_shard(calls: &Calls, ticks: u64) -> Result<(), String> {
    only(calls, &["epoll_wait", "epoll_pwait", "writev", "sendto", "write"])?;
    let waits = of(calls, &["epoll_wait", "epoll_pwait"]);
    let writes = of(calls, &["writev", "sendto", "write"]);
    // A turn that a frame interrupts looks once more before it sleeps.
    if waits > ticks + ticks / 4 + 5 {
        return Err(format!("{waits} waits in {ticks} ticks"));
    }
    let most = (ticks + 2) * CLIENTS as u64;
    if writes > most || writes < most / 3 {
        return Err(format!("{writes} writes in {ticks} ticks for {CLIENTS} clients"));
    }
    Ok(())
}

/// The list of `net/mcp_door.rs`, for so many calls of one connection: and `control`, which has its own business now and then, sleeps.
fn check_door(door: &Calls, control: &Calls, calls: u64) -> Result<(), String> {
    // The last ones are the allocator's, for the few answers with which its memory grows.
    let listed = ["epoll_wait", "epoll_pwait", "recvfrom", "sendto", "futex"];
    let memory = ["brk", "mmap", "mprotect", "munmap", "madvise"];
    only(door, &[&listed[..], &memory].concat())?;
    if of(door, &memory) > 50 {
        return Err(format!("memory was asked for for {calls} calls: {door:?}"));
    }
    let rarely = calls / 10 + 30;
    for (what, found, most) in [
        ("waits", of(door, &["epoll_wait", "epoll_pwait"]), calls + rarely),
        ("reads", of(door, &["recvfrom"]), calls + rarely),
        ("writes", of(door, &["sendto"]), calls + rarely),
        ("wake-ups of control", of(door, &["futex"]), rarely),
        ("sleeps of control", of(control, &["futex"]), rarely),
    ] {
        if found > most {
            return Err(format!("{found} {what} for {calls} calls"));
        }
    }
    Ok(())
}

/// What the agents' door and `control` call, and how many calls of `tool` were answered meanwhile.
fn called(tool: &str, arguments: &serde_json::Value) -> (Calls, Calls, u64) {
    let home = talk::Home::start("door-calls", &["--set", "mcp.calls_per_second=1000000"]);
    let mut agent = home.agent();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                agent.call(tool, arguments.clone());
                count += 1;
            }
            count
        });
        let [door, control] = trace(&home.server, &["mcp", "control"], SPAN).try_into().unwrap();
        stop.store(true, Ordering::Relaxed);
        (door, control, asking.join().unwrap())
    })
}

/// A hundred clients that take everything and say nothing, until stopped.
fn audience(server: &Server, stop: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let clients: Vec<Ws> = (0..CLIENTS).map(|_| server.ws("")).collect();
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let mut scratch = vec![0; 1 << 16];
        for client in &clients {
            client.stream().set_nonblocking(true).unwrap();
        }
        while !stop.load(Ordering::Relaxed) {
            for client in &clients {
                while matches!(client.stream().read(&mut scratch), Ok(1..)) {}
            }
            thread::sleep(Duration::from_millis(5));
        }
    })
}

fn counted(idle: &str, span: Duration) -> [Calls; 2] {
    let (karate, rate) = (graph("karate.gexf"), RATE.to_string());
    let (sim, shard) = (format!("threads.sim_idle={idle}"), format!("threads.shard_idle={idle}"));
    let never_at_rest = ["--set", "sim.cooling=0", "--set", "sim.settle_velocity=0", "--shards", "1", "--rate", &rate];
    let idles = ["--set", &sim, "--set", &shard];
    let flags: Vec<&str> =
        karate.iter().map(String::as_str).chain(never_at_rest).chain(idles.iter().map(|flag| &**flag)).collect();
    let server = Server::start(&flags);
    let stop = Arc::new(AtomicBool::new(false));
    let audience = audience(&server, &stop);
    // The sockets' first frames are behind us.
    thread::sleep(Duration::from_millis(500));
    let calls = trace(&server, &["sim", "shard-0"], span);
    stop.store(true, Ordering::Relaxed);
    audience.join().unwrap();
    calls.try_into().unwrap()
}

#[test]
fn a_turn_makes_the_listed_calls_and_no_others() {
    let [sim, shard] = counted("park", SPAN);
    println!("sim {sim:?}\nshard-0 {shard:?}");
    check_sim(&sim).unwrap();
    check_shard(&shard, of(&sim, &["futex"])).unwrap();
}

#[test]
fn a_look_of_an_agent_wakes_nobody() {
    let (door, control, calls) = called("list_agents", &serde_json::json!({}));
    println!("mcp {door:?}\ncontrol {control:?}\n{calls} calls");
    assert!(calls > 200, "{calls} calls");
    // Those that were made before the first and after the last look of strace count as well.
    check_door(&door, &control, calls).unwrap();
}

#[test]
fn a_change_does_not_pass_for_a_look() {
    let change = serde_json::json!({ "nodes": [{ "id": "a", "label": "b" }] });
    let (door, control, calls) = called("upsert_nodes", &change);
    println!("mcp {door:?}\ncontrol {control:?}\n{calls} calls");
    assert!(calls > 50, "{calls} calls");
    assert!(check_door(&door, &control, calls).is_err());
    // It is refused for what it is about: for each, `control` is woken, and sleeps again.
    assert!(of(&door, &["futex"]) > calls / 2 && of(&control, &["futex"]) > calls / 2);
}

#[test]
fn threads_that_never_sleep_do_not_pass_for_such_that_do() {
    let [sim, shard] = counted("spin", SPAN);
    assert!(check_sim(&sim).is_err(), "{sim:?}");
    assert!(check_shard(&shard, RATE * SPAN.as_secs()).is_err(), "{shard:?}");
    // But they wake nobody, and stream all the same.
    assert_eq!(of(&sim, &["wake"]), 0, "{sim:?}");
    assert!(of(&shard, &["writev", "sendto"]) > CLIENTS as u64, "{shard:?}");
}

#[test]
fn the_clock_of_the_ticks_does_not_drift() {
    for idle in ["park", "spin_then_park"] {
        let setting = format!("threads.sim_idle={idle}");
        let server = Server::start(&["--rate", "120", "--set", &setting]);
        let started = Instant::now();
        let of = |name: &str| server.metric(name);
        let deadlines = || of("swarmcast_turns_total") + of("swarmcast_ticks_skipped_total");
        let before = (deadlines(), Instant::now());
        thread::sleep(Duration::from_secs(3));
        let (after, elapsed) = (deadlines(), before.1.elapsed().as_secs_f64());
        // Our own two looks are late by what the machine makes of them.
        let rate = (after - before.0) / elapsed;
        assert!((rate - 120.0).abs() < 120.0 * 0.05, "{rate} deadlines a second at 120 Hz, {idle}");
        assert!(within(Duration::from_secs(10), || of("swarmcast_tick_drift_ratio").abs() < 0.01), "{idle}");
        assert!(of("swarmcast_turns_total") <= 120.0 * started.elapsed().as_secs_f64() + 130.0, "a burst, {idle}");
    }
}
