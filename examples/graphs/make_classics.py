#!/usr/bin/env python3
"""Makes les_miserables.graphml and karate.gexf from the graphs that NetworkX ships, with NetworkX's own writers.

    python3 -m venv venv && venv/bin/pip install networkx==3.6.1 && venv/bin/python make_classics.py [FOLDER]
"""

import os
import re
import sys

import networkx


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    miserables = networkx.les_miserables_graph()
    for node in miserables:
        miserables.nodes[node]["label"] = node
    networkx.write_graphml(miserables, os.path.join(folder, "les_miserables.graphml"), encoding="utf-8")

    karate = networkx.karate_club_graph()
    for node, club in karate.nodes(data="club"):
        karate.nodes[node]["label"] = f"member {node + 1}"  # numbered from 1, as in Zachary's paper
        karate.nodes[node]["group"] = club
        del karate.nodes[node]["club"]
    text = "\n".join(networkx.generate_gexf(karate))
    # The writer puts the day of the run in; the same graph is to give the same bytes.
    text = re.sub(r' lastmodifieddate="[^"]*"', "", text)
    with open(os.path.join(folder, "karate.gexf"), "w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n' + text + "\n")
    for graph in (miserables, karate):
        print(f"{len(graph)} nodes, {graph.size()} edges", file=sys.stderr)


if __name__ == "__main__":
    main()
