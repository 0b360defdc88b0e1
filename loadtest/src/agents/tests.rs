//! Goal: several hosts make one run, and nothing that is recorded is lost or counted twice, whatever dies.
//! Method: agents in threads on loopback, with a generator that records known figures; coordinators of our own and
//! by hand.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam::channel::unbounded;
use serde_json::{Value, json};

use super::message::RELEASE;
use super::*;
use crate::clock::monotonic_ns;
use crate::collect::tests::{direct, interval, plan};
use crate::collect::{Collected, Merged};
use crate::plan::{Framing, Protocol, Slice, Transport};
use crate::record::{Count, Timing};
use crate::run::Watching;

/// Records what [`interval`] says, a slice every `pace`.
#[derive(Default)]
struct Fake {
    pace: Duration,
    unready: Option<String>,
    dies: bool,
    jobs: Mutex<Vec<(Job, u64)>>,
    stopped: Arc<AtomicUsize>,
}

struct Faking {
    intervals: Receiver<Interval>,
    stop: Arc<AtomicBool>,
    stopped: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
    dies: bool,
}

impl Generator for Fake {
    fn prepare(&self, _: &Plan, _: Share) -> Result<(), String> {
        self.unready.clone().map_or(Ok(()), Err)
    }

    fn start(&self, job: &Job) -> io::Result<Box<dyn Generating>> {
        self.jobs.lock().unwrap().push((job.clone(), monotonic_ns()));
        let (out, intervals) = unbounded();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = |thread: usize| {
            let (plan, share, pace) = (Arc::clone(&job.plan), job.share, self.pace);
            let (out, stop) = (out.clone(), Arc::clone(&stop));
            thread::spawn(move || {
                for slice in 0..plan.slices().len() {
                    thread::sleep(pace);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let source = share.index as usize * plan.threads + thread;
                    let _ = out.send(Interval { thread, ..interval(&plan, source, slice) });
                }
            })
        };
        let threads = (0..job.plan.threads).map(thread).collect();
        Ok(Box::new(Faking { intervals, stop, stopped: Arc::clone(&self.stopped), threads, dies: self.dies }))
    }
}

impl Generating for Faking {
    fn intervals(&self) -> &Receiver<Interval> {
        &self.intervals
    }

    fn recycle(&self, _: Interval) {}

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn join(self: Box<Self>) -> io::Result<()> {
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.stopped.fetch_add(1, Ordering::Relaxed);
        if self.dies { Err(io::Error::other("a generating thread panicked")) } else { Ok(()) }
    }
}

/// The slices as they became complete.
#[derive(Default)]
struct Seen(Vec<Slice>);

impl Watching for Seen {
    fn slice(&mut self, slice: &Merged) -> io::Result<()> {
        self.0.push(slice.slice);
        Ok(())
    }
}

const TOKEN: &str = "a token";

fn listen() -> Agent {
    Agent::bind((Ipv4Addr::LOCALHOST, 0).into(), Some(TOKEN.to_owned())).unwrap()
}

