// What the models saw, fetched in stretches around the play head, and looked up by time.

const KINDS = ["boxes", "gazes", "classes", "texts"];
const TRAIL_S = 2;

// Index of the value nearest to t in a rising list; a tie takes the earlier. -1 in an empty one.
export function nearest(times, t) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < t) low = middle + 1;
    else high = middle;
  }
  if (low === times.length) return low - 1;
  return low > 0 && t - times[low - 1] <= times[low] - t ? low - 1 : low;
}

export class Marks {
  constructor(told, onNews) {
    this.told = told;
    this.onNews = onNews;
    this.steps = new Map(told.models.map((model) => [model.model_digest, model.step_s]));
    this.stretches = new Map();
  }

  // Have the stretches around a time fetched; those far away are forgotten.
  want(t) {
    const here = Math.max(0, Math.floor(t / this.told.window_s)), last = Math.floor(this.told.duration_s / this.told.window_s);
    for (const number of [here, here + 1, here - 1]) if (number >= 0 && number <= last) this.fetch(number);
    for (const number of this.stretches.keys()) if (Math.abs(number - here) > 12) this.stretches.delete(number);
  }

  async fetch(number) {
    if (this.stretches.has(number)) return;
    this.stretches.set(number, null);
    const { video_id, window_s } = this.told;
    const asked = new URLSearchParams({ start_s: number * window_s, end_s: (number + 1) * window_s });
    try {
      const answer = await fetch(`/ui/videos/${video_id}/marks.json?${asked}`);
      const body = await answer.json();
      if (!answer.ok) throw new Error(body.error.message);
      this.stretches.set(number, unpack(body));
    } catch {
      setTimeout(() => this.stretches.get(number) === null && this.stretches.delete(number), 2000);
    }
    this.onNews();
  }

  isKnown(t) {
    return Boolean(this.stretches.get(Math.floor(t / this.told.window_s)));
  }

  // The looked-at frame nearest to a time, by model, if it is at most one step away: outside of the plan nothing is claimed.
  frameAt(digest, t) {
    const here = Math.floor(t / this.told.window_s), step = this.steps.get(digest);
    let best = null;
    for (const number of [here - 1, here, here + 1]) {
      const model = this.stretches.get(number)?.get(digest);
      if (!model) continue;
      const i = nearest(model.times, t);
      if (i >= 0 && (best === null || Math.abs(model.times[i] - t) < Math.abs(best.t - t))) {
        best = { t: model.times[i], offset: model.offsets[i], ok: model.ok[i], rows: model.rows.get(model.offsets[i]) };
      }
    }
    return best && (step === null || Math.abs(best.t - t) <= step + 1e-6) ? best : null;
  }

  // Times of all frames known around here at which one of the models looked, rising.
  times(digests) {
    const all = new Set();
    for (const stretch of this.stretches.values()) {
      if (stretch) for (const digest of digests) stretch.get(digest)?.times.forEach((t) => all.add(t));
    }
    return [...all].sort((a, b) => a - b);
  }

  // All that is to be drawn at a time.
  seen(t, digests, threshold) {
    const seen = { boxes: [], gazes: [], classes: [], texts: [], isGap: false, looked: [] };
    for (const digest of digests) {
      const frame = this.frameAt(digest, t);
      if (!frame) continue;
      seen.looked.push({ digest, ...frame });
      if (!frame.ok) seen.isGap = true;
      for (const kind of KINDS) {
        for (const row of frame.rows?.[kind] ?? []) if (row.confidence >= threshold) seen[kind].push({ ...row, digest });
      }
    }
    return seen;
  }

  // Where the tracked things of this frame were in the last two seconds.
  trails(t, seen) {
    return seen.boxes.filter((box) => box.tracker_id != null).map((box) => {
      const places = [];
      for (const number of [-1, 0]) {
        const model = this.stretches.get(Math.floor(t / this.told.window_s) + number)?.get(box.digest);
        model?.times.forEach((time, i) => {
          if (time < t - TRAIL_S || time > t + 1e-6) return;
          const row = model.rows.get(model.offsets[i])?.boxes?.find((other) => other.tracker_id === box.tracker_id);
          if (row) places.push([row.x, row.y + row.height / 2]);
        });
      }
      return { id: box.tracker_id, places };
    });
  }
}

// Columns as rows by frame: Map of digest to { offsets, times, ok, rows: Map of frame_offset to { boxes: [...] … } }.
function unpack(body) {
  return new Map(Object.entries(body).map(([digest, tables]) => {
    const rows = new Map();
    for (const kind of KINDS) {
      const table = tables[kind];
      if (!table) continue;
      const { frame_offset, ...columns } = table, names = Object.keys(columns);
      frame_offset.forEach((offset, i) => {
        const row = Object.fromEntries(names.map((name) => [name, columns[name][i]]));
        if (!rows.has(offset)) rows.set(offset, {});
        (rows.get(offset)[kind] ??= []).push(row);
      });
    }
    const { frame_offset = [], t = [], ok = [] } = tables.frames ?? {};
    return [digest, { offsets: frame_offset, times: t, ok, rows }];
  }));
}
