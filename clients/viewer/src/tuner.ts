/** The panel that steers the simulation for everybody who watches: what it shows is what the server says is in force. */

import { reasonOf } from "./colouring.js";
import { element, press, say } from "./panel.js";
import { MODES, STEPS, changesIn, knobsOf, positionOf, shownValue, valueAt, type Knob, type Setting } from "./tuning.js";

interface Row {
  knob: Knob;
  control: HTMLInputElement | HTMLSelectElement;
  shown: HTMLElement;
}

interface Doors {
  /** A message to the server, on the stream. */
  send(message: object): void;
  note(text: string | null): void;
}

export class Tuner {
  private rows: Row[] | null = null;
  private readonly values = new Map<string, Setting>();
  /** Of the knobs that are being turned: the value to send next. One request at a time. */
  private readonly wanted = new Map<string, Setting>();
  private sending = false;
  private paused = false;

  constructor(private readonly doors: Doors) {
    const modes = element<HTMLSelectElement>("mode");
    for (const [name, title] of MODES) modes.append(new Option(title, name));
    modes.addEventListener("change", () => {
      void this.ask("PUT", "/api/simulation/layout", { mode: modes.value }, "The layout");
    });
    element("tune").addEventListener("click", () => this.open(Boolean(element("tuner").hidden)));
    element("pause").addEventListener("click", () => {
      void this.ask("POST", `/api/simulation/${this.paused ? "resume" : "pause"}`, {}, "The simulation");
    });
    element("reheat").addEventListener("click", () => void this.ask("POST", "/api/simulation/reheat", {}, "The simulation"));
    element("restart").addEventListener("click", () => void this.ask("POST", "/api/simulation/reset", {}, "The simulation"));
    element("defaults").addEventListener("click", () => {
      const paths = (this.rows ?? []).map(({ knob }) => knob.path);
      void this.ask("POST", "/api/settings/reset", { paths }, "The settings");
    });
  }

  open(open: boolean): void {
    element("tuner").hidden = !open;
    press("tune", open);
    element("tune").setAttribute("aria-expanded", String(open));
    if (open) void this.look();
    else this.doors.send({ type: "settings_unsubscribe" });
  }

  /** Takes what a message of the stream says of settings and of the simulation. */
  take(message: { type: string } & Record<string, unknown>): void {
    switch (message.type) {
      // Of a new connection: it has not subscribed.
      case "connection_established":
        if (!element("tuner").hidden) void this.look();
        break;
      case "settings_delta":
        for (const [path, value] of changesIn(message)) this.values.set(path, value);
        this.show();
        break;
      case "physics_paused":
      case "physics_resumed":
        this.setPaused(message.type === "physics_paused");
        break;
      case "layout_changed":
        if (typeof message["mode"] === "string") element<HTMLSelectElement>("mode").value = message["mode"];
    }
  }

  private async look(): Promise<void> {
    try {
      if (this.rows === null) {
        const schema = await fetch(new URL("/api/settings/schema", location.href));
        this.rows = schema.ok ? this.build(knobsOf(await schema.json())) : null;
      }
      const response = await fetch(new URL("/api/simulation", location.href));
      const state = response.ok ? await response.json() as Record<string, unknown> : {};
      this.setPaused(state["paused"] === true);
      const mode = (state["layout"] as Record<string, unknown> | undefined)?.["mode"];
      if (typeof mode === "string") element<HTMLSelectElement>("mode").value = mode;
    } catch {
      this.doors.note("The settings cannot be had: the server does not answer.");
    }
    // All of them now, and each change from now on, whoever makes it.
    this.doors.send({ type: "settings_subscribe" });
  }

  private build(knobs: Knob[]): Row[] {
    const rows = knobs.map((knob): Row => {
      const label = document.createElement("label");
      label.title = knob.hint;
      const title = document.createElement("span");
      title.textContent = knob.title;
      const shown = document.createElement("output");
      const control = knob.choices.length > 0 ? chooser(knob) : slider();
      control.dataset["path"] = knob.path;
      control.addEventListener("input", () => {
        const chosen = knob.choices.find(({ value }) => String(value) === control.value)?.value;
        this.turn(knob, chosen ?? valueAt(knob, Number(control.value)));
      });
      label.append(title, control, shown);
      element("knobs").append(label);
      return { knob, control, shown };
    });
    return rows;
  }

  private show(): void {
    for (const { knob, control, shown } of this.rows ?? []) {
      const value = this.wanted.get(knob.path) ?? this.values.get(knob.path);
      if (value === undefined) continue;
      const text = knob.choices.length > 0 ? "" : shownValue(value);
      if (shown.textContent !== text) shown.textContent = text;
      // A slider in a hand stays where the hand is.
      if (!this.wanted.has(knob.path)) control.value = knob.choices.length > 0 ? String(value) : String(positionOf(knob, value));
    }
  }

  private turn(knob: Knob, value: Setting): void {
    this.wanted.set(knob.path, value);
    this.show();
    void this.sendNext();
  }

  /** One request after the other, each with the newest value: a slider that is drawn asks no more than the server answers. */
  private async sendNext(): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    for (let next = this.wanted.entries().next(); !next.done; next = this.wanted.entries().next()) {
      const [path, value] = next.value;
      const answer = await this.ask("PUT", "/api/settings/path", { path, value }, "The setting");
      if (this.wanted.get(path) === value) this.wanted.delete(path);
      const taken = answer?.["value"];
      if (typeof taken === "number" || typeof taken === "string" || typeof taken === "boolean") this.values.set(path, taken);
      this.show();
    }
    this.sending = false;
  }

  /** Asks for something, and says why not when it is refused. */
  private async ask(method: string, path: string, body: object, what: string): Promise<Record<string, unknown> | null> {
    try {
      const response = await fetch(new URL(path, location.href), {
        method, headers: { "content-type": "application/json" }, body: JSON.stringify(body),
      });
      if (response.ok) return await response.json() as Record<string, unknown>;
      this.doors.note(`${what} stays as it is: ${await reasonOf(response)}`);
    } catch {
      this.doors.note(`${what} stays as it is: the server does not answer.`);
    }
    return null;
  }

  private setPaused(paused: boolean): void {
    this.paused = paused;
    press("pause", paused);
    say("pause", paused ? "Go on" : "Pause");
  }
}

function slider(): HTMLInputElement {
  const input = document.createElement("input");
  input.type = "range";
  [input.min, input.max, input.step] = ["0", String(STEPS), "1"];
  return input;
}

function chooser(knob: Knob): HTMLSelectElement {
  const select = document.createElement("select");
  for (const { value, title } of knob.choices) select.append(new Option(title, String(value)));
  return select;
}
