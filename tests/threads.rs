//! Goal: the pinned threads make the system calls that their module docs list and no others, an agent's look costs its read and its
//! write and wakes nobody, and the clock of the ticks is true (C1, C2).
//! Method: the real program with a hundred clients, or one agent, under strace; the check must refuse threads that never sleep, or that
//! sleep twice a tick, and calls that `control` is woken for. For the clock, a short run beside the ten minutes on a virtual clock in
//! `sim/tick_clock.rs`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

#[path = "support/schema.rs"]
mod schema;
mod support;
#[path = "mcp/talk.rs"]
mod talk;

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use support::{Server, Ws, graph, within};

const CLIENTS: usize = 100;

/// Slow enough for a thread that is stopped at each call, fast enough that no shard waits 50 ms for a frame: then it
/// would look at the clock in between.
const RATE: u64 = 30;

/// How long calls are counted, at least: strace is late to stop where others are busy.
const SPAN: Duration = Duration::from_secs(4);

/// One strace at a time: the thread that it stops at a call waits for it, and it for a processor.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

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

/// What the threads called `names` call within [`SPAN`] or a little more, and the time that holds all of them.
fn trace(server: &Server, names: &[&str]) -> (Vec<Calls>, Duration) {
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
    thread::sleep(SPAN.saturating_sub(started.elapsed()));
    Command::new("kill").args(["-INT", &strace.id().to_string()]).status().unwrap();
    strace.wait().unwrap();
    let traced = started.elapsed();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let calls_of = |id: &String| {
        let own = text.lines().filter_map(|line| line.strip_prefix(id.as_str())).map(str::trim_start);
        own.filter_map(call).fold(Calls::new(), |mut calls, name| {
            *calls.entry(name.to_owned()).or_default() += 1;
            calls
        })
    };
    (ids.iter().map(calls_of).collect(), traced)
}

