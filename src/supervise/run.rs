//! Start, watch, stop.

use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

use crossbeam::sync::Parker;
use parking_lot::Mutex;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::agents::{self, AgentsDoor};
use super::audit;
use super::banner::{address_lines, agents_lines, host_lines, print};
use super::latency_file::LatencyFile;
use super::saved::{with_origin, with_saved};
use super::sources;
use super::tokens::TokensFile;
use super::topology::{
    ADOPT, COMMANDS, FILE_ORDERS, FILE_REPORTS, FRAMES, LATEST, LOOKED, LOOKS, LaneMaker, MCP_ADOPT, MCP_BACK,
    MCP_EVENTS, MCP_REPLIES, MCP_STOP, ORDERS, REPLIES, REPORTS, REQUESTS, SHARD_EVENTS, SHARD_MESSAGES, SIM,
    SIM_EVENTS, STOP, STORE_ORDERS, STORE_REPORTS, TOKENS,
};
use super::{Beginning, Plan, StartError, begin, logging, look};
use crate::api::OPENAPI;
use crate::base::{cores, host};
use crate::config::{BackendChoice, NetOptions, Resolved};
use crate::control::{
    Control, ControlFacts, ControlLanes, FilesDesk, Jobs, LookLanes, McpDesk, Past, SettingsFacts, SharedControl,
    StoreDesk, budgets, net_limits, steer_facts,
};
use crate::graph::GraphLimits;
use crate::handoff::{Doorbell, FramePool, Producer, ShardMessage};
use crate::limits::MCP_LOOKERS;
use crate::metrics::{Health, Metrics, Phase};
use crate::net::{
    Door, DoorLanes, DoorOptions, FixedPages, McpDoor, McpLanes, McpListeners, Patience, ShardLanes, ShardLoop,
    ShardOptions, SocketOptions, poll_with_bell,
};
use crate::sim::cpu::CpuBackend;
use crate::sim::{Backend, Dimensions, Identity, Sim, SimLanes, Topology, cuda};
use crate::store::{StoreLanes, StoreThread};
use crate::wire::CloseCode;
use crate::worker::{Files, Looker, Worker, WorkerLanes};

/// The viewer, one self-contained page.
const VIEWER: &[u8] = include_bytes!("../../clients/viewer/dist/index.html");

/// Connections that may wait to be accepted: a reconnect storm.
const LISTEN_BACKLOG: i32 = 4_096;

/// Time between two looks of `main` at signals and threads.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);

/// Time the shards get for their goodbyes, and the other threads after them. Together below the 5 s that a stop may take.
const GOODBYE_MAX: Duration = Duration::from_millis(3_000);

/// Prints what would run, and where, without running it.
///
/// # Errors
/// Whatever would keep it from starting, short of the ports.
pub fn check(resolved: &Resolved) -> Result<(), StartError> {
    logging::start(&resolved.config.log);
    let beginning = look(&resolved.config)?;
    let saved = beginning.place.clone().map(|place| with_origin(resolved, &beginning.settings, place));
    let resolved = saved.as_ref().unwrap_or(resolved);
    let graph = &beginning.loaded.graph;
    let half_edges = graph.csr().half_edge_count();
    let plan = Plan::new(&resolved.config, &cores::allowed(), graph.nodes().len(), half_edges)?;
    print(&format!("{}\n{}\n{plan}", resolved.show(true), host_lines(&beginning, &plan)));
    Ok(())
}

