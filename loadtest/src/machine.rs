//! What the tool runs on, in a line.

use std::fs;

/// Processor, cores and kernel of this host; what is not known is left out.
#[must_use]
pub fn describe() -> String {
    let mut parts: Vec<String> = processor().into_iter().collect();
    if let Ok(cores) = std::thread::available_parallelism() {
        parts.push(format!("{cores} {}", if cores.get() == 1 { "core" } else { "cores" }));
    }
    parts.extend(kernel().map(|release| format!("Linux {release}")));
    parts.join(", ")
}

/// As the kernel names it.
#[must_use]
pub fn processor() -> Option<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let (_, name) = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "))?;
    Some(name.trim().to_owned())
}

/// The kernel's release.
#[must_use]
pub fn kernel() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(release.trim().to_owned()).filter(|release| !release.is_empty())
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_has_cores_and_a_kernel() {
        let line = super::describe();
        assert!(line.contains("core") && line.contains("Linux"), "{line}");
    }
}
