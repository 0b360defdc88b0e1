//! What the tool runs on, in a line.

use std::fs;

/// Processor, cores and kernel of this host; what is not known is left out.
#[must_use]
pub fn describe() -> String {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = file("/proc/cpuinfo");
    let processor = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let mut parts: Vec<String> = processor.map(|(_, name)| name.trim().to_owned()).into_iter().collect();
    if let Ok(cores) = std::thread::available_parallelism() {
        parts.push(format!("{cores} {}", if cores.get() == 1 { "core" } else { "cores" }));
    }
    let kernel = file("/proc/sys/kernel/osrelease");
    if !kernel.trim().is_empty() {
        parts.push(format!("Linux {}", kernel.trim()));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_has_cores_and_a_kernel() {
        let line = super::describe();
        assert!(line.contains("core") && line.contains("Linux"), "{line}");
    }
}
