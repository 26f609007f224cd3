// The page: controls, time, and what is shown. Settings may follow # in the address:
// #set=3&color=speed&threshold=0.5&lowest=0&flow=0&frame=fixed&view=top&distance=40

const run = JSON.parse(document.getElementById("occflow-data").textContent);
const PLAY_STEP_MS = 20;
const get = (id) => document.getElementById(id);
const directionRamp = bytesOfBase64(run.ramps.direction);
const world_T_first = run.sets.find((set) => set.fixed_T_base)?.fixed_T_base ?? fromRowMajor(IDENTITY);
const path = run.sets.filter((set) => set.fixed_T_base).map((set) => transformPoint(poseOf(set), [0, 0, 0]));
const decoded = new Map();
let scene = null;
let current = 0;
let arrays = null;
let playing = false;
let plays = 0;  // an older one ends where a newer one begins
let counts = {};
let waiting = false;

const orbit = new Orbit(get("canvas"), () => draw());

function fail(error) {
  get("message").textContent = error.message;
  get("message").hidden = false;
}

// Poses are relative to the first place, near which float32 is exact enough.
function poseOf(set) {
  if (!set.fixed_T_base) return IDENTITY;
  const pose = [...set.fixed_T_base];
  for (const k of [3, 7, 11]) pose[k] -= world_T_first[k];
  return fromRowMajor(pose);
}

function settings() {
  return {
    color: get("color").value,
    threshold: Number(get("threshold").value),
    lowest: Number(get("lowest").value),
    slowest: Number(get("slowest").value),
    flow: get("flow").checked,
    follow: get("frame").value === "vehicle",
  };
}

async function show(number) {
  current = Math.min(Math.max(number, 0), run.sets.length - 1);
  const wanted = current;
  get("time").value = current;
  if (!decoded.has(current)) decoded.set(current, await decodeSet(run.sets[current]));
  if (wanted !== current) return;
  arrays = decoded.get(current);
  scene?.setVoxels(arrays);
  scene?.setLines(poseOf(run.sets[current]), run.sets[current].fixed_T_base ? path : []);
  showImages(run.sets[current]);
  update();
}

// Counts what is shown and makes its arrows anew.
function update() {
  const shown = settings();
  const [start, along, color] = [[], [], []];
  counts = { occupied: arrays.index.length, shown: 0, moving: 0, fastest_mps: 0 };
  for (let i = 0; i < arrays.index.length; i++) {
    const center = voxelCenter(run, arrays.index[i]);
    if (arrays.probability[i] * run.probability_scale < shown.threshold || center[2] < shown.lowest) continue;
    counts.shown++;
    if (arrays.velocityX[i] === run.velocity_unknown) continue;
    const [x, y] = [arrays.velocityX[i] * run.velocity_scale_mps, arrays.velocityY[i] * run.velocity_scale_mps];
    const speed = Math.hypot(x, y);
    counts.fastest_mps = Math.max(counts.fastest_mps, speed);
    if (speed > run.moving_mps) counts.moving++;
    if (speed < shown.slowest) continue;
    const step = Math.round(((Math.atan2(y, x) / Math.PI + 1) / 2) * 255);
    start.push(...center);
    along.push(x, y, 0);
    for (let k = 0; k < 3; k++) color.push(directionRamp[3 * step + k] / 255);
  }
  scene?.setArrows(start, along, color);
  describe(shown);
  draw();
}

function describe(shown) {
  const set = run.sets[current];
  const number = (value) => value.toLocaleString("en");
  const thinned = run.recorded > run.sets.length ? ` (of ${run.recorded} recorded)` : "";
  get("counts").textContent = [
    `${number(counts.shown)} of ${number(counts.occupied)} voxels shown`,
    `${number(counts.moving)} faster than ${run.moving_mps} m/s`,
    `fastest ${counts.fastest_mps.toFixed(1)} m/s`,
    set.fixed_T_base ? `pose in ${run.fixed_frame}` : `no pose of ${run.base_frame} recorded`,
  ].join("\n");
  get("clock").textContent = `set ${current + 1} / ${run.sets.length}${thinned} · ${set.time_s.toFixed(2)} s`;
  get("time").setAttribute("aria-valuetext", get("clock").textContent);
  get("threshold-value").textContent = shown.threshold.toFixed(2);
  get("lowest-value").textContent = `${shown.lowest.toFixed(1)} m`;
  get("slowest-value").textContent = `${shown.slowest.toFixed(1)} m/s`;
  drawLegend(get("legend"), run, shown.color, arrays.classId);
}

// Draws once in the next frame, however often it is asked.
function draw() {
  if (waiting || !scene || !arrays) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    drawNow();
  });
}

function matrices() {
  const world_T_base = poseOf(run.sets[current]);
  const base_T_world = inverseRigid(world_T_base);
  const clip_T_view = multiply(orbit.projection, orbit.view);
  const follow = settings().follow || !run.sets[current].fixed_T_base;
  return {
    clip_T_base: follow ? clip_T_view : multiply(clip_T_view, world_T_base),
    clip_T_world: follow ? multiply(clip_T_view, base_T_world) : clip_T_view,
    eye: follow ? orbit.eye : transformPoint(base_T_world, orbit.eye),
  };
}

function drawNow() {
  scene.draw({ ...matrices(), shown: settings() });
  document.body.dataset.state = "drawn";
}

