/** Camera, controls and the draw call. Knows the picture; knows nothing of streams, panels or labels. */

import {
  BufferAttribute, BufferGeometry, GLSL3, MOUSE, Mesh, PerspectiveCamera, RawShaderMaterial, Scene, TOUCH, Vector3,
  WebGLRenderer, type Object3D,
} from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import type { Graph } from "../graph.js";
import type { Sight } from "../interest.js";
import type { Painting } from "../palette.js";
import { STRIDE } from "../protocol.js";
import { boundsOf, frameOf, typicalEdgeLength, type Bounds, type Frame } from "./bounds.js";
import { GraphMesh } from "./graph-mesh.js";
import { SCREEN_STRIDE, pick, project, type Lens } from "./projection.js";

const FIELD_OF_VIEW_DEG = 42;
const FLIGHT_MS = 700;
/** How often the fit looks at where the nodes are, in ms. */
const BOUNDS_INTERVAL_MS = 200;
/** How fast the camera follows a graph that grows, per second. */
const FOLLOW_PER_SECOND = 4;

interface Flight {
  startMs: number;
  fromTarget: Vector3;
  fromEye: Vector3;
  goal: Goal;
}

/** Where a flight ends: at one node, with all of some nodes in sight, at a place of the eye and what it looks at, or at the whole graph. */
type Goal = { node: number } | { nodes: readonly number[] } | { eye: Vector3; target: Vector3 } | "graph";

export class View {
  readonly renderer: WebGLRenderer;
  readonly controls: OrbitControls;
  mesh: GraphMesh | null = null;
  width = 1;
  height = 1;
  /** Keeps the whole graph in sight until the user takes the camera. */
  following = true;
  private readonly camera = new PerspectiveCamera(FIELD_OF_VIEW_DEG, 1, 1, 1e6);
  private readonly scene = new Scene();
  private flight: Flight | null = null;
  private bounds: Bounds = { centre: [0, 0, 0], radius: 100 };
  private frame: Frame = { centre: [0, 0, 0], distance: 100 };
  private boundsAtMs = Number.NEGATIVE_INFINITY;
  private unit = 1;
  private flat = false;
  private dirty = true;
  private screen = new Float32Array(0);
  private screenFresh = false;
  private framed = false;

  constructor(readonly canvas: HTMLCanvasElement, private readonly calm: boolean) {
    this.renderer = new WebGLRenderer({ canvas, antialias: !drawsInSoftware(), powerPreference: "high-performance" });
    this.scene.add(backdrop());
    this.camera.position.set(0, 0, 500);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = !calm;
    this.controls.dampingFactor = 0.12;
    this.controls.zoomToCursor = true;
    this.controls.autoRotateSpeed = 0.6;
    this.controls.addEventListener("change", () => this.touch());
    this.controls.addEventListener("start", () => {
      this.following = false;
      this.flight = null;
    });
  }

  /** Shows another graph. `keepCamera` for the same one after a reconnect. */
  setGraph(graph: Graph, painting: Painting, keepCamera: boolean): void {
    if (this.mesh !== null) {
      this.scene.remove(this.mesh.points, this.mesh.badges, this.mesh.lines, this.mesh.wide);
      this.mesh.dispose();
    }
    this.mesh = new GraphMesh(graph, painting);
    this.scene.add(this.mesh.lines, this.mesh.wide, this.mesh.points, this.mesh.badges);
    this.screen = new Float32Array(graph.nodes.length * SCREEN_STRIDE);
    this.boundsAtMs = Number.NEGATIVE_INFINITY;
    if (!keepCamera) {
      this.following = true;
      this.framed = false;
      this.flight = null;
    }
    this.moved();
  }

  /** Two dimensions: seen from the front, moved but not turned. */
  setFlat(flat: boolean): void {
    if (this.flat === flat) return;
    this.flat = flat;
    this.controls.enableRotate = !flat;
    this.controls.mouseButtons.LEFT = flat ? MOUSE.PAN : MOUSE.ROTATE;
    this.controls.touches.ONE = flat ? TOUCH.PAN : TOUCH.ROTATE;
    if (flat) this.camera.position.set(this.controls.target.x, this.controls.target.y, this.controls.target.z + this.distance());
    this.touch();
  }

