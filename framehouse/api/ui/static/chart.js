// A chart of an answer: a number or time across gives a line, names across give bars. The table stays the truth.

const data = document.getElementById("rows");
const card = document.querySelector("[data-chart]");
const MOST_BARS = 40;

if (data && card) {
  const { columns, types, rows } = JSON.parse(data.textContent);
  const isNumber = (i) => /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|DECIMAL.*)$/.test(types[i]);
  const isTime = (i) => /^(TIMESTAMP.*|DATE)$/.test(types[i]);
  const isName = (i) => types[i] === "VARCHAR" || types[i] === "BOOLEAN";
  const numbers = columns.map((_, i) => i).filter(isNumber);
  const across = columns.map((_, i) => i).filter((i) => isNumber(i) || isTime(i) || isName(i));
  const x = card.querySelector("[data-x]"), y = card.querySelector("[data-y]"), place = card.querySelector("[data-plot]");

  if (rows.length > 1 && numbers.length && across.length > 1) {
    const first = across.find((i) => isName(i) || isTime(i)) ?? across[0];
    fill(x, across, first);
    fill(y, numbers, numbers.find((i) => i !== first) ?? numbers[0]);
    card.hidden = false;
    const again = () => show(Number(x.value), Number(y.value));
    x.addEventListener("change", again);
    y.addEventListener("change", again);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    if (document.readyState === "complete") again();
    else addEventListener("load", again);
  }

  function fill(select, places, chosen) {
    for (const i of places) select.add(new Option(columns[i], i, i === chosen, i === chosen));
  }

  function show(i, j) {
    place.replaceChildren();
    if (isName(i)) bars(i, j);
    else line(i, j);
  }

  function bars(i, j) {
    const shown = rows.filter((row) => row[j] !== null).slice(0, MOST_BARS), most = Math.max(...shown.map((row) => Math.abs(row[j])), 1e-12);
    const list = document.createElement("div");
    list.className = "bar-chart";
    for (const row of shown) {
      const name = document.createElement("span"), bar = document.createElement("span"), number = document.createElement("span");
      name.textContent = row[i] === null ? "null" : String(row[i]).split("/").pop();
      bar.className = "length";
      bar.style.inlineSize = `${(100 * Math.abs(row[j])) / most}%`;
      number.className = "number";
      number.textContent = Number.isInteger(row[j]) ? row[j] : row[j].toPrecision(4);
      const track = document.createElement("span");
      track.className = "track";
      track.append(bar);
      list.append(name, track, number);
    }
    place.append(list);
    if (rows.length > shown.length) {
      const rest = document.createElement("p");
      rest.className = "soft";
      rest.textContent = `The first ${shown.length} of ${rows.length} rows.`;
      place.append(rest);
    }
  }

  function line(i, j) {
    const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name).trim();
    const inUtc = (text) => (/T/.test(text) && !/(Z|[+-]\d\d:\d\d)$/.test(text) ? `${text}Z` : text);
    const value = (row) => (isTime(i) ? Date.parse(inUtc(row[i])) / 1000 : row[i]);
    const points = rows.filter((row) => row[i] !== null).map((row) => [value(row), row[j]]).sort((a, b) => a[0] - b[0]);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") }, font: "12px system-ui, sans-serif" };
    const plot = new window.uPlot({
      width: Math.max(200, place.clientWidth), height: 260, legend: { show: false },
      scales: { x: { time: isTime(i) } },
      axes: [{ ...axis, label: columns[i], labelFont: axis.font, labelSize: 20 }, { ...axis, label: columns[j], labelFont: axis.font, labelSize: 20 }],
      series: [{}, { stroke: colour("--accent"), width: 2, points: { show: points.length < 80, size: 6 } }],
    }, [points.map(([at]) => at), points.map(([, up]) => up)], place);
    new ResizeObserver(() => plot.setSize({ width: Math.max(200, place.clientWidth), height: 260 })).observe(place);
  }
}
