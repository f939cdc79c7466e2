// Replaces the parts of the page that have changed every 2 s. The server renders them, so that they look and are
// escaped as at first sight.
"use strict";

const INTERVAL_MS = 2000;
const TIMEOUT_MS = 5000;

const state = document.getElementById("refresh");
const button = document.getElementById("pause");
let paused = false;
let timer = 0;
let refreshed = new Date();

function schedule() {
  clearTimeout(timer);
  if (!paused && !document.hidden) {
    timer = setTimeout(refresh, INTERVAL_MS);
  }
}

async function refresh() {
  let text = "Refreshes every 2 s";
  try {
    const options = { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) };
    const response = await fetch(location.href, options);
    if (!response.ok) {
      throw new Error(response.status);
    }
    show(new DOMParser().parseFromString(await response.text(), "text/html"));
    refreshed = new Date();
    document.body.classList.remove("stale");
  } catch {
    document.body.classList.add("stale");
    text = "No response since " + refreshed.toLocaleTimeString();
  }
  say(paused ? "Paused" : text);
  schedule();
}

function show(page) {
  document.title = page.title;
  for (const part of page.querySelectorAll("#state, #since, section[id], footer")) {
    const selector = part.id ? "#" + part.id : part.localName;
    const shown = document.querySelector(selector);
    if (shown && !shown.isEqualNode(part) && !isSelected(shown)) {
      replace(shown, part);
    }
  }
}

// Text that is selected, perhaps to be copied, stays.
function isSelected(part) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(part, true);
}

// Keeps the focus and the position of what scrolls.
function replace(shown, part) {
  const focused = shown.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = [...shown.querySelectorAll(".scroll")].map((it) => [it.id, it.scrollLeft]);
  shown.replaceWith(document.adoptNode(part));
  for (const [id, left] of scrolled) {
    const scroll = document.getElementById(id);
    if (scroll) {
      scroll.scrollLeft = left;
    }
  }
  if (focused) {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
}

// Screen readers read the text when it changes, so it is set only then.
function say(text) {
  if (state.textContent !== text) {
    state.textContent = text;
  }
}

button.hidden = false;
button.addEventListener("click", () => {
  paused = !paused;
  button.textContent = paused ? "Resume" : "Pause";
  say(paused ? "Paused" : "Refreshes every 2 s");
  schedule();
});
document.addEventListener("visibilitychange", schedule);
say("Refreshes every 2 s");
schedule();
