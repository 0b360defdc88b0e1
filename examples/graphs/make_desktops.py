#!/usr/bin/env python3
"""Makes desktops.csv: which source packages the GNOME and KDE desktops are built of, and how strongly they hang together.

    ./make_desktops.py [OUT]        (desktops.csv beside this script when left out)

A node is a source package of Debian. An edge goes from one to another that it needs; its weight is how many pairs of their
binary packages say so.
"""

import collections
import csv
import os
import sys

from debian import Index, fail, progress, reach

ROOTS = ["gnome", "kde-full", "kde-standard", "plasma-workspace"]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "desktops.csv")
    index = Index()
    depends = {name: index.depends(name) for name in index.packages}
    roots = [root for root in ROOTS if root in depends]
    if not roots:
        fail(f"this release has none of {', '.join(ROOTS)}")
    pairs = collections.Counter()
    for name in reach(depends, roots):
        for other in depends[name]:
            source, target = index.source(name), index.source(other)
            if source != target:
                pairs[source, target] += 1
    with open(out, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["source", "target", "weight"])
        for (source, target), count in sorted(pairs.items()):
            rows.writerow([source, target, count])
    progress(f"{len({end for pair in pairs for end in pair})} nodes, {len(pairs)} edges -> {out}")


if __name__ == "__main__":
    main()