/// Runs `test` with agents that serve, given their addresses and the flags that end them.
fn with_agents(fakes: &[&dyn Generator], test: impl FnOnce(&[String], &[AtomicBool])) {
    let agents: Vec<Agent> = fakes.iter().map(|_| listen()).collect();
    let stops: Vec<AtomicBool> = fakes.iter().map(|_| AtomicBool::new(false)).collect();
    let addresses: Vec<String> = agents.iter().map(|agent| agent.address().unwrap().to_string()).collect();
    thread::scope(|scope| {
        for ((agent, fake), stop) in agents.iter().zip(fakes).zip(&stops) {
            scope.spawn(move || agent.serve(*fake, stop).unwrap());
        }
        // A test that fails must not hang: agents end all the same.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&addresses, &stops)));
        stops.iter().for_each(|stop| stop.store(true, Ordering::Relaxed));
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn play(plan: &Plan, agents: &[String], seen: &mut Seen) -> Result<Collected, AgentsError> {
    run(plan.clone(), "test".to_owned(), agents, Some(TOKEN), &AtomicBool::new(false), seen)
}

/// A coordinator by hand.
struct Hand(BufReader<TcpStream>);

impl Hand {
    fn connect(agent: &str) -> Self {
        let stream = TcpStream::connect(agent).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(BufReader::new(stream))
    }

    fn say(&mut self, line: &Value) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    fn hello(&mut self) {
        self.say(&json!({"type": "hello", "protocol": PROTOCOL, "version": RELEASE, "token": TOKEN}));
        assert_eq!(self.hear()["type"], "hello");
    }

    fn prepare(&mut self, plan: &Plan) {
        self.say(&json!({"type": "prepare", "plan": plan, "index": 0, "of": 1}));
    }

    fn start(&mut self, plan: &Plan) {
        self.prepare(plan);
        assert_eq!(self.hear()["type"], "ready");
        self.say(&json!({"type": "start", "start_ns": monotonic_ns() + 100_000_000}));
    }
}

fn wait_for(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_agents_make_one_run_without_loss() {
    let fakes = [Fake { pace: Duration::from_millis(3), ..Fake::default() }, Fake::default()];
    with_agents(&[&fakes[0], &fakes[1]], |agents, _| {
        let mut plan = plan(3, 2, 30);
        plan.threads = 2;
        let mut seen = Seen::default();
        let collected = play(&plan, agents, &mut seen).unwrap();
        assert_eq!(collected.cut_short, None);
        let expected = direct(&plan, (0..32).flat_map(|slice| (0..4).map(move |source| (source, slice))));
        for (got, expected) in collected.totals.iter().zip(&expected) {
            let mut got = got.clone();
            assert!((10..=20).contains(&got.connected), "{}", got.connected);
            got.connected = expected.connected;
            assert_eq!(&got, expected);
        }
        assert_eq!((collected.totals.len(), collected.measured_s, collected.series.len()), (3, 30.0, 32));
        assert_eq!(collected.watch.lateness.len(), 30 * 4);
        assert!(seen.0.is_sorted_by_key(|slice| slice.start_ns) && seen.0.last() == plan.slices().last());
        let notes: Vec<_> = collected.generators.iter().map(|note| (note.name.as_str(), &note.trouble)).collect();
        assert_eq!(notes, [(agents[0].as_str(), &None), (agents[1].as_str(), &None)]);
        assert!(collected.generators[0].machine.contains("Linux"));
        assert_eq!(collected.clocks.iter().map(|note| note.error_ns).collect::<Vec<_>>(), [Some(0); 3]);
        let jobs: Vec<(Job, u64)> = fakes.iter().map(|fake| fake.jobs.lock().unwrap()[0].clone()).collect();
        for (index, (job, called_ns)) in (0..).zip(&jobs) {
            assert_eq!((*job.plan).clone(), plan, "the plan arrives as it is");
            assert_eq!((job.share.index, job.share.of), (index, 2));
            assert!(job.start_ns > *called_ns, "told before the start");
        }
        // They share this host's clock, so whatever is between the two is the error of the estimate.
        assert!(jobs[0].0.start_ns.abs_diff(jobs[1].0.start_ns) < 5_000_000);
    });
}

#[test]
fn agents_generate_what_the_plan_says() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut plan = plan(1, 1, 2);
    let target = &mut plan.groups[0].target;
    (target.address, target.transport) = (listener.local_addr().unwrap(), Transport::Tcp);
    plan.groups[0].protocol = Protocol::Generic { framing: Framing::Line, stamp: None, hello: Vec::new() };
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                while stream.write_all(b"a line\n").is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
    with_agents(&[&Load, &Load, &Load], |agents, _| {
        let collected = play(&plan, agents, &mut Seen::default()).unwrap();
        assert_eq!(collected.cut_short, None);
        let total = &collected.totals[0];
        assert_eq!((total.of(Count::Connected), total.connected, total.error_count()), (10, 10, 0), "of 4 + 3 + 3");
        let delivered = total.of(Count::Delivered);
        assert!((10 * 2 * 20..=10 * 2 * 50).contains(&delivered), "{delivered}");
        assert_eq!(total.timing(Timing::ClientRate).unwrap().len(), 10);
        assert!(collected.watch.lateness.len() > 100);
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut plan = plan.clone();
        plan.groups[0].target.address = closed;
        let error = play(&plan, agents, &mut Seen::default()).unwrap_err();
        assert!(matches!(&error, AgentsError::NotReady { message, .. } if message.contains("connect")), "{error}");
    });
}

#[test]
fn an_agent_takes_one_run_after_the_other() {
    let fake = Fake::default();
    with_agents(&[&fake], |agents, _| {
        let plan = plan(1, 1, 3);
        for _ in 0..3 {
            let collected = play(&plan, agents, &mut Seen::default()).unwrap();
            assert_eq!(collected.totals, direct(&plan, (0..4).map(|slice| (0, slice))));
        }
        assert_eq!(fake.stopped.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn only_who_knows_the_token_is_served() {
    let fake = Fake::default();
    with_agents(&[&fake], |agents, _| {
        let plan = plan(1, 1, 1);
        for token in [None, Some("another"), Some("a toke"), Some("a token ")] {
            let stop = AtomicBool::new(false);
            let error = run(plan.clone(), String::new(), agents, token, &stop, &mut Seen::default()).unwrap_err();
            assert!(matches!(error, AgentsError::Refused { reason: Refusal::Token, .. }), "{error}");
            assert!(error.to_string().contains(&agents[0]));
        }
        play(&plan, agents, &mut Seen::default()).unwrap();
        assert_eq!(fake.jobs.lock().unwrap().len(), 1);
    });
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7500"] {
        let address: SocketAddr = address.parse().unwrap();
        for token in [None, Some(String::new())] {
            assert!(matches!(Agent::bind(address, token), Err(AgentError::Open(_))));
        }
    }
    assert!(Agent::bind("127.0.0.1:0".parse().unwrap(), None).is_ok(), "loopback needs none");
    assert!(Agent::bind("0.0.0.0:0".parse().unwrap(), Some(TOKEN.to_owned())).is_ok());
}

#[test]
fn releases_do_not_mix() {
    let fake = Fake::default();
    with_agents(&[&fake], |agents, _| {
        for (protocol, version) in [(PROTOCOL + 1, RELEASE), (PROTOCOL, "0.0.1")] {
            let mut hand = Hand::connect(&agents[0]);
            hand.say(&json!({"type": "hello", "protocol": protocol, "version": version, "token": TOKEN}));
            let reason = json!({"kind": "version", "protocol": PROTOCOL, "version": RELEASE});
            assert_eq!(hand.hear(), json!({"type": "refused", "reason": reason}));
        }
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut hand = Hand(BufReader::new(listener.accept().unwrap().0));
        hand.hear();
        hand.say(&json!({"type": "hello", "protocol": PROTOCOL, "version": "9.9.9", "machine": ""}));
        hand.hear();
    });
    let error = play(&plan(1, 1, 1), &[address], &mut Seen::default()).unwrap_err();
    assert!(matches!(&error, AgentsError::Version { version, .. } if version == "9.9.9"), "{error}");
}

#[test]
fn what_keeps_a_run_from_starting_is_named() {
    let (ready, unready) = (Fake::default(), Fake { unready: Some("no room".to_owned()), ..Fake::default() });
    with_agents(&[&ready, &unready], |agents, _| {
        let plan = plan(1, 1, 1);
        let error = play(&plan, agents, &mut Seen::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("agent {} is not ready: no room", agents[1]));
        wait_for(|| play(&plan, &agents[..1], &mut Seen::default()).is_ok());
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
        let error = play(&plan, &[agents[0].clone(), nobody.clone()], &mut Seen::default()).unwrap_err();
        assert!(matches!(&error, AgentsError::Connect { agent, .. } if *agent == nobody), "{error}");
        let twice = [agents[0].clone(), agents[0].clone()];
        assert!(matches!(play(&plan, &twice, &mut Seen::default()), Err(AgentsError::Names(_))));
        assert!(matches!(play(&plan, &[], &mut Seen::default()), Err(AgentsError::Names(_))));
    });
}

#[test]
fn a_second_coordinator_is_told_that_the_agent_is_busy() {
    let fake = Fake { pace: Duration::from_millis(50), ..Fake::default() };
    with_agents(&[&fake], |agents, _| {
        let plan = plan(1, 1, 9);
        let mut hand = Hand::connect(&agents[0]);
        hand.hello();
        hand.start(&plan);
        let error = play(&plan, agents, &mut Seen::default()).unwrap_err();
        assert!(matches!(error, AgentsError::Refused { reason: Refusal::Busy, .. }), "{error}");
        for _ in 0..10 {
            assert_eq!(hand.hear()["type"], "slice", "the first run goes on");
        }
        assert_eq!(hand.hear()["type"], "done");
    });
}

#[test]
fn an_agent_that_dies_ends_the_run_and_is_named() {
    let slow = || Fake { pace: Duration::from_millis(20), ..Fake::default() };
    let (dying, staying) = (slow(), slow());
    with_agents(&[&dying, &staying], |agents, stops| {
        let plan = plan(1, 1, 2_000);
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                wait_for(|| !dying.jobs.lock().unwrap().is_empty());
                thread::sleep(Duration::from_millis(300));
                stops[0].store(true, Ordering::Relaxed);
            });
            let collected = play(&plan, agents, &mut Seen::default()).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(15), "40 s of run are left");
            let reason = collected.cut_short.unwrap();
            assert!(reason.starts_with(&format!("agent {} failed: lost", agents[0])), "{reason}");
            assert!(collected.generators[0].trouble.is_some());
            assert_eq!(collected.generators[1].trouble, None);
            assert!(!collected.series.is_empty(), "what was told counts");
        });
        wait_for(|| staying.stopped.load(Ordering::Relaxed) == 1);
        wait_for(|| dying.stopped.load(Ordering::Relaxed) == 1);
    });
}

#[test]
fn a_generator_that_fails_ends_the_run_and_is_named() {
    let (dying, staying) = (Fake { dies: true, ..Fake::default() }, Fake::default());
    with_agents(&[&staying, &dying], |agents, _| {
        let collected = play(&plan(1, 1, 5), agents, &mut Seen::default()).unwrap();
        assert_eq!(collected.cut_short.unwrap(), format!("agent {} failed: a generating thread panicked", agents[1]));
        assert_eq!(collected.generators[1].trouble.as_deref(), Some("a generating thread panicked"));
    });
}

#[test]
fn an_agent_whose_coordinator_is_lost_stops_and_is_free() {
    let fake = Fake { pace: Duration::from_millis(20), ..Fake::default() };
    with_agents(&[&fake], |agents, _| {
        for before_start in [true, false] {
            let mut hand = Hand::connect(&agents[0]);
            hand.hello();
            if before_start {
                hand.prepare(&plan(1, 1, 2_000));
            } else {
                hand.start(&plan(1, 1, 2_000));
                assert_eq!(hand.hear()["type"], "slice");
            }
            let begun = Instant::now();
            drop(hand);
            let collected = loop {
                match play(&plan(1, 1, 3), agents, &mut Seen::default()) {
                    Err(AgentsError::Refused { reason: Refusal::Busy, .. }) => thread::sleep(Duration::from_millis(10)),
                    other => break other.unwrap(),
                }
            };
            assert_eq!((collected.cut_short, collected.series.len()), (None, 4));
            assert!(begun.elapsed() < LOST_AFTER, "free at once, not when it had waited");
        }
        assert_eq!(fake.stopped.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn a_coordinator_that_falls_silent_is_lost_too() {
    let fake = Fake { pace: Duration::from_millis(20), ..Fake::default() };
    with_agents(&[&fake], |agents, _| {
        let mut hand = Hand::connect(&agents[0]);
        hand.hello();
        hand.start(&plan(1, 1, 2_000));
        let begun = Instant::now();
        wait_for(|| fake.stopped.load(Ordering::Relaxed) == 1);
        assert!(begun.elapsed() > LOST_AFTER / 2);
        drop(hand);
    });
}

#[test]
fn a_run_that_is_stopped_keeps_what_it_has() {
    let fake = Fake { pace: Duration::from_millis(20), ..Fake::default() };
    with_agents(&[&fake], |agents, _| {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                wait_for(|| !fake.jobs.lock().unwrap().is_empty());
                thread::sleep(Duration::from_millis(200));
                stop.store(true, Ordering::Relaxed);
            });
            let (plan, mut seen) = (plan(1, 1, 2_000), Seen::default());
            let collected = run(plan.clone(), String::new(), agents, Some(TOKEN), &stop, &mut seen).unwrap();
            assert_eq!(collected.cut_short.as_deref(), Some("stopped by a signal"));
            let told = collected.series.len();
            assert!((1..1_000).contains(&told));
            assert_eq!(collected.totals, direct(&plan, (0..told).map(|slice| (0, slice))));
            assert_eq!(collected.generators[0].trouble, None);
        });
    });
}

#[test]
fn garbage_costs_its_sender_the_connection_and_nothing_else() {
    let fake = Fake { pace: Duration::from_millis(10), ..Fake::default() };
    with_agents(&[&fake], |agents, _| {
        let long = vec![b'x'; 5_000];
        let firsts: [&[u8]; 5] = [b"\n", b"GET / HTTP/1.1\r\n\r\n", b"\xff\xfe\n", b"{\"type\":\"stop\"}\n", &long];
        for first in firsts {
            let mut hand = Hand::connect(&agents[0]);
            hand.0.get_mut().write_all(first).unwrap();
            assert_eq!(hand.hear(), json!({"type": "refused", "reason": {"kind": "garbage"}}));
        }
        let plan = plan(1, 1, 500);
        let mut hand = Hand::connect(&agents[0]);
        hand.hello();
        hand.say(&json!({"type": "prepare", "plan": {}, "index": 0, "of": 1}));
        assert_eq!(hand.hear()["type"], "failed");
        let mut hand = Hand::connect(&agents[0]);
        hand.hello();
        hand.prepare(&plan);
        assert_eq!(hand.hear()["type"], "ready");
        hand.say(&json!({"type": "start", "start_ns": monotonic_ns() - 1}));
        assert!(hand.hear()["message"].as_str().unwrap().starts_with("the start had been 0.0"));
        // In the middle of a run.
        let mut hand = Hand::connect(&agents[0]);
        hand.hello();
        hand.start(&plan);
        assert_eq!(hand.hear()["type"], "slice");
        hand.0.get_mut().write_all(b"nonsense\n").unwrap();
        let last = std::iter::repeat_with(|| hand.hear()).find(|said| said["type"] != "slice").unwrap();
        assert_eq!(last["type"], "failed");
        assert_eq!(fake.stopped.load(Ordering::Relaxed), 1);
        drop(hand);
        wait_for(|| play(&super::tests::plan(1, 1, 3), agents, &mut Seen::default()).is_ok());
    });
}
