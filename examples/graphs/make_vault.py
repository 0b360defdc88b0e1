#!/usr/bin/env python3
"""Makes vault/: a folder of linked Markdown pages about musical instruments, as Logseq and Obsidian keep them.

    ./make_vault.py [OUT] [ROOT]       (vault beside this script and musical_instrument.n.01 when left out)

One page a synset of WordNet 3.0: its gloss, in which the names of other pages become links, what it is a kind of, and
what it is a part of. A folder that is there already is replaced.
"""

import os
import re
import shutil
import sys

import wordnet
from debian import fail, progress


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "vault")
    root = sys.argv[2] if len(sys.argv) > 2 else "musical_instrument.n.01"
    if os.path.exists(out) and not os.path.exists(os.path.join(out, "pages")):
        fail(f"{out} exists and is no folder of this script; it is left alone")
    synsets = wordnet.nouns()
    inside = wordnet.kinds_of(synsets, root)
    # Parts belong to the picture too: a string to a violin, a reed to a clarinet.
    parts = {
        offset for offset, synset in synsets.items()
        if any(symbol in wordnet.PART_OF and other in inside for symbol, other in synset.pointers)
    }
    offsets = sorted(inside | parts)
    titles, aliases = name_pages(synsets, offsets)
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(os.path.join(out, "pages"))
    # Its licence asks to be on every copy; the importer reads .md files only.
    shutil.copy(os.path.join(here, "LICENSE-WordNet.txt"), out)
    links = 0
    for offset in offsets:
        text = page(synsets, offset, titles, aliases)
        links += text.count("[[")
        with open(os.path.join(out, "pages", titles[offset] + ".md"), "w", encoding="utf-8") as file:
            file.write(text)
    progress(f"{len(offsets)} pages, {links} links -> {out}")


def name_pages(synsets, offsets):
    """offset -> title, unlike each other in lower case too; and every name, in lower case -> offset of its page."""
    titles, aliases = {}, {}
    for offset in offsets:
        plain = [word.replace("_", " ") for word in synsets[offset].words]
        title = plain[0][0].upper() + plain[0][1:]
        if title.lower() in (known.lower() for known in titles.values()):
            title += f" ({synsets[offset].key.rpartition('.')[2].lstrip('0')})"
        titles[offset] = title
        for name in plain:
            aliases.setdefault(name.lower(), offset)
    return titles, aliases


def page(synsets, offset, titles, aliases):
    synset = synsets[offset]
    others = [word.replace("_", " ") for word in synset.words[1:]]
    lines = ["public:: true"] + ([f"alias:: {', '.join(others)}"] if others else [])
    lines += ["", with_links(synset.gloss, offset, titles, aliases), ""]
    for symbols, text in ((wordnet.KIND_OF, "A kind of"), (wordnet.PART_OF, "A part of")):
        found = [titles[other] for symbol, other in synset.pointers if symbol in symbols and other in titles]
        if found:
            lines.append(f"- {text} " + ", ".join(f"[[{title}]]" for title in found))
    return "\n".join(lines).rstrip() + "\n"


def with_links(gloss, offset, titles, aliases):
    """The gloss with the first mention of each other page as a link; the longest name wins."""
    names = sorted((name for name, other in aliases.items() if other != offset), key=lambda name: (-len(name), name))
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, names)) + r")(s?)\b", re.IGNORECASE)
    done = set()

    def link(match):
        other = aliases[match[1].lower()]
        if other in done:
            return match[0]
        done.add(other)
        title = titles[other]
        return f"[[{title}]]" if title == match[0] else f"[[{title}|{match[0]}]]"

    return pattern.sub(link, gloss)


if __name__ == "__main__":
    main()
