#!/usr/bin/env python3
"""Writes `compact.stream`: a chain of the compact profile, made from PROTOCOL.md section 6 with plain integers; and the
viewer's copy of the tables.

An encoder that shares no code with ours: it follows moving nodes, chooses its codings by a small generator so that all of
them come up, and after every tick says what each block's state hashes to. Whoever decodes the file and agrees with every
hash has the arithmetic right. Run it only when the format or its tables change.

The file is a row of messages: u8 kind (2 delta, 3 snapshot, 4 info, 5 mark), u8 1 when the tick normalises, u16 0, u32
length, then the body.
"""
import pathlib
import re
import struct

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
TABLES = ROOT / "src/wire/compact/tables/trained.rs"
VIEWER_TABLES = ROOT / "clients/viewer/src/wire/tables.ts"

BLOCK, HALF, UNITS, HOT = 1024, 2048, 4096, 260
NODES = BLOCK + 76
TICKS = 40


def numbers(name):
    body = re.search(r"const %s: .*?= \[(.*?)\];" % name, TABLES.read_text(), re.S).group(1)
    return [int(number) for number in re.findall(r"\d+", body)]


FLAGS = numbers("FLAGS")
QUIET = [numbers("QUIET")[place:place + 16] for place in range(0, 24 * 16, 16)]
HOTS = [numbers("HOT")[place:place + 32] for place in range(0, 8 * 32, 32)]


def fnv(data):
    value = 0x811C9DC5
    for part in data:
        value = ((value ^ part) * 0x01000193) & 0xFFFFFFFF
    return value


TABLE_HASH = fnv(b"".join(struct.pack("<H", number) for number in FLAGS + sum(QUIET, []) + sum(HOTS, [])))


def i32(value):
    return (value + 2**31) % 2**32 - 2**31


def towards_zero(value, by):
    return abs(value) // by * (1 if value >= 0 else -1)


def log2(value):
    return value.bit_length() - 1


def zigzag(value):
    return 2 * value if value >= 0 else -2 * value - 1


def rank(value):
    return zigzag(-value)


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


class Bits:
    """Bits as a string, first bit first."""

    def __init__(self):
        self.text = ""

    def put(self, value, width):
        assert 0 <= value < 2**width
        self.text += format(value, f"0{width}b")[::-1] if width else ""

    def rice(self, value, low):
        if value >> low < 20:
            self.text += "1" * (value >> low) + "0"
            self.put(value % 2**low, low)
        else:
            self.text += "1" * 20
            self.put(value, 32)

    def bytes(self):
        text = self.text + "0" * (-len(self.text) % 8)
        return bytes(int(text[place:place + 8][::-1], 2) for place in range(0, len(text), 8))


