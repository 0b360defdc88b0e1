import { describe, expect, it } from "vitest";
import { Matrix4, PerspectiveCamera } from "three";
import { Interest, sidesOf, type Plane, type Sight } from "../src/interest.js";
import { Pins } from "../src/pins.js";
import { prng } from "./bytes.js";

function sightFrom(z: number, towards: readonly [number, number, number] = [0, 0, 0]): Sight {
  const camera = new PerspectiveCamera(42, 16 / 9, 0.1, 1e6);
  camera.position.set(towards[0], towards[1], z);
  camera.lookAt(...towards);
  camera.updateMatrixWorld();
  return {
    view: new Matrix4().copy(camera.matrixWorld).invert().elements, projection: camera.projectionMatrix.elements,
    distance: z, height: 2 * z * Math.tan((21 * Math.PI) / 180),
  };
}

/** Nodes even in a cube of 2,000 units. */
const positions = (() => {
  const random = prng(1);
  return Float32Array.from({ length: 4 * 20_000 }, (_, at) => (at % 4 === 3 ? 0 : random() * 2_000 - 1_000));
})();
const inside = (planes: readonly Plane[], [x, y, z]: readonly number[]) => planes.every(([a, b, c, d]) => a * x! + b * y! + c * z! + d >= 0);

describe("interest", () => {
  it("has planes with what is seen inside, and what is beside, or behind the eye, outside", () => {
    const planes = sidesOf(sightFrom(1_000), 0);
    expect(planes.every(([a, b, c]) => Math.abs(Math.hypot(a, b, c) - 1) < 1e-6)).toBe(true);
    const top = 1_000 * Math.tan((21 * Math.PI) / 180);
    expect([[0, 0, 0], [0, top - 1, 0], [(top * 16) / 9 - 1, 0, 0], [0, 0, 990]].map((at) => inside(planes, at))).toEqual([true, true, true, true]);
    expect([[0, top + 1, 0], [(top * 16) / 9 + 1, 0, 0], [0, 0, 1_010]].map((at) => inside(planes, at))).toEqual([false, false, false]);
    expect(inside(sidesOf(sightFrom(1_000), 10), [0, top + 9, 0])).toBe(true);
  });

  it("asks when the camera is near, again when it has moved, and for everything once it is far", () => {
    const interest = new Interest();
    expect(interest.look(0, positions, sightFrom(5_000), [])).toBeNull();
    expect(interest.look(299, positions, sightFrom(300), [])).toBeNull();
    expect(interest.look(300, positions, sightFrom(300), [])).toHaveProperty("frustum.planes.length", 4);
    expect(interest.look(600, positions, sightFrom(300), [])).toBeNull();
    expect(interest.look(900, positions, sightFrom(300, [200, 0, 0]), [7])).toMatchObject({ priority: [7] });
    expect(interest.look(1_200, positions, sightFrom(300, [200, 0, 0]), [7])).toBeNull();
    expect(interest.look(2_901, positions, sightFrom(300, [200, 0, 0]), [7])).not.toBeNull();
    expect(interest.look(3_300, positions, sightFrom(5_000), [])).toEqual({ all: true });
    expect(interest.look(3_600, positions, sightFrom(5_000), [])).toBeNull();
  });

  it("leaves small graphs whole", () => {
    expect(new Interest().look(0, positions.subarray(0, 4 * 8_000), sightFrom(300), [])).toBeNull();
  });
});

describe("pins", () => {
  it("keep what wavers within a quantum, and let go of what was moved or released", () => {
    const pins = new Pins();
    pins.set(1, true);
    const at = (x: number) => {
      const frame = new Float32Array([x, x, x, 0, x, x, x, 0]);
      pins.hold(frame, 0.5);
      return [frame[0], frame[4]];
    };
    expect([at(1), at(1.25), at(0.75), at(2), at(2.25)]).toEqual([[1, 1], [1.25, 1], [0.75, 1], [2, 2], [2.25, 2]]);
    pins.set(1, false);
    expect(at(2.25)).toEqual([2.25, 2.25]);
  });
});
