/** The interactive view: one canvas, its viewpoint, and what is drawn beside the points. */
class CloudView {
  static BOX_EDGES = [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7], [0, 4], [1, 5], [2, 6], [3, 7]];
  static MAX_PIXELS = 1.1e6;
  static FOCAL = 1.15; // of the shorter side
  static PROMPT_COLOR = [255, 64, 64];

  constructor(packed) {
    this.packed = packed;
    this.canvas = document.getElementById("cloud-canvas");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true }); // drawn by the processor anyway
    this.choice = document.getElementById("cloud-record");
    packed.forEach((record, place) => this.choice.add(new Option(record.key, String(place))));
    this.mode = document.getElementById("cloud-color");
    this.status = document.getElementById("cloud-status");
    this.layers = [...document.querySelectorAll("[data-layer]")];
    this.choice.addEventListener("input", () => this.open(Number(this.choice.value)));
    this.mode.addEventListener("input", () => this.recolor());
    for (const layer of this.layers) layer.addEventListener("input", () => this.request());
    document.getElementById("cloud-reset").addEventListener("click", () => this.reset());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.request());
    this.listen();
    new ResizeObserver(() => this.request()).observe(this.canvas);
    this.open(Math.max(0, packed.findIndex((record) => record.boxes.length > 0)));
  }

  async open(place) {
    this.choice.value = String(place);
    this.opening = place;
    const cloud = await PointCloud.open(this.packed[place]);
    if (this.opening !== place) return; // another was chosen meanwhile
    this.cloud = cloud;
    this.colors = cloud.colors(this.mode.value);
    const { boxes, frames, prompts } = cloud.packed;
    const [points, of] = [cloud.count.toLocaleString("en"), `${frames.length} frames`];
    this.status.textContent = `${points} points of ${of}, ${boxes.length} boxes, ${prompts.length} prompts`;
    this.reset();
  }

  openKey(key) {
    this.open(this.packed.findIndex((record) => record.key === key));
    document.getElementById("cloud").scrollIntoView();
    this.canvas.focus({ preventScroll: true });
  }

  recolor() {
    if (!this.cloud) return;
    this.colors = this.cloud.colors(this.mode.value);
    this.request();
  }

  /** From behind the first camera and above it, the points' middle in the centre. */
  reset() {
    if (!this.cloud) return;
    const { center, radius } = this.cloud.packed;
    this.yaw = 0.35;
    this.pitch = 0.5;
    this.target = [...center];
    this.distance = Math.max(2.1 * radius, 0.5);
    this.request();
  }

  request() {
    if (this.requested || !this.cloud) return;
    this.requested = true;
    requestAnimationFrame(() => {
      this.requested = false;
      this.draw();
    });
  }

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.min(Math.max(this.pitch + pitch, -1.55), 1.55);
    this.request();
  }

  zoom(factor) {
    this.distance = Math.min(Math.max(this.distance * factor, 0.1), 200);
    this.request();
  }

  /** Move the target by pixels of the page. */
  pan(x, y) {
    if (!this.cloud) return;
    const { right, up } = this.camera(1, 1);
    const shorter = Math.min(this.canvas.clientWidth, this.canvas.clientHeight);
    const scale = this.distance / (CloudView.FOCAL * shorter);
    this.target = this.target.map((value, axis) => value + scale * (y * up[axis] - x * right[axis]));
    this.request();
  }

  camera(width, height) {
    const [sideways, ahead, upward] = this.cloud.packed.axes;
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    const level = ahead.map((value, axis) => cy * value + sy * sideways[axis]);
    const right = sideways.map((value, axis) => cy * value - sy * ahead[axis]);
    const forward = level.map((value, axis) => cp * value - sp * upward[axis]);
    const up = level.map((value, axis) => sp * value + cp * upward[axis]);
    const eye = this.target.map((value, axis) => value - this.distance * forward[axis]);
    return { eye, right, up, forward, focal: CloudView.FOCAL * Math.min(width, height) };
  }

  draw() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    const scale = Math.min(devicePixelRatio || 1, Math.sqrt(CloudView.MAX_PIXELS / (clientWidth * clientHeight)));
    const [width, height] = [Math.round(clientWidth * scale), Math.round(clientHeight * scale)];
    if (!this.raster || this.raster.width !== width || this.raster.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
      this.raster = new Raster(width, height);
    }
    const camera = this.camera(width, height);
    const shown = new Set(this.layers.filter((layer) => layer.checked).map((layer) => layer.dataset.layer));
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    this.raster.clear(packColor(dark ? [16, 19, 24] : [236, 239, 242]));
    this.raster.drawPoints(this.cloud, this.colors, camera);
    this.raster.shade(Math.max(1, Math.round(scale)));
    this.context.putImageData(this.raster.image, 0, 0);
    this.context.lineWidth = 1.2 * scale;
    if (shown.has("boxes")) this.drawBoxes(camera);
    if (shown.has("cameras")) this.drawCameras(camera);
    this.taken = [];
    if (shown.has("prompts")) this.drawPrompts(camera, scale);
    if (shown.has("labels")) this.drawLabels(camera, scale);
  }

  drawBoxes(camera) {
    for (const { corners, color } of this.cloud.packed.boxes) {
      const corner = (at) => corners.slice(3 * at, 3 * at + 3);
      for (const [from, to] of CloudView.BOX_EDGES) {
        this.drawLine(corner(from), corner(to), color, camera);
      }
    }
  }

  /** Each camera as a pyramid to its image's corners; the first is drawn longer. */
  drawCameras(camera) {
    const [width, height] = this.cloud.packed.image_size;
    const length = Math.min(0.3, 0.09 * this.cloud.packed.radius);
    this.cloud.packed.frames.forEach(({ pose, intrinsics, color }, place) => {
      const [fx, fy, cx, cy] = intrinsics;
      const depth = place === 0 ? 1.6 * length : length;
      const placed = (x, y, z) => [0, 1, 2].map((row) => pose[4 * row] * x + pose[4 * row + 1] * y + pose[4 * row + 2] * z + pose[4 * row + 3]);
      const apex = placed(0, 0, 0);
      const corners = [[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]].map(([u, v]) =>
        placed((depth * (u - cx)) / fx, (depth * (v - cy)) / fy, depth)
      );
      corners.forEach((corner, at) => {
        this.drawLine(apex, corner, color, camera);
        this.drawLine(corner, corners[(at + 1) % 4], color, camera);
      });
    });
  }

  /** A line between two points; the pieces of it that points hide show faintly. */
  drawLine(from, to, color, camera) {
    let [a, b] = [toView(from, camera), toView(to, camera)];
    if (a[2] < Raster.NEAR && b[2] < Raster.NEAR) return;
    if (a[2] < Raster.NEAR) a = between(a, b, (Raster.NEAR - a[2]) / (b[2] - a[2]));
    if (b[2] < Raster.NEAR) b = between(b, a, (Raster.NEAR - b[2]) / (a[2] - b[2]));
    const [start, end] = [this.raster.toPixel(a, camera), this.raster.toPixel(b, camera)];
    const pieces = Math.min(Math.ceil(Math.hypot(end[0] - start[0], end[1] - start[1]) / 6), 400) || 1;
    const context = this.context;
    context.strokeStyle = `rgb(${color.join(" ")})`;
    for (let piece = 0; piece < pieces; piece++) {
      const [first, middle, last] = [0, 0.5, 1].map((part) => between(start, end, (piece + part) / pieces));
      context.globalAlpha = this.isHidden(middle[0], middle[1], 1 / middle[2]) ? 0.16 : 1;
      context.beginPath();
      context.moveTo(first[0], first[1]);
      context.lineTo(last[0], last[1]);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  drawPrompts(camera, scale) {
    const context = this.context;
    for (const { index, point } of this.cloud.packed.prompts) {
      const local = toView(point, camera);
      if (local[2] < Raster.NEAR) continue;
      const [x, y] = this.raster.toPixel(local, camera);
      const hidden = this.isHidden(x, y, local[2]);
      context.globalAlpha = hidden ? 0.35 : 1;
      context.beginPath();
      context.arc(x, y, 4.5 * scale, 0, 2 * Math.PI);
      context.fillStyle = `rgb(${CloudView.PROMPT_COLOR.join(" ")})`;
      context.fill();
      context.lineWidth = 1.5 * scale;
      context.strokeStyle = "white";
      context.stroke();
      if (!hidden) this.drawText(String(index), x + 7 * scale, y - 7 * scale, scale, "rgb(190 20 30)");
      context.globalAlpha = 1;
    }
  }

  /** Names of boxes at their middle, nearest first; one that would cover another is left out. */
  drawLabels(camera, scale) {
    const named = this.cloud.packed.boxes.map(({ corners, label, color }) => {
      const middle = [0, 1, 2].map((axis) => (corners[axis] + corners[21 + axis]) / 2);
      return { label, color, local: toView(middle, camera) };
    });
    for (const { label, color, local } of named.sort((a, b) => a.local[2] - b.local[2])) {
      if (local[2] < Raster.NEAR) continue;
      const [x, y] = this.raster.toPixel(local, camera);
      this.drawText(label, x, y, scale, `rgb(${color.map((value) => Math.round(0.5 * value)).join(" ")})`);
    }
  }

  drawText(text, x, y, scale, background) {
    const context = this.context;
    context.font = `600 ${11.5 * scale}px system-ui, sans-serif`;
    const [wide, high] = [context.measureText(text).width + 8 * scale, 16 * scale];
    const place = [x, y - high / 2, x + wide, y + high / 2];
    if (this.taken.some((other) => place[0] < other[2] && other[0] < place[2] && place[1] < other[3] && other[1] < place[3])) return;
    this.taken.push(place);
    context.fillStyle = background;
    context.beginPath();
    context.roundRect(place[0], place[1], wide, high, 4 * scale);
    context.fill();
    context.fillStyle = "white";
    context.textBaseline = "middle";
    context.fillText(text, x + 4 * scale, y + 0.5 * scale);
  }

  isHidden(x, y, distance) {
    const [u, v] = [Math.round(x), Math.round(y)];
    if (u < 0 || v < 0 || u >= this.raster.width || v >= this.raster.height) return false;
    return 1 / distance < 0.97 * this.raster.inverse[v * this.raster.width + u];
  }

  listen() {
    const pointers = new Map();
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
    }
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const [x, y] = [event.clientX - before.clientX, event.clientY - before.clientY];
      const other = [...pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId);
      pointers.set(event.pointerId, event);
      if (other) {
        const apart = (pointer) => Math.hypot(pointer.clientX - other.clientX, pointer.clientY - other.clientY) || 1;
        this.zoom(apart(before) / apart(event));
        this.pan(x / 2, y / 2);
      } else if (event.shiftKey || event.buttons === 2) {
        this.pan(x, y);
      } else {
        this.turn(0.008 * x, 0.008 * y);
      }
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 18 : 1;
      this.zoom(Math.exp(0.0015 * lines * event.deltaY));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (move && event.shiftKey) this.pan(-30 * move[0], -30 * move[1]);
    else if (move) this.turn(0.1 * move[0], 0.1 * move[1]);
    else if (event.key === "+" || event.key === "=") this.zoom(0.85);
    else if (event.key === "-") this.zoom(1 / 0.85);
    else return;
    event.preventDefault();
  }
}
