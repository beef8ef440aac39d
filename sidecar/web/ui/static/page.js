// Keeps the page alive without reloading it. The page works without this script.
"use strict";

const html = document.documentElement;
const base = new URL(html.dataset.base, location.href);
const main = () => document.getElementById("main");
const stored = () => { try { return sessionStorage.getItem("token"); } catch { return null; } };
// The difference between the clocks of the sidecar and of this machine.
let skew = 0;

function headers(more) {
  const token = stored();
  return token ? { ...more, Authorization: `Bearer ${token}` } : { ...more };
}

async function fetchPage(url, options = {}) {
  const answer = await fetch(url, { ...options, cache: "no-store", headers: headers({ Accept: "text/html", ...options.headers }) });
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!parsed.getElementById("main")) throw new Error(`no page: ${answer.status}`);
  return { answer, parsed };
}

// -- show a page in place of another ------------------------------------------------------------------

function syncAttributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !(name === "open" && from.nodeName === "DETAILS")) from.removeAttribute(name);
  }
  for (const { name, value } of [...to.attributes]) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
}

// Changes only what differs, so that focus, open details and what somebody types stay as they are.
function morph(from, to) {
  if (from.nodeType === Node.TEXT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) return;
  if (from.matches("input, select, textarea")) return;
  syncAttributes(from, to);
  const key = (node) => (node.nodeType === Node.ELEMENT_NODE && (node.dataset.key || node.id || node.getAttribute("aria-labelledby"))) || null;
  const keyed = new Map([...from.childNodes].filter(key).map((node) => [key(node), node]));
  let next = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    let match = key(wanted) ? keyed.get(key(wanted)) : next;
    if (!key(wanted)) {
      while (match && key(match)) match = match.nextSibling;
    }
    if (match && match.nodeType === wanted.nodeType && match.nodeName === wanted.nodeName) {
      if (match !== next) from.insertBefore(match, next); else next = match.nextSibling;
      morph(match, wanted);
    } else {
      from.insertBefore(document.importNode(wanted, true), next);
    }
  }
  while (next) { const gone = next; next = next.nextSibling; gone.remove(); }
}

function show(parsed, inPlace) {
  const wanted = parsed.getElementById("main");
  if (inPlace) morph(main(), wanted); else main().replaceWith(document.importNode(wanted, true));
  if (document.title !== parsed.title) document.title = parsed.title;
  const footer = parsed.querySelector("footer"), own = document.querySelector("footer");
  if (footer && own) morph(own, footer); else if (footer) document.body.append(document.importNode(footer, true));
  prepare();
}

// -- relative times ----------------------------------------------------------------------------------

function words(secs) {
  const whole = Math.max(0, Math.round(secs));
  if (whole < 100) return `${whole} s`;
  for (const [size, unit, small, smaller] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 0, ""]]) {
    if (whole < size) continue;
    const more = small ? Math.floor((whole % size) / small) : 0;
    return `${Math.floor(whole / size)} ${unit}` + (more ? ` ${more} ${smaller}` : "");
  }
  return "";
}

function tick() {
  const now = Date.now() + skew;
  for (const one of document.querySelectorAll("time[datetime]")) {
    const at = Date.parse(one.dateTime);
    if (Number.isNaN(at)) continue;
    const text = at > now ? `in ${words((at - now) / 1000)}` : `${words((now - at) / 1000)} ago`;
    if (one.textContent !== text) one.textContent = text;
  }
}

// -- navigation with a token -------------------------------------------------------------------------

