//! Facts about this process and machine, read from `/proc`; unknown is `None`.

/// Resident memory of this process in bytes.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    kilobytes_after(&status, "VmRSS:")
}

/// Memory that the kernel says is available without swapping, in bytes.
#[must_use]
pub fn available_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    kilobytes_after(&info, "MemAvailable:")
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

fn kilobytes_after(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_missing_ones_are_unknown() {
        assert_eq!(kilobytes_after("A: 1\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12 * 1_024));
        assert_eq!(kilobytes_after("A: 1\n", "VmRSS:"), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 0));
        assert!(open_files_max().is_some());
    }
}