/// Runs until a signal, or until a thread ends that must not.
///
/// # Errors
/// [`StartError`], naming the step that failed.
pub fn serve(resolved: &Resolved) -> Result<(), StartError> {
    let config = &resolved.config;
    logging::start(&config.log);
    // Until everything runs a signal ends the process at once; later the first one says goodbye to everybody, and
    // the second does not wait for that.
    let (stop, at_once) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
    for signal in [SIGTERM, SIGINT] {
        let registered = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&at_once))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&at_once)));
        registered.map_err(|reason| StartError::System { step: "signals", reason })?;
    }
    // Ports first: whoever holds one is named before a large graph is read.
    let http = listen("net.http", "http", config.net.http)?;
    let tcp = config.net.tcp.map(|address| listen("net.tcp", "tcp", address)).transpose()?;
    let agents = agents::open(&config.mcp)?;
    // The list of cores before the first pin: afterwards a thread sees one.
    let allowed = cores::allowed();
    let beginning = begin(config)?;
    let settings = with_saved(resolved, &beginning.settings);
    let config = &settings.current;
    logging::set_level(config.log.level);
    let csr = beginning.loaded.graph.csr();
    let plan = Plan::new(config, &allowed, beginning.loaded.graph.nodes().len(), csr.half_edge_count())?;
    print(&format!("swarmcast {}\n{}\n{plan}", env!("CARGO_PKG_VERSION"), host_lines(&beginning, &plan)));
    let address = |listener: &TcpListener| listener.local_addr().ok();
    let addresses = (address(&http), tcp.as_ref().and_then(address));
    let backend = backend(config, &plan, &beginning, csr)?;
    let agents_lines = agents_lines(agents.as_ref(), addresses.0);
    let engine = Engine::start(&settings, &plan, beginning, backend, http, tcp, agents)?;
    at_once.store(false, Ordering::Release);
    engine.await_first_frame(&stop);
    print(&address_lines(addresses, &agents_lines));
    engine.watch(&stop)
}

pub(super) fn listen(key: &'static str, flag: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    use socket2::{Domain, Protocol, Socket, Type};
    let bound = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).and_then(|socket| {
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    });
    bound.map_err(|reason| match reason.kind() {
        std::io::ErrorKind::AddrInUse => {
            StartError::InUse { key, flag, address, holder: host::listener_on(address.port()) }
        }
        _ => StartError::Listen { key, address, reason },
    })
}

fn backend(
    config: &crate::config::Config,
    plan: &Plan,
    beginning: &Beginning,
    csr: crate::graph::Csr,
) -> Result<Box<dyn Backend>, StartError> {
    config.sim.params.validate()?;
    let graph = &beginning.loaded.graph;
    let nodes = graph.nodes();
    let mut start: Vec<Option<[f32; 3]>> = nodes.iter().map(|node| node.position).collect();
    // The layout goes on where it was.
    for (id, at) in &beginning.layout {
        if let Some(place) = graph.index_of(*id).and_then(|index| start.get_mut(index.get())) {
            *place = Some(*at);
        }
    }
    let topology = Topology { csr, start, pinned: nodes.iter().map(|node| node.pinned).collect() };
    let cores = plan.worker_cores.clone();
    let make_cpu = Box::new(move |params| CpuBackend::with_workers(params, &cores));
    if config.sim.backend != BackendChoice::Cpu {
        match on_device(config, make_cpu.clone(), topology.clone()) {
            Ok(backend) => return Ok(Box::new(backend)),
            Err(why) if config.sim.backend == BackendChoice::Cuda => return Err(StartError::Cuda(why)),
            Err(why) => tracing::info!("the processor computes the layout: {why}"),
        }
    }
    let mut backend = make_cpu(config.sim.params);
    backend.upload(topology)?;
    Ok(Box::new(backend))
}

fn on_device(
    config: &crate::config::Config,
    make_cpu: cuda::MakeCpu,
    topology: Topology,
) -> Result<cuda::CudaBackend, cuda::NoCuda> {
    let mut backend = cuda::open(config.sim.params, config.sim.device_errors_max, make_cpu)?;
    backend.upload(topology)?;
    tracing::info!(device = backend.device_name(), "a device computes the layout");
    Ok(backend)
}

/// How a thread ended.
type Ending = Result<(), String>;

struct Role {
    name: String,
    thread: JoinHandle<()>,
    ending: Arc<Mutex<Option<Ending>>>,
}

