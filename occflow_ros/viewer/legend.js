// What the colors mean, with units.

function rgbText(run, ramp, step) {
  const bytes = bytesOfBase64(run.ramps[ramp]);
  return `rgb(${bytes.slice(3 * step, 3 * step + 3).join(" ")})`;
}

function drawLegend(element, run, color, classIds) {
  element.replaceChildren();
  if (color === "class") {
    element.append(swatches(run, classIds));
    return;
  }
  const top = run.origin_m[2] + run.shape[2] * run.voxel_size_m[2];
  const [low, high] = {
    height: [`${run.origin_m[2].toFixed(1)} m`, `${top.toFixed(1)} m over ${run.base_frame}`],
    probability: ["0", "1"],
    speed: ["0 m/s", `${run.max_speed_mps} m/s and faster`],
  }[color];
  const ends = document.createElement("div");
  ends.className = "ends";
  ends.append(span(low), span(high));
  element.append(rampPicture(run, color), ends);
}

function span(text) {
  const element = document.createElement("span");
  element.textContent = text;
  return element;
}

function rampPicture(run, color) {
  const picture = document.createElement("canvas");
  Object.assign(picture, { className: "ramp", width: 256, height: 1 });
  picture.setAttribute("aria-hidden", "true");
  const context = picture.getContext("2d");
  for (let step = 0; step < 256; step++) {
    context.fillStyle = rgbText(run, color, step);
    context.fillRect(step, 0, 1, 1);
  }
  return picture;
}

function swatches(run, classIds) {
  const grid = document.createElement("div");
  grid.className = "swatches";
  for (const id of [...new Set(classIds)].sort((a, b) => a - b)) {
    const entry = span(run.class_names[id] ?? "unknown");
    const swatch = document.createElement("i");
    swatch.style.background = rgbText(run, "class", id);
    entry.prepend(swatch);
    grid.append(entry);
  }
  return grid;
}

// A wheel of directions as seen from above, ahead is up, and what the length of an arrow means.
function drawFlowLegend(element, run) {
  const wheel = document.createElement("canvas");
  Object.assign(wheel, { width: 88, height: 88 });
  wheel.setAttribute("aria-hidden", "true");
  const context = wheel.getContext("2d");
  for (let step = 0; step < 256; step++) {
    const [from, to] = [step, step + 1.5].map((k) => -Math.PI / 2 - (2 * k / 255 - 1) * Math.PI);
    context.fillStyle = rgbText(run, "direction", step);
    context.beginPath();
    context.arc(44, 44, 42, from, to, true);
    context.arc(44, 44, 24, to, from);
    context.fill();
  }
  element.append(wheel, span("Color: direction, ahead is up. An arrow ends where the voxel will be in 1 s."));
}