  resize(width: number, height: number, pixelRatio: number): void {
    this.boundsAtMs = Number.NEGATIVE_INFINITY;
    this.width = Math.max(1, width);
    this.height = Math.max(1, height);
    this.renderer.setPixelRatio(Math.min(pixelRatio, 2));
    this.renderer.setSize(this.width, this.height, false);
    this.camera.aspect = this.width / this.height;
    this.camera.updateProjectionMatrix();
    this.touch();
  }

  /** The positions of the mesh were written. */
  moved(): void {
    this.mesh?.moved();
    this.touch();
  }

  touch(): void {
    this.dirty = true;
    this.screenFresh = false;
  }

  fit(): void {
    this.following = true;
    this.takeOff("graph");
  }

  flyTo(node: number): void {
    this.following = false;
    this.takeOff({ node });
  }

  /** Brings all of `nodes` into sight, from the side that the camera is on. */
  flyToAll(nodes: readonly number[]): void {
    this.following = false;
    this.takeOff(nodes.length === 1 ? { node: nodes[0]! } : { nodes });
  }

  /** Puts the camera somewhere; in two dimensions, as high above the target as that is away. */
  flyFrom(eye: readonly [number, number, number], target: readonly [number, number, number]): void {
    this.following = false;
    const [from, at] = [new Vector3(...eye), new Vector3(...target)];
    if (this.flat) from.set(at.x, at.y, at.z + from.distanceTo(at));
    this.takeOff({ eye: from, target: at });
  }

  /** Turns the camera by radians around the target, or moves it by shares of the picture's height. */
  steer(turnX: number, turnY: number, panX: number, panY: number, zoom: number): void {
    this.following = false;
    this.flight = null;
    const { target } = this.controls;
    const arm = this.camera.position.clone().sub(target);
    if (!this.flat && (turnX !== 0 || turnY !== 0)) {
      arm.applyAxisAngle(this.camera.up, turnX);
      const side = new Vector3().crossVectors(this.camera.up, arm).normalize();
      const lifted = arm.clone().applyAxisAngle(side, turnY);
      if (lifted.angleTo(this.camera.up) > 0.1 && lifted.angleTo(this.camera.up) < Math.PI - 0.1) arm.copy(lifted);
    }
    arm.multiplyScalar(zoom);
    const reach = 2 * this.distance() * Math.tan((FIELD_OF_VIEW_DEG * Math.PI) / 360);
    const right = new Vector3().setFromMatrixColumn(this.camera.matrixWorld, 0).multiplyScalar(panX * reach);
    const up = new Vector3().setFromMatrixColumn(this.camera.matrixWorld, 1).multiplyScalar(panY * reach);
    target.add(right).add(up);
    this.camera.position.copy(target).add(arm);
    this.touch();
  }

  /** Adds something that is drawn over the graph. */
  add(part: Object3D): void {
    this.scene.add(part);
  }

  /** Moves the camera on; true when there is something to draw. */
  advance(nowMs: number, elapsedMs: number): boolean {
    if (this.mesh === null) return this.dirty;
    if (nowMs - this.boundsAtMs > BOUNDS_INTERVAL_MS) this.measure(nowMs);
    if (this.flight !== null) this.fly(nowMs);
    else if (this.following) this.follow(elapsedMs);
    this.controls.update(elapsedMs / 1000);
    return this.dirty;
  }

  render(): void {
    this.dirty = false;
    const distance = this.distance();
    const { radius } = this.bounds;
    this.camera.near = Math.max(distance / 500, 0.01);
    this.camera.far = distance + radius * 20 + 1_000;
    this.camera.updateProjectionMatrix();
    const ratio = this.renderer.getPixelRatio();
    const fromCentre = this.camera.position.distanceTo(new Vector3(...this.bounds.centre));
    const far = this.flat ? fromCentre * 1e3 : fromCentre + radius * 1.15;
    const pixelsPerUnit = (this.camera.projectionMatrix.elements[5]! * this.height * ratio) / 2;
    this.mesh?.setCamera(Math.max(0, fromCentre - radius), far, pixelsPerUnit, ratio, this.width * ratio, this.height * ratio);
    this.renderer.render(this.scene, this.camera);
  }