impl Role {
    /// Starts a named thread, pinned to `core` if there is one. A core that refuses is a warning.
    fn spawn(
        name: impl Into<String>,
        core: Option<usize>,
        body: impl FnOnce() -> Ending + Send + 'static,
    ) -> Result<Self, StartError> {
        let name = name.into();
        let ending = Arc::new(Mutex::new(None));
        let report = Arc::clone(&ending);
        let thread = Builder::new().name(name.clone()).spawn(move || {
            if let Some(core) = core
                && !cores::pin_current(core)
            {
                tracing::warn!(core, "this thread could not be pinned and runs on any core");
            }
            let ended = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(panic_text(&*panic)));
            *report.lock() = Some(ended);
        });
        let thread = thread.map_err(|reason| StartError::System { step: "starting a thread", reason })?;
        Ok(Self { name, thread, ending })
    }

    fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    fn has_failed(&self) -> bool {
        matches!(*self.ending.lock(), Some(Err(_)))
    }

    /// Why it ended: an error, a panic, or simply `ended`.
    fn reason(&self) -> String {
        match self.ending.lock().as_ref() {
            Some(Err(reason)) => reason.clone(),
            _ => "ended".to_owned(),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_else(|| "without a text".to_owned()))
}

/// The threads of the agents' side, and what stops them.
struct AgentsSide {
    /// Removes the socket when it goes.
    door: AgentsDoor,
    roles: Vec<Role>,
    stop_mcp: Producer<()>,
    stop_look: Arc<AtomicBool>,
    wake_look: Vec<Arc<Doorbell>>,
}

/// All threads but `main`, and what stops them.
struct Engine {
    sim: Role,
    shards: Vec<Role>,
    door: Role,
    control: Role,
    worker: Role,
    files: Role,
    agents: Option<AgentsSide>,
    sources: Option<(Role, Producer<()>)>,
    store: Option<Role>,
    stop_store: Arc<AtomicBool>,
    wake_store: Arc<Doorbell>,
    stop_sim: Arc<AtomicBool>,
    stop_control: Arc<AtomicBool>,
    stop_worker: Arc<AtomicBool>,
    wake_worker: Arc<Doorbell>,
    wake_files: Arc<Doorbell>,
    stop_door: Producer<()>,
    wake_control: Arc<Doorbell>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    latency_file: Option<LatencyFile>,
    tokens_file: Option<TokensFile>,
}

