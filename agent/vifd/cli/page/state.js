// What is known of the host, and who wants to hear of a change. Nothing here draws.

export const state = {
  ports: new Map(), order: [], shown: [], picked: null, filter: "", host: null, status: null,
  counts: {}, rates: new Map(), events: [], lost: "", write: false, changes: [],
};

const heard = new Set();
let due = false;

export const onChange = (call) => heard.add(call);

// Many changes of a moment are drawn once.
export function changed() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    select();
    for (const call of heard) call();
  });
}

// good, warn, bad or idle: the one judgement that colours all there is.
export function health(port) {
  if (port.error || port.phase === "FAILED" || port.status === "ERROR") return "bad";
  if ((port.findings || []).length || port.phase === "DEGRADED") return "bad";
  if (["PLUGGING", "UNPLUGGING", "WAITING", "BOUND"].includes(port.phase)) return "warn";
  return port.status === "ACTIVE" ? "good" : "idle";
}

export const SIGNS = { good: "●", warn: "◐", bad: "✗", idle: "○" };
const RANK = { bad: 0, warn: 1, good: 2, idle: 3 };

export function named(port) {
  return port.document.port.name || port.device || port.id.slice(0, 8);
}

export function addresses(port) {
  return (port.document.fixed_ips || []).map((each) => each.ip_address);
}

function words(port) {
  const doc = port.document;
  return [port.id, named(port), port.device, port.status, port.phase, port.plugin, health(port),
    doc.port.mac_address, ...addresses(port), (doc.instance || {}).name, (doc.network || {}).name,
    (doc.network || {}).id, (port.error || {}).code].filter(Boolean).join(" ").toLowerCase();
}

export function replace(ports) {
  // what was read whole of one that has not changed stays
  const kept = (each, known) => (known && known.evidence && known.revision === each.revision
    && known.checked_at === each.checked_at ? known : each);
  state.ports = new Map(ports.map((each) => [each.id, kept(each, state.ports.get(each.id))]));
  changed();
}

export function put(port) {
  state.ports.set(port.id, port);
  changed();
}

export function forget(id) {
  state.ports.delete(id);
  changed();
}

// What is shown, and of it what is picked. A filter holds at once, before it is drawn.
export function select() {
  const wanted = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const all = [...state.ports.values()];
  all.sort((a, b) => RANK[health(a)] - RANK[health(b)] || named(a).localeCompare(named(b), "en", { numeric: true })
    || (a.id < b.id ? -1 : 1));
  state.order = all;
  state.shown = wanted.length ? all.filter((port) => {
    const text = words(port);
    return wanted.every((word) => text.includes(word));
  }) : all;
  if (!state.picked || !state.ports.has(state.picked)) state.picked = state.shown.length ? state.shown[0].id : null;
}

export function pick(id) {
  state.picked = id;
  changed();
}

export function step(by) {
  const at = state.shown.findIndex((port) => port.id === state.picked);
  const to = Math.max(0, Math.min(state.shown.length - 1, at + by));
  if (state.shown[to]) pick(state.shown[to].id);
}

// Rates between two readings; a device that was made anew counts from zero.
export function counted(counts, seconds) {
  const rates = new Map();
  for (const [id, now] of Object.entries(counts)) {
    const before = state.counts[id];
    if (!before || now.bytes_out < before.bytes_out || now.bytes_in < before.bytes_in) continue;
    rates.set(id, { out: 8 * (now.bytes_out - before.bytes_out) / seconds,
      in: 8 * (now.bytes_in - before.bytes_in) / seconds });
  }
  state.counts = counts;
  state.rates = rates;
  changed();
}

export function rate(value) {
  if (value === undefined) return "–";
  for (const unit of ["", "k", "M", "G", "T"]) {
    if (value < 999.5) return unit || value ? `${value < 10 && unit ? value.toFixed(1) : Math.round(value)}${unit}` : "0";
    value /= 1000;
  }
  return "∞";
}
