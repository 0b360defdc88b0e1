//! Goal: the commands that look after a store say what they did, refuse with a reason, and end with the right code.
//! Method: the real program on stores made here.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::Command;

use swarmcast::store::{Entry, SqliteStore, Store};

use crate::folder::Folder;

/// Code, standard output and standard error of a command.
fn run(home: &Path, args: &[&str]) -> (i32, String, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_swarmcast"))
        .args(args)
        .env("XDG_DATA_HOME", home)
        .env_remove("SWARMCAST_STORE_PATH")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ended.status.code().unwrap(), text(ended.stdout), text(ended.stderr))
}

fn make(path: &Path, versions: u64) -> SqliteStore {
    let mut store = SqliteStore::open(path).unwrap();
    for version in store.version() + 1..=versions {
        let entry = Entry {
            version,
            epoch: 1,
            at_unix_ms: 1,
            author: "x".into(),
            idempotency_key: None,
            changes: Vec::new().into(),
            settings: Vec::new(),
            answer: "".into(),
        };
        store.append(&[entry]).unwrap();
    }
    store
}

#[test]
fn commands_work_beside_the_engine_and_refuse_what_they_must() {
    let home = Folder::new("commands");
    let file = |name: &str| home.join(name).display().to_string();
    let refused = |args: &[&str], code: i32, parts: &[&str]| {
        let (found, _, said) = run(&home, args);
        assert_eq!(found, code, "{args:?}: {said}");
        parts.iter().for_each(|part| assert!(said.contains(part), "{args:?}: {part} is missing in {said}"));
    };
    // Nothing is there, and nothing is made by looking.
    for command in ["check-store", "compact"] {
        refused(&[command], 2, &["there is no store", "swarmcast/graph.db", "--store FILE"]);
    }
    refused(&["backup", &file("copy.db")], 2, &["there is no store"]);
    refused(&["check-store", "--ephemeral"], 2, &["store.ephemeral"]);
    refused(&["backup"], 2, &["<FILE>"]);
    assert!(!home.join("swarmcast").exists());

    // In use: what reads works, what writes names process and lock.
    let store_file = file("graph.db");
    let store = make(Path::new(&store_file), 3);
    let (code, said, _) = run(&home, &["check-store", "--store", &store_file]);
    assert_eq!((code, said.trim()), (0, &*format!("{store_file}: 0 nodes, 0 edges, version 3, log 1 to 3, no layout")));
    let copy = file("copy.db");
    let (code, said, _) = run(&home, &["--store", &store_file, "backup", &copy]);
    assert!(code == 0 && said.starts_with(&format!("{copy}: version 3 of {store_file}, ")), "{said}");
    refused(&["--store", &store_file, "backup", &copy], 2, &["is there already"]);
    let pid = std::process::id().to_string();
    refused(&["compact", "--store", &store_file], 2, &["in use by process", &pid, "graph.db.lock"]);
    refused(&["restore", &copy, "--force", "--store", &store_file], 2, &["in use by process", &pid]);
    drop(store);

    // A restore keeps what it takes the place of; into the user's folder it makes the folder.
    drop(make(Path::new(&store_file), 5));
    refused(&["restore", &copy, "--store", &store_file], 2, &["--force"]);
    let (code, said, _) = run(&home, &["restore", &copy, "--force", "--store", &store_file]);
    assert_eq!(code, 0);
    let kept = said.lines().nth(1).unwrap().strip_prefix("the store that was there is ").unwrap();
    let kept = PathBuf::from(kept.strip_suffix(" now").unwrap());
    assert_eq!(SqliteStore::open(&kept).unwrap().version(), 5);
    assert_eq!(SqliteStore::open(Path::new(&store_file)).unwrap().version(), 3);
    let (code, _, said) = run(&home, &["restore", &copy]);
    assert_eq!((code, &*said), (0, ""));
    let (code, said, _) = run(&home, &["check-store"]);
    assert!(code == 0 && said.contains("swarmcast/graph.db: 0 nodes"), "{said}");
    let (code, said, _) = run(&home, &["compact"]);
    assert!(code == 0 && said.contains(" bytes, it had "), "{said}");

    // What is wrong is listed, and ends with 1.
    let other = rusqlite::Connection::open(&store_file).unwrap();
    other.execute_batch("DELETE FROM log WHERE version = 2").unwrap();
    drop(other);
    let (code, said, why) = run(&home, &["check-store", "--store", &store_file]);
    assert!(code == 1 && said.contains("problem: the log goes from version 1 to 3"), "{said}");
    assert!(why.contains("has problems") && why.contains("swarmcast restore"), "{why}");
}