impl Engine {
    #[allow(clippy::too_many_lines, reason = "one straight line: lanes, then the threads that own their ends")]
    fn start(
        settings: &SettingsFacts,
        plan: &Plan,
        beginning: Beginning,
        backend: Box<dyn Backend>,
        http: TcpListener,
        tcp: Option<TcpListener>,
        agents: Option<AgentsDoor>,
    ) -> Result<Self, StartError> {
        let config = &settings.current;
        let loops = |reason| StartError::System { step: "starting a network loop", reason };
        let (metrics, health) = (Arc::new(Metrics::new(plan.shards)), Arc::new(Health::default()));
        let (stop_sim, stop_control) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        metrics.set_budgets(&budgets(&config.budgets));
        let latency_file = config.metrics.hlog.as_deref().map(|path| LatencyFile::start(path, Arc::clone(&metrics)));
        let failed = |reason| StartError::System { step: "opening the file of metrics.hlog", reason };
        let latency_file = latency_file.transpose().map_err(failed)?;
        let pool_low = Arc::new(AtomicBool::new(false));
        let mut lanes = LaneMaker::default();

        // `sim` looks at its lanes every tick. Only what `control` says does not wait for that.
        let view_bell = Arc::new(Doorbell::silent());
        let sim_parker = Parker::new();
        let unparker = sim_parker.unparker().clone();
        let sim_bell = Arc::new(Doorbell::new(Box::new(move || unparker.unpark())));
        let parker = Parker::new();
        let unparker = parker.unparker().clone();
        let control_bell = Arc::new(Doorbell::new(Box::new(move || unparker.unpark())));
        let worker_parker = Parker::new();
        let unparker = worker_parker.unparker().clone();
        let worker_bell = Arc::new(Doorbell::new(Box::new(move || unparker.unpark())));
        let stop_worker = Arc::new(AtomicBool::new(false));
        let store_parker = Parker::new();
        let unparker = store_parker.unparker().clone();
        let store_bell = Arc::new(Doorbell::new(Box::new(move || unparker.unpark())));
        let stop_store = Arc::new(AtomicBool::new(false));
        let (door_poll, door_bell) = poll_with_bell().map_err(loops)?;

        let (to_sim, from_control) = lanes.make(&SIM, None, &sim_bell);
        let (sim_events, from_sim) = lanes.make(&SIM_EVENTS, None, &control_bell);
        let (latest_out, latest_in) = lanes.make(&LATEST, None, &control_bell);
        let (requests_out, requests_in) = lanes.make(&REQUESTS, None, &control_bell);
        let (replies_out, replies_in) = lanes.make(&REPLIES, None, &door_bell);
        let (orders_out, orders) = lanes.make(&ORDERS, None, &worker_bell);
        let (reports, reports_in) = lanes.make(&REPORTS, None, &control_bell);
        let (stop_door, stop_in) = lanes.make(&STOP, None, &door_bell);

        let (mut shard_commands, mut frames, mut shard_events, mut shard_messages, mut adopts, mut shards) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let patience =
            Patience { ping_ns: config.net.ping.as_nanos() as u64, pong_ns: config.net.pong.as_nanos() as u64 };
        let limits = Arc::new(net_limits(&config.net));
        for index in 0..plan.shards {
            let (poll, bell) = poll_with_bell().map_err(loops)?;
            let (frame_out, frame_in) = lanes.make(&FRAMES, Some(index), &bell);
            let (adopt_out, adopt_in) = lanes.make(&ADOPT, Some(index), &bell);
            let (message_out, message_in) = lanes.make(&SHARD_MESSAGES, Some(index), &bell);
            let (command_out, command_in) = lanes.make(&COMMANDS, Some(index), &view_bell);
            let (event_out, event_in) = lanes.make(&SHARD_EVENTS, Some(index), &control_bell);
            frames.push(frame_out);
            adopts.push(adopt_out);
            shard_messages.push(message_out);
            shard_commands.push(command_in);
            shard_events.push(event_in);
            let own = ShardLanes {
                frames: frame_in,
                adopt: adopt_in,
                messages: message_in,
                commands: command_out,
                events: event_out,
            };
            let options = ShardOptions {
                lease_ns_max: config.net.frame_lease_max.as_nanos() as u64,
                stall_ns_max: config.net.stall.as_nanos() as u64,
                copy_bytes_max: usize::try_from(config.net.lease_copy_bytes_max).unwrap_or(usize::MAX),
                connections_max: config.net.connections_max as usize,
                idle: plan.shard_idle.get(index).copied().unwrap_or_default(),
                patience,
            };
            let block = metrics.shards.get(index).map(Arc::clone).unwrap_or_default();
            let shard = ShardLoop::new(index as u8, poll, bell, own, options, block, Arc::clone(&pool_low));
            shards.push(shard.following(Arc::clone(&limits)));
        }

        let Beginning { mut loaded, store, version, epoch, retries, .. } = beginning;
        let place = store.as_ref().map(|store| store.place());
        let (desk, store) = match store {
            Some(store) => {
                let (orders, orders_in) = lanes.make(&STORE_ORDERS, None, &store_bell);
                let (reports_out, reports) = lanes.make(&STORE_REPORTS, None, &control_bell);
                let own = StoreLanes { orders: orders_in, reports: reports_out };
                let store_place = store.place();
                let thread = StoreThread::new(store, own, Arc::clone(&store_bell), Arc::clone(&metrics));
                let layout_ns = config.store.layout_interval.as_nanos() as u64;
                let mut snapshots = store_place.into_os_string();
                snapshots.push(".snapshots");
                let snapshots = snapshots.into();
                (Some(StoreDesk { orders, reports, layout_ns, snapshots }), Some(thread))
            }
            None => (None, None),
        };
        let files_parker = Parker::new();
        let unparker = files_parker.unparker().clone();
        let files_bell = Arc::new(Doorbell::new(Box::new(move || unparker.unpark())));
        let (file_orders, file_orders_in) = lanes.make(&FILE_ORDERS, None, &files_bell);
        let (file_reports_out, file_reports) = lanes.make(&FILE_REPORTS, None, &control_bell);
        let follow_ns = loaded.source.is_some().then_some(config.graph.watch_interval.as_nanos() as u64);
        let files_desk = FilesDesk { orders: file_orders, reports: file_reports, follow_ns };
        let files = Files::new(file_orders_in, file_reports_out, Arc::clone(&files_bell), loaded.source.take());
        let stop_look = Arc::new(AtomicBool::new(false));
        let (mut mcp_desk, mut agents_side, mut agents_http, mut auditor) = (None, None, None, None);
        let mut tokens_file = None;
        if let Some(mut agents) = agents {
            let (poll, bell) = poll_with_bell().map_err(loops)?;
            let (events_out, events) = lanes.make(&MCP_EVENTS, None, &control_bell);
            let (replies, replies_in) = lanes.make(&MCP_REPLIES, None, &bell);
            let (mut looks, mut lookers) = (Vec::new(), Vec::new());
            for index in 0..MCP_LOOKERS {
                let parker = Parker::new();
                let unparker = parker.unparker().clone();
                let bell = Arc::new(Doorbell::new(Box::new(move || unparker.unpark())));
                let (orders, orders_in) = lanes.make(&LOOKS, Some(index), &bell);
                let (reports_out, reports) = lanes.make(&LOOKED, Some(index), &control_bell);
                looks.push(LookLanes { orders, reports });
                lookers.push((Looker::new(orders_in, reports_out, Arc::clone(&bell)), parker, bell));
            }
            let (stop_mcp, mcp_stop) = lanes.make(&MCP_STOP, None, &bell);
            let (server, own_user) = (Arc::clone(&agents.server), agents.own_user.clone());
            let anonymous = agents.anonymous.clone();
            let page = http.local_addr().map(agents::page).map_err(loops)?;
            let (renew, renewed) = lanes.make(&TOKENS, None, &control_bell);
            tokens_file =
                config.mcp.tokens_file.as_deref().map(|path| TokensFile::new(path, Arc::clone(&server), renew));
            let (audit, side) = audit::prepare(place.as_deref(), &config.mcp, &mut lanes)?.unzip();
            auditor = side;
            mcp_desk = Some(McpDesk { events, replies, looks, server, own_user, anonymous, page, renewed, audit });
            let (adopt, adopted) = lanes.make(&MCP_ADOPT, None, &bell);
            let (back, taken_back) = lanes.make(&MCP_BACK, None, &door_bell);
            let own = McpLanes { events: events_out, replies: replies_in, adopted, back, stop: mcp_stop };
            agents_http = agents.http.then_some((adopt, taken_back));
            let listeners = std::mem::replace(&mut agents.listeners, McpListeners { tcp: None, unix: None });
            agents_side = Some((agents, (poll, bell, listeners, own), lookers, stop_mcp));
        }
        let (sources_desk, sources) = sources::prepare(&config.agents, &mut lanes, &control_bell)?.unzip();
        let identity = Identity {
            epoch,
            words: loaded.graph.nodes().iter().map(|node| node.id.get() | node.class.wire_bits()).collect(),
            index: loaded.graph.ids(),
        };
        let params = config.sim.params;
        let two_dimensional = params.dimensions == Dimensions::Two;
        let rate_hz = config.sim.rate_hz as u16;
        let backend_name = backend.name();
        let sim = Sim::new(
            backend,
            identity,
            two_dimensional,
            rate_hz,
            FramePool::new(plan.frames),
            SimLanes { control: from_control, shards: shard_commands, frames, latest: latest_out, events: sim_events },
            Arc::clone(&metrics),
            pool_low,
        )
        .idling(plan.sim_idle);
        let facts = ControlFacts {
            name: loaded.name,
            tick_rate: rate_hz,
            dimensions: if two_dimensional { 2 } else { 3 },
            backend: backend_name,
            connections_max: config.net.connections_max as usize,
            connections_per_address_max: config.net.connections_per_address_max.map(|limit| limit.get() as usize),
            connections_per_address_automatic: NetOptions::CONNECTIONS_PER_ADDRESS_AUTOMATIC,
            limits: GraphLimits { nodes: config.graph.nodes_max as usize, edges: config.graph.edges_max as usize },
            room: plan.room(loaded.graph.nodes().len()),
            steer: steer_facts(&params),
            settings: settings.clone(),
            net_limits: Arc::clone(&limits),
        };

        let control = Control::new(
            loaded.graph,
            Past {
                epoch,
                version,
                answers: retries.into_iter().rev().map(|retry| (retry.key, retry.answer)).collect(),
            },
            facts,
            ControlLanes {
                requests: requests_in,
                replies: replies_out,
                shard_events,
                shard_messages,
                sim: to_sim,
                sim_events: from_sim,
                latest: latest_in,
                jobs: Jobs::new(orders_out, reports_in),
                store: desk,
                files: files_desk,
                mcp: mcp_desk,
                sources: sources_desk,
            },
            Arc::clone(&control_bell),
            Arc::clone(&metrics),
            Arc::clone(&health),
            lanes.stats,
        );
        let options = DoorOptions {
            handshake_ns_max: config.net.handshake_timeout.as_nanos() as u64,
            hold_max: config.net.hold_max as usize,
            hold_ns_max: config.net.hold_time_max.as_nanos() as u64,
            socket: SocketOptions {
                notsent_lowat_bytes: config.net.notsent_lowat_bytes.map(std::num::NonZeroU32::get),
                send_buffer_bytes: config.net.send_buffer_bytes.map(std::num::NonZeroU32::get),
                patience,
                stall_ns_max: config.net.stall.as_nanos() as u64,
            },
            trust_any_host: config.net.allow_remote,
            pages: FixedPages { viewer: VIEWER, openapi: OPENAPI },
        };
        let own = DoorLanes {
            requests: requests_out,
            replies: replies_in,
            adopt: adopts,
            agents: agents_http,
            stop: stop_in,
        };
        let door = Door::new(door_poll, door_bell, http, tcp, own, options, Arc::clone(&metrics), Arc::clone(&health))
            .map_err(loops)?
            .following(limits);

        // In the order of who needs whom: control answers, shards stream, sim produces, the door lets in last.
        let stop = Arc::clone(&stop_control);
        let shared = Arc::new(SharedControl::new(control));
        let control = Arc::clone(&shared);
        let control = Role::spawn("control", None, move || {
            let close = ShardMessage::Shutdown { code: CloseCode::Away, reason: "the server is going away" };
            control.run(&parker, &stop, &close);
            Ok(())
        })?;
        let store = store.map(|thread| {
            let stop = Arc::clone(&stop_store);
            Role::spawn("store", None, move || {
                thread.run(&store_parker, &stop);
                Ok(())
            })
        });
        let worker = Worker::new(WorkerLanes { orders, reports }, Arc::clone(&worker_bell), Arc::clone(&metrics));
        let stop = Arc::clone(&stop_worker);
        let worker = Role::spawn("worker", None, move || {
            worker.run(&worker_parker, &stop);
            Ok(())
        })?;
        let stop = Arc::clone(&stop_worker);
        let files = Role::spawn("files", None, move || {
            files.run(&files_parker, &stop);
            Ok(())
        })?;
        let agents = match agents_side {
            Some((door, (poll, bell, listeners, own), lookers, stop_mcp)) => {
                let any_host = config.net.allow_remote;
                let mcp =
                    McpDoor::new(poll, bell, listeners, own, any_host, Arc::clone(&metrics), shared).map_err(loops)?;
                let mut roles = vec![Role::spawn("mcp", None, move || mcp.run().map_err(|error| error.to_string()))?];
                let mut wake_look = Vec::new();
                if let Some(auditor) = auditor {
                    let stop = Arc::clone(&stop_look);
                    wake_look.push(auditor.bell());
                    roles.push(Role::spawn("audit", None, move || {
                        auditor.run(&stop);
                        Ok(())
                    })?);
                }
                for (index, (looker, parker, bell)) in lookers.into_iter().enumerate() {
                    let stop = Arc::clone(&stop_look);
                    wake_look.push(bell);
                    roles.push(Role::spawn(format!("look-{index}"), None, move || {
                        looker.run(&parker, &stop);
                        Ok(())
                    })?);
                }
                Some(AgentsSide { door, roles, stop_mcp, stop_look, wake_look })
            }
            None => None,
        };
        let sources = sources.map(|side| {
            let body = move || side.caller.run().map_err(|error| error.to_string());
            Role::spawn("sources", None, body).map(|role| (role, side.stop))
        });
        let mut shard_roles = Vec::new();
        for (index, shard) in shards.into_iter().enumerate() {
            let core = plan.shard_cores.get(index).copied().flatten();
            let body = move || shard.run().map_err(|error| error.to_string());
            shard_roles.push(Role::spawn(format!("shard-{index}"), core, body)?);
        }
        let stop = Arc::clone(&stop_sim);
        let sim = Role::spawn("sim", plan.sim_core, move || {
            sim.run(&sim_bell, &sim_parker, &stop);
            Ok(())
        })?;
        let door = Role::spawn("door", None, move || door.run().map_err(|error| error.to_string()))?;
        Ok(Self {
            sim,
            shards: shard_roles,
            door,
            control,
            worker,
            files,
            agents,
            sources: sources.transpose()?,
            store: store.transpose()?,
            stop_store,
            wake_store: store_bell,
            stop_sim,
            stop_control,
            stop_worker,
            wake_worker: worker_bell,
            wake_files: files_bell,
            stop_door,
            wake_control: control_bell,
            health,
            metrics,
            latency_file,
            tokens_file,
        })
    }

