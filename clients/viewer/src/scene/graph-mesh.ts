/**
 * The graph on the GPU: one draw call of points, one of lines, both reading one texture of positions.
 *
 * A frame uploads 16 bytes for each node and nothing else; colours, sizes and edges go up once an epoch.
 */

import {
  AdditiveBlending, BufferAttribute, BufferGeometry, Color, DataTexture, DoubleSide, FloatType, GLSL3, InstancedBufferAttribute,
  InstancedBufferGeometry, InstancedInterleavedBuffer, InterleavedBufferAttribute, LineSegments, Mesh, NearestFilter, NormalBlending,
  Points, RGBAFormat, RawShaderMaterial, Vector2,
} from "three";
import { UNDRESSED, type Dress } from "../dress.js";
import { SIZE_LEAST as LEAST, SIZE_MORE as MORE, SIZE_PLAIN } from "../encoding.js";
import type { Graph } from "../graph.js";
import type { Sizing } from "../guide.js";
import { BACKGROUND, type Painting } from "../palette.js";
import { STRIDE } from "../protocol.js";
import {
  BADGE_FRAGMENT, BADGE_VERTEX, EDGE_FRAGMENT, EDGE_VERTEX, NODE_FRAGMENT, NODE_VERTEX, WIDE_EDGE_VERTEX,
} from "./shaders.js";

const TEXTURE_WIDTH = 1024;
/** Edges that are always drawn, however slow the machine. */
const EDGES_DRAWN_MIN = 10_000;

export class GraphMesh {
  readonly points: Points<BufferGeometry, RawShaderMaterial>;
  readonly lines: LineSegments<BufferGeometry, RawShaderMaterial>;
  /** Instead of `lines` where widths mean something; made when that is first so. */
  readonly wide: Mesh<InstancedBufferGeometry, RawShaderMaterial>;
  readonly badges: Points<BufferGeometry, RawShaderMaterial>;
  /** Positions to draw, `[nodes * STRIDE]`; write and then call `moved`. */
  readonly positions: Float32Array;
  /** Radius of each node in units of `setUnit`, `[nodes]`. */
  readonly radii: Float32Array;
  private readonly texture: DataTexture;
  private readonly emphasis: BufferAttribute;
  private readonly edgeCount: number;
  private readonly picture = new Vector2(1, 1);
  private edgesDrawn: number;
  private edgesShown = true;
  private dress: Dress = UNDRESSED;
  /** Nodes that are left out of the picture, 1 for each; null is none. */
  private hidden: Uint8Array | null = null;
  private size: Sizing = "auto";
  private rank: Float32Array | null = null;

  constructor(readonly graph: Graph, private painting: Painting) {
    const count = graph.nodes.length;
    const rows = Math.max(1, Math.ceil(count / TEXTURE_WIDTH));
    const texels = new Float32Array(TEXTURE_WIDTH * rows * 4);
    this.positions = texels.subarray(0, count * STRIDE);
    this.positions.set(graph.positions);
    this.texture = new DataTexture(texels, TEXTURE_WIDTH, rows, RGBAFormat, FloatType);
    this.texture.magFilter = this.texture.minFilter = NearestFilter;
    this.texture.needsUpdate = true;
    this.radii = radiiOf(graph);

    const shared = {
      positions: { value: this.texture },
      depthRange: { value: new Vector2(0, 1) },
      focused: { value: -1 },
    };
    const nodes = new BufferGeometry();
    nodes.setAttribute("paint", new BufferAttribute(painting.colours, 4, true));
    nodes.setAttribute("radius", new BufferAttribute(this.radii, 1));
    this.emphasis = new BufferAttribute(new Uint8Array(count).fill(255), 1, true);
    nodes.setAttribute("emphasis", this.emphasis);
    nodes.setAttribute("opacity", new BufferAttribute(new Uint8Array(count).fill(255), 1, true));
    nodes.setDrawRange(0, count);
    this.points = new Points(nodes, material(NODE_VERTEX, NODE_FRAGMENT, {
      ...shared,
      unit: { value: 1 },
      pixelsPerUnit: { value: 1 },
      pixelRange: { value: new Vector2(2, 200) },
      background: { value: new Color().setStyle(BACKGROUND, "srgb-linear") },
      marked: { value: true },
    }));
    this.points.material.depthWrite = true;
    this.points.renderOrder = 2;
    this.points.frustumCulled = false;
    const { uniforms } = this.points.material;
    const badges = new BufferGeometry();
    badges.setAttribute("badge", new BufferAttribute(new Uint8Array(count * 4), 4, true));
    badges.setAttribute("radius", nodes.getAttribute("radius"));
    badges.setAttribute("emphasis", this.emphasis);
    badges.setDrawRange(0, count);
    this.badges = new Points(badges, material(BADGE_VERTEX, BADGE_FRAGMENT, { ...uniforms, picture: { value: this.picture } }));
    this.badges.renderOrder = 2.5;
    this.badges.frustumCulled = false;
    this.badges.visible = false;

    this.edgeCount = graph.edges.length / 2;
    this.edgesDrawn = this.edgeCount;
    this.lines = new LineSegments(edgeGeometry(graph), material(EDGE_VERTEX, EDGE_FRAGMENT, {
      ...shared,
      opacity: { value: edgeOpacity(this.edgeCount) },
      typicalLength: { value: 1 },
      unfocused: { value: 0.25 },
      tint: { value: TINT },
    }));
    this.wide = new Mesh(new InstancedBufferGeometry(), material(WIDE_EDGE_VERTEX, EDGE_FRAGMENT, {
      ...this.lines.material.uniforms, picture: { value: this.picture }, pixelRatio: { value: 1 },
    }));
    this.wide.material.side = DoubleSide;
    this.wide.visible = false;
    for (const part of [this.lines, this.wide]) {
      part.material.blending = AdditiveBlending;
      part.material.depthTest = false;
      part.renderOrder = 1;
      part.frustumCulled = false;
    }
    this.setEdgesDrawn(this.edgeCount);
    this.repaint(painting);
  }

