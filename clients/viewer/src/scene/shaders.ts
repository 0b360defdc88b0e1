/** GLSL ES 3.00 of nodes and edges. Positions come from a texture, so that edges need no upload per frame. */

/** Where nodes are, and what puts places into the picture. */
const FETCH = /* glsl */ `
uniform mat4 modelViewMatrix;
uniform mat4 projectionMatrix;
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
uniform float pixelsPerUnit;
uniform vec2 pixelRange;
uniform float unit;
uniform int focused;
in vec4 paint;
in float radius;
in float emphasis;
in float opacity;
out vec3 colour;
out float solid;
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
  if (shape == 1 || shape == 3 || shape == 5) pixels *= 1.35;
  if (shape == 6) pixels *= 1.2;
  colour = paint.rgb;
  solid = opacity;
  faded = farness(depth) * 0.68;
  lit = focus ? 1.3 : emphasis;
  gl_PointSize = pixels;
  gl_Position = projectionMatrix * seen;
  // Left out of the picture.
  if (radius == 0.0) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}
`;

export const NODE_FRAGMENT = /* glsl */ `
precision highp float;
uniform vec3 background;
uniform bool marked;
in vec3 colour;
in float faded;
in float pixels;
in float lit;
in float solid;
flat in int shape;
out vec4 fragment;
/** How far out a point is: 1 on the outline, in the order of the icons. */
float reachOf(vec2 at) {
  vec2 off = abs(at);
  if (shape == 1) return off.x + off.y;
  if (shape == 2) return pow(dot(at * at, at * at), 0.25) * 1.12;
  if (shape == 3) return max(at.y, off.x * 0.866 - at.y * 0.5) * 2.0;
  if (shape == 4) return max(off.y, off.x * 0.866 + off.y * 0.5) * 1.1547;
  if (shape == 5) {
    float step = 1.2566371;
    float angle = mod(atan(at.x, -at.y) + step * 0.5, step) - step * 0.5;
    vec2 folded = length(at) * vec2(cos(angle), abs(sin(angle)));
    return folded.x + 2.405 * folded.y;
  }
  if (shape == 6) return max(max(off.x, off.y), min(off.x, off.y) * 2.8);
  return length(at);
}
void main() {
  vec2 at = gl_PointCoord * 2.0 - 1.0;
  float reach = reachOf(at);
  float soft = 2.4 / pixels;
  float cover = 1.0 - smoothstep(1.0 - soft, 1.0, reach);
  if (shape == 7) cover *= smoothstep(0.5 - soft, 0.5, reach);
  cover *= solid;
  if (cover < 0.03) discard;
  // A small light from above: it tells spheres from flat dots without a normal.
  float detail = smoothstep(5.0, 14.0, pixels);
  float glow = 1.0 - 0.30 * reach * reach + 0.26 * smoothstep(0.9, 0.0, length(at - vec2(-0.3, -0.38)));
  vec3 shown = colour * mix(1.0, glow, detail);
  if (shape == 1 && marked) shown = mix(vec3(1.0), shown, smoothstep(0.30, 0.46, reach));
  // The dark rim keeps neighbours of one colour apart where they overlap.
  float rim = smoothstep(1.0 - soft - 0.16, 1.0 - soft, reach) * detail;
  shown = mix(shown, background, 0.72 * rim);
  shown = mix(shown, background, faded);
  shown = mix(background, shown, min(lit, 1.0)) * max(lit, 1.0);
  fragment = vec4(shown, cover);
}
`;

/** The dot at the upper right of a node. */
export const BADGE_VERTEX = /* glsl */ `
precision highp float;
${FETCH}
uniform float pixelsPerUnit;
uniform vec2 pixelRange;
uniform vec2 picture;
uniform float unit;
in vec4 badge;
in float radius;
in float emphasis;
out vec4 colour;
void main() {
  vec4 seen = modelViewMatrix * vec4(placeOf(uint(gl_VertexID)).xyz, 1.0);
  float pixels = clamp(2.0 * radius * unit * pixelsPerUnit / max(-seen.z, 1e-3), pixelRange.x, pixelRange.y);
  // In front of its node, and of no other one.
  seen.z += min(radius * unit * 1.2, max(-seen.z, 0.0) * 0.5);
  gl_PointSize = max(pixels * 0.5, 4.0);
  gl_Position = projectionMatrix * seen;
  gl_Position.xy += vec2(pixels * 0.375) * 2.0 / picture * gl_Position.w;
  colour = vec4(badge.rgb, emphasis);
  if (badge.a == 0.0 || radius == 0.0) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}
`;