function makeImages() {
  for (const names of run.camera_rows) {
    const row = document.createElement("div");
    row.className = "row";
    for (const name of names) {
      const figure = document.createElement("figure");
      const image = document.createElement("img");
      const caption = document.createElement("figcaption");
      image.dataset.camera = name;
      caption.textContent = name;
      figure.append(image, caption);
      row.append(figure);
    }
    get("cameras").append(row);
  }
}

function showImages(set) {
  for (const image of document.querySelectorAll("#cameras img")) {
    const data = set.images[image.dataset.camera];
    image.style.visibility = data ? "visible" : "hidden";
    image.alt = data ? `Image of ${image.dataset.camera}` : `No image of ${image.dataset.camera}`;
    if (data) image.src = `data:image/jpeg;base64,${data}`;
  }
}

function play(on) {
  playing = on;
  get("play").textContent = on ? "Pause" : "Play";
  if (!on) return;
  const from = current === run.sets.length - 1 ? 0 : current;
  let time_s = run.sets[from].time_s;
  let last_ms = performance.now();
  const mine = ++plays;
  const step = async () => {
    if (!playing || mine !== plays) return;
    const now_ms = performance.now();
    time_s += (now_ms - last_ms) * 1e-3 * Number(get("rate").value);
    last_ms = now_ms;
    const next = run.sets.findLastIndex((set) => set.time_s <= time_s);
    if (next !== current) await show(next).catch(fail);
    if (next === run.sets.length - 1) play(false);
    else setTimeout(step, PLAY_STEP_MS);
  };
  step();
}

function goTo(number) {
  play(false);
  return show(number).catch(fail);
}

const KEYS = {
  " ": () => play(!playing),
  ArrowLeft: () => goTo(current - 1),
  ArrowRight: () => goTo(current + 1),
  Home: () => goTo(0),
  End: () => goTo(run.sets.length - 1),
  "+": () => orbit.zoom(0.8),
  "-": () => orbit.zoom(1.25),
  b: () => orbit.show("behind"),
  t: () => orbit.show("top"),
  f: () => get("flow").click(),
  1: () => choose("color", "height"),
  2: () => choose("color", "probability"),
  3: () => choose("color", "speed"),
  4: () => choose("color", "class"),
};

function choose(id, value) {
  if (get(id).querySelector(`[value="${value}"]`).disabled) return;
  get(id).value = value;
  update();
}

function listen() {
  addEventListener("resize", draw);
  addEventListener("keydown", (event) => {
    const own = event.target.closest?.("input, select, button, summary");  // which have keys themselves
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (own || event.ctrlKey || event.altKey || event.metaKey || !KEYS[key]) return;
    event.preventDefault();
    KEYS[key]();
  });
  for (const id of ["color", "threshold", "lowest", "slowest", "flow"]) get(id).addEventListener("input", update);
  get("frame").addEventListener("input", draw);
  get("time").addEventListener("input", () => goTo(Number(get("time").value)));
  get("play").addEventListener("click", () => play(!playing));
  for (const name of ["behind", "top"]) get(name).addEventListener("click", () => orbit.show(name));
  get("canvas").addEventListener("webglcontextlost", (event) => {
    event.preventDefault();
    fail(new Error("The graphics driver stopped. Reload the page."));
  });
}

function prepareControls() {
  const [bottom, size, layers] = [run.origin_m[2], run.voxel_size_m[2], run.shape[2]];
  Object.assign(get("lowest"), { min: bottom, max: bottom + size * layers, value: bottom });
  get("time").max = run.sets.length - 1;
  get("slowest").value = run.moving_mps;
  get("color").querySelector("[value=class]").disabled = !run.sets.some((set) => set.has_classes);
  get("frame").disabled = path.length === 0;
  get("panel").open = innerWidth > 700;
  get("behind").title = "B";
  get("top").title = "T";
  const address = new URLSearchParams(location.hash.slice(1));
  for (const id of ["color", "threshold", "lowest", "slowest", "frame"]) {
    if (address.has(id)) get(id).value = address.get(id);
  }
  if (address.has("flow")) get("flow").checked = address.get("flow") !== "0";
  if (VIEWS[address.get("view")]) orbit.show(address.get("view"));
  if (Number(address.get("distance")) > 0) orbit.distance = Number(address.get("distance"));
  return Number(address.get("set") ?? 1) - 1;
}

async function start() {
  makeImages();
  drawFlowLegend(get("flow-legend"), run);
  listen();
  const first = prepareControls();
  try {
    scene = new Scene(get("canvas"), run);
  } catch (error) {
    fail(error);
  }
  await show(first);
  if (scene) drawNow();
}

// For scripts of others, and for the tests of this page.
window.occflow = {
  ready: start().catch(fail),
  show: goTo,
  draw: drawNow,
  state: () => ({ set: current, playing, ...settings(), ...counts, distance: orbit.distance }),
  // Where a point of the ego frame lies on the page, CSS px from the canvas' left upper corner.
  project: (point) => {
    const m = matrices().clip_T_base;
    const w = m[3] * point[0] + m[7] * point[1] + m[11] * point[2] + m[15];
    const [x, y] = transformPoint(m, point).map((value) => value / w);
    return [(0.5 + x / 2) * get("canvas").clientWidth, (0.5 - y / 2) * get("canvas").clientHeight];
  },
};
