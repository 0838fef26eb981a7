/**
 * One record's points, and their picture from any viewpoint.
 *
 * Everything is drawn in software into one image with a depth buffer: fifty thousand points take some milliseconds, and
 * the page works where there is no WebGL (remote desktops, virtual machines). Coordinates are metres in the camera of
 * the record's first frame.
 */
class PointCloud {
  static JUMP = 0.06; // relative change of depth above which neighbours belong to different surfaces
  static STRETCH = 8; // most that a surface seen at a slant is drawn out by

  /** Unpacks what gapdata/report/clouds.py packs. */
  static async open(packed) {
    const [width, height] = packed.grid;
    const count = width * height * packed.frames.length;
    const [depth, objects, photo] = await Promise.all([
      inflated(packed.depth),
      inflated(packed.objects),
      pixelsOf(packed.photo, width, height * packed.frames.length),
    ]);
    const millimetres = new Uint16Array(count);
    for (let at = 0; at < count; at++) {
      const left = at % width ? millimetres[at - 1] : 0;
      millimetres[at] = left + depth[at] + 256 * depth[count + at];
    }
    return new PointCloud(packed, millimetres, objects, photo);
  }

  constructor(packed, millimetres, objects, photo) {
    this.packed = packed;
    this.objects = objects; // place in boxes from 1 on, 0 for none
    this.photo = photo; // colours as 0xAABBGGRR, the byte order of a canvas
    this.length = millimetres.length; // of the grid
    this.valid = Uint8Array.from(millimetres, (depth) => (depth > 0 ? 1 : 0));
    this.positions = new Float32Array(3 * this.length);
    this.normals = new Float32Array(3 * this.length);
    this.tangents = new Float32Array(6 * this.length); // metres to the next point of the row, and of the column
    const size = packed.grid[0] * packed.grid[1];
    packed.frames.forEach((frame, place) => this.unproject(frame, millimetres, place * size));
    packed.frames.forEach((frame, place) => this.measure(frame, millimetres, place * size));
    this.count = this.valid.reduce((sum, valid) => sum + valid, 0);
  }

  unproject({ pose, intrinsics }, millimetres, start) {
    const [width, height] = this.packed.grid;
    const [fx, fy, cx, cy] = intrinsics;
    const { stride } = this.packed;
    const middle = Math.floor(stride / 2);
    for (let row = 0, at = start; row < height; row++) {
      for (let column = 0; column < width; column++, at++) {
        const z = millimetres[at] / 1000;
        const x = (z * (stride * column + middle - cx)) / fx;
        const y = (z * (stride * row + middle - cy)) / fy;
        for (let axis = 0; axis < 3; axis++) {
          this.positions[3 * at + axis] = pose[4 * axis] * x + pose[4 * axis + 1] * y + pose[4 * axis + 2] * z + pose[4 * axis + 3];
        }
      }
    }
  }

  /** Tangents and normals from the neighbours on the grid that continue the surface. */
  measure({ pose, intrinsics }, millimetres, start) {
    const [width, height] = this.packed.grid;
    const origin = [pose[3], pose[7], pose[11]];
    for (let row = 0, at = start; row < height; row++) {
      for (let column = 0; column < width; column++, at++) {
        if (!millimetres[at]) continue;
        const across = this.tangent(millimetres, at, column > 0 ? 1 : 0, column < width - 1 ? 1 : 0, 1);
        const down = this.tangent(millimetres, at, row > 0 ? 1 : 0, row < height - 1 ? 1 : 0, width);
        const ray = origin.map((value, axis) => value - this.positions[3 * at + axis]);
        const least = (this.packed.stride * millimetres[at]) / (1000 * intrinsics[0]);
        const normal = across && down ? cross(down, across) : ray;
        const length = Math.hypot(...normal) || 1;
        const sign = Math.sign(dot(normal, ray)) || 1;
        this.normals.set(normal.map((value) => (sign * value) / length), 3 * at);
        const lone = [0, 1].map((axis) => [pose[axis], pose[4 + axis], pose[8 + axis]].map((value) => least * value));
        [across || lone[0], down || lone[1]].forEach((side, place) => {
          this.tangents.set(shortened(side, PointCloud.STRETCH * least), 6 * at + 3 * place);
        });
      }
    }
  }

  /** From one neighbour to the next, per step; null where depth jumps or is missing on both sides. */
  tangent(millimetres, at, before, after, step) {
    const here = millimetres[at];
    const continues = (other) => millimetres[other] && Math.abs(millimetres[other] - here) < PointCloud.JUMP * here;
    const from = before && continues(at - step) ? at - step : at;
    const to = after && continues(at + step) ? at + step : at;
    if (from === to) return null;
    const steps = (to - from) / step;
    return [0, 1, 2].map((axis) => (this.positions[3 * to + axis] - this.positions[3 * from + axis]) / steps);
  }

  /** Colours of all points: "color" (the photo), "frame", "object" or "distance" (to the first camera). */
  colors(mode) {
    if (mode === "color") return this.photo;
    const size = this.packed.grid[0] * this.packed.grid[1];
    const frames = this.packed.frames.map((frame) => packColor(frame.color));
    const objects = [packColor([120, 124, 132]), ...this.packed.boxes.map((box) => packColor(box.color))];
    const result = new Uint32Array(this.length);
    for (let at = 0; at < this.length; at++) {
      if (mode === "frame") result[at] = frames[Math.floor(at / size)];
      else if (mode === "object") result[at] = objects[this.objects[at]];
      else result[at] = distanceColor(Math.hypot(...this.positions.subarray(3 * at, 3 * at + 3)));
    }
    return result;
  }
}

async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function pixelsOf(address, width, height) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
}

