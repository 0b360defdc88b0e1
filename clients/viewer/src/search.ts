/** The search box: nodes by label or key, best match first; Enter or a click hands the node over. */

import type { NodeInfo } from "./graph.js";
import { element } from "./panel.js";

const RESULTS_MAX = 7;

/** Indices of the nodes that match, best first: whole label, then its start, then a word's start, then anywhere. */
export function findNodes(nodes: NodeInfo[], query: string): number[] {
  const wanted = query.trim().toLowerCase();
  if (wanted === "") return [];
  const found: { index: number; rank: number }[] = [];
  nodes.forEach((node, index) => {
    const label = node.label.toLowerCase();
    const rank = label === wanted || node.key.toLowerCase() === wanted || String(node.id) === wanted ? 0
      : label.startsWith(wanted) ? 1
        : label.includes(` ${wanted}`) ? 2
          : label.includes(wanted) || node.key.toLowerCase().includes(wanted) ? 3 : -1;
    if (rank >= 0) found.push({ index, rank });
  });
  found.sort((a, b) => a.rank - b.rank || nodes[b.index]!.degree - nodes[a.index]!.degree);
  return found.slice(0, RESULTS_MAX).map(({ index }) => index);
}

export class Search {
  private results: number[] = [];
  private active = 0;
  private readonly input = element<HTMLInputElement>("query");
  private readonly list = element<HTMLUListElement>("found");

  constructor(private readonly nodes: () => NodeInfo[], private readonly chosen: (index: number) => void) {
    this.input.addEventListener("input", () => this.search());
    this.input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    this.input.addEventListener("focus", () => this.search());
    this.input.addEventListener("keydown", (event) => this.onKey(event));
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  close(): void {
    this.results = [];
    this.show();
  }

  private search(): void {
    this.results = findNodes(this.nodes(), this.input.value);
    this.active = 0;
    this.show();
  }

  private onKey(event: KeyboardEvent): void {
    event.stopPropagation();
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.active = (this.active + step + this.results.length) % Math.max(1, this.results.length);
      this.show();
      event.preventDefault();
    } else if (event.key === "Enter") this.choose(this.active);
    else if (event.key === "Escape") {
      this.close();
      this.input.blur();
    }
  }

  private choose(place: number): void {
    const index = this.results[place];
    if (index === undefined) return;
    this.close();
    this.input.blur();
    this.chosen(index);
  }

  private show(): void {
    const open = this.results.length > 0;
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
    if (open) this.input.setAttribute("aria-activedescendant", `found-${this.active}`);
    else this.input.removeAttribute("aria-activedescendant");
    this.list.replaceChildren(...this.results.map((index, place) => {
      const node = this.nodes()[index]!;
      const row = document.createElement("li");
      row.id = `found-${place}`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", String(place === this.active));
      for (const text of [node.label, node.group ?? node.class.replaceAll("_", " ")]) {
        const part = document.createElement("span");
        part.textContent = text;
        row.append(part);
      }
      row.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        this.choose(place);
      });
      return row;
    }));
  }
}
