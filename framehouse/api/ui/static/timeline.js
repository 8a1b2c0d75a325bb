// A lane for each class, drawn by uPlot, over the whole video; one play head for all; a click goes there.

import { classColour } from "./overlay.js";

const FEW = 6, HIGH = 58, AXIS = 22, EDGE = 18;
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600];

function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(name).trim();
}

function short(seconds) {
  const tenths = Math.round(seconds * 10), whole = Math.floor(tenths / 10), minutes = Math.floor(whole / 60);
  const pad = (n) => String(n).padStart(2, "0"), hours = Math.floor(minutes / 60);
  const words = pad(whole % 60) + (tenths % 10 ? `.${tenths % 10}` : "");
  return hours ? `${hours}:${pad(minutes % 60)}:${words}` : `${minutes}:${words}`;
}

export class Timeline {
  constructor(told, place, words, more, to) {
    Object.assign(this, { told, place, words, more, to });
    this.plots = [];
    this.strips = [];
    this.t = 0;
    this.isWhole = false;
    this.names = new Map(told.models.map((model) => [model.model_digest, model.model_id]));
    more.addEventListener("click", () => {
      this.isWhole = true;
      this.show();
    });
    new ResizeObserver(() => this.resize()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show());
  }

  async read(confidence) {
    const asked = this.asked = {};
    try {
      const answer = await fetch(`/ui/videos/${this.told.video_id}/timeline.json?confidence=${confidence}`);
      const body = await answer.json();
      if (!answer.ok) throw new Error(body.error.message);
      if (this.asked !== asked) return;
      this.body = body;
      this.show();
    } catch (problem) {
      this.words.textContent = `The timeline could not be read: ${problem.message}`;
    }
  }

  show() {
    if (!this.body || !window.uPlot) return;
    const { lanes, bin_s, n_left_out } = this.body;
    const shown = this.isWhole ? lanes : lanes.slice(0, FEW);
    for (const plot of this.plots) plot.destroy();
    this.place.replaceChildren();
    this.strips = this.told.strips.filter((strip) => strip.spans.length).map((strip) => this.strip(strip));
    this.plots = shown.map((lane, i) => this.lane(lane, i === shown.length - 1));
    this.more.hidden = this.isWhole || lanes.length <= FEW;
    const most = n_left_out ? `; ${n_left_out} rarer ones are left out` : "";
    this.words.textContent = lanes.length
      ? `${lanes.length} ${lanes.length === 1 ? "class" : "classes"}${most}${bin_s ? `, ${bin_s} s a step` : ", every frame that was looked at"}. Hatched: nobody looked. A click goes there.`
      : "Nothing from this confidence on.";
    this.at(this.t);
  }

