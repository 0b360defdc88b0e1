#!/usr/bin/env python3
"""Makes out/debian.json: all of Debian's main component, about 100,000 nodes.

    ./make_debian.py [OUT]         (out/debian.json beside this script when left out; the folder is not committed)

Nodes are binary packages (group: their section), the source packages that they are built from (group `source`) and the
maintainers of these (group `maintainer`; the name, without the address). Edges say `needs` (binary to binary),
`built-from` (binary to source) and `maintained-by` (source to maintainer).
"""

import collections
import json
import math
import os
import sys

from debian import Index, progress


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "out", "debian.json")
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    index = Index()

    links, maintainers = [], {}
    for count, name in enumerate(sorted(index.packages)):
        if count % 20_000 == 0:
            progress(f"{count} packages of {len(index.packages)}")
        source = index.source(name)
        links += [(name, other, "needs") for other in index.depends(name)]
        links.append((name, f"source:{source}", "built-from"))
        # Binary packages of one source seldom name different maintainers; the first in alphabetical order counts.
        maintainers.setdefault(source, index.packages[name].get("Maintainer", "unknown").split(" <")[0].strip('" '))
    links += [(f"source:{source}", f"maintainer:{who}", "maintained-by") for source, who in sorted(maintainers.items())]

    degree = collections.Counter(target for _, target, _ in links)

    def node(id_, label, group):
        return {"id": id_, "label": label, "group": group, "weight": round(1 + math.log10(1 + degree[id_]), 2)}

    nodes = [node(name, name, index.section(name)) for name in sorted(index.packages)]
    nodes += [node(f"source:{source}", source, "source") for source in sorted(maintainers)]
    nodes += [node(f"maintainer:{who}", who, "maintainer") for who in sorted(set(maintainers.values()))]
    head = {"name": "All of Debian", "source": index.release, "made_by": "examples/graphs/make_debian.py"}
    progress("writing")
    with open(out, "w", encoding="utf-8") as file:
        file.write('{"directed": true, "graph": ' + json.dumps(head) + ',\n"nodes": [\n')
        file.write(",\n".join(json.dumps(node, separators=(",", ":")) for node in nodes))
        file.write('\n],\n"links": [\n')
        keys = ("source", "target", "relation")
        file.write(",\n".join(json.dumps(dict(zip(keys, link)), separators=(",", ":")) for link in links))
        file.write("\n]}\n")
    progress(f"{len(nodes)} nodes, {len(links)} edges -> {out}")


if __name__ == "__main__":
    main()
