// What is drawn: voxels as instanced cubes, flow as instanced arrows, grid and path as lines.

const VOXEL_VERTEX = `#version 300 es
uniform mat4 clip_T_base;
uniform vec3 origin, size, eye;
uniform uvec3 shape;
uniform int color;  // 0 height, 1 probability, 2 speed, 3 class
uniform float threshold, lowest, probability_scale, velocity_scale, max_speed;
uniform int velocity_unknown;
uniform vec3 unknown_color;
uniform sampler2D ramps;
layout(location = 0) in uint index;
layout(location = 1) in int velocity_x;
layout(location = 2) in int velocity_y;
layout(location = 3) in uint probability;
layout(location = 4) in uint class_id;
out vec2 on_face;
flat out vec3 face_color;
const vec2 CORNERS[6] = vec2[6](vec2(0, 0), vec2(1, 0), vec2(1, 1), vec2(0, 0), vec2(1, 1), vec2(0, 1));
const vec3 LIGHT = vec3(0.72, 0.84, 1.0);  // by the axis that a face looks along

vec3 ramp(int row, float value) {
  return texelFetch(ramps, ivec2(int(clamp(value, 0.0, 1.0) * 255.0 + 0.5), row), 0).rgb;
}

vec3 voxel_color(float height) {
  if (color == 0) return ramp(0, height);
  if (color == 1) return ramp(1, float(probability) * probability_scale);
  if (color == 3) return texelFetch(ramps, ivec2(int(class_id), 3), 0).rgb;
  if (velocity_x == velocity_unknown) return unknown_color;
  return ramp(2, length(vec2(velocity_x, velocity_y)) * velocity_scale / max_speed);
}

void main() {
  uvec3 cell = uvec3(index / (shape.y * shape.z), index / shape.z % shape.y, index % shape.z);
  vec3 center = origin + (vec3(cell) + 0.5) * size;
  int axis = gl_VertexID / 6;  // three faces a cube: those that look towards the eye
  vec2 corner = CORNERS[gl_VertexID % 6];
  vec3 at = vec3(0);
  at[axis] = eye[axis] > center[axis] ? 0.5 : -0.5;
  at[(axis + 1) % 3] = corner.x - 0.5;
  at[(axis + 2) % 3] = corner.y - 0.5;
  on_face = corner;
  face_color = voxel_color((float(cell.z) + 0.5) / float(shape.z)) * LIGHT[axis];
  bool shown = float(probability) * probability_scale >= threshold && center.z >= lowest;
  gl_Position = shown ? clip_T_base * vec4(center + at * size, 1) : vec4(0, 0, 2, 1);
}`;

const VOXEL_FRAGMENT = `#version 300 es
precision highp float;
in vec2 on_face;
flat in vec3 face_color;
out vec4 pixel;
void main() {
  vec2 per_px = fwidth(on_face);
  vec2 to_edge_px = min(on_face, 1.0 - on_face) / per_px;
  float edge = 1.0 - smoothstep(0.5, 1.5, min(to_edge_px.x, to_edge_px.y));
  float far = clamp(5.0 * max(per_px.x, per_px.y), 0.0, 1.0);  // edges fade where voxels are small
  pixel = vec4(face_color * (1.0 - 0.35 * edge * (1.0 - far)), 1);
}`;

const ARROW_VERTEX = `#version 300 es
uniform mat4 clip_T_model;
uniform vec3 eye;
layout(location = 0) in vec3 start;
layout(location = 1) in vec3 along;
layout(location = 2) in vec3 arrow_color;
flat out vec3 line_color;
// Along the arrow and across it: shaft and head, flat, turned towards the eye.
const vec2 CORNERS[9] = vec2[9](vec2(0, -1), vec2(1, -1), vec2(1, 1), vec2(0, -1), vec2(1, 1),
                                vec2(0, 1), vec2(1, -3), vec2(2, 0), vec2(1, 3));
void main() {
  float head = min(0.6, 0.5 * length(along));
  vec2 corner = CORNERS[gl_VertexID];
  vec3 ahead = normalize(along);
  vec3 across = normalize(cross(ahead, eye - start) + 1e-6);
  vec3 neck = along - ahead * head;
  vec3 at = start + neck * min(corner.x, 1.0) + ahead * head * max(corner.x - 1.0, 0.0);
  gl_Position = clip_T_model * vec4(at + across * corner.y * 0.09, 1);
  line_color = arrow_color;
}`;

