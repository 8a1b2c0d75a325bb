// Shapes of objects: COCO's compressed run lengths, down the columns, those outside first (results/masks.py writes them).

// Run lengths of a text; null where it is none. Groups of five bits, lowest first: see _runs in results/masks.py.
export function runs(counts) {
  const found = [];
  let value = 0, shift = 0;
  for (let i = 0; i < counts.length; i += 1) {
    const group = counts.charCodeAt(i) - 48;
    if (group < 0 || group > 63 || shift > 25) return null;
    value |= (group & 31) << shift;
    shift += 5;
    if (group & 32) continue;
    if (group & 16 && shift < 32) value |= -1 << shift;
    found.push(value + (found.length > 2 ? found[found.length - 2] : 0));
    value = shift = 0;
  }
  return shift === 0 ? found : null;
}

// The shape as a path in pixels of the source: a rectangle for each stretch of a column. Empty where the text does not fit.
export function outline(counts, width, height) {
  const path = new Path2D(), found = runs(counts);
  if (!found || found.some((n) => n < 0) || found.reduce((sum, n) => sum + n, 0) !== width * height) return path;
  let at = 0;
  found.forEach((n, i) => {
    for (let left = i % 2 ? n : 0, from = at; left > 0; ) {
      const y = from % height, long = Math.min(left, height - y);
      path.rect(Math.floor(from / height), y, 1.02, long); // a little wider, so that no seam shows between columns
      left -= long;
      from += long;
    }
    at += n;
  });
  return path;
}