  moved(): void {
    this.texture.needsUpdate = true;
  }

  /** Other sizes for the same nodes; `rank` is their PageRank, where it is known. O(nodes). */
  resize(size: Sizing, rank: Float32Array | null): void {
    [this.size, this.rank] = [size, rank];
    this.radii.set(this.dress.radii ?? radiiOf(this.graph, size, rank));
    // Whoever looks for what is drawn finds no radius there.
    this.hidden?.forEach((hidden, node) => { if (hidden === 1) this.radii[node] = 0; });
    this.points.geometry.getAttribute("radius").needsUpdate = true;
  }

  /** Other colours for the same nodes. O(nodes + edges). */
  repaint(painting: Painting): void {
    this.painting = painting;
    this.points.geometry.setAttribute("paint", new BufferAttribute(nodePaint(painting, this.dress), 4, true));
    const paint = this.edgePaint();
    this.lines.geometry.setAttribute("paint", new BufferAttribute(paint, 4, true));
    if (this.dress.edgeWidths === null) return;
    const both = new InstancedInterleavedBuffer(paint, 8);
    this.wide.geometry.setAttribute("nearPaint", new InterleavedBufferAttribute(both, 4, 0, true));
    this.wide.geometry.setAttribute("farPaint", new InterleavedBufferAttribute(both, 4, 4, true));
  }

  /** Other icons, badges, opacities and edges, and what of the nodes is drawn at all. O(nodes + edges). */
  wear(dress: Dress, hidden: Uint8Array | null): void {
    [this.dress, this.hidden] = [dress, hidden];
    const { nodes } = this.graph;
    const opacity = dress.opacities ?? new Uint8Array(nodes.length).fill(255);
    this.points.geometry.setAttribute("opacity", new BufferAttribute(opacity, 1, true));
    this.points.material.uniforms["marked"]!.value = dress.icons === null;
    this.badges.visible = dress.badges !== null;
    if (dress.badges !== null) this.badges.geometry.setAttribute("badge", new BufferAttribute(dress.badges, 4, true));
    this.lines.material.uniforms["tint"]!.value = dress.edgeColours === null ? TINT : 1;
    if (dress.edgeWidths !== null) this.widen(dress.edgeWidths);
    this.resize(this.size, this.rank);
    this.repaint(this.painting);
    this.showEdges(this.edgesShown);
  }

  /** Whether edges are drawn at all. */
  showEdges(shown: boolean): void {
    this.edgesShown = shown;
    this.lines.visible = shown && this.dress.edgeWidths === null;
    this.wide.visible = shown && this.dress.edgeWidths !== null;
  }

  /** How it looks, for tests: of a node its radius, shape, opacity and badge, of an edge its colour and width. */
  look(node: number, edge: number): object {
    const of = (name: string, size: number, at: number, mesh: { geometry: BufferGeometry } = this.points) => (
      [...(mesh.geometry.getAttribute(name).array as Uint8Array).subarray(at * size, at * size + size)]
    );
    const place = placeOf(edge, this.edgeCount);
    return {
      radius: this.radii[node], paint: of("paint", 4, node), opacity: of("opacity", 1, node)[0], badge: of("badge", 4, node, this.badges),
      edge: of("paint", 8, place, this.lines), width: this.wide.visible ? of("width", 1, place, this.wide)[0] : null,
    };
  }

