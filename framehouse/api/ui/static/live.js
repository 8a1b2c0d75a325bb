// Jobs as they change: server-sent events move the rows that are on the page; what ended or is new loads the page anew.

const shown = new Map([...document.querySelectorAll("[data-job]")].map((row) => [row.dataset.job, row]));
const list = document.querySelector("[data-jobs]");
const words = document.querySelector("[data-live]");
const isWhole = !new URLSearchParams(location.search).has("status");
let away = false;

function percent(share) {
  return share > 0 && share < 0.005 ? "<1 %" : share >= 0.995 && share < 1 ? ">99 %" : `${Math.round(share * 100)} %`;
}

function grouped(number) {
  return number.toLocaleString("en").replaceAll(",", "\u202f");
}

function isBusy() {
  const active = document.activeElement;
  return active instanceof HTMLElement && active.matches("input, textarea, select") && active.value !== "";
}

function put(row, selector, text) {
  const place = row.querySelector(selector);
  if (place && place.textContent !== text) place.textContent = text;
}

function show(job) {
  const row = shown.get(job.job_id);
  if (!row) {
    if (list && isWhole) again();
    return;
  }
  if (row.dataset.status !== job.status) {
    row.dataset.status = job.status;
    const status = row.querySelector(".status");
    status.textContent = job.status;
    status.className = `status ${job.status}`;
    again();
  }
  const bar = row.querySelector("progress");
  if (bar) bar.value = job.progress;
  put(row, "[data-share]", percent(job.progress));
  put(row, "[data-hop]", job.hop ?? "");
  put(row, "[data-settled]", grouped(job.n_settled));
  put(row, "[data-planned]", grouped(job.n_planned));
}

// The buttons of a row depend on its status, so the page is loaded anew; not while somebody types or is about to click.
let wanted = 0, isLeaving = false;
function again(afterMs = 700) {
  if (wanted || isLeaving) return;
  wanted = setTimeout(() => {
    wanted = 0;
    if (isBusy()) again();
    else if (!isLeaving) location.reload();
  }, afterMs);
}

for (const act of ["pointerdown", "keydown"]) {
  addEventListener(act, () => {
    if (!wanted) return;
    clearTimeout(wanted);
    wanted = 0;
    again(2000);
  });
}
addEventListener("click", (event) => {
  const isHere = event.target instanceof Element && event.target.closest("a[href^='/']:not([target])") !== null;
  if (isHere && !event.ctrlKey && !event.metaKey && !event.shiftKey) isLeaving = true;
});
addEventListener("submit", (event) => { isLeaving ||= !event.defaultPrevented; });
addEventListener("pageshow", () => { isLeaving = false; });

// What ended between the making of this page and the first event is told too.
const unfinished = [...shown.values()].filter((row) => ["queued", "running", "paused"].includes(row.dataset.status));
const source = new EventSource(`/ui/events?${new URLSearchParams(unfinished.map((row) => ["seen", row.dataset.job]))}`);
source.addEventListener("job", (event) => show(JSON.parse(event.data)));
source.addEventListener("open", () => {
  if (away) location.reload();
});
source.addEventListener("error", () => {
  away = true;
  if (words) words.textContent = "The server does not answer; trying again.";
});
addEventListener("pagehide", () => source.close());

// A file of this computer: promised a place, sent there, then submitted as any other address.
const form = document.querySelector("[data-new-job]");
const file = document.querySelector("#file");
if (form && file) {
  form.querySelector("[data-needs-script]").hidden = false;
  const sources = form.querySelector("#sources");
  const told = form.querySelector("[data-upload]");
  file.addEventListener("change", () => { sources.required = file.files.length === 0; });
  form.addEventListener("submit", async (event) => {
    if (!file.files.length) return;
    event.preventDefault();
    isLeaving = true; // a reload would break the upload off
    try {
      const url = await send(file.files[0], form.elements.token.value, told);
      sources.value = [sources.value.trim(), url].filter(Boolean).join("\n");
      file.value = "";
      form.submit();
    } catch (problem) {
      told.textContent = problem.message;
      isLeaving = false;
    }
  });
}

async function send(chosen, token, told) {
  const promise = await fetch("/ui/uploads", { method: "POST", body: new URLSearchParams({ token, file_name: chosen.name }) });
  const answer = await promise.json();
  if (!promise.ok) throw new Error(answer.error.message);
  await new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("PUT", new URL(answer.url).pathname + new URL(answer.url).search);
    request.upload.onprogress = (event) => { told.textContent = `${percent(event.loaded / event.total)} sent`; };
    request.onload = () => (request.status < 300 ? done() : fail(new Error(JSON.parse(request.responseText).error.message)));
    request.onerror = () => fail(new Error("the upload broke off; try again"));
    request.send(chosen);
  });
  return answer.url;
}