// A browser sends no token when it follows a link, so the script follows links and sends forms itself.
async function go(url, options = {}, remember = true) {
  try {
    const { answer, parsed } = await fetchPage(url, options);
    show(parsed, false);
    if (remember) history.pushState(null, "", answer.url + (answer.redirected ? "" : new URL(url, location.href).hash));
    html.dataset.base = parsed.documentElement.dataset.base;
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target) target.scrollIntoView(); else { window.scrollTo(0, 0); main().focus(); }
    follow();
  } catch (error) {
    say("The sidecar does not answer. Nothing is known to have changed.");
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || !stored() || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) return;
  if (url.pathname === location.pathname && url.search === location.search && url.hash) return;
  event.preventDefault();
  go(url.href);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.id === "sign-in") {
    event.preventDefault();
    sessionStorage.setItem("token", form.querySelector("#token").value.trim());
    go(location.href, {}, false);
    return;
  }
  if (!stored()) return;
  event.preventDefault();
  const fields = new URLSearchParams(new FormData(form));
  const url = new URL(form.getAttribute("action") || location.href, location.href);
  if (form.method === "post") go(url.href, { method: "POST", body: fields });
  else { url.search = fields; url.hash = ""; go(url.href); }
});

window.addEventListener("popstate", () => { if (stored()) go(location.href, {}, false); });

// -- live --------------------------------------------------------------------------------------------

const LEAST_MS = 1000;
const EVERY_MS = 15000;
let refreshing = false, again = false, timer = 0, stream = null, spent = 0;

function say(text) {
  const place = document.getElementById("connection");
  if (place && place.textContent !== text) place.textContent = text;
  document.body.classList.toggle("stale", text !== "");
}

async function refresh() {
  if (refreshing) { again = true; return; }
  if (main().dataset.live === undefined || document.hidden) return;
  refreshing = true;
  const began = performance.now(), where = location.href;
  try {
    const { answer, parsed } = await fetchPage(where);
    if (where === location.href && (answer.ok || answer.status === 401 || answer.status === 403)) show(parsed, true);
  } catch { /* The stream says that the connection is lost. */ }
  spent = performance.now() - began;
  refreshing = false;
  if (again) { again = false; soon(); }
}

// A page of many scopes costs the sidecar more, so it is asked for less often.
function soon() {
  if (timer) return;
  timer = setTimeout(() => { timer = 0; refresh(); }, Math.max(LEAST_MS, 5 * spent) * (refreshing || spent ? 1 : 0.2));
}

async function read(scope, signal) {
  const url = new URL(`v1/events${scope ? `/${scope}` : ""}`, base);
  const answer = await fetch(url, { headers: headers({ Accept: "text/event-stream" }), cache: "no-store", signal });
  if (!answer.ok) throw new Error(`${answer.status}`);
  say("");
  refresh();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    if (value.includes("event: change")) soon();
  }
}

async function follow() {
  if (stream) stream.abort();
  stream = null;
  const scope = main().dataset.live;
  if (scope === undefined || document.hidden) { say(""); return; }
  const own = stream = new AbortController();
  for (let wait = 500; stream === own; wait = Math.min(wait * 2, 8000)) {
    const began = performance.now();
    try { await read(scope, own.signal); } catch { /* Tried again below. */ }
    if (stream !== own) return;
    if (performance.now() - began > 10000) wait = 500;
    say("Connection lost. Trying again.");
    await new Promise((done) => setTimeout(done, wait * (0.5 + Math.random() / 2)));
  }
}

document.addEventListener("visibilitychange", follow);
window.addEventListener("pagehide", () => { if (stream) stream.abort(); });
window.addEventListener("pageshow", (event) => { if (event.persisted) follow(); });

// -- start -------------------------------------------------------------------------------------------

function prepare() {
  const now = Number(main().dataset.now);
  if (now) skew = now - Date.now();
  const form = document.getElementById("sign-in"), out = document.getElementById("sign-out");
  if (form) form.hidden = false;
  if (out) {
    out.hidden = !stored();
    out.onclick = () => { sessionStorage.removeItem("token"); location.reload(); };
  }
  tick();
}

prepare();
setInterval(tick, 5000);
setInterval(refresh, EVERY_MS);
if (main().dataset.problem === "unauthorized" && stored()) go(location.href, {}, false); else follow();
