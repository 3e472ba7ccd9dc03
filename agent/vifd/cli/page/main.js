// What is asked of the daemon and when, keys, and the frame of the page.
import * as api from "./api.js";
import * as detail from "./detail.js";
import * as picture from "./picture.js";
import * as table from "./table.js";
import { changed, counted, forget, health, onChange, pick, put, replace, select, state, step } from "./state.js";

const at = (id) => document.getElementById(id);
const KEYS = [["j k ↑ ↓", "the next or last port"], ["b", "the next broken port"], ["/", "filter"],
  ["Esc", "leave the filter"], ["e v o t n p", "explain, evidence, offers, traffic, events, document"],
  ["d", "dark or light"], ["?", "these keys"]];
const SHOWN = 300;
const FIELDS = "id,plugin,vif_type,role,phase,status,device,wiring,findings,error,revision,checked_at,vif,document";

async function load() {
  const [session, status, host, listed] = await Promise.all([
    api.get("/ui/session"), api.get("/v1/status"), api.get("/v1/host"), api.get(`/v1/ports?fields=${FIELDS}`)]);
  Object.assign(state, { write: session.write, changes: session.changes, status, host, lost: "" });
  replace(listed.ports);
}

// Of ports that changed, each is read once in a while, however many events there were; of many all.
const stale = new Set();
let reading = false;
async function refresh() {
  if (reading) return;
  reading = true;
  try {
    while (stale.size) {
      const ids = [...stale];
      stale.clear();
      if (ids.length > 20) { await load(); } else {
        await Promise.all(ids.map((id) => api.get(api.port(id)).then(put, (problem) => {
          if (problem.status === 404) forget(id);
        })));
      }
    }
  } finally {
    reading = false;
  }
}

function note(event, id) {
  state.events.push({ event, id });
  if (state.events.length > 2000) state.events.splice(0, 1000);
  changed();
}

function told(event, id) {
  state.lost = "";
  note(event, id);
  if (event.port) { stale.add(event.port); refresh(); }
}

let last = 0;
async function count() {
  try {
    const found = await api.get("/ui/counters");
    const now = performance.now();
    counted(found, last ? (now - last) / 1000 : 1);
    last = now;
  } catch { /* the next time */ }
}

async function look() {
  try {
    state.status = await api.get("/v1/status");
    state.lost = "";
  } catch (problem) { state.lost = problem.message; }
  changed();
}

// The list has no evidence, which is long: the port that is looked at is read whole.
let whole = "";
async function pickedOne() {
  const port = state.ports.get(state.picked);
  const now = port && `${port.id}:${port.revision}:${port.checked_at}`;
  if (!port || port.evidence || whole === now) return;
  whole = now;
  try { put(await api.get(api.port(port.id))); } catch { whole = ""; }
}

function drawHead() {
  const status = state.status || {};
  at("host").textContent = status.host || "";
  const word = state.lost ? "vifd does not answer" : status.ready ? "ready" : status.live ? "not ready" : "";
  at("state").textContent = word;
  at("state").className = state.lost ? "bad" : status.ready ? "good" : "warn";
  at("plugins").replaceChildren(...Object.entries(status.plugins || {}).map(([name, how]) => {
    const made = document.createElement("span");
    made.textContent = ` ${name}`;
    made.className = how === "ready" ? "good" : how === "degraded" ? "warn" : "idle";
    made.title = how;
    return made;
  }));
  at("mode").textContent = state.write ? "may change ports" : "reads only";
  document.title = `vifd ${status.host || ""}`;
}

function drawEvents() {
  const list = at("events");
  const rows = state.events.slice(-SHOWN).reverse().map(({ event }) => {
    const row = document.createElement("li");
    const when = new Date(event.at * 1000).toISOString().slice(11, 23);
    const port = state.ports.get(event.port);
    const name = port ? port.document.port.name || port.device : event.port || "";
    row.textContent = [when, event.event, name, event.plugin, event.phase, event.status,
      event.error ? `${event.error.code}: ${event.error.message}` : ""].filter(Boolean).join("  ");
    row.className = event.error ? "bad" : "";
    if (port) row.addEventListener("click", () => pick(port.id));
    return row;
  });
  list.replaceChildren(...rows);
}

function dark() {
  const root = document.documentElement;
  const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* it is asked again next time */ }
}

function help() {
  const dialog = at("keys");
  if (dialog.open) { dialog.close(); return; }
  const rows = KEYS.map(([key, what]) => {
    const row = document.createElement("tr");
    for (const said of [key, what]) row.insertCell().textContent = said;
    return row;
  });
  const inside = document.createElement("table");
  inside.append(...rows);
  dialog.replaceChildren(inside);
  dialog.showModal();
}

function broken() {
  const from = state.shown.findIndex((port) => port.id === state.picked);
  const turned = [...state.shown.slice(from + 1), ...state.shown.slice(0, from + 1)];
  const found = turned.find((port) => health(port) === "bad");
  if (found) pick(found.id);
}

const DO = { j: () => step(1), k: () => step(-1), ArrowDown: () => step(1), ArrowUp: () => step(-1),
  PageDown: () => step(20), PageUp: () => step(-20), Home: () => step(-1e9), End: () => step(1e9),
  b: broken, d: dark, "?": help, "/": () => at("filter").focus() };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || at("keys").open) return;
  if (event.target === at("filter")) {
    if (event.key === "Escape" || event.key === "Enter") at("list").focus();
    return;
  }
  const tab = detail.keys.get(event.key);
  const act = tab ? () => detail.show(tab) : DO[event.key];
  if (!act) return;
  event.preventDefault();
  act();
  requestAnimationFrame(() => requestAnimationFrame(table.reveal));
});
at("filter").addEventListener("input", (event) => { state.filter = event.target.value; select(); changed(); });
at("theme").addEventListener("click", dark);
at("help").addEventListener("click", help);
try { const kept = localStorage.getItem("theme"); if (kept) document.documentElement.dataset.theme = kept; } catch { /* none */ }

for (const call of [drawHead, drawEvents, table.draw, picture.draw, detail.draw, pickedOne]) onChange(call);

async function begin() {
  let last = "0";
  for (;;) {
    // the past first: what happens while the ports are read is told by the stream
    try { last = await api.past(note); await load(); break; } catch (problem) {
      state.lost = problem.message;
      changed();
      await new Promise((go) => setTimeout(go, 1000));
    }
  }
  document.documentElement.dataset.ready = "1";
  let away = false;
  api.follow(last, (event, id) => {
    if (away) { away = false; load().catch(() => {}); }
    told(event, id);
  }, (problem) => { away = true; state.lost = problem.message; changed(); });
  count();
  setInterval(count, 2000);
  setInterval(look, 5000);
  setInterval(() => load().catch(() => {}), 60000);
}
begin();
