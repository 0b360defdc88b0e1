#!/usr/bin/env python3
"""Makes an edge list of a part of WordNet 3.0: everything that is a kind of one word's sense.

    ./make_wordnet.py [ROOT] [OUT]      (artifact.n.01 and wordnet_artifacts.txt beside this script when left out)

One line an edge, `source target relation`: `armchair.n.01 chair.n.01 kind_of`. Relations are kind_of (hypernyms) and part_of
(part, member and substance holonyms), where both ends are in the part of WordNet that was asked for.
"""

import os
import sys

import wordnet
from debian import progress


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else "artifact.n.01"
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(here, "wordnet_artifacts.txt")
    synsets = wordnet.nouns()
    inside = wordnet.kinds_of(synsets, root)
    edges = set()
    for offset in inside:
        for symbol, other in synsets[offset].pointers:
            if other in inside and other != offset:
                relation = "kind_of" if symbol in wordnet.KIND_OF else "part_of"
                edges.add((synsets[offset].key, synsets[other].key, relation))
    with open(out, "w", encoding="utf-8") as file:
        file.write(f"# WordNet 3.0, kinds of {root}; Copyright 2006 by Princeton University, see LICENSE-WordNet.txt\n")
        file.write("# source target relation; made by examples/graphs/make_wordnet.py\n")
        for edge in sorted(edges):
            file.write(" ".join(edge) + "\n")
    progress(f"{len(inside)} nodes, {len(edges)} edges -> {out}")


if __name__ == "__main__":
    main()
