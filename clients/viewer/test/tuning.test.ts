import { describe, expect, it } from "vitest";
import { STEPS, changesIn, knobsOf, positionOf, shownValue, valueAt } from "../src/tuning.js";

const row = (rest: object) => ({ "x-live": true, description: "What it does.", ...rest });
const schema = (properties: object) => ({ properties: { sim: { properties } } });

describe("knobs", () => {
  it("are made of the schema", () => {
    const knobs = knobsOf(schema({
      repel_k: row({ type: "number", minimum: 0, maximum: 1e7, default: 17_000, "x-unit": "u" }),
      dimensions: row({ type: "integer", minimum: 2, maximum: 3, default: 3 }),
      force_model: row({ type: "string", enum: ["t_force", "lin_log", "next_year"], default: "t_force" }),
      spring_tail: row({ type: "number", minimum: 0, maximum: 1, default: 0.5 }),
    }));
    expect(knobs.map(({ path }) => path)).toEqual(["sim.force_model", "sim.dimensions", "sim.repel_k"]);
    expect(knobs[0]!.choices.map(({ title }) => title)).toEqual(["Bounded", "LinLog", "next_year"]);
    expect(knobs[1]!.choices).toEqual([{ value: 2, title: "2D" }, { value: 3, title: "3D" }]);
    expect(knobs[2]).toMatchObject({ hint: "What it does. In u.", choices: [], min: 0, max: 1e7, whole: false });
  });

  it("are left out where they are not what they should be", () => {
    for (const odd of [null, 7, {}, schema({}), schema({ damping: null }), schema({ damping: row({ type: "number", default: 1 }) }),
      schema({ damping: row({ type: "number", minimum: 0, maximum: 1, default: null }) }),
      schema({ damping: { ...row({ type: "number", minimum: 0, maximum: 1, default: 0.9 }), "x-live": false } }),
    ]) expect(knobsOf(odd)).toEqual([]);
  });

  it("go by factors around the default where the range is wide, else along the range", () => {
    const [wide] = knobsOf(schema({ repel_k: row({ type: "number", minimum: 100, maximum: 1e7, default: 17_000 }) }));
    expect(valueAt(wide!, STEPS / 2)).toBe(17_000);
    expect([valueAt(wide!, 0), valueAt(wide!, STEPS)]).toEqual([567, 510_000]);
    expect([positionOf(wide!, 17_000), positionOf(wide!, 0), positionOf(wide!, 1e7)]).toEqual([STEPS / 2, 0, STEPS]);
    const [narrow] = knobsOf(schema({ rate_hz: row({ type: "integer", minimum: 1, maximum: 120, default: 60 }) }));
    expect([0, STEPS / 2, STEPS].map((position) => valueAt(narrow!, position))).toEqual([1, 61, 120]);
    expect(positionOf(narrow!, 60)).toBe(99);
    for (let position = 0; position <= STEPS; position += 1) {
      expect(Math.abs(positionOf(wide!, valueAt(wide!, position)) - position)).toBeLessThanOrEqual(1);
    }
    const [small] = knobsOf(schema({ repel_k: row({ type: "number", minimum: 16_000, maximum: 1e7, default: 17_000 }) }));
    expect(valueAt(small!, 0)).toBe(16_000);
  });

  it("follow what the server says is in force", () => {
    expect(changesIn({ changes: [{ path: "sim.damping", value: 0.5 }, { path: 3, value: 1 }, null, { path: "x", value: {} }] }))
      .toEqual(new Map([["sim.damping", 0.5]]));
    expect(changesIn({ changes: "all" }).size).toBe(0);
    expect([shownValue(1234.5678), shownValue("t_force")]).toEqual(["1235", "t_force"]);
  });
});