  /** Where every node is on the screen, `[nodes * SCREEN_STRIDE]`; made at most once for each picture. */
  screenPositions(): Float32Array {
    if (!this.screenFresh && this.mesh !== null) {
      this.camera.updateMatrixWorld();
      project(this.mesh.positions, this.mesh.radii, this.lens(), this.screen);
      this.screenFresh = true;
    }
    return this.screen;
  }

  pickAt(x: number, y: number, slack: number): number {
    return pick(this.screenPositions(), x, y, slack);
  }

  /** The world position under a point of the screen, on the plane through `anchor` parallel to the screen. */
  unproject(x: number, y: number, anchor: readonly [number, number, number]): [number, number, number] {
    const depth = -new Vector3(...anchor).applyMatrix4(this.camera.matrixWorldInverse).z;
    const halfHeight = depth * Math.tan((FIELD_OF_VIEW_DEG * Math.PI) / 360);
    const at = new Vector3(
      ((2 * x) / this.width - 1) * halfHeight * this.camera.aspect, (1 - (2 * y) / this.height) * halfHeight, -depth,
    ).applyMatrix4(this.camera.matrixWorld);
    return [at.x, at.y, this.flat ? anchor[2] : at.z];
  }

  positionOf(node: number): [number, number, number] {
    const at = node * STRIDE;
    const positions = this.mesh?.positions;
    return [positions?.[at] ?? 0, positions?.[at + 1] ?? 0, positions?.[at + 2] ?? 0];
  }

  /** What the camera sees. */
  sight(): Sight {
    this.camera.updateMatrixWorld();
    const distance = this.distance();
    return { ...this.lens(), distance, height: 2 * distance * Math.tan((FIELD_OF_VIEW_DEG * Math.PI) / 360) };
  }

  private takeOff(goal: Goal): void {
    const { target } = this.controls;
    this.flight = {
      startMs: performance.now(), fromTarget: target.clone(), fromEye: this.camera.position.clone(), goal,
    };
    this.touch();
  }

  private measure(nowMs: number): void {
    const mesh = this.mesh!;
    this.boundsAtMs = nowMs;
    this.bounds = boundsOf(mesh.positions);
    this.frame = this.aim();
    const count = Math.max(1, mesh.graph.nodes.length);
    // Room for each node if they filled the space evenly; hubs are up to three times the unit.
    const room = this.flat ? 0.30 / Math.sqrt(count) : 0.15 / Math.cbrt(count);
    const unit = this.bounds.radius * Math.min(0.023, room);
    if (Math.abs(unit - this.unit) > this.unit * 0.01) this.touch();
    this.unit = unit;
    mesh.setScale(unit, typicalEdgeLength(mesh.positions, mesh.graph.edges));
  }

  /** The place and distance from which the graph fills the picture, seen from the side that the camera is on. */
  private aim(): Frame {
    return this.aimAt(this.mesh!.positions);
  }

  private aimAt(positions: Float32Array): Frame {
    const half = Math.tan((FIELD_OF_VIEW_DEG * Math.PI) / 360);
    if (this.controls.autoRotate && positions === this.mesh!.positions) {
      // What fills the picture depends on the side; while turning, only the ball around it keeps still.
      return { centre: this.bounds.centre, distance: this.bounds.radius / Math.sin(Math.atan(half * Math.min(1, this.camera.aspect))) };
    }
    return frameOf(positions, this.camera.matrixWorld.elements, half * this.camera.aspect, half);
  }