const LINE_VERTEX = `#version 300 es
uniform mat4 clip_T_model;
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 color;
flat out vec3 line_color;
void main() { gl_Position = clip_T_model * vec4(position, 1); line_color = color; }`;

const FLAT_FRAGMENT = `#version 300 es
precision highp float;
uniform float opacity;
flat in vec3 line_color;
out vec4 pixel;
void main() { pixel = vec4(line_color, opacity); }`;

class Program {
  constructor(gl, vertex, fragment) {
    this.gl = gl;
    this.handle = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.handle, shader);
    }
    gl.linkProgram(this.handle);
    if (!gl.getProgramParameter(this.handle, gl.LINK_STATUS)) {
      const logs = gl.getAttachedShaders(this.handle).map((shader) => gl.getShaderInfoLog(shader));
      throw new Error(`The graphics driver refused a shader: ${[gl.getProgramInfoLog(this.handle), ...logs].join(" ")}`);
    }
  }

  // Values by name as the WebGL call that sets them, without "uniform": {size: ["3fv", [1, 1, 1]]}.
  use(uniforms) {
    this.gl.useProgram(this.handle);
    for (const [name, [kind, value]] of Object.entries(uniforms)) {
      const at = this.gl.getUniformLocation(this.handle, name);
      if (kind === "Matrix4fv") this.gl.uniformMatrix4fv(at, false, value);
      else this.gl[`uniform${kind}`](at, value);
    }
  }
}

// Vertex arrays, one buffer for each attribute; whole numbers stay whole.
class Arrays {
  constructor(gl, attributes, perInstance) {
    this.gl = gl;
    this.attributes = attributes;
    this.count = 0;
    this.handle = gl.createVertexArray();
    gl.bindVertexArray(this.handle);
    this.buffers = attributes.map(([size, type], location) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(location);
      if (type === gl.FLOAT) gl.vertexAttribPointer(location, size, type, false, 0, 0);
      else gl.vertexAttribIPointer(location, size, type, 0, 0);
      if (perInstance) gl.vertexAttribDivisor(location, 1);
      return buffer;
    });
  }

  fill(...values) {
    this.count = values[0].length / this.attributes[0][0];
    values.forEach((value, k) => {
      this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffers[k]);
      this.gl.bufferData(this.gl.ARRAY_BUFFER, value, this.gl.DYNAMIC_DRAW);
    });
  }
}

