/** GLSL ES 3.00 of nodes and edges. Positions come from a texture, so that edges need no upload per frame. */

const FETCH = /* glsl */ `
uniform highp sampler2D positions;
vec4 placeOf(uint index) {
  return texelFetch(positions, ivec2(int(index % TEXTURE_WIDTH), int(index / TEXTURE_WIDTH)), 0);
}
`;

/** Depth as a share of the graph's own depth, 0 near to 1 far. */
const FADE = /* glsl */ `
uniform vec2 depthRange;
float farness(float depth) { return clamp((depth - depthRange.x) / (depthRange.y - depthRange.x), 0.0, 1.0); }
`;

export const NODE_VERTEX = /* glsl */ `
precision highp float;
${FETCH}
${FADE}
uniform mat4 modelViewMatrix;
uniform mat4 projectionMatrix;
uniform float pixelsPerUnit;
uniform vec2 pixelRange;
uniform float unit;
uniform int focused;
in vec4 paint;
in float radius;
in float emphasis;
out vec3 colour;
out float faded;
out float pixels;
out float lit;
flat out int shape;
void main() {
  vec4 seen = modelViewMatrix * vec4(placeOf(uint(gl_VertexID)).xyz, 1.0);
  float depth = max(-seen.z, 1e-3);
  bool focus = gl_VertexID == focused;
  float size = 2.0 * radius * unit * pixelsPerUnit / depth * (focus ? 1.25 : 1.0);
  pixels = clamp(size, pixelRange.x, pixelRange.y);
  shape = int(paint.a * 255.0 + 0.5);
  if (shape == 1) pixels *= 1.35;
  colour = paint.rgb;
  faded = farness(depth) * 0.68;
  lit = focus ? 1.3 : emphasis;
  gl_PointSize = pixels;
  gl_Position = projectionMatrix * seen;
}
`;

export const NODE_FRAGMENT = /* glsl */ `
precision highp float;
uniform vec3 background;
in vec3 colour;
in float faded;
in float pixels;
in float lit;
flat in int shape;
out vec4 fragment;
void main() {
  vec2 at = gl_PointCoord * 2.0 - 1.0;
  float reach = length(at);
  if (shape == 1) reach = abs(at.x) + abs(at.y);
  if (shape == 2) reach = pow(dot(at * at, at * at), 0.25) * 1.12;
  float soft = 2.4 / pixels;
  float cover = 1.0 - smoothstep(1.0 - soft, 1.0, reach);
  if (cover < 0.03) discard;
  // A small light from above: it tells spheres from flat dots without a normal.
  float detail = smoothstep(5.0, 14.0, pixels);
  float glow = 1.0 - 0.30 * reach * reach + 0.26 * smoothstep(0.9, 0.0, length(at - vec2(-0.3, -0.38)));
  vec3 shown = colour * mix(1.0, glow, detail);
  if (shape == 1) shown = mix(vec3(1.0), shown, smoothstep(0.30, 0.46, reach));
  // The dark rim keeps neighbours of one colour apart where they overlap.
  float rim = smoothstep(1.0 - soft - 0.16, 1.0 - soft, reach) * detail;
  shown = mix(shown, background, 0.72 * rim);
  shown = mix(shown, background, faded);
  shown = mix(background, shown, min(lit, 1.0)) * max(lit, 1.0);
  fragment = vec4(shown, cover);
}
`;

export const EDGE_VERTEX = /* glsl */ `
precision highp float;
${FETCH}
${FADE}
uniform mat4 modelViewMatrix;
uniform mat4 projectionMatrix;
uniform float opacity;
uniform float typicalLength;
uniform int focused;
uniform float unfocused;
in uint near;
in uint far;
in vec4 paint;
out vec4 colour;
void main() {
  vec3 from = placeOf(near).xyz;
  vec3 to = placeOf(far).xyz;
  vec4 seen = modelViewMatrix * vec4(from, 1.0);
  // A long edge covers more of the picture and says less: it gets less light for each pixel.
  float weight = clamp(typicalLength / max(distance(from, to), 1e-3), 0.22, 1.25);
  float light = opacity * weight * (1.0 - 0.78 * farness(max(-seen.z, 1e-3)));
  if (focused >= 0) {
    light = int(near) == focused || int(far) == focused ? max(0.30, light) : light * unfocused;
  }
  colour = vec4(mix(vec3(0.42, 0.56, 0.85), paint.rgb, 0.72), light);
  gl_Position = projectionMatrix * seen;
  // Less than one step of an 8-bit channel adds nothing to the picture, and yet costs every pixel on its way.
  if (light < 0.0045) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}
`;

export const EDGE_FRAGMENT = /* glsl */ `
precision mediump float;
in vec4 colour;
out vec4 fragment;
void main() { fragment = colour; }
`;