class Node:
    def __init__(self):
        self.p, self.v, self.w, self.e, self.k = [0] * 3, [0] * 3, [0] * 3, 0, 0

    def predict(self, decay, normalise):
        for axis in range(3):
            if decay:
                self.v[axis] = i32(self.v[axis] - (i32(i32(self.v[axis] * decay) + 512) >> 10))
            self.p[axis] = i32(self.p[axis] + self.v[axis])
            if normalise:
                self.p[axis] = i32(self.p[axis] + 512) // 1024 * 1024
        self.e -= self.e >> 4
        self.k = min(self.k + 1, 255)

    def quiet(self, steps):
        k = min(max(self.k, 1), 64)
        gain = 256 if k <= 8 else 200
        for axis, step in enumerate(steps):
            self.p[axis] = i32(self.p[axis] + step * HALF)
            self.v[axis] = i32(self.v[axis] + towards_zero(i32(step * 8 * gain), k))
        self.e += (sum(map(abs, steps)) * 85 // k - self.e) >> 2
        self.k = 0
        if self.e >= HOT:
            self.w = list(self.v)

    def hot(self, steps):
        share = 130 if self.e < 420 else 180 if self.e < 1000 else 210 if self.e < 3400 else 230
        energy = self.e + ((sum(map(abs, steps)) * 171 - self.e) >> 2)
        for axis, step in enumerate(steps):
            self.p[axis] = i32(self.p[axis] + step * UNITS)
            now = i32(self.v[axis] + step * UNITS)
            more = i32(i32(now - self.w[axis]) * share) >> 8
            self.v[axis] = now if energy < HOT else i32(now + more)
            self.w[axis] = now
        self.e, self.k = energy, 0

    def normalise(self):
        self.e = energy_of(energy_class(self.e))
        self.k = ticks_of(ticks_class(self.k))
        grid = 2048 if self.e >= HOT else 128
        self.v = [i32(v + grid // 2) // grid * grid for v in self.v]
        self.w = list(self.v)

    def words(self):
        return self.p + self.v + (self.w if self.e >= HOT else []) + [self.e, self.k]


def energy_class(e):
    return e if e < 2 else 2 * log2(e) + (e >> (log2(e) - 1)) % 2


def energy_of(c):
    return c if c < 2 else (2 + c % 2) << (c // 2 - 1)


def ticks_class(k):
    return k.bit_length()


def ticks_of(c):
    return 0 if c == 0 else 1 << (c - 1)


def hash_of(nodes, decay):
    return fnv([word % 2**32 for node in nodes for word in node.words()] + [decay])


# Entropy coding: symbols are (start, frequency) of 4,096, in seven passes.

def symbol(table, place):
    return sum(table[:place]), table[place]


def along(step, velocity):
    return -step if velocity < 0 else step


def coded_value(table, shift, value, bits):
    """The symbol; what it leaves open goes to `bits`."""
    lifted = value + (1 << shift >> 1)
    place = rank(lifted >> shift)
    if place < len(table) - 1:
        bits.put(lifted % (1 << shift), shift)
        return symbol(table, place)
    bits.put(zigzag(value), 22)
    return symbol(table, len(table) - 1)


def rans(passes, count):
    states, words = [0 if count == 1 else 65536] * count, []
    for symbols in reversed(passes):
        for place, (start, frequency) in reversed(list(enumerate(symbols))):
            state = states[place % count]
            if state >= frequency << 20:
                words.append(state % 65536)
                state >>= 16
            states[place % count] = (state // frequency << 12) + state % frequency + start
    size = 4
    if count == 1:
        size = (4 if states[0] >> 24 else 3) if words else (states[0].bit_length() + 7) // 8
    return b"".join(state.to_bytes(size, "little") for state in states) + b"".join(
        struct.pack("<H", word) for word in reversed(words))


def off_of(node, target):
    return [i32(t - p) for t, p in zip(target, node.p)]


def quiet_steps(off):
    return [(abs(o) + 1024) // 2048 * (1 if o >= 0 else -1) for o in off]


def entropy(nodes, targets, states):
    """Whether there are plain bits, and the payload that they begin."""
    flags, quiet, hot = [], [], []
    for node, target in zip(nodes, targets):
        off = off_of(node, target)
        if node.e >= HOT:
            hot.append((node, [(o + HALF) >> 12 for o in off]))
            continue
        k = node.k
        bucket = k - 1 if k < 8 else 7 if k < 16 else 8 if k < 32 else 9 if k < 64 else 10
        one = FLAGS[min(node.e.bit_length(), 9) * 11 + max(bucket, 0)]
        needed = any(abs(o) > HALF for o in off)
        flags.append(symbol([4096 - one, one], int(needed)))
        if needed:
            quiet.append((node, quiet_steps(off)))
    passes, bits = [flags], Bits()
    for axis in range(3):
        symbols = []
        for node, steps in quiet:
            k, any_before = node.k, any(steps[:axis])
            row = 0 if k < 2 else k - 1 if k < 4 else 3 if k < 8 else 4 if k < 16 else 5
            table = QUIET[row * 4 + (3 if any_before else axis)]
            symbols.append(coded_value(table, 0, along(steps[axis], node.v[axis]), bits))
        passes.append(symbols)
    for axis in range(3):
        symbols = []
        for node, steps in hot:
            high = log2(max(node.e, 256))
            row, shift = (3, high - 10) if high > 10 else (high - 8, 0)
            table = HOTS[2 * row + (node.e >> (high - 1)) % 2]
            symbols.append(coded_value(table, shift, along(steps[axis], node.v[axis]), bits))
        passes.append(symbols)
    for node, steps in quiet:
        node.quiet(steps)
    for node, steps in hot:
        node.hot(steps)
    plain = bits.bytes()
    return plain != b"", (varint(len(plain)) + plain if plain else b"") + rans(passes, states)


def gaps(nodes, targets):
    found = [index for index, (node, target) in enumerate(zip(nodes, targets))
             if any(abs(o) > HALF for o in off_of(node, target))]
    low = log2(max(1, len(nodes) * 45 // 64 // (len(found) + 1)))
    bits, following = Bits(), 0
    for index in found:
        bits.rice(index - following, low)
        following = index + 1
        node = nodes[index]
        steps = quiet_steps(off_of(node, targets[index]))
        for step, velocity in zip(steps, node.v):
            place = rank(along(step, velocity))
            if place < 15:
                bits.text += "1" * place + "0"
            else:
                bits.text += "1" * 15
                bits.put(zigzag(step), 22)
        node.quiet(steps)
    return varint(len(found)) + bits.bytes()


def snapshot(nodes, decay):
    bits = Bits()

    def field(values, width):
        least, span = min(values), (max(values) - min(values)).bit_length()
        bits.put(least % 2**width, width)
        bits.put(span, 5)
        return least, span

    fields = [field([node.p[axis] >> 10 for node in nodes], 22) for axis in range(3)]
    energies = field([energy_class(node.e) for node in nodes], 7)
    ticks = field([ticks_class(node.k) for node in nodes], 5)
    # Any parameters are right; these are not what our encoder would take.
    for low in (3, 5):
        bits.put(low, 5)
    bits.put(decay, 8)
    for node in nodes:
        bits.put(energy_class(node.e) - energies[0], energies[1])
        bits.put(ticks_class(node.k) - ticks[0], ticks[1])
        for p, (least, span) in zip(node.p, fields):
            bits.put((p >> 10) - least, span)
        for v in node.v:
            bits.rice(zigzag(v >> (11 if node.e >= HOT else 7)), 5 if node.e >= HOT else 3)
    return bits.bytes()


class Dice:
    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit

    def around(self, limit):
        return self.below(2 * limit + 1) - limit


def viewer_tables():
    def rows(tables):
        return "".join(f"  [{', '.join(map(str, table))}],\n" for table in tables)

    return (
        "/** Written by tests/golden/make_compact.py from src/wire/compact/tables/trained.rs; not to be edited by hand. */\n"
        f"\n/** Of 4,096 quiet nodes, how many are corrected. */\nexport const FLAGS: readonly number[] = [\n"
        + "".join(f"  {', '.join(map(str, FLAGS[row:row + 11]))},\n" for row in range(0, 110, 11))
        + "];\n\n/** Corrections of quiet nodes. */\nexport const QUIET: readonly (readonly number[])[] = [\n"
        + rows(QUIET)
        + "];\n\n/** Corrections of hot nodes. */\nexport const HOT: readonly (readonly number[])[] = [\n"
        + rows(HOTS)
        + "];\n"
    )


def main():
    dice = Dice(2026)
    blocks = [[Node() for _ in range(BLOCK)], [Node() for _ in range(NODES - BLOCK)]]
    decays = [0, 0]
    targets = [[[dice.around(8000 * UNITS) for _ in range(3)] for _ in block] for block in blocks]
    speeds = [[[0, 0, 0] for _ in block] for block in blocks]
    for block, wanted in zip(blocks, targets):
        for node, target in zip(block, wanted):
            node.p = [(t + 512) // 1024 * 1024 for t in target]
    messages = [(4, 0, struct.pack("<I3ffIHBBI", NODES, 16.0, -8.5, 0.0, 0.25, TABLE_HASH, 60, 10, 12, 0))]

    def blocks_of(each):
        return b"".join(varint(index) + varint(len(body)) + body for index, body in each)

    def add_snapshot():
        messages.append((3, 0, blocks_of((i, snapshot(block, decays[i])) for i, block in enumerate(blocks))))

    add_snapshot()
    for tick in range(TICKS):
        normalise = tick % 8 == 7
        said = []
        for index, block in enumerate(blocks):
            # Heat rises and fades; a tenth of block 0 gets it, block 1 moves little, and now and then something jumps.
            for place, (target, speed) in enumerate(zip(targets[index], speeds[index])):
                heat = 0
                if index == 0 and place % 10 == 0 and tick < 24:
                    heat = UNITS * (1 << min(tick, 12) // 2)
                elif place % 7 == 0:
                    heat = 150 if tick < 30 else 4
                for axis in range(3):
                    speed[axis] = speed[axis] * 7 // 8 + dice.around(heat)
                    target[axis] = max(-(2**30), min(2**30, target[axis] + speed[axis]))
            if tick in (5, 17, 33):
                targets[index][dice.below(len(block))] = [dice.around(2**30) for _ in range(3)]
            for node in block:
                node.predict(decays[index], normalise)
            over = sum(any(abs(o) > HALF for o in off_of(node, t)) for node, t in zip(block, targets[index]))
            hot = sum(node.e >= HOT for node in block)
            if over or hot or dice.below(4) == 0:
                sparse = hot == 0 and (over < 20 or dice.below(2) == 0)
                if sparse:
                    mode, body = 1, gaps(block, targets[index])
                else:
                    states = dice.below(2) * 3 + 1
                    plain, body = entropy(block, targets[index], states)
                    mode = (2 if states == 1 else 3) | plain << 3
                if dice.below(3) == 0:
                    decays[index] = dice.below(256) if tick % 5 == 0 else dice.below(40)
                    said.append((index, bytes([mode | 4, decays[index]]) + body))
                else:
                    said.append((index, bytes([mode]) + body))
            for node, target in zip(block, targets[index]):
                assert all(abs(o) <= HALF for o in off_of(node, target))
                if normalise:
                    node.normalise()
        messages.append((2, int(normalise), blocks_of(said)))
        marks = [(i, struct.pack("<I", hash_of(block, decays[i]))) for i, block in enumerate(blocks)]
        messages.append((5, 0, blocks_of(marks)))
        if tick == 23:
            add_snapshot()
    stream = b"".join(struct.pack("<BBHI", kind, flag, 0, len(body)) + body for kind, flag, body in messages)
    (HERE / "compact.stream").write_bytes(stream)
    VIEWER_TABLES.write_text(viewer_tables())
    print(f"{len(messages)} messages, {len(stream)} bytes, table hash {TABLE_HASH:#010x}")


main()
