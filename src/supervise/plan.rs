//! What is going to run where and how much memory it takes: computed once, printed by `--check`, then followed.

use std::fmt;
use std::sync::Arc;

use super::StartError;
use super::topology::LANES;
use crate::base::Idle;
use crate::base::host;
use crate::config::Config;
use crate::config::IdleStrategy;
use crate::control::Room;
use crate::handoff::Frame;
use crate::net::ShardLoop;
use crate::sim::cpu::CpuBackend;

/// Memory that the automatic pool may take, bytes, when every profile is subscribed.
const POOL_BYTES_AUTOMATIC: usize = 512 << 20;

/// Most shards that are started without being asked for.
const SHARDS_AUTOMATIC_MAX: usize = 8;

const MIB: usize = 1 << 20;

/// Threads, cores and bytes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Shards.
    pub shards: usize,
    /// Where `sim` is pinned.
    pub sim_core: Option<usize>,
    /// Where each shard is pinned.
    pub shard_cores: Vec<Option<usize>>,
    /// Where each worker of `sim` is pinned.
    pub worker_cores: Vec<Option<usize>>,
    /// How `sim` waits.
    pub sim_idle: Idle,
    /// How each shard waits.
    pub shard_idle: Vec<Idle>,
    /// Frames in the pool.
    pub frames: usize,
    /// Cores the process may use.
    pub cores: Vec<usize>,
    /// Name and bytes of each part.
    pub memory: Vec<(&'static str, usize)>,
}

impl Plan {
    /// The plan for a graph of this size on these cores.
    ///
    /// # Errors
    /// [`StartError`] for cores that are not there, and for a graph that does not fit into memory.
    pub fn new(config: &Config, cores: &[usize], node_count: usize, half_edges: usize) -> Result<Self, StartError> {
        let shards = match config.net.shards {
            Some(shards) => shards.get() as usize,
            None if !config.threads.shard_cores.is_empty() => config.threads.shard_cores.len(),
            // `sim` has a core of its own, and door, control and the rest of the machine share another.
            None => cores.len().saturating_sub(2).clamp(1, SHARDS_AUTOMATIC_MAX),
        };
        let (sim_core, shard_cores) = pins(config, cores, shards)?;
        let worker_cores = workers(config, cores, sim_core, &shard_cores);
        let isolated = host::isolated_cpus();
        let spin_ns = u64::from(config.threads.spin_us) * 1_000;
        let sim_idle = idle(config.threads.sim_idle, spin_ns, sim_core, &isolated);
        let shard_idle =
            shard_cores.iter().map(|core| idle(config.threads.shard_idle, spin_ns, *core, &isolated)).collect();
        let frame_bytes = Frame::footprint(node_count);
        let frames = match config.net.frames {
            Some(frames) => frames.get() as usize,
            // 8 for a lane, 16 for slow classes, the rest for leases.
            None => (POOL_BYTES_AUTOMATIC / frame_bytes.max(1)).clamp(12, 64),
        };
        let memory = vec![
            ("simulation", CpuBackend::footprint_with(node_count, half_edges, worker_cores.len())),
            ("frames", frames * frame_bytes),
            ("lanes", LANES.iter().map(|lane| lane.bytes(shards)).sum()),
            ("shards", shards * ShardLoop::footprint()),
        ];
        let cores = cores.to_vec();
        let plan = Self { shards, sim_core, shard_cores, worker_cores, sim_idle, shard_idle, frames, cores, memory };
        let needed = plan.memory_bytes() as u64;
        if let Some(available) = host::available_bytes()
            && needed > available
        {
            let mib = MIB as u64;
            return Err(StartError::Memory { needed: needed / mib, available: available / mib });
        }
        Ok(plan)
    }

    /// What memory has room for, when the graph of `node_count` nodes grows: another simulation, and larger frames.
    #[must_use]
    pub fn room(&self, node_count: usize) -> Room {
        let (frames, workers) = (self.frames, self.worker_cores.len());
        let needed = move |nodes: usize, edges: usize| {
            let larger = Frame::footprint(nodes).saturating_sub(Frame::footprint(node_count));
            CpuBackend::footprint_with(nodes, 2 * edges, workers).saturating_add(frames * larger) as u64
        };
        Room { needed: Arc::new(needed), available: host::available_bytes }
    }

    /// Bytes in all, besides the graph's own labels and attributes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory.iter().map(|(_, bytes)| bytes).sum()
    }
}