export const BADGE_FRAGMENT = /* glsl */ `
precision highp float;
uniform vec3 background;
in vec4 colour;
out vec4 fragment;
void main() {
  float reach = length(gl_PointCoord * 2.0 - 1.0);
  if (reach > 1.0) discard;
  fragment = vec4(mix(background, mix(colour.rgb, background, smoothstep(0.62, 0.78, reach)), max(colour.a, 0.25)), 1.0);
}
`;

/** What an edge looks like at one of its ends: `from` is that end. */
const EDGE_LIGHT = /* glsl */ `
uniform float opacity;
uniform float typicalLength;
uniform int focused;
uniform float unfocused;
uniform float tint;
vec4 lightOf(vec3 from, vec3 to, float depth, vec4 paint, bool touched) {
  // A long edge covers more of the picture and says less: it gets less light for each pixel.
  float weight = clamp(typicalLength / max(distance(from, to), 1e-3), 0.22, 1.25);
  float light = opacity * weight * (1.0 - 0.78 * farness(max(depth, 1e-3)));
  if (focused >= 0) light = touched ? max(0.30, light) : light * unfocused;
  return vec4(mix(vec3(0.42, 0.56, 0.85), paint.rgb, tint), light * paint.a);
}
`;

export const EDGE_VERTEX = /* glsl */ `
precision highp float;
${FETCH}
${FADE}
${EDGE_LIGHT}
in uint near;
in uint far;
in vec4 paint;
out vec4 colour;
void main() {
  vec3 from = placeOf(near).xyz;
  vec3 to = placeOf(far).xyz;
  vec4 seen = modelViewMatrix * vec4(from, 1.0);
  colour = lightOf(from, to, -seen.z, paint, int(near) == focused || int(far) == focused);
  gl_Position = projectionMatrix * seen;
  // Less than one step of an 8-bit channel adds nothing to the picture, and yet costs every pixel on its way.
  if (colour.a < 0.0045) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}
`;

/** Edges of several pixels: of each two triangles, of which `corner` is one of four places: along the edge, and across it. */
export const WIDE_EDGE_VERTEX = /* glsl */ `
precision highp float;
${FETCH}
${FADE}
${EDGE_LIGHT}
uniform vec2 picture;
uniform float pixelRatio;
in vec2 corner;
in uint near;
in uint far;
in vec4 nearPaint;
in vec4 farPaint;
in float width;
out vec4 colour;
void main() {
  vec3 from = placeOf(near).xyz;
  vec3 to = placeOf(far).xyz;
  vec4 here = modelViewMatrix * vec4(from, 1.0);
  vec4 there = modelViewMatrix * vec4(to, 1.0);
  // What is behind the camera has no place in the picture: such an edge ends just before it.
  const float front = -0.01;
  if (here.z > front && there.z > front) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
  if (here.z > front) here = mix(there, here, (front - there.z) / (here.z - there.z));
  if (there.z > front) there = mix(here, there, (front - here.z) / (there.z - here.z));
  vec4 begin = projectionMatrix * here;
  vec4 end = projectionMatrix * there;
  vec2 along = (end.xy / end.w - begin.xy / begin.w) * picture;
  vec2 across = length(along) > 1e-4 ? normalize(vec2(-along.y, along.x)) : vec2(0.0, 1.0);
  vec4 place = corner.x < 0.5 ? begin : end;
  place.xy += across * corner.y * width * pixelRatio / picture * place.w;
  float depth = -(corner.x < 0.5 ? here.z : there.z);
  bool touched = int(near) == focused || int(far) == focused;
  colour = lightOf(from, to, depth, corner.x < 0.5 ? nearPaint : farPaint, touched);
  gl_Position = place;
  if (colour.a < 0.0045) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}
`;

export const EDGE_FRAGMENT = /* glsl */ `
precision mediump float;
in vec4 colour;
out vec4 fragment;
void main() { fragment = colour; }
`;