/// Ticks that are due while calls are counted.
fn due(traced: Duration) -> u64 {
    (RATE as f64 * traced.as_secs_f64()) as u64
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
fn check_sim(calls: &Calls, due: u64) -> Result<(), String> {
    only(calls, &["futex", "wake"])?;
    let (ticks, wakes) = (of(calls, &["futex"]), of(calls, &["wake"]));
    if ticks < RATE * SPAN.as_secs() / 3 || ticks > due + 5 {
        return Err(format!("{ticks} sleeps, where about {due} ticks were due"));
    }
    if wakes > ticks + 1 {
        return Err(format!("{wakes} wake-ups in {ticks} ticks"));
    }
    Ok(())
}

/// The list of `net/shard.rs`, while clients say nothing: one `epoll_wait` a turn, one write for each client and frame.
fn check_shard(calls: &Calls, ticks: u64, due: u64) -> Result<(), String> {
    only(calls, &["epoll_wait", "epoll_pwait", "writev", "sendto", "write"])?;
    let waits = of(calls, &["epoll_wait", "epoll_pwait"]);
    let writes = of(calls, &["writev", "sendto", "write"]);
    // A turn that a frame interrupts looks once more before it sleeps. Where ticks are left out it looks at the clock in between.
    let turns = ticks.max(due);
    if waits > turns + turns / 4 + 5 {
        return Err(format!("{waits} waits in {ticks} ticks of {due}"));
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

/// What the agents' door and `control` call, and how many calls of `tool` were answered meanwhile: of all that were, those that strace
/// saw both ends of.
fn called(tool: &str, arguments: &serde_json::Value) -> (Calls, Calls, u64) {
    let _turn = turn();
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
        let (calls, _) = trace(&home.server, &["mcp", "control"]);
        let [door, control] = calls.try_into().unwrap();
        stop.store(true, Ordering::Relaxed);
        let asked: u64 = asking.join().unwrap();
        let seen = of(&door, &["recvfrom"]).min(of(&door, &["sendto"]));
        assert!(seen <= asked + 1, "{seen} reads and writes for {asked} calls: {door:?}");
        (door, control, seen)
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

/// What `sim` and a shard call, and how many ticks are due meanwhile.
fn counted(idle: &str) -> ([Calls; 2], u64) {
    let _turn = turn();
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
    let (calls, traced) = trace(&server, &["sim", "shard-0"]);
    stop.store(true, Ordering::Relaxed);
    audience.join().unwrap();
    (calls.try_into().unwrap(), due(traced))
}

#[test]
fn a_turn_makes_the_listed_calls_and_no_others() {
    let ([sim, shard], due) = counted("park");
    println!("sim {sim:?}\nshard-0 {shard:?}\n{due} ticks");
    check_sim(&sim, due).unwrap();
    check_shard(&shard, of(&sim, &["futex"]), due).unwrap();
}

#[test]
fn two_sleeps_a_tick_do_not_pass_for_one() {
    let ticks = RATE * SPAN.as_secs();
    let calls = |of: &[(&str, u64)]| of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Calls>();
    let sim = |sleeps| calls(&[("futex", sleeps), ("wake", ticks)]);
    let shard = |waits| calls(&[("epoll_wait", waits), ("writev", ticks * CLIENTS as u64)]);
    // Of a longer time, in which strace begins and ends, ticks are due that nobody saw.
    for due in [ticks, ticks * 4 / 3] {
        check_sim(&sim(ticks), due).unwrap();
        check_shard(&shard(ticks), ticks, due).unwrap();
        assert!(check_sim(&sim(2 * ticks), due).is_err(), "{due} ticks due");
        assert!(check_shard(&shard(2 * ticks), ticks, due).is_err(), "{due} ticks due");
    }
}

#[test]
fn a_look_of_an_agent_wakes_nobody() {
    let (door, control, calls) = called("list_agents", &serde_json::json!({}));
    println!("mcp {door:?}\ncontrol {control:?}\n{calls} calls");
    assert!(calls > 200, "{calls} calls");
    check_door(&door, &control, calls).unwrap();
}

#[test]
fn a_change_does_not_pass_for_a_look() {
    let change = serde_json::json!({ "nodes": [{ "id": "a", "label": "b" }] });
    let (door, control, calls) = called("upsert_nodes", &change);
    println!("mcp {door:?}\ncontrol {control:?}\n{calls} calls");
    assert!(calls > 50, "{calls} calls");
    assert!(check_door(&door, &control, calls).is_err());
    // It is refused for what it is about: `control` is woken, unless it is awake still, and sleeps again.
    assert!(of(&door, &["futex"]) > calls / 5 && of(&control, &["futex"]) > calls / 5);
}

#[test]
fn threads_that_never_sleep_do_not_pass_for_such_that_do() {
    let ([sim, shard], due) = counted("spin");
    assert!(check_sim(&sim, due).is_err(), "{sim:?}");
    assert!(check_shard(&shard, RATE * SPAN.as_secs(), due).is_err(), "{shard:?}");
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
        // Our own two looks are late by what the machine makes of them: what they saw was so at some time within each.
        let look = || {
            let began = Instant::now();
            let deadlines = of("swarmcast_turns_total") + of("swarmcast_ticks_skipped_total");
            (deadlines, began, Instant::now())
        };
        let (before, before_began, before_ended) = look();
        thread::sleep(Duration::from_secs(3));
        let (after, after_began, after_ended) = look();
        let made = after - before;
        let (least_s, most_s) = (after_began - before_ended, after_ended - before_began);
        let (least, most) = (120.0 * 0.95 * least_s.as_secs_f64(), 120.0 * 1.05 * most_s.as_secs_f64());
        assert!((least..=most).contains(&made), "{made} deadlines, not {least} to {most}, at 120 Hz, {idle}");
        assert!(within(Duration::from_secs(10), || of("swarmcast_tick_drift_ratio").abs() < 0.01), "{idle}");
        assert!(of("swarmcast_turns_total") <= 120.0 * started.elapsed().as_secs_f64() + 130.0, "a burst, {idle}");
    }
}
