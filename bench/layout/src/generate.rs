//! Graphs made by rule from fixed seeds, so that every machine measures the same ones.

use crate::graph::Network;
use crate::random::Random;

/// What [`by_name`] knows.
pub const NAMES: [&str; 14] = [
    "grid1k", "grid10k", "grid90k", "cube3k", "comm1k", "comm10k", "comm50k", "comm100k", "comm1m", "scale10k", "tree",
    "star", "islands", "path",
];

/// A graph of [`NAMES`]; `None` for another name.
#[must_use]
pub fn by_name(name: &str) -> Option<Network> {
    Some(match name {
        "grid1k" => grid(name, 32, 32),
        "grid10k" => grid(name, 100, 100),
        "grid90k" => grid(name, 300, 300),
        "cube3k" => cube(name, 15),
        "comm1k" => communities(name, 1_000, 20),
        "comm10k" => communities(name, 10_000, 200),
        "comm50k" => communities(name, 50_000, 1_000),
        "comm100k" => communities(name, 100_000, 2_000),
        "comm1m" => communities(name, 1_000_000, 20_000),
        "scale10k" => preferential(name, 10_000, 2),
        "tree" => tree(name, 3, 6),
        "star" => Network::new(name, 1_000, (1..1_000).map(|leaf| [0, leaf]), Vec::new()),
        "islands" => islands(name),
        "path" => Network::new(name, 200, (1..200).map(|node| [node - 1, node]), Vec::new()),
        _ => return None,
    })
}

/// A square mesh.
fn grid(name: &str, rows: u32, columns: u32) -> Network {
    let across = (0..rows).flat_map(|row| (1..columns).map(move |at| [row * columns + at - 1, row * columns + at]));
    let down = (columns..rows * columns).map(|node| [node - columns, node]);
    Network::new(name, (rows * columns) as usize, across.chain(down), Vec::new())
}

/// A mesh of cubes, `side` nodes each way.
fn cube(name: &str, side: u32) -> Network {
    let count = side * side * side;
    let along = |step: u32, modulus: u32| {
        (0..count).filter(move |node| node % modulus + step < modulus).map(move |node| [node, node + step])
    };
    let edges = along(1, side).chain(along(side, side * side)).chain(along(side * side, count));
    Network::new(name, count as usize, edges, Vec::new())
}

/// Communities of equal size; every node draws four partners in its own and one anywhere. Repeated draws are drawn
/// again, so there are exactly five edges a node.
fn communities(name: &str, nodes: u32, communities: u32) -> Network {
    let mut random = Random::new(5);
    let size = nodes / communities;
    let mut edges = std::collections::BTreeSet::new();
    for node in 0..nodes {
        for draw in 0..5 {
            loop {
                let home = node / size * size;
                let other = if draw < 4 { home + random.below(size) } else { random.below(nodes) };
                if other != node && edges.insert([node.min(other), node.max(other)]) {
                    break;
                }
            }
        }
    }
    Network::new(name, nodes as usize, edges, (0..nodes).map(|node| node / size).collect())
}

/// Each new node joins `links` old ones, chosen in proportion to their degree. Source: Barabasi and Albert, 1999.
fn preferential(name: &str, nodes: u32, links: usize) -> Network {
    let mut random = Random::new(6);
    let mut edges: Vec<[u32; 2]> = Vec::new();
    // Every end of every edge, so that a uniform choice of an end is a choice of a node by degree.
    let mut ends: Vec<u32> = (0..links as u32).collect();
    for node in links as u32..nodes {
        let mut chosen: Vec<u32> = Vec::new();
        while chosen.len() < links {
            let end = ends.get(random.below(ends.len() as u32) as usize).copied().unwrap_or(0);
            if !chosen.contains(&end) {
                chosen.push(end);
            }
        }
        for end in chosen {
            edges.push([end, node]);
            ends.extend([end, node]);
        }
    }
    Network::new(name, nodes as usize, edges, Vec::new())
}

/// Every node has `children` until `depth`; a group is a branch at the root.
fn tree(name: &str, children: u32, depth: u32) -> Network {
    let nodes: u32 = (0..=depth).map(|level| children.pow(level)).sum();
    let parent = |node: u32| (node - 1) / children;
    let mut group = vec![0; nodes as usize];
    for node in 1..nodes {
        let above = if parent(node) == 0 { node } else { group.get(parent(node) as usize).copied().unwrap_or(0) };
        if let Some(slot) = group.get_mut(node as usize) {
            *slot = above;
        }
    }
    Network::new(name, nodes as usize, (1..nodes).map(|node| [parent(node), node]), group)
}

/// 201 components of every kind: a mesh, rings, trees, stars, pairs and single nodes. A group is a component.
fn islands(name: &str) -> Network {
    let mut edges = Vec::new();
    let mut group = Vec::new();
    let mut component = 0;
    let mut add = |size: u32, joined: &mut dyn Iterator<Item = [u32; 2]>| {
        let base = group.len() as u32;
        edges.extend(joined.map(|[left, right]| [base + left, base + right]));
        group.extend(std::iter::repeat_n(component, size as usize));
        component += 1;
    };
    let mesh = grid("", 12, 12);
    add(144, &mut mesh.edges.into_iter());
    for size in 10..20 {
        add(size, &mut (0..size).map(|node| [node, (node + 1) % size]));
        add(size, &mut (1..size).map(|node| [(node - 1) / 2, node]));
        add(size, &mut (1..size).map(|node| [0, node]));
    }
    for _ in 0..70 {
        add(2, &mut std::iter::once([0, 1]));
    }
    for _ in 0..100 {
        add(1, &mut std::iter::empty());
    }
    let nodes = group.len();
    Network::new(name, nodes, edges, group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_have_the_sizes_that_the_reports_name() {
        let size = |name: &str| by_name(name).map(|network| (network.node_count, network.edges.len())).unwrap();
        assert_eq!(size("grid1k"), (1_024, 1_984));
        assert_eq!(size("grid90k"), (90_000, 179_400));
        assert_eq!(size("cube3k"), (3_375, 9_450));
        assert_eq!(size("comm1k"), (1_000, 5_000));
        assert_eq!(size("comm10k"), (10_000, 50_000));
        assert_eq!(size("scale10k"), (10_000, 19_996));
        assert_eq!(size("tree"), (1_093, 1_092));
        assert_eq!(size("star"), (1_000, 999));
        assert_eq!(size("islands"), (144 + 3 * 145 + 140 + 100, 264 + 145 + 2 * 135 + 70));
        assert!(NAMES.iter().all(|name| *name == "comm1m" || by_name(name).is_some()));
        assert!(by_name("karate").is_none());
    }

    #[test]
    fn the_same_name_gives_the_same_graph() {
        // Changes with any change of a generator, and then every committed result is of another graph.
        let sum = |name: &str| {
            let network = by_name(name).unwrap();
            network.edges.iter().fold(0u64, |sum, [left, right]| {
                sum.wrapping_mul(0x100_0000_01b3).wrapping_add((u64::from(*left) << 32) | u64::from(*right))
            })
        };
        assert_eq!([sum("comm1k"), sum("scale10k")], [14_156_696_919_770_696_758, 4_346_897_999_722_337_614]);
    }

    #[test]
    fn communities_keep_most_edges_to_themselves() {
        let network = by_name("comm1k").unwrap();
        let within = network
            .edges
            .iter()
            .filter(|[left, right]| network.group[*left as usize] == network.group[*right as usize]);
        let share = within.count() as f64 / network.edges.len() as f64;
        assert!((0.8..0.83).contains(&share), "{share}");
    }
}