    /// Ready means that there are positions: until then the graph's data is refused. A signal or the end of a thread
    /// is for [`Self::watch`].
    fn await_first_frame(&self, stop: &AtomicBool) {
        while self.metrics.sim.frames_published.get() == 0 {
            if stop.load(Ordering::Relaxed) || self.roles().any(Role::is_over) {
                return;
            }
            sleep(WATCH_INTERVAL / 4);
        }
        self.health.enter(Phase::Ready);
    }

    /// Waits for a signal or the end of a thread, then stops everything in order.
    fn watch(mut self, stop: &AtomicBool) -> Result<(), StartError> {
        let ended = loop {
            if stop.load(Ordering::Relaxed) {
                tracing::info!("stopping: telling every client");
                break None;
            }
            // One that failed is the reason for others that ended.
            if let Some(role) = self.roles().filter(|role| role.is_over()).max_by_key(|role| role.has_failed()) {
                break Some(StartError::Thread { thread: role.name.clone(), reason: role.reason() });
            }
            if let Some(file) = &mut self.tokens_file {
                file.look();
            }
            sleep(WATCH_INTERVAL);
        };
        self.shut_down();
        match ended {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn roles(&self) -> impl Iterator<Item = &Role> {
        [&self.sim, &self.door, &self.control, &self.worker, &self.files]
            .into_iter()
            .chain(&self.store)
            .chain(self.sources.iter().map(|(role, _)| role))
            .chain(self.agents.iter().flat_map(|agents| &agents.roles))
            .chain(&self.shards)
    }

    /// No new connections; every client told and flushed; then the rest. Bounded: a stuck thread is left behind.
    fn shut_down(&mut self) {
        self.health.enter(Phase::Draining);
        let _ = self.stop_door.push(());
        self.stop_control.store(true, Ordering::Release);
        self.wake_control.ring();
        self.stop_worker.store(true, Ordering::Relaxed);
        self.wake_worker.ring();
        self.wake_files.ring();
        wait_for(GOODBYE_MAX, || self.shards.iter().all(Role::is_over) && self.door.is_over());
        self.stop_sim.store(true, Ordering::Relaxed);
        if let Some((_, stop)) = &mut self.sources {
            let _ = stop.push(());
        }
        if let Some(agents) = &mut self.agents {
            wait_for(GOODBYE_MAX / 2, || self.control.is_over());
            let _ = agents.stop_mcp.push(());
            agents.stop_look.store(true, Ordering::Relaxed);
            agents.wake_look.iter().for_each(|bell| bell.ring());
            tracing::debug!(tcp = ?agents.door.tcp, "the agents' door closes");
        }
        // The store ends behind everybody who has something for it.
        wait_for(GOODBYE_MAX / 2, || self.control.is_over());
        self.stop_store.store(true, Ordering::Release);
        self.wake_store.ring();
        wait_for(WATCH_INTERVAL * 25, || self.roles().all(Role::is_over));
        for role in self.roles().filter(|role| !role.is_over()) {
            tracing::warn!(thread = role.name, "did not end in time");
        }
        if let Some(file) = self.latency_file.take() {
            file.stop();
        }
    }
}

fn wait_for(most: Duration, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() && started.elapsed() < most {
        sleep(WATCH_INTERVAL / 4);
    }
}
