#!/usr/bin/env python3
"""The peers that Python or a program of their own runs. The command line and the answer are those of ../node/adapter.mjs:

    python peers.py PEER GRAPH.edges OUT.csv DIMENSIONS TICKS SEED SECONDS

They draw a graph as a whole: TICKS is how many iterations they may take where they can be told, SECONDS is left to the caller.
graph-tool's needs the Python that Debian installed it for.
"""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile


def cpu_ms(who=resource.RUSAGE_SELF):
    usage = resource.getrusage(who)
    return (usage.ru_utime + usage.ru_stime) * 1e3


class Clock:
    """Processor time of what stands under `with`."""

    def __init__(self, who=resource.RUSAGE_SELF):
        self.who = who

    def __enter__(self):
        self.began = cpu_ms(self.who)
        return self

    def __exit__(self, *_):
        self.ms = cpu_ms(self.who) - self.began


def igraph_fr(nodes, edges, dimensions, ticks, seed):
    import random

    import igraph

    random.seed(seed)
    graph = igraph.Graph(nodes, edges)
    with Clock() as clock:
        layout = graph.layout_fruchterman_reingold(niter=ticks, dim=dimensions)
    return layout.coords, f"igraph {igraph.__version__}", {"ticks": ticks, "tick_ms": clock.ms / ticks}


def networkx_spring(nodes, edges, dimensions, ticks, seed):
    import networkx

    graph = networkx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(edges)
    with Clock() as clock:
        at = networkx.spring_layout(graph, dim=dimensions, iterations=ticks, seed=seed, method="force")
    place = [list(map(float, at[node])) for node in range(nodes)]
    return place, f"networkx {networkx.__version__}", {"ticks": ticks, "tick_ms": clock.ms / ticks}


def s_gd2(nodes, edges, dimensions, ticks, seed):
    import importlib.metadata

    import numpy
    import s_gd2 as package

    sources, targets = numpy.array(edges, dtype=numpy.int32).T
    # Exact stress takes memory of the square of the nodes; its sparse form, with 200 pivots, is for larger graphs.
    with Clock() as clock:
        if nodes <= 5_000 and dimensions == 2:
            at = package.layout_convergent(sources, targets, random_seed=seed)
        elif dimensions == 2:
            at = package.layout_sparse(sources, targets, 200, random_seed=seed)
        else:
            raise SystemExit("s_gd2 draws in the plane")
    return at.tolist(), f"s_gd2 {importlib.metadata.version('s_gd2')}", {"whole_ms": clock.ms}


def graphviz_sfdp(nodes, edges, dimensions, ticks, seed):
    # Overlaps are left as they are: removing them moves nodes for the sake of their labels.
    head = f"graph {{ graph [start={seed}, dim={dimensions}, dimen={dimensions}, overlap=true, splines=none];"
    text = [head, "node [shape=point, width=0.01, label=\"\"];"]
    text += [f"{node};" for node in range(nodes)] + [f"{left} -- {right};" for left, right in edges] + ["}"]
    with tempfile.TemporaryDirectory() as folder:
        dot = os.path.join(folder, "graph.dot")
        with open(dot, "w") as file:
            file.write("\n".join(text))
        with Clock(resource.RUSAGE_CHILDREN) as clock:
            done = subprocess.run(["sfdp", "-Tdot", dot], check=True, capture_output=True, text=True)
    version = subprocess.run(["sfdp", "-V"], check=True, capture_output=True, text=True).stderr
    # Long lines are folded by a backslash; a node's attributes may stand in any order.
    place = [None] * nodes
    for node, attributes in re.findall(r"^\s*(\d+)\s*\[(.*?)\];", done.stdout.replace("\\\n", ""), re.M | re.S):
        place[int(node)] = [float(axis) for axis in re.search(r'pos="([^"]*)"', attributes)[1].split(",")]
    return place, f"graphviz {re.search(r'[0-9.]+', version)[0]}", {"whole_ms": clock.ms}


def graph_tool_sfdp(nodes, edges, dimensions, ticks, seed):
    import graph_tool
    from graph_tool.draw import sfdp_layout

    if dimensions != 2:
        raise SystemExit("graph-tool's sfdp draws in the plane")
    graph_tool.seed_rng(seed)
    graph = graph_tool.Graph(directed=False)
    graph.add_vertex(nodes)
    graph.add_edge_list(edges)
    with Clock() as clock:
        at = sfdp_layout(graph, multilevel=True)
    return [list(map(float, at[node])) for node in range(nodes)], f"graph-tool {graph_tool.__version__.split()[0]}", {
        "whole_ms": clock.ms
    }


PEERS = {
    "igraph": igraph_fr,
    "networkx": networkx_spring,
    "s_gd2": s_gd2,
    "sfdp": graphviz_sfdp,
    "graph-tool": graph_tool_sfdp,
}


def main():
    peer, graph_file, out_file, dimensions, ticks, seed, _seconds = sys.argv[1:]
    dimensions, ticks, seed = int(dimensions), int(ticks), int(seed)
    with open(graph_file) as file:
        (nodes, _), *edges = (tuple(map(int, line.split())) for line in file)
    place, version, answer = PEERS[peer](nodes, edges, dimensions, ticks, seed)
    with open(out_file, "w") as file:
        file.write("id,x,y\n" if dimensions == 2 else "id,x,y,z\n")
        file.writelines(",".join(map(repr, [node, *at[:dimensions]])) + "\n" for node, at in enumerate(place))
    print(json.dumps({"version": version, **answer}))


if __name__ == "__main__":
    main()
