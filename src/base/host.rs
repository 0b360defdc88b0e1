//! Facts about this process and machine, read from `/proc` and `/sys`; unknown is `None`.

use std::path::Path;

/// Resident memory of this process in bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    kilobytes_after(&status, "VmRSS:")
}

/// Memory that the kernel says is available without swapping, in bytes, or less where a control group (version 2) of this process may
/// have less.
#[must_use]
pub fn available_bytes() -> Option<u64> {
    let machine =
        std::fs::read_to_string("/proc/meminfo").ok().and_then(|info| kilobytes_after(&info, "MemAvailable:"));
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok();
    let group = groups.and_then(|groups| group_bytes(Path::new("/sys/fs/cgroup"), &groups));
    machine.into_iter().chain(group).min()
}

/// What is left of the least limit among the group that `groups` (`/proc/self/cgroup`) names and those above it; `None` without one.
fn group_bytes(mount: &Path, groups: &str) -> Option<u64> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let left = |folder: &Path| {
        let number = |file: &str| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
        Some(number("memory.max")?.saturating_sub(number("memory.current")?))
    };
    mount.join(path).ancestors().take_while(|folder| folder.starts_with(mount)).filter_map(left).min()
}

/// Soft limit of open files.
#[must_use]
pub fn open_files_max() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// Open file descriptors of this process.
#[must_use]
pub fn open_files() -> Option<u64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

/// CPUs that the kernel keeps free of other threads (`isolcpus`), by id; empty when there are none.
#[must_use]
pub fn isolated_cpus() -> Vec<usize> {
    std::fs::read_to_string("/sys/devices/system/cpu/isolated").map(|list| cpu_list(&list)).unwrap_or_default()
}

/// The ids of a list as the kernel writes it: `2-3,6`. What is not one is left out.
fn cpu_list(list: &str) -> Vec<usize> {
    let ranges = list.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<usize>().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

/// The widest vector instructions that this CPU offers, as a name for people.
#[must_use]
pub fn simd() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "avx512f";
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return "avx2";
        }
        "sse2"
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH
    }
}

/// Program and process id of whoever listens on a TCP port of this machine, when we may look.
#[must_use]
pub fn listener_on(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = std::fs::read_to_string(table).ok()?;
        listening_inode(&table, port)
    })?;
    let socket = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let id = process.file_name().to_string_lossy().into_owned();
        // `self` and its kin are links to one of the numbers.
        if !id.bytes().all(|digit| digit.is_ascii_digit()) {
            continue;
        }
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let holds =
            |file: std::fs::DirEntry| std::fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*socket);
        if files.flatten().any(holds) {
            let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
            return Some(format!("{} (process {})", name.trim(), id));
        }
    }
    None
}

/// The inode of the listening socket on `port` in a table of `/proc/net`.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, found) = fields.get(1)?.rsplit_once(':')?;
        let listens = fields.get(3) == Some(&LISTEN) && u16::from_str_radix(found, 16) == Ok(port);
        if listens { fields.get(9)?.parse().ok() } else { None }
    })
}

fn kilobytes_after(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_this_very_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = listener_on(listener.local_addr().unwrap().port()).unwrap();
        assert!(holder.contains(&std::process::id().to_string()), "{holder}");
        assert_eq!(listening_inode("header\n garbage\n", 1), None);
    }

    #[test]
    fn a_list_of_cpus_is_read_as_the_kernel_writes_it() {
        assert_eq!(cpu_list("2-4,7\n"), [2, 3, 4, 7]);
        assert_eq!(cpu_list("\n"), [0; 0]);
        assert_eq!(cpu_list("x,1"), [1]);
    }

    #[test]
    fn the_least_limit_of_the_groups_counts() {
        let mount = std::env::temp_dir().join(format!("swarmcast-groups-{}", std::process::id()));
        let inner = mount.join("outer/inner");
        std::fs::create_dir_all(&inner).unwrap();
        let limit = |folder: &Path, max: &str, current: &str| {
            std::fs::write(folder.join("memory.max"), max).unwrap();
            std::fs::write(folder.join("memory.current"), current).unwrap();
        };
        let groups = "5:memory:/elsewhere\n0::/outer/inner\n";
        assert_eq!(group_bytes(&mount, groups), None);
        limit(&inner, "max\n", "5\n");
        assert_eq!(group_bytes(&mount, groups), None);
        limit(&mount.join("outer"), "1000\n", "400\n");
        limit(&inner, "900\n", "250\n");
        assert_eq!(group_bytes(&mount, groups), Some(600));
        limit(&inner, "900\n", "1250\n");
        assert_eq!(group_bytes(&mount, groups), Some(0));
        assert_eq!(group_bytes(&mount, "5:memory:/outer\n"), None);
        std::fs::remove_dir_all(&mount).unwrap();
        assert!(available_bytes().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn fields_are_found_and_missing_ones_are_unknown() {
        assert_eq!(kilobytes_after("A: 1\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12 * 1_024));
        assert_eq!(kilobytes_after("A: 1\n", "VmRSS:"), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 0));
        assert!(open_files_max().is_some());
    }
}
