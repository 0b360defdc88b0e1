/** One LZ4 block, as columns of the compact profile come in. https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md */

/** The `bytes` that `block` holds, or null when it is no block of exactly as many. Allocates them, and reads and writes nothing else. */
export function decompress(block: Uint8Array, bytes: number): Uint8Array | null {
  const out = new Uint8Array(bytes);
  let [from, to] = [0, 0];
  /** Adds the bytes that follow a length of 15. */
  const longer = (length: number): number => {
    if (length < 15) return length;
    for (;;) {
      const more = block[from++];
      if (more === undefined) return Number.POSITIVE_INFINITY;
      length += more;
      if (more < 255) return length;
    }
  };
  while (from < block.length) {
    const token = block[from++]!;
    const literals = longer(token >> 4);
    if (literals > block.length - from || literals > bytes - to) return null;
    out.set(block.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    if (from === block.length) return to === bytes ? out : null; // The last sequence has no match.
    if (from + 2 > block.length) return null;
    const back = block[from]! | block[from + 1]! << 8;
    from += 2;
    const match = longer(token & 15) + 4;
    if (back === 0 || back > to || match > bytes - to) return null;
    // Byte by byte: a match may reach into what it writes.
    for (const end = to + match; to < end; to++) out[to] = out[to - back]!;
  }
  return null;
}