  lane(lane, isLast) {
    const colour = colours(), ink = lane.kind === "gazes" ? "#e0483e" : classColour(lane.class_id);
    const times = this.body.models[lane.model_digest].t;
    const row = document.createElement("div");
    row.className = "lane";
    const label = document.createElement("p");
    const name = document.createElement("strong"), unit = document.createElement("span");
    name.textContent = lane.class_name;
    const most = Math.max(...lane.values.filter((value) => value !== null));
    unit.className = "soft number";
    unit.textContent = `${lane.unit === "at once" ? `up to ${most}` : lane.unit === "degrees" ? `up to ${most}°` : `best ${most.toFixed(2)}`} · ${this.names.get(lane.model_digest) ?? ""}`;
    label.append(name, unit);
    const plot = document.createElement("div");
    plot.className = "plot";
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", `${lane.class_name} over time, ${unit.textContent}`);
    row.append(label, plot);
    this.place.append(row);
    const font = "12px system-ui, sans-serif";
    const made = new window.uPlot({
      width: Math.max(120, plot.clientWidth), height: HIGH + (isLast ? AXIS : 0), padding: [6, EDGE, isLast ? 0 : 4, EDGE],
      legend: { show: false },
      cursor: { sync: { key: "lanes" }, y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: false, range: [0, Math.max(this.told.duration_s, 0.1)] }, y: { range: [0, lane.unit === "confidence" ? 1 : Math.max(1, most)] } },
      axes: [
        { show: true, incrs: STEPS_S, size: isLast ? AXIS : 0, font, stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: isLast, stroke: colour("--line"), size: 4 }, gap: 2, values: isLast ? (_plot, splits) => splits.map(short) : (_plot, splits) => splits.map(() => "") },
        { show: false },
      ],
      series: [{}, { stroke: ink, width: 1.5, fill: `color-mix(in srgb, ${ink} 30%, transparent)`, paths: window.uPlot.paths.stepped({ align: 1 }), points: { show: (drawn) => drawn.data[0].length < 3 }, spanGaps: false }],
      hooks: { drawClear: [(drawn) => this.unseen(drawn, times, lane, colour("--hatch"))] },
    }, [times, lane.values], plot);
    made.over.addEventListener("click", (event) => this.to(made.posToVal(event.offsetX, "x")));
    const head = document.createElement("div");
    head.className = "play-head";
    made.over.append(head);
    made.head = head;
    return made;
  }

  // Scenes and events of a ruleset: spans as bars, instants as ticks; scenes side by side take turns.
  strip(strip) {
    const row = document.createElement("div"), label = document.createElement("p"), place = document.createElement("div");
    const name = document.createElement("strong"), number = document.createElement("span"), canvas = document.createElement("canvas");
    row.className = "lane strip";
    name.textContent = strip.name || strip.kind;
    number.className = "soft number";
    const what = strip.spans.length === 1 ? "event" : strip.is_scenes ? "scenes and events" : "events";
    number.textContent = `${strip.spans.length} ${what}${strip.name ? ` · ${strip.kind}` : ""}`;
    label.append(name, number);
    place.className = "plot";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${name.textContent}: ${number.textContent}, listed below`);
    place.append(canvas);
    row.append(label, place);
    this.place.append(row);
    canvas.addEventListener("click", (event) => {
      const t = ((event.offsetX - EDGE) / (canvas.clientWidth - 2 * EDGE)) * this.told.duration_s;
      const near = strip.spans.map(([start]) => start).filter((start) => Math.abs(start - t) < (8 / canvas.clientWidth) * this.told.duration_s);
      this.to(near.length ? near.reduce((a, b) => (Math.abs(a - t) < Math.abs(b - t) ? a : b)) : t);
    });
    const drawn = { strip, canvas };
    this.ink(drawn);
    return drawn;
  }

  ink({ strip, canvas }) {
    const ratio = devicePixelRatio || 1, pen = canvas.getContext("2d"), colour = colours();
    const wide = (canvas.width = Math.round(canvas.clientWidth * ratio)), high = (canvas.height = Math.round(canvas.clientHeight * ratio));
    const x = (t) => EDGE * ratio + (t / Math.max(this.told.duration_s, 0.1)) * (wide - 2 * EDGE * ratio);
    pen.fillStyle = colour("--sunk");
    pen.fillRect(x(0), 0, x(this.told.duration_s) - x(0), high);
    strip.spans.forEach(([start, end, what], i) => {
      const isScene = what === "scene";
      pen.fillStyle = colour("--accent");
      pen.globalAlpha = isScene ? (i % 2 ? 0.3 : 0.6) : 0.85;
      pen.fillRect(x(start), isScene ? high * 0.55 : high * 0.12, Math.max(2 * ratio, x(end) - x(start)), isScene ? high * 0.45 : high * 0.76);
    });
    pen.globalAlpha = 1;
    pen.fillStyle = colour("--ink");
    pen.fillRect(x(this.t) - ratio, 0, 2 * ratio, high);
  }

  // Time that no model looked at is hatched, so that it is not taken for time without anything in it.
  unseen(plot, times, lane, ink) {
    const { ctx, bbox } = plot, seen = this.body.models[lane.model_digest].n_seen;
    const x = (t) => plot.valToPos(t, "x", true);
    const width = this.body.bin_s || this.step(lane.model_digest);
    ctx.save();
    ctx.beginPath();
    let from = 0, isFirst = true;
    const gap = (a, b) => ctx.rect(x(a), bbox.top, Math.max(1, x(b) - x(a)), bbox.height);
    times.forEach((t, i) => {
      if (!seen[i]) return;
      if (t - from > 1.5 * width || (!isFirst && !seen[i - 1])) gap(from, t);
      from = t;
      isFirst = false;
    });
    if (this.told.duration_s - from > 1.5 * width) gap(from + width, this.told.duration_s);
    ctx.clip();
    ctx.strokeStyle = ink;
    ctx.lineWidth = devicePixelRatio || 1;
    ctx.beginPath();
    for (let at = bbox.left - bbox.height; at < bbox.left + bbox.width; at += 6 * (devicePixelRatio || 1)) {
      ctx.moveTo(at, bbox.top + bbox.height);
      ctx.lineTo(at + bbox.height, bbox.top);
    }
    ctx.stroke();
    ctx.restore();
  }

  step(digest) {
    return this.told.models.find((model) => model.model_digest === digest)?.step_s ?? this.told.duration_s;
  }

  at(t) {
    this.t = t;
    for (const plot of this.plots) plot.head.style.transform = `translateX(${plot.valToPos(t, "x")}px)`;
    for (const strip of this.strips) this.ink(strip);
  }

  resize() {
    for (const plot of this.plots) {
      const width = Math.max(120, plot.root.parentElement.clientWidth);
      if (width !== plot.width) plot.setSize({ width, height: plot.height });
    }
    this.at(this.t);
  }
}
