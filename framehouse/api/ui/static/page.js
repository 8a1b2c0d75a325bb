// What every page does: keys, times in the reader's own zone, pictures that are not to be had.

for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (!Number.isNaN(moment.getTime())) {
    time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    time.title = time.dateTime;
  }
}

for (const image of document.querySelectorAll("img[data-may-lack]")) {
  const lack = () => image.closest(".still").classList.add("lacking");
  if (image.complete && image.naturalWidth === 0 && image.currentSrc) lack();
  image.addEventListener("error", lack);
}

for (const opener of document.querySelectorAll("[data-opens]")) {
  opener.addEventListener("click", () => document.getElementById(opener.dataset.opens).showModal());
}

export function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable ||
    (target.matches("input, textarea, select") && !["range", "checkbox", "radio"].includes(target.type)));
}

const places = { v: "/ui/videos", s: "/ui/search", j: "/ui/jobs", q: "/ui/sql", m: "/ui/models" };
let going = 0;

document.addEventListener("keydown", (event) => {
  const query = document.querySelector("textarea.code");
  if (query && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    query.form.requestSubmit();
    return;
  }
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "/") {
    event.preventDefault();
    const search = document.querySelector("[data-search]");
    if (search) search.focus();
    else location.href = "/ui/search";
  } else if (event.key === "?") {
    document.getElementById("keys")?.showModal();
  } else if (event.key === "g") {
    going = event.timeStamp;
  } else if (places[event.key] && event.timeStamp - going < 1200) {
    location.href = places[event.key];
  }
});
