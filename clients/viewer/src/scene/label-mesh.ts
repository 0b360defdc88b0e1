/** Label texts as sprites: each is written once into an atlas, and all are drawn with one call. */

import {
  BufferAttribute, CanvasTexture, GLSL3, InstancedBufferAttribute, InstancedBufferGeometry, Mesh, NearestFilter,
  RawShaderMaterial, Vector2, Vector4,
} from "three";

/** Size of a slot in CSS pixels: wide enough for `LABEL_CHARACTERS_MAX` characters of 12 px. */
const SLOT_WIDTH = 248;
const SLOT_HEIGHT = 22;
const COLUMNS = 4;
const ROWS = 24;
const SLOTS = COLUMNS * ROWS;
const FONT = "500 12px system-ui, -apple-system, \"Segoe UI\", \"DejaVu Sans\", sans-serif";

const VERTEX = /* glsl */ `
precision highp float;
uniform vec2 picture;
uniform vec4 atlas;
in vec2 corner;
in vec4 place;
out vec2 at;
out float alpha;
void main() {
  float column = mod(place.z, ${COLUMNS}.0);
  float row = floor(place.z / ${COLUMNS}.0);
  at = (vec2(column, row) + corner) * atlas.xy;
  alpha = place.w;
  vec2 pixel = floor(place.xy * atlas.z + 0.5) / atlas.z + (corner - vec2(0.5, 0.0)) * vec2(${SLOT_WIDTH}.0, ${SLOT_HEIGHT}.0);
  gl_Position = vec4(pixel.x / picture.x * 2.0 - 1.0, 1.0 - pixel.y / picture.y * 2.0, 0.0, 1.0);
}
`;

const FRAGMENT = /* glsl */ `
precision mediump float;
uniform sampler2D texts;
in vec2 at;
in float alpha;
out vec4 fragment;
void main() {
  vec4 ink = texture(texts, at);
  fragment = vec4(ink.rgb, ink.a * alpha);
}
`;

export class LabelMesh {
  readonly mesh: Mesh<InstancedBufferGeometry, RawShaderMaterial>;
  private readonly canvas = document.createElement("canvas");
  private readonly context: CanvasRenderingContext2D;
  private texture: CanvasTexture;
  private readonly places = new InstancedBufferAttribute(new Float32Array(SLOTS * 4), 4);
  private free: number[] = [];
  private drawn = 0;
  private ratio = 1;

  constructor() {
    this.context = this.canvas.getContext("2d", { willReadFrequently: true })!;
    const geometry = new InstancedBufferGeometry();
    geometry.setAttribute("corner", new BufferAttribute(new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), 2));
    geometry.setIndex([0, 2, 1, 1, 2, 3]);
    geometry.setAttribute("place", this.places);
    geometry.instanceCount = 0;
    this.texture = new CanvasTexture(this.canvas);
    this.mesh = new Mesh(geometry, new RawShaderMaterial({
      glslVersion: GLSL3, vertexShader: VERTEX, fragmentShader: FRAGMENT,
      transparent: true, depthTest: false, depthWrite: false,
      uniforms: { texts: { value: null }, picture: { value: new Vector2(1, 1) }, atlas: { value: new Vector4() } },
    }));
    this.mesh.frustumCulled = false;
    this.mesh.renderOrder = 3;
    this.resize(1, 1, 1);
  }

  /** Sizes in CSS pixels. Every slot handed out before is void. */
  resize(width: number, height: number, pixelRatio: number): void {
    const { uniforms } = this.mesh.material;
    this.ratio = Math.min(pixelRatio, 2);
    this.canvas.width = Math.ceil(COLUMNS * SLOT_WIDTH * this.ratio);
    this.canvas.height = Math.ceil(ROWS * SLOT_HEIGHT * this.ratio);
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.texture.dispose();
    this.texture = new CanvasTexture(this.canvas);
    this.texture.flipY = false;
    this.texture.generateMipmaps = false;
    this.texture.minFilter = this.texture.magFilter = NearestFilter;
    uniforms["texts"]!.value = this.texture;
    (uniforms["picture"]!.value as Vector2).set(width, height);
    const across = (SLOT_WIDTH * this.ratio) / this.canvas.width;
    const down = (SLOT_HEIGHT * this.ratio) / this.canvas.height;
    (uniforms["atlas"]!.value as Vector4).set(across, down, this.ratio, 0);
    this.releaseAll();
  }

  measure(text: string): number {
    this.context.font = FONT;
    return Math.min(SLOT_WIDTH, this.context.measureText(text).width);
  }

  /** Writes `text` into a free slot; -1 when there is none. */
  write(text: string): number {
    const slot = this.free.pop();
    if (slot === undefined) return -1;
    const { context } = this;
    const left = (slot % COLUMNS) * SLOT_WIDTH;
    const top = Math.floor(slot / COLUMNS) * SLOT_HEIGHT;
    context.clearRect(left, top, SLOT_WIDTH, SLOT_HEIGHT);
    context.font = FONT;
    context.textAlign = "center";
    context.textBaseline = "top";
    context.lineJoin = "round";
    context.lineWidth = 3.5;
    context.strokeStyle = "rgba(7, 10, 18, 0.85)";
    context.strokeText(text, left + SLOT_WIDTH / 2, top + 3, SLOT_WIDTH - 8);
    context.fillStyle = "#e4eaf7";
    context.fillText(text, left + SLOT_WIDTH / 2, top + 3, SLOT_WIDTH - 8);
    this.texture.needsUpdate = true;
    return slot;
  }

  release(slot: number): void {
    this.free.push(slot);
  }

  releaseAll(): void {
    this.free = Array.from({ length: SLOTS }, (_, k) => SLOTS - 1 - k);
    this.begin();
    this.end();
  }

  begin(): void {
    this.drawn = 0;
  }

  /** Puts a slot's text at `x` (its middle) and `y` (its top), in CSS pixels. */
  put(slot: number, x: number, y: number, alpha: number): void {
    if (this.drawn >= SLOTS) return;
    (this.places.array as Float32Array).set([x, y, slot, alpha], this.drawn * 4);
    this.drawn += 1;
  }

  end(): void {
    this.mesh.geometry.instanceCount = this.drawn;
    this.mesh.visible = this.drawn > 0;
    this.places.needsUpdate = true;
  }
}
