// The wiring: guest, device, bridge, network, uplink. So many ports as can be read are drawn one by
// one, what is broken first; the others are one node for each network.
import { addresses, health, named, pick, rate, state } from "./state.js";

const svg = document.getElementById("picture");
const NS = "http://www.w3.org/2000/svg";
const COLUMNS = ["guest", "device", "bridge", "network", "uplink"];
const ROW = 42;

function element(name, given = {}, ...inside) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

function segment(port) {
  const network = port.document.network || {};
  const where = network.segment || {};
  const tag = where.segmentation_id ? ` ${where.segmentation_id}` : "";
  return { id: network.id || "-", name: network.name || (network.id || "none").slice(0, 8),
    sub: `${where.network_type || ""}${tag}`, physical: where.physical_network, type: where.network_type };
}

function bridgeOf(port) {
  const details = (port.wiring || {}).details || {};
  return (port.vif || {}).bridge || details.bridge || (port.plugin ? `(${port.plugin})` : "");
}

// What is down is broken; of what else is wrong the ports of this host may know nothing.
function judged(found) {
  return found.up === false ? "bad" : found.problem ? "warn" : "";
}

// Where a network leaves the host: a bridge or device of a physical network, a tunnel, or nowhere.
function uplinkOf(port, where) {
  const facts = (((state.host || {}).plugins || {})[port.plugin]) || {};
  if (where.physical) {
    const found = (facts.physical_networks || {})[where.physical] || {};
    return { id: `p:${where.physical}`, name: found.device || where.physical, sub: where.physical,
      how: judged(found), why: found.problem };
  }
  if (["vxlan", "gre", "geneve"].includes(where.type)) {
    const found = (facts.tunnels || {})[where.type] || {};
    return { id: `t:${where.type}`, name: `${where.type} tunnel`, sub: found.local_ip || "",
      how: judged(found), why: found.problem };
  }
  return null;
}

function plan(most) {
  const drawn = new Set(state.shown.slice(0, most).map((port) => port.id));
  if (state.picked) drawn.add(state.picked);
  const nodes = COLUMNS.map(() => new Map());
  const wires = [];
  const put = (column, id, node) => {
    const known = nodes[column].get(id);
    if (known) { known.count += node.count || 1; return known; }
    nodes[column].set(id, { count: 1, ...node, id, column });
    return nodes[column].get(id);
  };
  for (const port of state.shown) {
    const how = health(port);
    const where = segment(port);
    const bridge = put(2, bridgeOf(port), { name: bridgeOf(port) || "none", sub: port.plugin || "" });
    const network = put(3, where.id, { name: where.name, sub: where.sub });
    const uplink = uplinkOf(port, where);
    const rates = state.rates.get(port.id);
    const busy = rates && rates.out + rates.in > 1000;
    const picked = port.id === state.picked;
    let device;
    if (drawn.has(port.id)) {
      const instance = port.document.instance || {};
      const guest = put(0, instance.id || port.id, { name: instance.name || named(port),
        sub: addresses(port)[0] || "", how: "", port: port.id });
      if (how === "bad") guest.how = "bad";
      device = put(1, port.id, { name: port.device || "no device", port: port.id, how, picked,
        sub: rates ? `${rate(rates.out)} / ${rate(rates.in)} bit/s` : port.status });
      guest.picked = guest.picked || picked;
      wires.push({ from: guest, to: device, how, busy, picked });
    } else {
      device = put(1, `more:${bridge.id}:${where.id}`, { more: true, sub: where.name, how: "" });
      if (how === "bad") device.how = "bad";
    }
    wires.push({ from: device, to: bridge, how, busy, picked });
    wires.push({ from: bridge, to: network, how: uplink && uplink.how || "", picked });
    if (uplink) wires.push({ from: network, to: put(4, uplink.id, uplink), how: uplink.how, picked });
  }
  return { nodes, wires };
}

