"""Makes the golden values beside it: what networkx, igraph, scikit-learn and scipy say of small graphs and point sets.

    python3 -m venv v && v/bin/pip install -r requirements.txt && v/bin/python make.py

Points have three decimals and are rounded to f32 before the libraries see them, as the engine sees them.
"""

import json
import random
from pathlib import Path

import igraph
import networkx as nx
import numpy as np
from scipy.stats import zscore
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import make_blobs, make_circles, make_moons
from sklearn.neighbors import LocalOutlierFactor

HERE = Path(__file__).parent


def write(name, value):
    (HERE / name).write_text(json.dumps(value, separators=(",", ":")).replace('],"', '],\n"') + "\n")


def labels(communities, nodes):
    found = [0] * nodes
    for label, members in enumerate(communities):
        for member in members:
            found[member] = label
    return found


def finite(distance):
    return [None if value == float("inf") else value for value in distance]


def describe(graph):
    """Reference results of a graph with nodes 0 to n-1, in that order, and the attribute `weight`."""
    nodes = graph.number_of_nodes()
    edges = [[a, b, data["weight"]] for a, b, data in graph.edges(data=True)]
    quality = lambda communities: nx.community.modularity(graph, communities)
    louvain = max((nx.community.louvain_communities(graph, seed=seed) for seed in range(20)), key=quality)
    random.seed(1)
    other = igraph.Graph(n=nodes, edges=[edge[:2] for edge in edges], edge_attrs={"weight": [e[2] for e in edges]})
    other_weights = other.es["weight"]
    leiden = max(
        other.modularity(other.community_leiden("modularity", weights=other_weights, n_iterations=-1), other_weights)
        for _ in range(20)
    )
    spread = [quality(list(nx.community.asyn_lpa_communities(graph, weight="weight", seed=seed))) for seed in range(50)]
    inverse = nx.Graph()
    inverse.add_nodes_from(range(nodes))
    inverse.add_weighted_edges_from((a, b, 1.0 / weight) for a, b, weight in edges)
    paths = lambda of, weight: finite(
        [nx.single_source_dijkstra_path_length(of, 0, weight=weight).get(node, float("inf")) for node in range(nodes)]
    )
    return {
        "nodes": nodes,
        "edges": edges,
        "hops": paths(graph, None),
        "weights": paths(graph, "weight"),
        "inverse": paths(inverse, "weight"),
        "pagerank": [nx.pagerank(graph, tol=1e-13, max_iter=1000)[node] for node in range(nodes)],
        "pagerank_unweighted": [nx.pagerank(graph, tol=1e-13, max_iter=1000, weight=None)[n] for n in range(nodes)],
        "components": labels(sorted(nx.connected_components(graph), key=min), nodes),
        "louvain": labels(louvain, nodes),
        "louvain_modularity": quality(louvain),
        "leiden_modularity": leiden,
        "propagation_modularity_mean": float(np.mean(spread)),
        "propagation_modularity_max": max(spread),
        "degree_zscore": zscore([degree for _, degree in sorted(graph.degree())]).tolist(),
    }


def plain(graph):
    """The same without loops, in node order, every edge of weight 1 where it has none."""
    made = nx.Graph()
    made.add_nodes_from(range(graph.number_of_nodes()))
    made.add_edges_from((a, b, {"weight": data.get("weight", 1)}) for a, b, data in graph.edges(data=True) if a != b)
    return made


def points(array):
    """Positions in three dimensions: decimals for the file, the f32 values of them for the libraries."""
    array = np.round(np.asarray(array, dtype=float), 3)
    if array.shape[1] == 2:
        array = np.hstack([array, np.zeros((len(array), 1))])
    return array.tolist(), array.astype(np.float32).astype(float)


def density(array, radius, neighbours):
    listed, exact = points(array)
    found = DBSCAN(eps=radius, min_samples=neighbours).fit(exact)
    return {
        "points": listed,
        "radius": radius,
        "neighbours": neighbours,
        "cluster": found.labels_.tolist(),
        "cores": len(found.core_sample_indices_),
    }


def means(array, clusters, seed):
    listed, exact = points(array)
    first = exact[np.random.default_rng(seed).choice(len(exact), clusters, replace=False)]
    found = KMeans(clusters, init=first, n_init=1, tol=1e-6, max_iter=300, algorithm="lloyd").fit(exact)
    best = KMeans(clusters, n_init=20, random_state=seed).fit(exact)
    return {
        "points": listed,
        "first": first.tolist(),
        "cluster": found.labels_.tolist(),
        "centre": found.cluster_centers_.tolist(),
        "inertia": found.inertia_,
        "best_inertia": best.inertia_,
    }


def outliers(array, neighbours):
    listed, exact = points(array)
    found = LocalOutlierFactor(n_neighbors=neighbours, algorithm="brute").fit(exact)
    distance = np.linalg.norm(exact - exact.mean(axis=0), axis=1)
    return {
        "points": listed,
        "neighbours": neighbours,
        "factor": (-found.negative_outlier_factor_).tolist(),
        "distance_zscore": zscore(distance).tolist(),
    }


def main():
    write("karate.json", describe(plain(nx.karate_club_graph())))
    made = nx.LFR_benchmark_graph(250, 3, 1.5, 0.1, average_degree=5, min_community=20, seed=10)
    write("lfr250.json", describe(plain(made)))
    made = nx.LFR_benchmark_graph(
        1000, 2.8, 1.5, 0.3, average_degree=10, max_degree=50, min_community=60, max_community=150, seed=2
    )
    write("lfr1000.json", describe(plain(made)))
    parts = nx.disjoint_union_all([nx.path_graph(5), nx.empty_graph(3), nx.star_graph(6), nx.cycle_graph(4)])
    write("parts.json", describe(plain(parts)))
    rng = np.random.default_rng(5)
    blobs = lambda dimensions, seed, spread=1.0: make_blobs(200, dimensions, centers=5, cluster_std=spread, random_state=seed)[0]
    write("density.json", [
        density(make_moons(200, noise=0.06, random_state=1)[0] * 100, 15.0, 5),
        density(make_circles(200, factor=0.4, noise=0.04, random_state=2)[0] * 100, 22.0, 4),
        density(blobs(3, 3), 1.2, 6),
        density(rng.random((200, 3)) * 100, 14.0, 4),
        density(np.vstack([np.zeros((40, 3)), rng.normal(0, 5, (120, 3)), np.repeat(rng.random((8, 3)) * 50, 5, axis=0)]), 2.5, 5),
    ])
    write("means.json", [
        means(blobs(3, 4), 5, 1),
        means(blobs(2, 5, 2.5), 8, 2),
        means(rng.random((200, 3)) * 1000, 8, 3),
    ])
    planted = np.vstack([rng.normal(0, 10, (150, 3)), rng.normal(60, 4, (100, 3)), [[25.0, -70.0, 30.0]]])
    write("outliers.json", [outliers(planted, 32), outliers(rng.random((180, 2)) * 500, 20)])


main()
