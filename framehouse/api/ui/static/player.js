// The video page: the browser's own player, marks drawn at each frame that it shows, keys, and the way to a moment.
//
// A frame is known by its time: requestVideoFrameCallback tells the mediaTime of the frame that is on the screen, which
// is its pts. Marks are looked up by mediaTime - first_s, the clock that the tables have.

import { Marks, nearest } from "./marks.js";
import { Overlay, classColour } from "./overlay.js";
import { isTyping } from "./page.js";
import { Timeline } from "./timeline.js";

const told = JSON.parse(document.getElementById("told").textContent);
const page = document.querySelector("[data-player]");
const part = (name) => document.querySelector(`[data-${name}]`);
const video = part("video"), canvas = part("marks"), curtain = part("curtain"), words = part("curtain-words");
const bar = part("curtain-progress"), note = part("note"), seek = part("seek"), clock = part("clock");
const frameLine = part("frame-line"), now = part("now"), threshold = part("threshold"), layers = part("layers");
const overlay = new Overlay(canvas, told.width, told.height);
const marks = new Marks(told, () => draw());
const timeline = told.models.length ? new Timeline(told, part("lanes"), part("timeline-words"), part("more"), to) : null;
const CLOSE_S = 0.001, MISSED_MS = 80;

let firstS = 0, shownS = 0, isReady = false, isMarked = true, isSliding = false;

export function clockWords(seconds) {
  const units = Math.round(Math.max(0, seconds) * 100), whole = Math.floor(units / 100);
  const minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600), pad = (n) => String(n).padStart(2, "0");
  return `${hours ? `${hours}:${pad(minutes)}` : minutes}:${pad(whole % 60)}.${pad(units % 100)}`;
}

// ---------------------------------------------------------------- opening

async function open() {
  try {
    let player = await ask(`/ui/videos/${told.video_id}/player.json`);
    if (player.state === "none") player = await ask(`/ui/videos/${told.video_id}/copy`, part("token").value);
    while (player.state === "making") {
      words.textContent = `This browser cannot play the original: ${player.reason}. A copy with the same frame times is being made.`;
      bar.hidden = false;
      bar.value = player.share;
      await new Promise((done) => setTimeout(done, 700));
      player = await ask(`/ui/videos/${told.video_id}/player.json`);
    }
    if (player.state === "failed") throw new Error(`No copy could be made: ${player.reason}`);
    if (player.state === "proxy") say(`An H.264 copy with the same frame times is shown: ${player.reason}.`);
    firstS = player.first_s;
    video.src = `/ui/videos/${told.video_id}/media`;
  } catch (problem) {
    lack(problem.message);
  }
}

async function ask(url, token) {
  const answer = await fetch(url, token ? { method: "POST", body: new URLSearchParams({ token }) } : {});
  const body = await answer.json();
  if (!answer.ok) throw new Error(`${body.error.message}${body.error.hint ? `. What to try: ${body.error.hint}` : ""}`);
  return body;
}

function say(text) {
  note.textContent = text;
  note.hidden = false;
}

// Without pictures the marks and the timeline still tell: they are drawn on an empty screen.
function lack(text) {
  bar.hidden = true;
  words.textContent = text;
  curtain.classList.add("lacking");
  isReady = true;
  page.dataset.state = "lacking";
  seek.disabled = false;
  for (const button of document.querySelectorAll("[data-step]")) button.disabled = false;
  showAt(told.start_s);
}

video.addEventListener("error", () => lack("The browser could not play this file. Its marks and its timeline are below all the same."));
video.addEventListener("loadedmetadata", () => {
  page.querySelector("[data-screen]").style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
});
video.addEventListener("loadeddata", () => {
  curtain.hidden = true;
  isReady = true;
  for (const control of document.querySelectorAll(".controls button, .controls input")) control.disabled = false;
  page.dataset.state = "ready";
  if (told.start_s) to(told.start_s);
});

// ---------------------------------------------------------------- showing

function onFrame(_now, frame) {
  showAt(frame.mediaTime - firstS);
  video.requestVideoFrameCallback(onFrame);
}

if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(onFrame);
else video.addEventListener("timeupdate", () => showAt(video.currentTime - firstS));

// A frame that is presented between two callbacks is told by none: then a seek itself says what is shown.
video.addEventListener("seeked", () => setTimeout(() => {
  const wanted = video.currentTime - firstS - CLOSE_S;
  if (video.paused && !video.seeking && Math.abs(wanted - shownS) > 1.5 / (told.fps || 25)) showAt(wanted);
}, MISSED_MS));

function showAt(t) {
  shownS = Math.max(0, t);
  marks.want(shownS);
  clock.textContent = clockWords(shownS);
  if (!isSliding) seek.value = shownS;
  seek.setAttribute("aria-valuetext", clockWords(shownS));
  timeline?.at(shownS);
  draw();
}

function digests() {
  return layers ? [...layers.querySelectorAll("input:checked")].map((box) => box.value) : [];
}

function draw() {
  const wanted = digests(), seen = marks.seen(shownS, wanted, threshold ? Number(threshold.value) : 0);
  if (isMarked) overlay.draw(seen, marks.trails(shownS, seen));
  else overlay.clear();
  tell(seen, wanted);
}