type Pins = (Option<usize>, Vec<Option<usize>>);

fn pins(config: &Config, cores: &[usize], shards: usize) -> Result<Pins, StartError> {
    let threads = &config.threads;
    let named: Vec<usize> = threads.shard_cores.iter().map(|core| usize::from(core.get())).collect();
    if !named.is_empty() && named.len() != shards {
        return Err(StartError::ShardCores { cores: named.len(), shards });
    }
    let sim_named = threads.sim_core.map(|core| usize::from(core.get()));
    if !threads.pin {
        return Ok((None, vec![None; shards]));
    }
    if let Some(core) = sim_named.filter(|core| named.contains(core)) {
        return Err(StartError::SharedCore { core });
    }
    let all = named.iter().map(|core| ("threads.shard_cores", *core));
    for (key, core) in all.chain(sim_named.map(|core| ("threads.sim_core", core))) {
        // A core outside the list may still be an isolated one, which only its id can name; one outside the
        // machine cannot.
        if !cores.contains(&core) && !std::path::Path::new(&format!("/sys/devices/system/cpu/cpu{core}")).exists() {
            return Err(StartError::Core { key, core, allowed: cores.to_vec() });
        }
    }
    if cores.len() < 2 && sim_named.is_none() && named.is_empty() {
        // With one core everything shares it anyway.
        return Ok((None, vec![None; shards]));
    }
    // The last core: interrupts mostly go to the first.
    let sim = sim_named.or_else(|| cores.iter().rev().find(|core| !named.contains(core)).copied());
    let free: Vec<usize> = cores.iter().copied().filter(|core| Some(*core) != sim).collect();
    let shard_cores = (0..shards).map(|index| named.get(index).or_else(|| free.get(index)).copied()).collect();
    Ok((sim, shard_cores))
}

/// Where the workers of `sim` run: on cores that no other pinned thread has, the first of which is left to the rest of the
/// machine; more than there are share them all.
fn workers(config: &Config, cores: &[usize], sim: Option<usize>, shards: &[Option<usize>]) -> Vec<Option<usize>> {
    let free: Vec<usize> =
        cores.iter().copied().filter(|core| Some(*core) != sim && !shards.contains(&Some(*core))).collect();
    let spare = free.get(1..).unwrap_or(&[]);
    let asked = config.threads.sim_workers.map(usize::from);
    let others: Vec<usize> = cores.iter().copied().filter(|core| Some(*core) != sim).collect();
    let from = if asked.is_none_or(|asked| asked <= spare.len()) { spare } else { &others };
    let count = asked.unwrap_or(spare.len());
    if sim.is_none() || from.is_empty() {
        // Nothing is pinned.
        return vec![None; if asked.is_some() { count } else { 0 }];
    }
    from.iter().map(|core| Some(*core)).cycle().take(count).collect()
}

/// Spinning pays where nobody else wants the core.
fn idle(strategy: IdleStrategy, spin_ns: u64, core: Option<usize>, isolated: &[usize]) -> Idle {
    match strategy {
        IdleStrategy::Auto if core.is_some_and(|core| isolated.contains(&core)) => Idle::SpinThenPark { spin_ns },
        IdleStrategy::Auto | IdleStrategy::Park => Idle::Park,
        IdleStrategy::SpinThenPark => Idle::SpinThenPark { spin_ns },
        IdleStrategy::Spin => Idle::Spin,
    }
}

