/**
 * One record's points, unpacked, and their picture from any viewpoint.
 *
 * Everything is drawn in software into one image with a depth buffer: twenty thousand points take a few milliseconds,
 * and the page works where there is no WebGL (remote desktops, virtual machines). Coordinates are metres in the camera
 * of the record's first frame.
 */
class PointCloud {
  static BYTES_PER_POINT = 12;

  constructor(packed) {
    this.packed = packed;
    const bytes = Uint8Array.from(atob(packed.points), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const count = bytes.length / PointCloud.BYTES_PER_POINT;
    this.count = count;
    this.positions = new Float32Array(3 * count);
    this.normals = new Float32Array(3 * count);
    this.spacing = new Float32Array(count); // metres to the next point along the surface
    this.photo = new Uint32Array(count); // colours as 0xAABBGGRR, the byte order of a canvas
    this.objects = new Uint8Array(count); // place in boxes from 1 on, 0 for none
    this.frames = new Uint16Array(count);
    let frame = 0;
    let end = packed.frames.length ? packed.frames[0].points : 0;
    for (let at = 0; at < count; at++) {
      while (at >= end) end += packed.frames[++frame].points;
      this.unpack(view, at, frame);
    }
  }

  unpack(view, at, frame) {
    const offset = at * PointCloud.BYTES_PER_POINT;
    const { low, step, frames } = this.packed;
    const { pose, spacing } = frames[frame];
    let distance = 0;
    for (let axis = 0; axis < 3; axis++) {
      const value = low[axis] + step * view.getUint16(offset + 2 * axis, true);
      this.positions[3 * at + axis] = value;
      distance += (value - pose[4 * axis + 3]) ** 2;
    }
    const color = [0, 1, 2].map((channel) => view.getUint8(offset + 6 + channel));
    this.photo[at] = packColor(color);
    this.unfold(view.getUint8(offset + 9) / 127 - 1, view.getUint8(offset + 10) / 127 - 1, at);
    this.objects[at] = view.getUint8(offset + 11);
    this.frames[at] = frame;
    this.spacing[at] = spacing * Math.sqrt(distance);
  }

  /** Octahedral coordinates to a unit normal. */
  unfold(u, v, at) {
    const z = 1 - Math.abs(u) - Math.abs(v);
    const x = z < 0 ? (1 - Math.abs(v)) * (u < 0 ? -1 : 1) : u;
    const y = z < 0 ? (1 - Math.abs(u)) * (v < 0 ? -1 : 1) : v;
    const length = Math.hypot(x, y, z) || 1;
    this.normals.set([x / length, y / length, z / length], 3 * at);
  }

  /** Colours of all points: "color" (the photo), "frame", "object" or "distance" (to the first camera). */
  colors(mode) {
    if (mode === "color") return this.photo;
    const frames = this.packed.frames.map((frame) => packColor(frame.color));
    const objects = [packColor([120, 124, 132]), ...this.packed.boxes.map((box) => packColor(box.color))];
    const result = new Uint32Array(this.count);
    for (let at = 0; at < this.count; at++) {
      if (mode === "frame") result[at] = frames[this.frames[at]];
      else if (mode === "object") result[at] = objects[this.objects[at]];
      else result[at] = distanceColor(Math.hypot(...this.positions.subarray(3 * at, 3 * at + 3)));
    }
    return result;
  }
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

/** An image with a depth buffer. Depth is kept as the logarithm of the distance along the view. */
class Raster {
  static NEAR = 0.05;

  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.depth = new Float32Array(width * height);
  }

  clear(background) {
    this.pixels.fill(background);
    this.depth.fill(Infinity);
  }

  /** Points that face the eye, as squares of the size of their surface. */
  drawPoints(cloud, colors, camera) {
    const { eye, right, up, forward, focal } = camera;
    const { width, height, pixels, depth } = this;
    const { positions, normals, spacing } = cloud;
    for (let at = 0; at < cloud.count; at++) {
      const x = positions[3 * at] - eye[0];
      const y = positions[3 * at + 1] - eye[1];
      const z = positions[3 * at + 2] - eye[2];
      if (normals[3 * at] * x + normals[3 * at + 1] * y + normals[3 * at + 2] * z > 0) continue;
      const distance = forward[0] * x + forward[1] * y + forward[2] * z;
      if (distance < Raster.NEAR) continue;
      const scale = focal / distance;
      const column = width / 2 + scale * (right[0] * x + right[1] * y + right[2] * z);
      const row = height / 2 - scale * (up[0] * x + up[1] * y + up[2] * z);
      const half = Math.min(Math.max(0.62 * spacing[at] * scale, 0.6), 14);
      const first = Math.max(0, Math.round(column - half));
      const last = Math.min(width, Math.round(column + half));
      const bottom = Math.min(height, Math.round(row + half));
      const level = Math.log(distance);
      for (let v = Math.max(0, Math.round(row - half)); v < bottom; v++) {
        for (let place = v * width + first; place < v * width + last; place++) {
          if (level < depth[place]) {
            depth[place] = level;
            pixels[place] = colors[at];
          }
        }
      }
    }
  }

  /** Darkens pixels that lie behind their neighbours (eye-dome lighting, Boucheny 2009), so that shapes stand out. */
  shade(radius) {
    const { width, height, pixels, depth } = this;
    const steps = [radius, -radius, radius * width, -radius * width];
    for (let v = radius; v < height - radius; v++) {
      for (let place = v * width + radius; place < (v + 1) * width - radius; place++) {
        const level = depth[place];
        if (level === Infinity) continue;
        let behind = 0;
        for (const step of steps) {
          const difference = level - depth[place + step];
          if (difference > 0) behind += Math.min(difference, 0.2);
        }
        if (behind < 0.004) continue;
        const light = Math.exp(-4.5 * behind);
        const color = pixels[place];
        const [red, green, blue] = [color & 255, (color >> 8) & 255, (color >> 16) & 255];
        pixels[place] = (255 << 24) | ((blue * light) << 16) | ((green * light) << 8) | (red * light);
      }
    }
  }

  /** A line between two points; what is hidden behind points shows faintly. */
  drawLine(from, to, color, thickness, camera) {
    let [a, b] = [toView(from, camera), toView(to, camera)];
    if (a[2] < Raster.NEAR && b[2] < Raster.NEAR) return;
    if (a[2] < Raster.NEAR) a = between(a, b, (Raster.NEAR - a[2]) / (b[2] - a[2]));
    if (b[2] < Raster.NEAR) b = between(b, a, (Raster.NEAR - b[2]) / (a[2] - b[2]));
    const [start, end] = [this.toPixel(a, camera), this.toPixel(b, camera)];
    const part = clipped(start, end, this.width, this.height);
    if (!part) return;
    const steps = Math.ceil(Math.max(Math.abs(end[0] - start[0]), Math.abs(end[1] - start[1])) * (part[1] - part[0])) || 1;
    for (let step = 0; step <= steps; step++) {
      const share = part[0] + ((part[1] - part[0]) * step) / steps;
      const [column, row, inverse] = between(start, end, share);
      this.drawDot(column, row, -Math.log(inverse), color, thickness);
    }
  }

  drawDot(column, row, level, color, thickness) {
    const first = Math.round(column - thickness / 2);
    const top = Math.round(row - thickness / 2);
    for (let v = Math.max(0, top); v < Math.min(this.height, top + thickness); v++) {
      for (let u = Math.max(0, first); u < Math.min(this.width, first + thickness); u++) {
        const place = v * this.width + u;
        if (level <= this.depth[place] + 0.012) {
          this.pixels[place] = color;
          this.depth[place] = Math.min(this.depth[place], level);
        } else {
          this.pixels[place] = mixed(this.pixels[place], color, 0.16);
        }
      }
    }
  }

  /** Column, row and inverse distance: all three are linear along a line of the image. */
  toPixel([x, y, z], { focal }) {
    return [this.width / 2 + (focal * x) / z, this.height / 2 - (focal * y) / z, 1 / z];
  }
}

function toView(point, { eye, right, up, forward }) {
  const offset = point.map((value, axis) => value - eye[axis]);
  return [right, up, forward].map((axis) => axis[0] * offset[0] + axis[1] * offset[1] + axis[2] * offset[2]);
}

function between(a, b, share) {
  return a.map((value, axis) => value + share * (b[axis] - value));
}

/** The part [first, last] of a line of the image that lies inside it, or null (Liang and Barsky 1984). */
function clipped(start, end, width, height) {
  let [first, last] = [0, 1];
  const size = [width, height];
  for (let axis = 0; axis < 2; axis++) {
    const along = end[axis] - start[axis];
    for (const [direction, room] of [[-along, start[axis]], [along, size[axis] - start[axis]]]) {
      if (direction === 0 && room < 0) return null;
      if (direction < 0) first = Math.max(first, room / direction);
      if (direction > 0) last = Math.min(last, room / direction);
    }
  }
  return first < last ? [first, last] : null;
}

function mixed(below, above, share) {
  const channel = (shift) => Math.round(((below >> shift) & 255) * (1 - share) + ((above >> shift) & 255) * share) << shift;
  return (255 << 24) | channel(16) | channel(8) | channel(0);
}