  private widen(widths: Float32Array): void {
    const { geometry } = this.wide;
    if (geometry.index === null) {
      geometry.setIndex([0, 1, 2, 2, 1, 3]);
      geometry.setAttribute("corner", new BufferAttribute(new Float32Array([0, -1, 1, -1, 0, 1, 1, 1]), 2));
      const ends = new Uint32Array(this.edgeCount * 2);
      forEachEdge(this.graph, (place, source, target) => ends.set([source, target], place * 2));
      const both = new InstancedInterleavedBuffer(ends, 2);
      geometry.setAttribute("near", new InterleavedBufferAttribute(both, 1, 0));
      geometry.setAttribute("far", new InterleavedBufferAttribute(both, 1, 1));
    }
    const inOrder = new Float32Array(this.edgeCount);
    forEachEdge(this.graph, (place, _source, _target, edge) => { inOrder[place] = widths[edge] ?? 1; });
    geometry.setAttribute("width", new InstancedBufferAttribute(inOrder, 1));
    geometry.instanceCount = this.edgesDrawn;
  }

  /** Colour and opacity of both ends of every edge, in the order in which they are drawn: its own, else those of its ends. */
  private edgePaint(): Uint8Array {
    const { painting: { colours }, dress: { edgeColours, opacities }, hidden, graph } = this;
    const paint = new Uint8Array(graph.edges.length * 4);
    forEachEdge(graph, (place, source, target, edge) => {
      if (hidden !== null && (hidden[source] === 1 || hidden[target] === 1)) return;
      [source, target].forEach((node, end) => {
        const own = edgeColours !== null && edgeColours[edge * 4 + 3] === 255;
        const [from, first] = own ? [edgeColours, edge * 4] : [colours, node * 4];
        const at = place * 8 + end * 4;
        for (let channel = 0; channel < 3; channel++) paint[at + channel] = from[first + channel]!;
        paint[at + 3] = opacities?.[node] ?? 255;
      });
    });
    return paint;
  }

  /** `unit`: world units of radius 1. `typicalLength`: world units of an edge that is drawn at full opacity. */
  setScale(unit: number, typicalLength: number): void {
    this.points.material.uniforms["unit"]!.value = unit;
    this.lines.material.uniforms["typicalLength"]!.value = typicalLength;
  }

  /** `near` and `far`: distances from the camera between which things fade. Pixels are those of the buffer. */
  setCamera(near: number, far: number, pixelsPerUnit: number, pixelRatio: number, width: number, height: number): void {
    this.picture.set(width, height);
    this.wide.material.uniforms["pixelRatio"]!.value = pixelRatio;
    (this.points.material.uniforms["depthRange"]!.value as Vector2).set(near, Math.max(far, near + 1e-3));
    this.points.material.uniforms["pixelsPerUnit"]!.value = pixelsPerUnit;
    (this.points.material.uniforms["pixelRange"]!.value as Vector2).set(2.2 * pixelRatio, 160 * pixelRatio);
  }

  /** Shows `index` and its neighbours and dims the rest; -1 shows all alike. O(edges). */
  focus(index: number): void {
    const levels = this.emphasis.array as Uint8Array;
    levels.fill(index < 0 ? 255 : 56);
    if (index >= 0) {
      levels[index] = 255;
      for (const neighbour of this.neighbours(index)) levels[neighbour] = 255;
    }
    this.emphasis.needsUpdate = true;
    this.points.material.uniforms["focused"]!.value = index;
  }

  /** Indices at the other end of every edge of `index`. O(edges). */
  neighbours(index: number): number[] {
    const { edges } = this.graph;
    const found: number[] = [];
    for (let k = 0; k < edges.length; k += 2) {
      if (edges[k] === index) found.push(edges[k + 1]!);
      else if (edges[k + 1] === index) found.push(edges[k]!);
    }
    return found;
  }

  /** Draws half of the edges drawn now, an even pick of them; false when that is as few as it goes. */
  drawFewerEdges(): boolean {
    if (this.edgesDrawn <= EDGES_DRAWN_MIN) return false;
    this.setEdgesDrawn(Math.max(EDGES_DRAWN_MIN, Math.floor(this.edgesDrawn / 2)));
    return true;
  }