fn core(core: Option<usize>) -> String {
    core.map_or_else(|| "any".to_owned(), |core| core.to_string())
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "threads")?;
        writeln!(out, "  {:<10} core {:<4} {}", "sim", core(self.sim_core), self.sim_idle)?;
        for (index, pinned) in self.worker_cores.iter().enumerate() {
            writeln!(out, "  {:<10} core {:<4} as sim asks", format!("sim-worker-{index}"), core(*pinned))?;
        }
        for (index, (pinned, idle)) in self.shard_cores.iter().zip(&self.shard_idle).enumerate() {
            writeln!(out, "  {:<10} core {:<4} {idle}", format!("shard-{index}"), core(*pinned))?;
        }
        for name in ["door", "control", "main"] {
            writeln!(out, "  {name:<10} core any")?;
        }
        writeln!(out, "lanes (slots x bytes, when full)")?;
        for lane in &LANES {
            let each = if lane.per_shard { " each" } else { "" };
            let name = format!("{} -> {} {}", lane.from, lane.to, lane.item);
            let size = format!("{} x {}{each}", lane.slots, lane.item_bytes);
            writeln!(out, "  {name:<28} {size:<16} {}", lane.meaning)?;
        }
        writeln!(out, "memory")?;
        for (name, bytes) in &self.memory {
            writeln!(out, "  {name:<12} {:>9.1} MiB", *bytes as f64 / MIB as f64)?;
        }
        writeln!(out, "  {:<12} {:>9.1} MiB", "in all", self.memory_bytes() as f64 / MIB as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CpuId;

    fn plan(config: &Config, cores: &[usize]) -> Result<Plan, StartError> {
        Plan::new(config, cores, 1_000, 10_000)
    }

    #[test]
    fn threads_are_spread_over_the_cores_there_are() {
        let config = Config::default();
        let one = plan(&config, &[0]).unwrap();
        assert_eq!((one.sim_core, one.shard_cores), (None, vec![None]));
        let two = plan(&config, &[0, 1]).unwrap();
        assert_eq!((two.sim_core, two.shard_cores), (Some(1), vec![Some(0)]));
        let eight = plan(&config, &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
        assert_eq!((eight.sim_core, eight.shards, eight.shard_cores[5]), (Some(7), 6, Some(5)));
    }

    #[test]
    fn workers_take_what_is_left_or_what_they_are_told() {
        let mut config = Config::default();
        let cores: Vec<usize> = (0..16).collect();
        let workers = |config: &Config, cores: &[usize]| plan(config, cores).unwrap().worker_cores;
        assert_eq!(workers(&config, &[0, 1, 2, 3]), []);
        assert_eq!(workers(&config, &cores), (9..15).map(Some).collect::<Vec<_>>());
        config.threads.sim_workers = Some(3);
        assert_eq!(workers(&config, &cores), [Some(9), Some(10), Some(11)]);
        assert_eq!(workers(&config, &[0, 1]), [Some(0); 3], "fewer cores than workers");
        assert_eq!(workers(&config, &[0]), [None; 3]);
        config.threads.pin = false;
        assert_eq!(workers(&config, &cores), [None; 3]);
        config.threads.sim_workers = Some(0);
        assert_eq!(workers(&config, &cores), []);
    }

    #[test]
    fn only_a_thread_with_an_isolated_core_spins_unasked() {
        let of = |strategy, core| idle(strategy, 7, core, &[2, 3]);
        let briefly = Idle::SpinThenPark { spin_ns: 7 };
        assert_eq!((of(IdleStrategy::Auto, Some(1)), of(IdleStrategy::Auto, None)), (Idle::Park, Idle::Park));
        assert_eq!((of(IdleStrategy::Auto, Some(3)), of(IdleStrategy::SpinThenPark, None)), (briefly, briefly));
        assert_eq!((of(IdleStrategy::Park, Some(3)), of(IdleStrategy::Spin, None)), (Idle::Park, Idle::Spin));
    }

    #[test]
    fn named_cores_are_kept_and_checked() {
        let mut config = Config::default();
        config.threads.sim_core = CpuId::new(0);
        assert_eq!(plan(&config, &[0, 1]).unwrap().shard_cores, [Some(1)]);
        config.threads.shard_cores = vec![CpuId::new(0).unwrap()];
        assert!(matches!(plan(&config, &[0, 1]), Err(StartError::SharedCore { core: 0 })));
        config.threads.shard_cores = vec![CpuId::new(1_000).unwrap()];
        assert!(matches!(plan(&config, &[0, 1]), Err(StartError::Core { core: 1_000, .. })));
        config.threads.shard_cores = vec![CpuId::new(1).unwrap()];
        config.net.shards = std::num::NonZeroU32::new(2);
        assert!(matches!(plan(&config, &[0, 1]), Err(StartError::ShardCores { cores: 1, shards: 2 })));
    }

    #[test]
    fn the_table_names_every_thread_lane_and_part() {
        let text = plan(&Config::default(), &[0, 1]).unwrap().to_string();
        for part in ["sim        core 1", "shard-0    core 0", "sim -> shard frame", "8 x 8 each", "in all"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn a_graph_that_cannot_fit_is_refused_with_both_figures() {
        let error = Plan::new(&Config::default(), &[0, 1], 1 << 36, 0).unwrap_err();
        assert!(matches!(error, StartError::Memory { needed, available } if needed > available), "{error}");
    }
}
