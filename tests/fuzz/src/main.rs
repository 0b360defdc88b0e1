//! The fuzzer: libFuzzer's arguments, and the target's name in `FUZZ_TARGET`. With `FUZZ_SEEDS` it writes the first inputs of
//! every target to that folder, as `TARGET/seed-N`, and ends. `.ci/fuzz` builds and runs it.
#![no_main]

#[path = "../targets.rs"]
mod targets;

use std::path::Path;
use std::sync::LazyLock;

use targets::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let names = TARGETS.map(|target| target.name).join(", ");
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("FUZZ_TARGET must be one of {names}"))
});

fn write_seeds(folder: &Path) -> std::io::Result<()> {
    for target in &TARGETS {
        let folder = folder.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (place, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{place}")), seed)?;
        }
    }
    Ok(())
}

libfuzzer_sys::fuzz_target!(
    init: {
        if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
            write_seeds(Path::new(&folder)).expect("the folder of seeds can be written");
            std::process::exit(0);
        }
    },
    |bytes: &[u8]| (TARGET.run)(bytes)
);
