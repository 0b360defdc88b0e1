"""Reads the nouns of WordNet 3.0 from Debian's package `wordnet-base`, for the make_*.py scripts.

The package is used where it is installed; else `apt-get download` brings it and it is unpacked into a temporary folder,
without installing anything. Python standard library only. Formats: wndb(5WN).
"""

import os
import subprocess
import tempfile

from debian import fail, progress

INSTALLED = "/usr/share/wordnet"
KIND_OF = ("@", "@i")
PART_OF = ("#p", "#m", "#s")


class Synset:
    """`key` is the first word and which of that word's senses this is: `dog.n.01`."""

    def __init__(self, key, words, pointers, gloss):
        self.key, self.words, self.pointers, self.gloss = key, words, pointers, gloss


def nouns():
    """offset -> Synset, for every noun synset."""
    if os.path.exists(os.path.join(INSTALLED, "data.noun")):
        return _read(INSTALLED)
    with tempfile.TemporaryDirectory() as folder:
        return _read(_unpack(folder))


def kinds_of(synsets, key):
    """Offsets of the synset `key` and of everything that is a kind of it, directly or not."""
    start = next((offset for offset, synset in synsets.items() if synset.key == key), None)
    if start is None:
        fail(f"there is no noun synset {key}; keys look like dog.n.01")
    below = {}
    for offset, synset in synsets.items():
        for symbol, other in synset.pointers:
            if symbol in KIND_OF:
                below.setdefault(other, []).append(offset)
    inside, stack = {start}, [start]
    while stack:
        for offset in below.get(stack.pop(), []):
            if offset not in inside:
                inside.add(offset)
                stack.append(offset)
    return inside


def _unpack(folder):
    """Downloads and unpacks the package below `folder`; gives the folder of its data files."""
    progress("wordnet-base is not installed: downloading it")
    try:
        # apt warns when it may not drop its privileges in this folder; the package's hash is checked all the same.
        subprocess.run(["apt-get", "download", "-qq", "wordnet-base"], cwd=folder, check=True, stderr=subprocess.PIPE)
        package = next(name for name in os.listdir(folder) if name.endswith(".deb"))
        subprocess.run(["dpkg", "-x", package, "."], cwd=folder, check=True)
    except (OSError, subprocess.CalledProcessError, StopIteration) as error:
        fail(f"wordnet-base could not be downloaded ({error}); run `apt-get update`, or install it, and try again")
    return os.path.join(folder, "usr", "share", "wordnet")


def _read(folder):
    sense = {}  # (lemma, offset) -> number; index.noun lists the synsets of a lemma in the order of its senses
    for line in _lines(os.path.join(folder, "index.noun")):
        fields = line.split()
        count, pointer_kinds = int(fields[2]), int(fields[3])
        for number, offset in enumerate(fields[6 + pointer_kinds : 6 + pointer_kinds + count], 1):
            sense[fields[0], offset] = number
    synsets = {}
    for line in _lines(os.path.join(folder, "data.noun")):
        data, _, gloss = line.partition(" | ")
        fields = data.split()
        offset, words = fields[0], int(fields[3], 16)
        at = 4 + 2 * words
        pointers = []
        for index in range(int(fields[at])):
            symbol, other, part, _ = fields[at + 1 + 4 * index : at + 5 + 4 * index]
            if part == "n" and symbol in KIND_OF + PART_OF:
                pointers.append((symbol, other))
        names = fields[4 : 4 + 2 * words : 2]
        key = f"{names[0]}.n.{sense[names[0].lower(), offset]:02}"
        synsets[offset] = Synset(key, names, pointers, gloss.strip())
    return synsets


def _lines(path):
    """The lines of a WordNet file without the licence at its head, which is indented by two blanks."""
    with open(path, encoding="latin-1") as file:
        return [line for line in file if not line.startswith("  ")]