  private follow(elapsedMs: number): void {
    const { target } = this.controls;
    const wanted = new Vector3(...this.frame.centre);
    const { distance } = this.frame;
    const off = Math.max(wanted.distanceTo(target), Math.abs(distance - this.distance())) / distance;
    // Calm: one jump when the graph has left the frame, instead of a camera that always moves.
    const share = !this.framed || (this.calm && off > 0.2) ? 1
      : this.calm || off < 0.002 ? 0 : 1 - Math.exp((-elapsedMs / 1000) * FOLLOW_PER_SECOND);
    this.framed = true;
    if (share === 0) return;
    const arm = this.camera.position.clone().sub(target);
    arm.setLength(arm.length() + (distance - arm.length()) * share);
    target.lerp(wanted, share);
    this.camera.position.copy(target).add(arm);
    this.touch();
  }

  private fly(nowMs: number): void {
    const flight = this.flight!;
    const share = this.calm ? 1 : Math.min(1, Math.max(0, nowMs - flight.startMs) / FLIGHT_MS);
    const eased = share * share * (3 - 2 * share);
    const arm = flight.fromEye.clone().sub(flight.fromTarget);
    const { goal } = flight;
    if (typeof goal === "object" && "eye" in goal) {
      this.controls.target.lerpVectors(flight.fromTarget, goal.target, eased);
      this.camera.position.lerpVectors(flight.fromEye, goal.eye, eased);
    } else {
      const from = arm.length();
      const { centre, distance } = this.frameOfGoal(goal, from);
      arm.setLength(from + (distance - from) * eased);
      this.controls.target.lerpVectors(flight.fromTarget, new Vector3(...centre), eased);
      this.camera.position.copy(this.controls.target).add(arm);
    }
    if (share >= 1) this.flight = null;
    this.touch();
  }

  private frameOfGoal(goal: Exclude<Goal, { eye: Vector3 }>, from: number): Frame {
    if (goal === "graph") return this.frame;
    const close = this.unit * 60;
    if ("node" in goal) return { centre: this.positionOf(goal.node), distance: Math.min(from, close) };
    const { centre, distance } = this.aimAt(Float32Array.from(goal.nodes.flatMap((node) => [...this.positionOf(node), 0])));
    return { centre, distance: Math.max(distance, close) };
  }

  private distance(): number {
    return this.camera.position.distanceTo(this.controls.target);
  }

  private lens(): Lens {
    return {
      view: this.camera.matrixWorldInverse.elements,
      projection: this.camera.projectionMatrix.elements,
      width: this.width,
      height: this.height,
      unit: this.unit,
    };
  }
}

/** Whether a processor plays the graphics card: four samples a pixel then cost three quarters of the frame rate. */
function drawsInSoftware(): boolean {
  const probe = document.createElement("canvas").getContext("webgl2");
  if (probe === null) return true;
  const names = probe.getExtension("WEBGL_debug_renderer_info");
  const name = String(probe.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : probe.RENDERER));
  probe.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

/** One triangle over the whole picture: a little light in the middle, so that black does not look like a hole.
 * The grain hides the steps between so few levels; it and the curve are a handful of operations, because this is
 * every pixel of the picture. */
function backdrop(): Mesh {
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array([-1, -1, 0, 3, -1, 0, -1, 3, 0]), 3));
  const material = new RawShaderMaterial({
    glslVersion: GLSL3,
    depthTest: false,
    depthWrite: false,
    vertexShader: "in vec3 position; out vec2 at; void main() { at = position.xy; gl_Position = vec4(position, 1.0); }",
    fragmentShader: `precision highp float; in vec2 at; out vec4 fragment; void main() {
      float reach = min(dot(at, at) * 0.62, 1.0);
      float grain = fract(dot(gl_FragCoord.xy, vec2(0.7548777, 0.5698403))) - 0.5;
      fragment = vec4(mix(vec3(0.058, 0.083, 0.140), vec3(0.022, 0.030, 0.056), reach) + grain * 0.004, 1.0); }`,
  });
  const mesh = new Mesh(geometry, material);
  mesh.frustumCulled = false;
  mesh.renderOrder = 0;
  return mesh;
}