function place(nodes, width, height) {
  const wide = width / COLUMNS.length;
  nodes.forEach((column, at) => {
    const all = [...column.values()];
    const gap = Math.min(ROW * 2, (height - 40) / Math.max(1, all.length));
    const top = 34 + Math.max(0, (height - 40 - gap * all.length) / 2);
    all.forEach((node, index) => {
      node.x = at * wide + 8;
      node.y = top + index * gap;
      node.w = wide - 26;
      node.h = Math.min(34, gap - 5);
    });
  });
}

function clipped(text, room) {
  // names differ at their ends
  const most = Math.max(5, Math.floor(room / 6.4));
  const end = Math.floor(most / 2);
  return text.length > most ? `${text.slice(0, most - end - 1)}…${text.slice(-end)}` : text;
}

function drawNode(node) {
  const name = node.more ? `+${node.count} ports` : node.name;
  const kinds = ["node", node.how === "bad" || node.how === "warn" ? node.how : "", node.picked ? "picked" : ""];
  const group = element("g", { class: kinds.filter(Boolean).join(" "),
    transform: `translate(${node.x},${node.y})`, "data-id": node.id });
  const sub = node.column === 2 && node.count > 1 ? `${node.sub} · ${node.count} ports` : node.sub || "";
  const two = sub && node.h >= 28;
  const text = element("text", { x: 7, y: two ? 14 : node.h / 2 + 4 });
  text.textContent = clipped(name, node.w - 12);
  const title = element("title");
  title.textContent = `${name} ${sub}${node.why ? `: ${node.why}` : ""}`;
  group.append(title, element("rect", { width: node.w, height: Math.max(10, node.h), rx: 4 }), text);
  if (two) {
    const small = element("text", { x: 7, y: 26, class: "sub" });
    small.textContent = clipped(sub, node.w * 1.05);
    group.append(small);
  }
  if (node.port) group.addEventListener("click", () => pick(node.port));
  return group;
}

function drawWire(wire) {
  const x1 = wire.from.x + wire.from.w, y1 = wire.from.y + wire.from.h / 2;
  const x2 = wire.to.x, y2 = wire.to.y + wire.to.h / 2, bend = (x2 - x1) / 2;
  const kinds = ["wire", wire.how, wire.busy ? "busy" : "", wire.picked ? "picked" : ""];
  return element("path", { class: kinds.filter(Boolean).join(" "),
    d: `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}` });
}

// One wire for all that run the same way; the worst of them gives the colour.
function merged(wires) {
  const order = ["bad", "warn", "good", "idle", ""];
  const found = new Map();
  for (const wire of wires) {
    const key = `${wire.from.column}:${wire.from.id}>${wire.to.id}`;
    const known = found.get(key);
    if (!known) { found.set(key, { ...wire }); continue; }
    if (order.indexOf(wire.how) < order.indexOf(known.how)) known.how = wire.how;
    known.busy = known.busy || wire.busy;
    known.picked = known.picked || wire.picked;
  }
  return [...found.values()].sort((a, b) => Number(a.picked) - Number(b.picked));
}

export function draw() {
  const { width, height } = svg.getBoundingClientRect();
  if (!width || !height) return;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const { nodes, wires } = plan(Math.max(3, Math.floor((height - 40) / ROW) - 1));
  place(nodes, width, height);
  const titles = COLUMNS.map((name, at) => {
    const made = element("text", { class: "title", x: at * (width / COLUMNS.length) + 8, y: 18 });
    made.textContent = name;
    return made;
  });
  svg.replaceChildren(...(state.shown.length ? titles : []), ...merged(wires).map(drawWire),
    ...nodes.flatMap((column) => [...column.values()].map(drawNode)));
  const empty = document.getElementById("empty");
  empty.hidden = state.shown.length > 0;
  if (!empty.hidden) {
    empty.textContent = state.order.length ? "No port fits the filter."
      : "This host has no port. Plug one:\nvifctl port example two | vifctl port plug -f -";
  }
}

new ResizeObserver(draw).observe(svg);
