#!/usr/bin/env python3
"""Makes default.json: what a handful of well-known programs of many ecosystems need, from Debian's package index.

    ./make_default.py [OUT]        (OUT is default.json beside this script when left out)

A node is a package, its group is Debian's section (`python`, `ruby`, `libs` ...; sections with fewer than
GROUP_NODES_MIN nodes are `other`). An edge says "needs". Edges that a longer path implies are left out (see
debian.reduce_transitive). A node's weight is 1 + log10(1 + the packages in all of Debian that need it directly).
"""

import collections
import json
import math
import os
import sys

from debian import Index, progress, reach, reduce_transitive

ROOTS = """
    rails npm jupyter-notebook python3-pandas python3-sklearn python3-django r-cran-tidyverse libghc-pandoc-dev
    libcatalyst-perl maven librust-tokio-dev golang-github-gin-gonic-gin-dev octave gimp inkscape vlc firefox-esr
    git apache2 postgresql wordpress emacs-gtk texlive-latex-base gnome-shell
""".split()
GROUP_NODES_MIN = 10


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "default.json")
    index = Index()
    everything = {name: index.depends(name) for name in index.packages}
    needed_by = collections.Counter(other for others in everything.values() for other in others)
    roots = [root for root in ROOTS if root in everything]
    for root in sorted(set(ROOTS) - set(roots)):
        progress(f"{root} is not in this release and is left out")
    names = sorted(reach(everything, roots))
    depends = reduce_transitive({name: everything[name] for name in names})
    sizes = collections.Counter(index.section(name) for name in names)

    def group(name):
        section = index.section(name)
        return section if sizes[section] >= GROUP_NODES_MIN else "other"

    nodes = [
        {"id": name, "label": name, "group": group(name), "weight": round(1 + math.log10(1 + needed_by[name]), 2)}
        for name in names
    ]
    links = [{"source": name, "target": other, "weight": 1} for name in names for other in depends[name]]
    head = {
        "name": "What well-known programs need, in Debian",
        "source": index.release,
        "made_by": "examples/graphs/make_default.py",
        "roots": roots,
    }
    with open(out, "w", encoding="utf-8") as file:
        # One node or link a line, so that a new index gives a readable diff.
        file.write('{"directed": true, "graph": ' + json.dumps(head) + ',\n"nodes": [\n')
        file.write(",\n".join(json.dumps(node, separators=(",", ":")) for node in nodes))
        file.write('\n],\n"links": [\n')
        file.write(",\n".join(json.dumps(link, separators=(",", ":")) for link in links))
        file.write("\n]}\n")
    progress(f"{len(nodes)} nodes, {len(links)} edges, {len(set(n['group'] for n in nodes))} groups -> {out}")


if __name__ == "__main__":
    main()
