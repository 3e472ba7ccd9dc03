// The ports as rows; only those that are in sight exist, however many there are.
import { SIGNS, addresses, health, named, pick, rate, state } from "./state.js";

const HEIGHT = 26;
const list = document.getElementById("list");
const room = document.getElementById("room");
const rows = new Map();

function cell(text, kind = "") {
  const made = document.createElement("span");
  made.textContent = text;
  made.className = kind;
  made.title = text;
  return made;
}

function fill(row, port) {
  const how = health(port);
  const rates = state.rates.get(port.id) || {};
  row.replaceChildren(
    cell(SIGNS[how], how), cell(named(port)), cell(addresses(port)[0] || port.device || "", "dim mono"),
    cell(port.status, how), cell(rate(rates.out) + "/" + rate(rates.in), "num dim"));
  row.setAttribute("aria-selected", String(port.id === state.picked));
}

export function draw() {
  room.style.height = `${state.shown.length * HEIGHT}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - 5);
  const last = Math.min(state.shown.length, first + Math.ceil(list.clientHeight / HEIGHT) + 10);
  const wanted = new Set();
  for (let at = first; at < last; at += 1) {
    const port = state.shown[at];
    wanted.add(port.id);
    let row = rows.get(port.id);
    if (!row) {
      row = document.createElement("div");
      row.className = "row";
      row.setAttribute("role", "option");
      row.id = `port-${port.id}`;
      row.addEventListener("click", () => pick(port.id));
      rows.set(port.id, row);
      room.append(row);
    }
    row.style.top = `${at * HEIGHT}px`;
    fill(row, port);
  }
  for (const [id, row] of rows) if (!wanted.has(id)) { row.remove(); rows.delete(id); }
  list.setAttribute("aria-activedescendant", `port-${state.picked}`);
  const count = (how) => state.order.filter((port) => health(port) === how).length;
  const broken = count("bad");
  document.getElementById("counts").replaceChildren(
    cell(`${state.shown.length} of ${state.order.length}`), cell(broken ? ` · ${broken} broken` : "", "bad"));
}

// The one that is picked comes into sight.
export function reveal() {
  const at = state.shown.findIndex((port) => port.id === state.picked);
  if (at < 0) return;
  const top = at * HEIGHT;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + HEIGHT - list.clientHeight;
}

document.getElementById("head").append(cell(""), cell("port"), cell("address"), cell("status"),
  cell("bit/s out/in", "num"));
list.addEventListener("scroll", draw);
new ResizeObserver(draw).observe(list);
