#!/usr/bin/env python3
"""Makes scores.json: the scores of layouts worked out by numpy and scipy, written from the definitions alone.

    python3 reference.py        (needs numpy, scipy and networkx, as ../../peers/python/.venv has them)

Each case is CASE.edges (counts, then an edge a line) and CASE.csv (id,x,y[,z]), both made here.
"""

import json
import pathlib

import networkx as nx
import numpy as np
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist

HERE = pathlib.Path(__file__).parent


def stress(graph, at):
    hops = shortest_path(nx.to_scipy_sparse_array(graph, nodelist=range(len(at))), unweighted=True)
    apart = cdist(at, at)
    pair = np.triu(np.isfinite(hops), 1)
    d, x = hops[pair], apart[pair]
    # The best scale by the derivative of the sum; the sum itself as it is defined, not simplified.
    s = np.sum(x / d) / np.sum((x / d) ** 2)
    return float(np.mean(((s * x - d) / d) ** 2))


def preserved(graph, at, hops):
    kept = []
    for node in graph:
        if graph.degree(node) == 0:
            continue
        near = set(nx.single_source_shortest_path_length(graph, node, cutoff=hops))
        near.discard(node)
        by_distance = np.argsort(np.linalg.norm(at - at[node], axis=1), kind="stable")
        by_distance = by_distance[by_distance != node]
        drawn = set(by_distance[: len(near)].tolist())
        kept.append(len(near & drawn) / len(near | drawn))
    return float(np.mean(kept))


def spread(graph, at):
    lengths = np.array([np.linalg.norm(at[a] - at[b]) for a, b in graph.edges])
    return float(lengths.std() / lengths.mean())


def main():
    random = np.random.default_rng(1)
    karate = nx.karate_club_graph()
    islands = nx.disjoint_union_all([nx.cycle_graph(30), nx.star_graph(12), nx.path_graph(2), nx.empty_graph(3)])
    cases = {
        "karate-2d": (karate, np.array(list(nx.spring_layout(karate, seed=4).values()))),
        "islands-3d": (islands, random.normal(size=(len(islands), 3))),
        "watts-2d": (nx.connected_watts_strogatz_graph(400, 6, 0.1, seed=2), random.uniform(size=(400, 2)) * 1e4),
    }
    scores = {}
    for name, (graph, at) in cases.items():
        with open(HERE / f"{name}.edges", "w") as file:
            file.write(f"{len(graph)} {graph.number_of_edges()}\n")
            file.writelines(f"{a} {b}\n" for a, b in graph.edges)
        at = np.round(at, 6)
        with open(HERE / f"{name}.csv", "w") as file:
            file.write("id,x,y\n" if at.shape[1] == 2 else "id,x,y,z\n")
            file.writelines(",".join([str(node), *map(repr, map(float, row))]) + "\n" for node, row in enumerate(at))
        scores[name] = {
            "stress": stress(graph, at),
            "np1": preserved(graph, at, 1),
            "np2": preserved(graph, at, 2),
            "edge_spread": spread(graph, at),
        }
    (HERE / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")


if __name__ == "__main__":
    main()
