/**
 * The graph on the GPU: one draw call of points, one of lines, both reading one texture of positions.
 *
 * A frame uploads 16 bytes for each node and nothing else; colours, sizes and edges go up once an epoch.
 */

import {
  AdditiveBlending, BufferAttribute, BufferGeometry, Color, DataTexture, FloatType, GLSL3, LineSegments,
  NearestFilter, NormalBlending, Points, RGBAFormat, RawShaderMaterial, Vector2,
} from "three";
import type { Graph } from "../graph.js";
import type { Sizing } from "../guide.js";
import { BACKGROUND, type Painting } from "../palette.js";
import { STRIDE } from "../protocol.js";
import { EDGE_FRAGMENT, EDGE_VERTEX, NODE_FRAGMENT, NODE_VERTEX } from "./shaders.js";

const TEXTURE_WIDTH = 1024;
/** Edges that are always drawn, however slow the machine. */
const EDGES_DRAWN_MIN = 10_000;

export class GraphMesh {
  readonly points: Points<BufferGeometry, RawShaderMaterial>;
  readonly lines: LineSegments<BufferGeometry, RawShaderMaterial>;
  /** Positions to draw, `[nodes * STRIDE]`; write and then call `moved`. */
  readonly positions: Float32Array;
  /** Radius of each node in units of `setUnit`, `[nodes]`. */
  readonly radii: Float32Array;
  private readonly texture: DataTexture;
  private readonly emphasis: BufferAttribute;
  private readonly edgeCount: number;
  private edgesDrawn: number;

  constructor(readonly graph: Graph, painting: Painting) {
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
    nodes.setDrawRange(0, count);
    this.points = new Points(nodes, material(NODE_VERTEX, NODE_FRAGMENT, {
      ...shared,
      unit: { value: 1 },
      pixelsPerUnit: { value: 1 },
      pixelRange: { value: new Vector2(2, 200) },
      background: { value: new Color().setStyle(BACKGROUND, "srgb-linear") },
    }));
    this.points.material.depthWrite = true;
    this.points.renderOrder = 2;
    this.points.frustumCulled = false;

    this.edgeCount = graph.edges.length / 2;
    this.edgesDrawn = this.edgeCount;
    this.lines = new LineSegments(edgeGeometry(graph, painting), material(EDGE_VERTEX, EDGE_FRAGMENT, {
      ...shared,
      opacity: { value: edgeOpacity(this.edgeCount) },
      typicalLength: { value: 1 },
      unfocused: { value: 0.25 },
    }));
    this.lines.material.blending = AdditiveBlending;
    this.lines.material.depthTest = false;
    this.lines.renderOrder = 1;
    this.lines.frustumCulled = false;
    this.setEdgesDrawn(this.edgeCount);
  }

  moved(): void {
    this.texture.needsUpdate = true;
  }

  /** Other sizes for the same nodes; `rank` is their PageRank, where it is known. O(nodes). */
  resize(size: Sizing, rank: Float32Array | null): void {
    this.radii.set(radiiOf(this.graph, size, rank));
    this.points.geometry.getAttribute("radius").needsUpdate = true;
  }

  /** Other colours for the same nodes. O(nodes + edges). */
  repaint(painting: Painting): void {
    this.points.geometry.setAttribute("paint", new BufferAttribute(painting.colours, 4, true));
    this.lines.geometry.setAttribute("paint", edgePaint(this.graph, painting));
  }

  /** `unit`: world units of radius 1. `typicalLength`: world units of an edge that is drawn at full opacity. */
  setScale(unit: number, typicalLength: number): void {
    this.points.material.uniforms["unit"]!.value = unit;
    this.lines.material.uniforms["typicalLength"]!.value = typicalLength;
  }

  /** `near` and `far`: distances from the camera between which things fade. Pixels are those of the buffer. */
  setCamera(near: number, far: number, pixelsPerUnit: number, pixelRatio: number): void {
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
    for (const part of [this.points, this.lines]) {
      part.geometry.dispose();
      part.material.dispose();
    }
  }

  private setEdgesDrawn(count: number): void {
    this.edgesDrawn = count;
    this.lines.geometry.setDrawRange(0, count * 2);
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

/** Radius of the least node among those of the greatest, and how much larger the greatest is. */
const [LEAST, MORE] = [0.72, 2.1];

/** About 1 for a lone node of weight 1, growing with the root of what counts, so that area tells it: degree and weight where nothing else
 * is wanted. */
function radiiOf(graph: Graph, size: Sizing = "auto", rank: Float32Array | null = null): Float32Array {
  const { nodes } = graph;
  if (size === "equal" || (size === "rank" && rank === null)) return new Float32Array(nodes.length).fill(LEAST + MORE / 4);
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

function edgeGeometry(graph: Graph, painting: Painting): BufferGeometry {
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
  geometry.setAttribute("paint", edgePaint(graph, painting));
  return geometry;
}

/** The colours of both ends of every edge, in the order in which they are drawn. */
function edgePaint(graph: Graph, painting: Painting): BufferAttribute {
  const paint = new Uint8Array(graph.edges.length * 4);
  forEachEdge(graph, (place, source, target) => {
    for (let channel = 0; channel < 4; channel++) {
      paint[place * 8 + channel] = painting.colours[source * 4 + channel]!;
      paint[place * 8 + 4 + channel] = painting.colours[target * 4 + channel]!;
    }
  });
  return new BufferAttribute(paint, 4, true);
}

/** Every edge once, in an order of which any front part is an even pick. */
function forEachEdge(graph: Graph, take: (place: number, source: number, target: number) => void): void {
  const count = graph.edges.length / 2;
  // Steps of a prime that does not divide the count.
  const step = count % 7919 === 0 ? 1 : 7919;
  for (let place = 0, edge = 0; place < count; place++, edge = (edge + step) % count) {
    take(place, graph.edges[edge * 2]!, graph.edges[edge * 2 + 1]!);
  }
}