function dot(a, b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

function shortened(vector, most) {
  const factor = Math.min(1, most / (Math.hypot(...vector) || 1));
  return vector.map((value) => factor * value);
}

function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

function packColor([red, green, blue]) {
  return (255 << 24) | (blue << 16) | (green << 8) | red;
}

/** Near warm, far cold, one turn of the scale over eight metres. */
function distanceColor(metres) {
  const share = Math.min(metres / 8, 1);
  const channel = (center) => Math.round(255 * Math.max(0, Math.min(1, 1.5 - Math.abs(4 * (1 - share) - center))));
  return packColor([channel(3), channel(2), channel(1)]);
}

/** An image with a depth buffer. Depth is kept as its inverse, which is linear over the picture of a plane. */
class Raster {
  static NEAR = 0.05; // metres
  static LARGEST = 24; // pixels of half a point

  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.inverse = new Float32Array(width * height);
  }

  clear(background) {
    this.pixels.fill(background);
    this.inverse.fill(0);
  }

  /** Points that face the eye, each as a piece of its tangent plane. */
  drawPoints(cloud, colors, camera) {
    const { eye, right, up, forward, focal } = camera;
    const { positions, normals, tangents, valid } = cloud;
    for (let at = 0; at < cloud.length; at++) {
      if (!valid[at]) continue;
      const x = positions[3 * at] - eye[0];
      const y = positions[3 * at + 1] - eye[1];
      const z = positions[3 * at + 2] - eye[2];
      const [nx, ny, nz] = [normals[3 * at], normals[3 * at + 1], normals[3 * at + 2]];
      const facing = nx * x + ny * y + nz * z;
      if (facing > 0) continue;
      const distance = forward[0] * x + forward[1] * y + forward[2] * z;
      if (distance < Raster.NEAR) continue;
      const scale = focal / distance;
      const column = this.width / 2 + scale * (right[0] * x + right[1] * y + right[2] * z);
      const row = this.height / 2 - scale * (up[0] * x + up[1] * y + up[2] * z);
      const acrossNormal = right[0] * nx + right[1] * ny + right[2] * nz;
      const upNormal = up[0] * nx + up[1] * ny + up[2] * nz;
      const [halfWidth, halfHeight] = [extent(tangents, 6 * at, right), extent(tangents, 6 * at, up)];
      // On the plane n . p = facing the inverse depth is n . ray / facing; seen at a slant it must not run away.
      const bound = 0.35 / distance;
      const steepness = 1 / Math.min(focal * facing, -1e-6);
      this.drawPiece(
        column,
        row,
        Math.min(Math.max(halfWidth * scale, 0.6), Raster.LARGEST),
        Math.min(Math.max(halfHeight * scale, 0.6), Raster.LARGEST),
        1 / distance,
        Math.max(-bound, Math.min(bound, acrossNormal * steepness)),
        Math.max(-bound, Math.min(bound, -upNormal * steepness)),
        colors[at]
      );
    }
  }

  drawPiece(column, row, halfWidth, halfHeight, inverse, perColumn, perRow, color) {
    const { width, pixels } = this;
    const first = Math.max(0, Math.round(column - halfWidth));
    const last = Math.min(width, Math.round(column + halfWidth));
    const bottom = Math.min(this.height, Math.round(row + halfHeight));
    for (let v = Math.max(0, Math.round(row - halfHeight)); v < bottom; v++) {
      let level = inverse + perRow * (v + 0.5 - row) + perColumn * (first + 0.5 - column);
      for (let place = v * width + first; place < v * width + last; place++, level += perColumn) {
        if (level > this.inverse[place]) {
          this.inverse[place] = level;
          pixels[place] = color;
        }
      }
    }
  }

  /** Darkens pixels that lie behind their neighbours (eye-dome lighting, Boucheny 2009), so that shapes stand out. */
  shade(radius) {
    const { width, height, pixels, inverse } = this;
    const rows = radius * width;
    for (let v = radius; v < height - radius; v++) {
      for (let place = v * width + radius; place < (v + 1) * width - radius; place++) {
        const level = inverse[place];
        if (level === 0) continue;
        const sides = Math.max(inverse[place - radius], inverse[place + radius]);
        const nearest = Math.max(sides, inverse[place - rows], inverse[place + rows]);
        if (nearest < 1.01 * level) continue;
        const light = Math.exp(-4 * Math.min(nearest / level - 1.01, 0.2));
        const color = pixels[place];
        const [red, green, blue] = [color & 255, (color >> 8) & 255, (color >> 16) & 255];
        pixels[place] = (255 << 24) | ((blue * light) << 16) | ((green * light) << 8) | (red * light);
      }
    }
  }

  /** Column, row and inverse distance: all three are linear along a line of the image. */
  toPixel([x, y, z], { focal }) {
    return [this.width / 2 + (focal * x) / z, this.height / 2 - (focal * y) / z, 1 / z];
  }
}

/** Half of what a point's piece of surface covers along an axis, a little overlap included. */
function extent(tangents, at, axis) {
  const across = tangents[at] * axis[0] + tangents[at + 1] * axis[1] + tangents[at + 2] * axis[2];
  const down = tangents[at + 3] * axis[0] + tangents[at + 4] * axis[1] + tangents[at + 5] * axis[2];
  return 0.72 * (Math.abs(across) + Math.abs(down));
}

function toView(point, { eye, right, up, forward }) {
  const offset = point.map((value, axis) => value - eye[axis]);
  return [right, up, forward].map((axis) => axis[0] * offset[0] + axis[1] * offset[1] + axis[2] * offset[2]);
}

function between(a, b, share) {
  return a.map((value, axis) => value + share * (b[axis] - value));
}
