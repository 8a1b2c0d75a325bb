// Marks of one frame, drawn on a canvas that lies over the picture. Coordinates are pixels of the source.

import { outline } from "./masks.js";

const BONES = [[5, 7], [7, 9], [6, 8], [8, 10], [5, 6], [5, 11], [6, 12], [11, 12], [11, 13], [13, 15], [12, 14], [14, 16]];
const SEEN_POINT = 0.2;
const KEPT_OUTLINES = 300;
const LOOK = "#ff4d4d", FACE = "#46dc78", TEXT = "#ffa028";

export function classColour(classId) {
  const hue = ((classId * 0.618034) % 1) * 360; // as in the rendered videos: the golden ratio spreads any number of classes
  return `hsl(${hue.toFixed(1)} 85% 60%)`;
}

export class Overlay {
  constructor(canvas, width, height) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.width = width;
    this.height = height;
    this.outlines = new Map();
  }

  // Fit the canvas to its place; device pixels, so that lines are sharp.
  fit() {
    const ratio = devicePixelRatio || 1;
    const wide = Math.round(this.canvas.clientWidth * ratio), high = Math.round(this.canvas.clientHeight * ratio);
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      this.canvas.width = wide;
      this.canvas.height = high;
    }
    this.across = wide / this.width; // pixels of a source need not be square: two scales
    this.down = high / this.height;
    this.dot = ratio;
  }

  clear() {
    this.fit();
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw(seen, trails) {
    this.clear();
    for (const trail of trails) this.trail(trail);
    for (const box of seen.boxes) if (box.mask) this.mask(box);
    for (const box of seen.boxes) this.box(box);
    for (const gaze of seen.gazes) this.gaze(gaze);
    for (const text of seen.texts) this.text(text);
    if (seen.isGap) this.words("no answer from the model here", this.canvas.width / 2, this.canvas.height - 12 * this.dot, "#000c", "#fff", true);
  }

  x(value) {
    return value * this.across;
  }

  y(value) {
    return value * this.down;
  }

  frame(left, top, width, height, colour) {
    const { pen } = this;
    pen.lineWidth = 4 * this.dot;
    pen.strokeStyle = "#0007";
    pen.strokeRect(left, top, width, height);
    pen.lineWidth = 2 * this.dot;
    pen.strokeStyle = colour;
    pen.strokeRect(left, top, width, height);
  }

  words(text, x, y, ground, ink, centred = false) {
    const { pen } = this, size = 12 * this.dot, pad = 4 * this.dot;
    pen.font = `600 ${size}px system-ui, sans-serif`;
    const wide = pen.measureText(text).width + 2 * pad, high = size + pad;
    const left = Math.min(Math.max(0, centred ? x - wide / 2 : x), Math.max(0, this.canvas.width - wide));
    const top = Math.min(Math.max(0, y - high), this.canvas.height - high);
    pen.fillStyle = ground;
    pen.fillRect(left, top, wide, high);
    pen.fillStyle = ink;
    pen.textBaseline = "middle";
    pen.fillText(text, left + pad, top + high / 2 + 0.5);
  }

  box(box) {
    const colour = classColour(box.tracker_id ?? box.class_id);
    const left = this.x(box.x - box.width / 2), top = this.y(box.y - box.height / 2);
    this.frame(left, top, this.x(box.width), this.y(box.height), colour);
    const name = box.tracker_id === undefined || box.tracker_id === null ? box.class_name : `${box.class_name} #${box.tracker_id}`;
    this.words(`${name} ${box.confidence.toFixed(2)}`, left - this.dot, top, colour, "#111");
    if (box.points) this.points(box.points, colour);
  }

  mask(box) {
    const { pen } = this;
    if (!this.outlines.has(box.mask)) {
      if (this.outlines.size > KEPT_OUTLINES) this.outlines.clear();
      this.outlines.set(box.mask, outline(box.mask, this.width, this.height));
    }
    pen.save();
    pen.scale(this.across, this.down);
    pen.globalAlpha = 0.4;
    pen.fillStyle = classColour(box.tracker_id ?? box.class_id);
    pen.fill(this.outlines.get(box.mask));
    pen.restore();
  }

  points(points, colour) {
    const { pen } = this;
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = 2 * this.dot;
    const isSeen = (i) => points[i] && points[i][2] >= SEEN_POINT;
    for (const [a, b] of points.length === 17 ? BONES : []) {
      if (!isSeen(a) || !isSeen(b)) continue;
      pen.beginPath();
      pen.moveTo(this.x(points[a][0]), this.y(points[a][1]));
      pen.lineTo(this.x(points[b][0]), this.y(points[b][1]));
      pen.stroke();
    }
    points.forEach(([x, y], i) => {
      if (!isSeen(i)) return;
      pen.beginPath();
      pen.arc(this.x(x), this.y(y), 3 * this.dot, 0, 2 * Math.PI);
      pen.fill();
    });
  }

  // An arrow as long as the face, from between its eyes: yaw above 0 to the left of the picture, pitch above 0 upwards.
  gaze(gaze) {
    const { pen } = this;
    const left = this.x(gaze.x - gaze.width / 2), top = this.y(gaze.y - gaze.height / 2);
    this.frame(left, top, this.x(gaze.width), this.y(gaze.height), FACE);
    const x = this.x(gaze.eye_x), y = this.y(gaze.eye_y), length = this.x(gaze.width);
    const toX = x - length * Math.sin(gaze.yaw_rad) * Math.cos(gaze.pitch_rad), toY = y - length * Math.sin(gaze.pitch_rad);
    const angle = Math.atan2(toY - y, toX - x), tip = Math.max(6 * this.dot, length * 0.18);
    for (const [colour, wide] of [["#0009", 5], [LOOK, 3]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = wide * this.dot;
      pen.lineCap = "round";
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(toX, toY);
      for (const side of [-0.5, 0.5]) {
        pen.moveTo(toX, toY);
        pen.lineTo(toX - tip * Math.cos(angle + side), toY - tip * Math.sin(angle + side));
      }
      pen.stroke();
    }
    const degrees = (rad) => `${rad >= 0 ? "+" : "−"}${Math.abs(Math.round((rad * 180) / Math.PI))}°`;
    this.words(`yaw ${degrees(gaze.yaw_rad)} pitch ${degrees(gaze.pitch_rad)}`, left - this.dot, top + this.y(gaze.height) + 17 * this.dot, FACE, "#111");
  }

  text(text) {
    const { pen } = this;
    pen.strokeStyle = TEXT;
    pen.lineWidth = 2 * this.dot;
    pen.beginPath();
    text.polygon.forEach(([x, y], i) => (i ? pen.lineTo(this.x(x), this.y(y)) : pen.moveTo(this.x(x), this.y(y))));
    pen.closePath();
    pen.stroke();
    const left = Math.min(...text.polygon.map(([x]) => x)), top = Math.min(...text.polygon.map(([, y]) => y));
    this.words(text.text, this.x(left), this.y(top), TEXT, "#111");
  }

  trail({ id, places }) {
    const { pen } = this;
    pen.strokeStyle = classColour(id);
    pen.lineWidth = 3 * this.dot;
    pen.globalAlpha = 0.7;
    pen.beginPath();
    places.forEach(([x, y], i) => (i ? pen.lineTo(this.x(x), this.y(y)) : pen.moveTo(this.x(x), this.y(y))));
    pen.stroke();
    pen.globalAlpha = 1;
  }
}
