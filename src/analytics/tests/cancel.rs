//! Goal: a job that is cancelled ends at once, whatever the graph: little work lies between two looks at whoever may stop it.
//! Method: half-edges, distances and comparisons are counted as they are looked at, on graphs and points with much of each.

use std::cell::Cell;

use super::*;
use crate::analytics::watch::{WORK_PER_LOOK, sort_by};
use crate::analytics::{
    AnalyticsError, DbscanOptions, Feature, Job, KMeansOptions, LabelOptions, LeidenOptions, Lengths, LofOptions,
    PageRankOptions, StressOptions, Unwatched, Watch, kmeans_from,
};
use crate::base::effort;

/// At a tenth of a microsecond each, when every one misses the cache, this is half of 50 ms.
const WORK_MAX: u64 = 4 * WORK_PER_LOOK as u64;

/// Most work between two looks so far.
struct Meter {
    last: Cell<u64>,
    most: Cell<u64>,
    looks: Cell<u64>,
}

impl Watch for Meter {
    fn progress(&self, _part: f64) -> Result<(), AnalyticsError> {
        let now = effort::spent();
        self.most.set(self.most.get().max(now - self.last.replace(now)));
        self.looks.set(self.looks.get() + 1);
        Ok(())
    }
}

fn assert_looks_often(job: &Job, csr: &Csr, points: &[[f32; 3]]) {
    let meter = Meter { last: Cell::new(effort::spent()), most: Cell::new(0), looks: Cell::new(0) };
    let before = effort::spent();
    job.run(csr, points, &meter).unwrap();
    meter.progress(1.0).unwrap();
    let (most, all) = (meter.most.get(), effort::spent() - before);
    assert!(most <= WORK_MAX, "{job:?}: {most} of {all} at once, in {} looks", meter.looks.get());
}

/// A node that all are joined to, many edges elsewhere, lengths that are found shorter again and again.
fn tangle(nodes: u32, edges: u32) -> Csr {
    let mut random = Random::new(5);
    let mut all: Vec<(u32, u32, f32)> = (1..nodes).map(|node| (0, node, 1e6 - 10.0 * node as f32)).collect();
    all.extend((0..edges).map(|_| {
        let mut end = || random.below(nodes as usize) as u32;
        (end(), end(), 0.0)
    }));
    for edge in all.iter_mut().skip(nodes as usize - 1) {
        edge.2 = (random.unit() * 1e3) as f32;
    }
    csr(nodes as usize, &all)
}

#[test]
fn jobs_on_graphs_look_often() {
    let nodes = 30_000;
    let graph = tangle(nodes, 300_000);
    let points = random_points(1, nodes as usize, 1e3);
    let jobs = [
        Job::Paths { source: 3, lengths: Lengths::Hops },
        Job::Paths { source: 3, lengths: Lengths::Weights },
        Job::Paths { source: 3, lengths: Lengths::Inverse },
        Job::Components,
        Job::PageRank(PageRankOptions { iterations_max: 5, ..PageRankOptions::default() }),
        Job::Labels(LabelOptions { runs: 1, iterations_max: 5, ..LabelOptions::default() }),
        Job::Leiden(LeidenOptions { iterations_max: 3, ..LeidenOptions::default() }),
        Job::Stress(StressOptions { pivots: 40, iterations_max: 2, ..StressOptions::default() }),
        Job::Landmarks { count: 5, lengths: Lengths::Weights, pairs: Vec::new() },
        Job::ZScore { feature: Feature::Degree, threshold: 3.0 },
        Job::ZScore { feature: Feature::Strength, threshold: 3.0 },
        Job::ZScore { feature: Feature::EdgeLength, threshold: 3.0 },
    ];
    for job in jobs {
        assert_looks_often(&job, &graph, &points);
    }
}

#[test]
fn jobs_on_points_look_often() {
    let nodes = 40_000;
    let graph = csr(nodes, &[]);
    let scattered = random_points(2, nodes, 1e3);
    // A shell: from each of its points nearly all cells of a tree are at the rim of some radius.
    let shell: Vec<[f32; 3]> = scattered
        .iter()
        .map(|point| {
            let length = point.iter().map(|axis| axis * axis).sum::<f32>().sqrt().max(1e-3);
            point.map(|axis| axis / length * 100.0)
        })
        .collect();
    let few: Vec<[f32; 3]> = (0..nodes).map(|node| [(node % 3) as f32, 0.0, 0.0]).collect();
    let crowd = Job::ZScore { feature: Feature::Crowd { radius: 150.0 }, threshold: 3.0 };
    let lof = Job::Lof { options: LofOptions { neighbours: 60 }, threshold: 1.5 };
    let dbscan = |radius, neighbours_min| Job::Dbscan(DbscanOptions { radius, neighbours_min });
    let kmeans = Job::KMeans(KMeansOptions { clusters: 300, iterations_max: 2, ..KMeansOptions::default() });
    for points in [&scattered, &shell] {
        for job in [&lof, &dbscan(30.0, 5), &kmeans] {
            assert_looks_often(job, &graph, points);
        }
    }
    for job in [&dbscan(0.5, 100_000), &dbscan(5.0, 3), &Job::KMeans(KMeansOptions::default())] {
        assert_looks_often(job, &graph, &few);
    }
    let (some, small) = (shell[..6_000].to_vec(), csr(6_000, &[]));
    // Nobody is a core, so everybody is compared with everybody around.
    for job in [crowd, dbscan(150.0, 1_000_000)] {
        assert_looks_often(&job, &small, &some);
    }
}

#[test]
fn empty_clusters_begin_again_with_looks() {
    // All centres but two at one far place: nearly all begin again, each at the farthest position of all.
    let points: Vec<[f32; 3]> = random_points(3, 50_000, 1e3);
    let mut centres = vec![[1e6, 0.0, 0.0]; 64];
    centres[0] = [0.0; 3];
    let options = KMeansOptions { iterations_max: 1, ..KMeansOptions::default() };
    let meter = Meter { last: Cell::new(effort::spent()), most: Cell::new(0), looks: Cell::new(0) };
    let found = kmeans_from(&points, centres, &options, &meter).unwrap();
    assert!(found.size.iter().all(|size| *size > 0), "none is empty any more");
    assert!(meter.most.get() <= WORK_MAX, "{}", meter.most.get());
}

#[test]
fn a_sort_with_looks_is_a_sort() {
    for count in [0, 1, WORK_PER_LOOK / 16, WORK_PER_LOOK / 16 + 1, 50_000] {
        let mut random = Random::new(9);
        let mut items: Vec<f64> = (0..count).map(|_| random.unit()).collect();
        let mut wanted = items.clone();
        wanted.sort_by(f64::total_cmp);
        sort_by(&mut items, &Unwatched, f64::total_cmp).unwrap();
        assert_eq!(items, wanted);
    }
}
