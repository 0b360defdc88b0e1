//! A file in: the importer beside the reader that it is built on.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use quick_xml::Reader;
use quick_xml::events::Event;
use swarmcast::graph::Graph;
use swarmcast::graph::formats::export::{ExportFormat, export};
use swarmcast::graph::formats::{Format, ImportOptions, import_path};

use super::{Options, large, median, tell};

pub fn run(options: &Options) -> Result<()> {
    let path = options.folder.join("large.graphml");
    let (nodes, edges) = large(options.nodes)?;
    let graph = Graph::from_rows(nodes, edges, (0, 0))?;
    let mut file = BufWriter::new(File::create(&path)?);
    export(ExportFormat::GraphMl, &graph, None, &mut file)?;
    file.flush()?;
    let (mut ours, mut alone, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds.max(3) {
        let floor = parsed(&path)?;
        let began = Instant::now();
        let about = ImportOptions {
            format: Format::GraphMl,
            skip_bad: false,
            vault_all_pages: false,
            nodes_max: 10_000_000,
            edges_max: 10_000_000,
        };
        let imported = import_path(&path, &about, &mut ())?;
        let took = began.elapsed().as_secs_f64();
        ensure!(imported.graph.edges().len() == graph.edges().len(), "all edges came back");
        drop(imported);
        ours.push(took);
        alone.push(floor);
        ratios.push(took / floor);
    }
    let bytes = std::fs::metadata(&path)?.len();
    println!("\nGraphML of {} nodes and {} edges, {bytes} bytes:\n", options.nodes, 3 * options.nodes);
    println!("- import {:.3} s, quick-xml alone (every event, every attribute) {:.3} s", median(ours), median(alone));
    tell("import by quick-xml alone, median of rounds", median(ratios), "times", None, 1.5, true);
    Ok(())
}

/// Seconds of reading every event and every attribute.
fn parsed(path: &Path) -> Result<f64> {
    let began = Instant::now();
    let mut reader = Reader::from_reader(BufReader::with_capacity(64 << 10, File::open(path)?));
    let (mut buffer, mut bytes) = (Vec::new(), 0);
    loop {
        match reader.read_event_into(&mut buffer)? {
            Event::Start(tag) | Event::Empty(tag) => {
                for attribute in tag.attributes() {
                    bytes += attribute?.value.len();
                }
            }
            Event::Text(text) => bytes += text.len(),
            Event::Eof => break,
            _ => {}
        }
        buffer.clear();
    }
    ensure!(bytes > 0, "there is something in it");
    Ok(began.elapsed().as_secs_f64())
}
