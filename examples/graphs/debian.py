"""Reads the Debian package index that `apt-get update` left on this machine, for the make_*.py scripts.

Only the `main` component of the newest plain Debian release is read (no updates, security, or other vendors' archives),
so that one index gives one graph. Python standard library only.
"""

import glob
import gzip
import lzma
import os
import re
import subprocess
import sys

LISTS = "/var/lib/apt/lists"
APT_HELPER = "/usr/lib/apt/apt-helper"


def progress(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    sys.exit(f"error: {text}")


class Index:
    """One release's packages: `packages[name]` is a dict of the stanza's fields; `release` says which index it is."""

    def __init__(self, lists=LISTS):
        path, self.release = _choose(lists)
        progress(f"reading {os.path.basename(path)}")
        self.packages = {}
        for stanza in _stanzas(_text(path)):
            # The index may list several versions of a name; the last one wins, as it does on every run.
            self.packages[stanza["Package"]] = stanza
        self._providers = {}
        for name, stanza in self.packages.items():
            for virtual in _names(stanza.get("Provides", "")):
                self._providers.setdefault(virtual, []).append(name)
        progress(f"{self.release}: {len(self.packages)} packages")

    def depends(self, name):
        """Sorted names of the packages that `name` needs (Pre-Depends and Depends).

        Of alternatives `a | b` the first is taken, as apt does. A virtual name becomes its first real provider in
        alphabetical order; a name that nothing in the index provides is left out.
        """
        stanza = self.packages[name]
        found = set()
        for field in ("Pre-Depends", "Depends"):
            for wanted in _names(stanza.get(field, "")):
                if wanted in self.packages:
                    found.add(wanted)
                elif wanted in self._providers:
                    found.add(min(self._providers[wanted]))
        found.discard(name)
        return sorted(found)

    def section(self, name):
        """Debian's own section of a package, without the component: `libs`, `python`, `gnu-r`."""
        return self.packages[name].get("Section", "unknown").rpartition("/")[2]

    def source(self, name):
        """Name of the source package that `name` is built from."""
        return self.packages[name].get("Source", name).split(" ")[0]


def reach(depends, roots):
    """Every name that the roots need, the roots included. `depends` is a dict of lists."""
    seen, stack = set(roots), list(roots)
    while stack:
        for name in depends[stack.pop()]:
            if name not in seen:
                seen.add(name)
                stack.append(name)
    return seen


def reduce_transitive(depends):
    """Leaves out an edge when a longer path says the same: a -> c beside a -> b -> c.

    Almost everything depends on libc directly and through all of its other dependencies; without this step one node has
    half of all the edges. Edges inside a cycle are kept.
    """
    component = _components(depends)
    below = {}  # component -> set of components reachable from it, itself included; filled from the leaves up
    members = {}
    for name, c in component.items():
        members.setdefault(c, []).append(name)
    for c in sorted(members):  # Tarjan numbers a component after everything that it reaches.
        reached = {c}
        for name in members[c]:
            for other in depends[name]:
                if component[other] != c:
                    reached |= below[component[other]]
        below[c] = reached
    reduced = {}
    for name, others in depends.items():
        own = component[name]
        kept = []
        for other in others:
            c = component[other]
            if c != own and any(
                component[via] not in (own, c) and c in below[component[via]] for via in others
            ):
                continue
            kept.append(other)
        reduced[name] = kept
    return reduced


def _choose(lists):
    """The newest index of `main` whose release file says that it is Debian's own."""
    found = []
    for path in glob.glob(os.path.join(lists, "*_dists_*_main_binary-*_Packages*")):
        stem = path.split("_main_binary-")[0]
        head = {}
        for name in (stem + "_InRelease", stem + "_Release"):
            if os.path.exists(name):
                with open(name, encoding="utf-8", errors="replace") as file:
                    for line in file:
                        match = re.match(r"(Origin|Label|Codename|Version|Date): (.*)", line)
                        if match:
                            head.setdefault(match[1], match[2].strip())
        codename = head.get("Codename", "")
        if head.get("Origin") == "Debian" and head.get("Label") == "Debian" and "-" not in codename:
            version = tuple(int(part) for part in re.findall(r"\d+", head.get("Version", "0")))
            arch = path.split("_main_binary-")[1].split("_")[0]
            text = f"Debian {head.get('Version', '')} {codename} main {arch}, index of {head.get('Date', 'unknown date')}"
            found.append((version, codename, path, " ".join(text.split())))
    if not found:
        fail(
            f"no package index of Debian main under {lists}. On Debian run `apt-get update` as root and try again; "
            "elsewhere run this script in a Debian container."
        )
    best = max(found)
    return best[2], best[3]


def _text(path):
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8").read()
    if path.endswith(".xz"):
        return lzma.open(path, "rt", encoding="utf-8").read()
    if path.endswith("_Packages"):
        with open(path, encoding="utf-8") as file:
            return file.read()
    # apt keeps its lists in lz4 by default in containers; its own helper reads every kind it writes.
    try:
        return subprocess.run([APT_HELPER, "cat-file", path], check=True, stdout=subprocess.PIPE).stdout.decode("utf-8")
    except (OSError, subprocess.CalledProcessError) as error:
        fail(f"{path} could not be read with {APT_HELPER}: {error}")


def _stanzas(text):
    for block in text.split("\n\n"):
        stanza, key = {}, None
        for line in block.split("\n"):
            if line[:1] in (" ", "\t"):
                stanza[key] += " " + line.strip()
            elif line:
                key, _, value = line.partition(":")
                stanza[key] = value.strip()
        if stanza:
            yield stanza


def _names(field):
    """Package names of a dependency field: first alternative, without version, architecture or build profile."""
    for group in field.split(","):
        name = re.split(r"[\s(:\[]", group.split("|")[0].strip())[0]
        if name:
            yield name


def _components(depends):
    """Strongly connected components (Tarjan 1972, with a stack of its own): name -> number, callees first."""
    number, low, component = {}, {}, {}
    stack, on_stack, count = [], set(), 0
    for root in sorted(depends):
        if root in number:
            continue
        work = [(root, iter(depends[root]))]
        number[root] = low[root] = len(number)
        stack.append(root)
        on_stack.add(root)
        while work:
            name, others = work[-1]
            for other in others:
                if other not in number:
                    number[other] = low[other] = len(number)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(depends[other])))
                    break
                if other in on_stack:
                    low[name] = min(low[name], number[other])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[name])
                if low[name] == number[name]:
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component[member] = count
                        if member == name:
                            break
                    count += 1
    return component