// The same in words, for those who do not see the canvas.
function tell(seen, wanted) {
  const looked = [...new Set(seen.looked.map((frame) => frame.offset))];
  const frame = looked.length ? ` · marks of frame ${looked.join(", ")}` : "";
  frameLine.textContent = `${clockWords(shownS)}${frame}${wanted.length && !looked.length ? (marks.isKnown(shownS) ? " · no model looked here" : " · reading the marks …") : ""}`;
  page.dataset.frames = looked.join(" ");
  page.dataset.shown = shownS.toFixed(4);
  if (!now) return;
  const lines = nowLines(seen);
  now.replaceChildren(...lines.map(({ text, number, colour }) => {
    const line = document.createElement("li");
    const dot = document.createElement("span"), name = document.createElement("span"), count = document.createElement("span");
    dot.className = "dot";
    if (colour) dot.style.background = colour;
    name.textContent = text;
    count.className = "number soft";
    count.textContent = number;
    line.append(dot, name, count);
    return line;
  }));
}

function nowLines(seen) {
  const counts = new Map();
  for (const box of seen.boxes) {
    const known = counts.get(box.class_name) ?? { n: 0, best: 0, id: box.class_id };
    counts.set(box.class_name, { ...known, n: known.n + 1, best: Math.max(known.best, box.confidence) });
  }
  const lines = [...counts].map(([text, { n, best, id }]) => ({ text, number: `${n} · ${best.toFixed(2)}`, colour: classColour(id) }));
  for (const gaze of seen.gazes) lines.push({ text: "face", number: `${angle(gaze)}° off the camera`, colour: "#ff4d4d" });
  for (const tag of seen.classes) lines.push({ text: tag.class_name, number: tag.confidence.toFixed(2), colour: "" });
  for (const text of seen.texts) lines.push({ text: `“${text.text}”`, number: text.confidence.toFixed(2), colour: "#ffa028" });
  if (seen.isGap) lines.push({ text: "no answer from a model here", number: "", colour: "" });
  return lines.length ? lines : [{ text: seen.looked.length ? "nothing from this confidence on" : "no model looked here", number: "", colour: "" }];
}

function angle(gaze) {
  return Math.round((Math.acos(Math.cos(gaze.yaw_rad) * Math.cos(gaze.pitch_rad)) * 180) / Math.PI);
}

// ---------------------------------------------------------------- going

// The frame that is shown at a time: a little behind its pts, so that rounding does not show the one before.
function to(t) {
  const wanted = Math.min(Math.max(0, t), told.duration_s);
  if (page.dataset.state === "lacking") showAt(wanted);
  else video.currentTime = wanted + firstS + CLOSE_S;
}

function step(by) {
  video.pause();
  const times = marks.times(digests());
  const here = nearest(times, shownS);
  if (here < 0) return to(shownS + by / (told.fps || 25));
  const isOn = Math.abs(times[here] - shownS) < 2 * CLOSE_S;
  const next = isOn ? here + by : by > 0 ? times.findIndex((t) => t > shownS) : times.findLastIndex((t) => t < shownS);
  if (next >= 0 && next < times.length) to(times[next]);
}

function jump(by) {
  const times = [...document.querySelectorAll("[data-to]")].map((button) => Number(button.dataset.to)).sort((a, b) => a - b);
  const next = by > 0 ? times.find((t) => t > shownS + 0.05) : times.findLast((t) => t < shownS - 0.05);
  if (next !== undefined) to(next);
}

function toggle() {
  if (video.paused) video.play().catch((problem) => say(problem.message));
  else video.pause();
}

function playing() {
  part("play").setAttribute("aria-label", video.paused ? "Play" : "Pause");
  part("play-sign").textContent = video.paused ? "▶" : "❚❚";
}

part("play").addEventListener("click", toggle);
video.addEventListener("play", playing);
video.addEventListener("pause", playing);
video.addEventListener("click", toggle);
video.muted = true;
part("mute").addEventListener("click", () => {
  video.muted = !video.muted;
  part("mute").textContent = video.muted ? "Sound off" : "Sound on";
});
part("speed").addEventListener("change", (event) => { video.playbackRate = Number(event.target.value); });
seek.addEventListener("input", () => {
  isSliding = true;
  to(Number(seek.value));
});
seek.addEventListener("change", () => { isSliding = false; });
for (const button of document.querySelectorAll("[data-step]")) button.addEventListener("click", () => step(Number(button.dataset.step)));
for (const button of document.querySelectorAll("[data-to]")) {
  button.addEventListener("click", () => {
    to(Number(button.dataset.to));
    page.scrollIntoView({ block: "nearest" });
  });
}
layers?.addEventListener("change", draw);
threshold?.addEventListener("input", () => {
  part("threshold-out").textContent = Number(threshold.value).toFixed(2);
  draw();
});
threshold?.addEventListener("change", () => timeline?.read(Number(threshold.value)));
new ResizeObserver(draw).observe(canvas);

const keys = {
  " ": toggle, ArrowLeft: () => to(shownS - 5), ArrowRight: () => to(shownS + 5), ",": () => step(-1), ".": () => step(1),
  "[": () => jump(-1), "]": () => jump(1), b: () => { isMarked = !isMarked; draw(); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const isOwn = event.target instanceof HTMLElement && event.target.matches("button, a, summary, select, input");
  if (!keys[event.key] || (isOwn && [" ", "ArrowLeft", "ArrowRight"].includes(event.key))) return;
  event.preventDefault();
  keys[event.key]();
});

timeline?.read(told.confidence);
marks.want(told.start_s);
open();
