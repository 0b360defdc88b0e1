// What every peer broadcasts, and when: a frame of Swarmcast from absolute deadlines, late ticks left out.

const HEADER_BYTES = 64;
const RECORD_BYTES = 28;

/** `--bytes N --rate HZ --port P`, as numbers. */
export function options() {
  const found = { bytes: 0, rate: 0, port: 0 };
  const words = process.argv.slice(2);
  for (let place = 0; place + 1 < words.length; place += 2) found[words[place].slice(2)] = Number(words[place + 1]);
  if (!(found.bytes > 0 && found.rate > 0)) throw new Error("--bytes N --rate HZ");
  return found;
}

/** Says where, as the benches expect it. */
export function ready(port) {
  console.log(`  stream  ws://127.0.0.1:${port}/stream`);
}

/**
 * Calls `broadcast(frame)` at the rate while `wanted()`. `nowNs` gives CLOCK_MONOTONIC as a bigint. A new buffer each
 * time: connections that are behind still hold the one before.
 */
export function tick({ bytes, rate }, nowNs, wanted, broadcast) {
  const records = Math.max(1, Math.floor((bytes - HEADER_BYTES) / RECORD_BYTES));
  const frameBytes = HEADER_BYTES + records * RECORD_BYTES;
  const periodNs = BigInt(Math.floor(1e9 / rate));
  let [sequence, dueNs] = [0n, nowNs()];
  const turn = () => {
    const lateNs = nowNs() - dueNs;
    if (lateNs >= 0n) {
      if (wanted()) {
        const frame = Buffer.alloc(frameBytes, 0x5a);
        frame.fill(0, 0, HEADER_BYTES);
        frame.write("SWMC", 0, "latin1");
        frame.writeUInt8(1, 4); // version
        frame.writeUInt8(1, 5); // kind: full
        frame.writeUInt32LE(1, 12); // epoch
        frame.writeBigUInt64LE(++sequence, 16);
        frame.writeBigUInt64LE(sequence, 32); // tick
        frame.writeBigUInt64LE(dueNs, 40);
        frame.writeUInt32LE(records, 56);
        frame.writeUInt32LE(records * RECORD_BYTES, 60);
        frame.writeBigUInt64LE(nowNs(), 48);
        broadcast(frame);
      }
      dueNs += periodNs * ((nowNs() - dueNs) / periodNs + 1n);
    }
    // Timers count in whole milliseconds, and are never early.
    setTimeout(turn, Math.max(1, Math.ceil(Number(dueNs - nowNs()) / 1e6)));
  };
  turn();
}