class Scene {
  constructor(canvas, run) {
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: false });
    if (!gl) throw new Error("This browser or graphics driver has no WebGL2, so the 3D view stays empty. Camera images and numbers are shown.");
    this.canvas = canvas;
    this.gl = gl;
    this.run = run;
    this.voxelProgram = new Program(gl, VOXEL_VERTEX, VOXEL_FRAGMENT);
    this.arrowProgram = new Program(gl, ARROW_VERTEX, FLAT_FRAGMENT);
    this.lineProgram = new Program(gl, LINE_VERTEX, FLAT_FRAGMENT);
    this.voxels = new Arrays(gl, [[1, gl.UNSIGNED_INT], [1, gl.SHORT], [1, gl.SHORT], [1, gl.UNSIGNED_BYTE], [1, gl.UNSIGNED_BYTE]], true);
    const vectors = [[3, gl.FLOAT], [3, gl.FLOAT], [3, gl.FLOAT]];
    this.arrows = new Arrays(gl, vectors, true);
    this.axes = new Arrays(gl, vectors, true);
    this.lines = new Arrays(gl, vectors.slice(1), false);
    this.axes.fill(new Float32Array(9), Float32Array.of(2, 0, 0, 0, 2, 0, 0, 0, 2), Float32Array.of(1, 0.3, 0.3, 0.4, 1, 0.4, 0.4, 0.6, 1));
    this.#loadRamps();
  }

  #loadRamps() {
    const { gl, run } = this;
    const rows = ["height", "probability", "speed", "class"].map((name) => [...bytesOfBase64(run.ramps[name])]);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, 256, rows.length, 0, gl.RGB, gl.UNSIGNED_BYTE, Uint8Array.from(rows.flat()));
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  }

  setVoxels(arrays) {
    this.voxels.fill(arrays.index, arrays.velocityX, arrays.velocityY, arrays.probability, arrays.classId);
  }

  // Colors in [0, 1]; three numbers each for an arrow's start, vector and color.
  setArrows(start, along, color) {
    this.arrows.fill(Float32Array.from(start), Float32Array.from(along), Float32Array.from(color));
  }

  // Lines in the fixed frame: a 10 m grid around the vehicle, and the way that it drives.
  setLines(world_T_base, path) {
    const [x0, y0] = [12, 13].map((k) => 10 * Math.round(world_T_base[k] / 10));
    const [z, reach] = [world_T_base[14], 60];
    const points = [];
    for (let k = -reach; k <= reach; k += 10) {
      points.push(x0 + k, y0 - reach, z, x0 + k, y0 + reach, z, x0 - reach, y0 + k, z, x0 + reach, y0 + k, z);
    }
    const gridVertices = points.length / 3;
    for (let k = 1; k < path.length; k++) points.push(...path[k - 1], ...path[k]);
    const colors = Array.from({ length: points.length / 3 }, (_, k) => (k < gridVertices ? [0.22, 0.27, 0.35] : [0.95, 0.8, 0.3]));
    this.lines.fill(Float32Array.from(points), Float32Array.from(colors.flat()));
  }

  // clip_T_base, clip_T_world: matrices; eye: in the base frame; shown: see page.js (settings).
  draw({ clip_T_base, clip_T_world, eye, shown }) {
    const { gl, run, canvas } = this;
    this.#fitCanvas();
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0.059, 0.078, 0.114, 1);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    this.#drawLines(clip_T_world);
    this.voxelProgram.use({
      clip_T_base: ["Matrix4fv", clip_T_base],
      origin: ["3fv", run.origin_m], size: ["3fv", run.voxel_size_m], shape: ["3uiv", run.shape], eye: ["3fv", eye],
      color: ["1i", ["height", "probability", "speed", "class"].indexOf(shown.color)],
      threshold: ["1f", shown.threshold], lowest: ["1f", shown.lowest],
      probability_scale: ["1f", run.probability_scale], velocity_scale: ["1f", run.velocity_scale_mps],
      max_speed: ["1f", run.max_speed_mps], velocity_unknown: ["1i", run.velocity_unknown],
      unknown_color: ["3fv", run.unknown_color.map((value) => value / 255)],
    });
    gl.bindVertexArray(this.voxels.handle);
    gl.drawArraysInstanced(gl.TRIANGLES, 0, 18, this.voxels.count);
    this.#drawArrows(this.axes, clip_T_base, eye);
    if (shown.flow) this.#drawArrows(this.arrows, clip_T_base, eye);
  }

  #fitCanvas() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((px) => Math.round(px * ratio));
    if (this.canvas.width === width && this.canvas.height === height) return;
    Object.assign(this.canvas, { width, height });
  }

  #drawLines(clip_T_world) {
    this.lineProgram.use({ clip_T_model: ["Matrix4fv", clip_T_world], opacity: ["1f", 1] });
    this.gl.bindVertexArray(this.lines.handle);
    this.gl.drawArrays(this.gl.LINES, 0, this.lines.count);
  }

  // What voxels hide of an arrow shines through them faintly.
  #drawArrows(arrows, clip_T_base, eye) {
    const { gl } = this;
    gl.bindVertexArray(arrows.handle);
    for (const [opacity, depth] of [[0.35, gl.ALWAYS], [1, gl.LESS]]) {
      this.arrowProgram.use({ clip_T_model: ["Matrix4fv", clip_T_base], eye: ["3fv", eye], opacity: ["1f", opacity] });
      gl.depthFunc(depth);
      gl.depthMask(depth === gl.LESS);
      gl.drawArraysInstanced(gl.TRIANGLES, 0, 9, arrows.count);
    }
    gl.depthFunc(gl.LESS);
    gl.depthMask(true);
  }
}
