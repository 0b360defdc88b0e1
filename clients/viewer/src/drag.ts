/**
 * Dragging as messages: at most one update of a node in 16 ms, a sign of life while the hand rests, and an end
 * that comes after the last place. No DOM; times in milliseconds.
 */

/** The server leaves out updates of one node that are closer than this. */
export const UPDATE_SPACING_MS = 16;
/** The server lets a node go after 500 ms of silence. */
const ALIVE_INTERVAL_MS = 200;

export type Place = readonly [number, number, number];

export interface DragEnvironment {
  now(): number;
  timer(ms: number, run: () => void): () => void;
  send(message: object): void;
}

export class Drag {
  private place: Place;
  private sentMs: number;
  private cancel: (() => void) | null = null;
  private ended = false;

  constructor(private readonly env: DragEnvironment, readonly nodeId: number, place: Place) {
    this.place = place;
    this.sentMs = env.now();
    env.send({ type: "nodeDragStart", nodeId, position: position(place) });
    this.schedule(ALIVE_INTERVAL_MS);
  }

  move(place: Place): void {
    if (this.ended) return;
    this.place = place;
    this.schedule(this.waitMs());
  }

  /** Sends the last place and then the end. `pin` leaves the node where it is. */
  end(pin: boolean): void {
    if (this.ended) return;
    this.ended = true;
    this.cancel?.();
    this.cancel = this.env.timer(this.waitMs(), () => {
      this.update();
      this.env.send({ type: "nodeDragEnd", nodeId: this.nodeId, pin });
    });
  }

  private waitMs(): number {
    return Math.max(0, this.sentMs + UPDATE_SPACING_MS - this.env.now());
  }

  private schedule(ms: number): void {
    this.cancel?.();
    this.cancel = this.env.timer(ms, () => {
      this.update();
      this.schedule(ALIVE_INTERVAL_MS);
    });
  }

  private update(): void {
    this.sentMs = this.env.now();
    this.env.send({ type: "nodeDragUpdate", nodeId: this.nodeId, position: position(this.place) });
  }
}

function position([x, y, z]: Place): { x: number; y: number; z: number } {
  return { x, y, z };
}
