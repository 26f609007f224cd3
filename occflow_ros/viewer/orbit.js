// A camera that looks at a target; the mouse, fingers and keys turn, move and zoom it. z is up.

const FOV_Y_RAD = Math.PI / 4;
const VIEWS = {
  behind: { target: [8, 0, 0], yaw: Math.PI, pitch: 0.55, distance: 55 },
  top: { target: [0, 0, 0], yaw: Math.PI, pitch: Math.PI / 2, distance: 110 },
};

class Orbit {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.pointers = new Map();
    this.show("behind");
    this.#listen();
  }

  show(name) {
    Object.assign(this, VIEWS[name], { target: [...VIEWS[name].target] });
    this.changed();
  }

  // Unit vectors of the picture: to its right, up, and towards the eye.
  get axes() {
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    return { right: [-sy, cy, 0], up: [-sp * cy, -sp * sy, cp], back: [cp * cy, cp * sy, sp] };
  }

  get eye() {
    const { back } = this.axes;
    return this.target.map((value, k) => value + this.distance * back[k]);
  }

  get view() {
    const { right, up, back } = this.axes;
    const eye = this.eye;
    const along = (axis) => -(axis[0] * eye[0] + axis[1] * eye[1] + axis[2] * eye[2]);
    return [
      right[0], up[0], back[0], 0,
      right[1], up[1], back[1], 0,
      right[2], up[2], back[2], 0,
      along(right), along(up), along(back), 1,
    ];
  }

  get projection() {
    const aspect = this.canvas.clientWidth / Math.max(this.canvas.clientHeight, 1);
    return perspective(FOV_Y_RAD, aspect, this.distance / 200, this.distance + 1000);
  }

  turn(xPx, yPx) {
    this.yaw -= xPx * 0.006;
    this.pitch = Math.min(Math.max(this.pitch + yPx * 0.006, -0.2), Math.PI / 2);
    this.changed();
  }

  move(xPx, yPx) {
    const metersPerPx = (2 * this.distance * Math.tan(FOV_Y_RAD / 2)) / this.canvas.clientHeight;
    const { right, up } = this.axes;
    for (let k = 0; k < 3; k++) this.target[k] += metersPerPx * (yPx * up[k] - xPx * right[k]);
    this.changed();
  }

  zoom(factor) {
    this.distance = Math.min(Math.max(this.distance * factor, 2), 1000);
    this.changed();
  }

  #listen() {
    const { canvas, pointers } = this;
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY * (event.deltaMode ? 0.03 : 0.001)));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
    }
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
  }

  #drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const [x, y] = [event.clientX - before[0], event.clientY - before[1]];
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (other) {
      const span = (at) => Math.max(Math.hypot(at[0] - other[0], at[1] - other[1]), 1);
      this.move(x / 2, y / 2);
      this.zoom(span(before) / span([event.clientX, event.clientY]));
    } else if (event.shiftKey || event.buttons & 6) {
      this.move(x, y);
    } else {
      this.turn(x, y);
    }
  }
}
