//! Goal: the source keeps the rules that no compiler checks: who may use whom, where unsafe code and sockets live.
//! Method: reads the room table of `src/ARCHITECTURE.md` and every source file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms that may hold unsafe code; in `sim` only `sim/cuda`.
const UNSAFE_HOMES: [&str; 2] = ["src/base/clock.rs", "src/sim/cuda"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

/// Path from the root, and text, of every source file of the engine.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    files.sort();
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// `| \`room\` | a b c | what |` rows under the heading "Rooms".
fn room_table() -> BTreeMap<String, Vec<String>> {
    let page = fs::read_to_string(root().join("src/ARCHITECTURE.md")).unwrap();
    let table = page.split("## Rooms").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let uses = cells[2].split_whitespace().map(str::to_owned).collect();
        (cells[1].trim_matches('`').to_owned(), uses)
    })
    .collect()
}

/// The code of a file: comments and the test module at its foot left out.
fn code(text: &str) -> String {
    let body =
        text.split("#[cfg(test)]\nmod tests").next().unwrap().split("#[cfg(test)]\n#[cfg(not(loom))]").next().unwrap();
    let lines = body.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn rooms_use_only_the_rooms_the_table_allows() {
    let table = room_table();
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let Some(room) = name.strip_prefix("src/").and_then(|rest| rest.split_once('/')).map(|(room, _)| room) else {
            continue;
        };
        let allowed = table.get(room).unwrap_or_else(|| panic!("room {room} is missing in the table"));
        if allowed.iter().any(|room| room == "everything") {
            continue;
        }
        for used in code(&text).split("crate::").skip(1) {
            let used: String = used.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            if used != room && table.contains_key(&used) && !allowed.contains(&used) {
                wrong.push(format!("{name} uses crate::{used}"));
            }
            assert!(!used.is_empty(), "{name} imports several rooms in one line: write one a line");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_is_in_the_table_and_every_row_is_a_room() {
    for room in room_table().keys() {
        let (file, folder) = (format!("src/{room}.rs"), format!("src/{room}"));
        assert!(root().join(file).exists() || root().join(folder).is_dir(), "{room} is no room");
    }
}

#[test]
fn unsafe_code_sockets_and_the_driver_stay_in_their_homes() {
    for (name, text) in sources() {
        let code = code(&text);
        let word = |word: &str| {
            code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|found| found == word)
        };
        if ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|kind| code.contains(kind)) {
            assert!(UNSAFE_HOMES.iter().any(|home| name.starts_with(home)), "{name} has unsafe code");
        }
        assert!(!word("mio") || name.starts_with("src/net/"), "{name} names mio");
        assert!(!word("cudarc") || name.starts_with("src/sim/cuda/"), "{name} names the driver");
    }
}

#[test]
fn no_async_runtime_is_in_the_engine() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let engine = manifest.split("[dependencies]").nth(1).unwrap();
    for runtime in ["tokio", "async-std", "smol", "hyper"] {
        assert!(!engine.contains(&format!("\n{runtime} ")), "{runtime} is a dependency of the engine");
    }
    // The engine's own row of the lock file names all it needs directly; none of these pulls a runtime in.
    let row = lock.split("[[package]]").find(|row| row.contains("name = \"swarmcast\"\n")).unwrap();
    assert!(!row.contains("\"tokio"), "the engine depends on tokio");
}

#[test]
fn the_mandatory_packages_that_this_version_needs_are_used() {
    let all: String = sources().iter().map(|(_, text)| code(text)).collect();
    for package in ["mio", "tungstenite", "crossbeam", "core_affinity", "cudarc", "bytes", "zerocopy", "parking_lot"] {
        assert!(all.contains(&format!("{package}::")), "{package} is not used");
    }
}

/// The manifests leave programs without tests, and all documentation, out of the tests: nothing is in them that would run.
#[test]
fn what_is_left_out_of_the_tests_has_none() {
    let manifest = |folder: &Path| -> toml::Table {
        fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap_or_else(|error| panic!("{error}"))
    };
    let members = manifest(&root())["workspace"]["members"].as_array().unwrap().clone();
    let mut left_out = 0;
    for folder in members.iter().map(|member| root().join(member.as_str().unwrap())) {
        let manifest = manifest(&folder);
        for program in manifest["bin"].as_array().unwrap().iter().filter(|program| program.get("test").is_some()) {
            let path = folder.join(program["path"].as_str().unwrap());
            let mut files = vec![path.clone()];
            // The files beside it are its own, unless they are the library's.
            let beside_library = manifest.contains_key("lib") && path.parent() == Some(&folder.join("src"));
            if path.ends_with("main.rs") && !beside_library {
                rust_files(path.parent().unwrap(), &mut files);
            }
            for file in files {
                assert!(!fs::read_to_string(&file).unwrap().contains("#[test]"), "{} has tests", file.display());
            }
            left_out += 1;
        }
        if manifest.get("lib").is_some_and(|library| library.get("doctest").is_some()) {
            let mut files = Vec::new();
            rust_files(&folder.join("src"), &mut files);
            for file in files {
                let text = fs::read_to_string(&file).unwrap();
                let comments = text.lines().filter_map(|line| line.trim_start().strip_prefix("//"));
                let fences = comments.filter_map(|line| line.split_once("```")).map(|(_, kind)| kind);
                for kind in fences.step_by(2) {
                    assert_eq!(kind, "text", "{} has an example in its documentation", file.display());
                }
            }
            left_out += 1;
        }
    }
    assert!(left_out > 10, "the manifests are not read");
}

#[test]
fn no_unfinished_marks_and_no_long_files() {
    for (name, text) in sources() {
        for mark in ["FIXME", "TODO", "XXX", "HACK"] {
            assert!(!text.contains(mark), "{name} has a {mark}");
        }
        let lines = text.lines().count();
        assert!(lines <= 700, "{name} has {lines} lines: is there a second idea in it?");
    }
}