  /** Draws twice as many edges as now; false when all are drawn. */
  drawMoreEdges(): boolean {
    if (this.edgesDrawn >= this.edgeCount) return false;
    this.setEdgesDrawn(Math.min(this.edgeCount, this.edgesDrawn * 2));
    return true;
  }

  edgeShare(): number {
    return this.edgeCount === 0 ? 1 : this.edgesDrawn / this.edgeCount;
  }

  dispose(): void {
    this.texture.dispose();
    for (const part of [this.points, this.badges, this.lines, this.wide]) {
      part.geometry.dispose();
      part.material.dispose();
    }
  }

  private setEdgesDrawn(count: number): void {
    this.edgesDrawn = count;
    this.lines.geometry.setDrawRange(0, count * 2);
    this.wide.geometry.instanceCount = count;
    this.lines.material.uniforms["opacity"]!.value = edgeOpacity(count);
  }
}

function material(vertexShader: string, fragmentShader: string, uniforms: RawShaderMaterial["uniforms"]) {
  return new RawShaderMaterial({
    vertexShader: vertexShader.replaceAll("TEXTURE_WIDTH", `${TEXTURE_WIDTH}u`),
    fragmentShader,
    uniforms,
    glslVersion: GLSL3,
    transparent: true,
    depthWrite: false,
    blending: NormalBlending,
  });
}

/** How much of an edge's colour is that of its ends, where it has none of its own. */
const TINT = 0.72;

/** The colours of nodes, with their icons where those mean something. */
function nodePaint({ colours }: Painting, { icons }: Dress): Uint8Array {
  if (icons === null) return colours;
  const paint = colours.slice();
  icons.forEach((icon, node) => { paint[node * 4 + 3] = icon; });
  return paint;
}

/** About 1 for a lone node of weight 1, growing with the root of what counts, so that area tells it: degree and weight where nothing else
 * is wanted. */
function radiiOf(graph: Graph, size: Sizing = "auto", rank: Float32Array | null = null): Float32Array {
  const { nodes } = graph;
  if (size === "equal" || (size === "rank" && rank === null)) return new Float32Array(nodes.length).fill(SIZE_PLAIN);
  const amountOf = (index: number) => {
    if (size === "rank") return rank?.[index] ?? 0;
    return size === "weight" ? nodes[index]!.weight : nodes[index]!.degree;
  };
  let most = size === "rank" ? Number.MIN_VALUE : 1;
  for (let index = 0; index < nodes.length; index++) most = Math.max(most, amountOf(index));
  return Float32Array.from(nodes, (node, index) => {
    const weight = size === "auto" ? Math.min(2.5, Math.max(0.6, Math.sqrt(node.weight || 1))) : 1;
    return (LEAST + MORE * Math.sqrt(amountOf(index) / most)) * weight;
  });
}

/** Light for each edge, so that a dense picture neither burns out nor goes dark. */
function edgeOpacity(count: number): number {
  return Math.max(0.028, Math.min(0.5, 7 / Math.sqrt(Math.max(1, count))));
}

function edgeGeometry(graph: Graph): BufferGeometry {
  const count = graph.edges.length / 2;
  const near = new Uint32Array(count * 2);
  const far = new Uint32Array(count * 2);
  forEachEdge(graph, (place, source, target) => {
    near.set([source, target], place * 2);
    far.set([target, source], place * 2);
  });
  const geometry = new BufferGeometry();
  geometry.setAttribute("near", new BufferAttribute(near, 1));
  geometry.setAttribute("far", new BufferAttribute(far, 1));
  geometry.setAttribute("paint", new BufferAttribute(new Uint8Array(count * 8), 4, true));
  return geometry;
}

/** Every edge once, in an order of which any front part is an even pick. */
function forEachEdge(graph: Graph, take: (place: number, source: number, target: number, edge: number) => void): void {
  const count = graph.edges.length / 2;
  const step = stepOf(count);
  for (let place = 0, edge = 0; place < count; place++, edge = (edge + step) % count) {
    take(place, graph.edges[edge * 2]!, graph.edges[edge * 2 + 1]!, edge);
  }
}

/** Steps of a prime that does not divide the count. */
function stepOf(count: number): number {
  return count % 7919 === 0 ? 1 : 7919;
}

/** When an edge is drawn. */
function placeOf(edge: number, count: number): number {
  const step = stepOf(count);
  for (let place = 0, at = 0; place < count; place++, at = (at + step) % count) if (at === edge) return place;
  return 0;
}
