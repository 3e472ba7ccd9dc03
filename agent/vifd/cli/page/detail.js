// One port: why it works or does not, what was read back, what could serve it, its traffic.
import * as api from "./api.js";
import { addresses, health, named, rate, state } from "./state.js";

const TABS = [["explain", "Explain", "e"], ["evidence", "Evidence", "v"], ["offers", "Offers", "o"],
  ["traffic", "Traffic", "t"], ["events", "Events", "n"], ["document", "Document", "p"]];
const tabs = document.getElementById("tabs");
const panel = document.getElementById("detail");
export const keys = new Map(TABS.map(([name, , key]) => [key, name]));
let tab = "explain";
let drawn = "";
const answers = new Map();

function made(name, given = {}, ...inside) {
  const element = document.createElement(name);
  Object.assign(element, given);
  element.append(...inside.filter((each) => each !== null && each !== undefined));
  return element;
}

const text = (name, kind, said) => made(name, { className: kind }, said);
const flat = (value) => value === null || value === undefined ? "–"
  : typeof value === "object" ? JSON.stringify(value) : String(value);

function table(rows) {
  return made("table", {}, ...rows.map((row) => made("tr", {}, ...row.map((cell) =>
    made("td", {}, cell instanceof Node ? cell : flat(cell))))));
}

export function show(name) {
  tab = name;
  drawn = "";
  draw();
}

// What is asked of the daemon for a tab is asked again when the port has changed, and not before.
async function asked(port, key, call) {
  const known = `${port.id}:${port.revision}:${port.checked_at}:${key}`;
  if (!answers.has(known)) {
    if (answers.size > 50) answers.clear();
    answers.set(known, call().catch((problem) => ({ problem })));
  }
  return answers.get(known);
}

function failure(problem) {
  const error = problem.error || {};
  return made("div", { className: "verdict broken" }, text("strong", "", error.code || "no answer"), " ",
    error.message || problem.message, made("div", { className: "dim" }, error.remediation || ""));
}

async function explain(port) {
  const found = await asked(port, "explain", () => api.get(api.port(port.id, "explain")));
  if (found.problem) return [failure(found.problem)];
  const signs = { ok: ["✓", "good"], broken: ["✗", "bad"], unknown: ["?", "warn"], "not reached": ["·", "dim"] };
  return [
    made("div", { className: `verdict ${found.healthy ? "" : "broken"}`, id: "verdict" },
      text("strong", "", found.healthy ? "nothing broken" : "broken"), " ", found.sentence),
    found.action ? made("p", {}, text("span", "dim", "vifd: "), found.action) : null,
    found.hint ? made("p", {}, text("span", "dim", "you: "), found.hint) : null,
    text("h3", "", "steps to the guest"),
    table(found.steps.map((step) => [text("span", (signs[step.state] || ["", ""])[1], (signs[step.state] || ["?"])[0]),
      step.name, step.sentence])),
    found.history.length ? text("h3", "", "before") : null,
    table(found.history.slice(0, 5).map((each) => [moment(each.at), each.text])),
  ];
}

function evidence(port) {
  const bySource = new Map();
  for (const fact of port.evidence || []) {
    const name = fact.source || "other";
    bySource.set(name, [...(bySource.get(name) || []), fact]);
  }
  const enforced = (port.enforcement || []).map((each) => [text("span", each.level === "none" ? "bad" : "good",
    each.level === "none" ? "✗" : "✓"), each.feature, `${flat(each.requested)}${each.enforced_by ? `, by ${each.enforced_by}` : ""}`]);
  return [...bySource].flatMap(([source, facts]) => [text("h3", "", source), table(facts.map((fact) => [
    text("span", fact.ok ? "good" : "bad", fact.ok ? "✓" : "✗"), fact.fact,
    fact.ok ? flat(fact.have) : `${flat(fact.have)} (wanted: ${flat(fact.wanted)})`]))])
    .concat([text("h3", "", "enforced"), table(enforced)]);
}

async function offers(port) {
  const chosen = port.selection || {};
  const found = await asked(port, "offers", () => api.post("/v1/offers", { attachment: port.document }));
  const now = found.problem ? [failure(found.problem)] : [table([
    ...found.candidates.map((each) => [text("span", "good", "✓"), `${each.plugin}/${each.vif_type}`, "could serve it"]),
    ...found.refused.flatMap(refusal)])];
  return [text("h3", "", "when it was plugged"), table([
    ...(chosen.usable || []).map((each, at) => [text("span", "good", at ? "✓" : "★"), each, at ? "could as well" : "was chosen"]),
    ...(chosen.refused || []).flatMap(refusal)]),
  text("h3", "", "what the host offers now"), ...now];
}

function refusal(each) {
  return [each.error, ...(each.also || [])].filter(Boolean).map((error, at) => [
    text("span", "bad", at ? "" : "✗"), at ? "" : `${each.plugin}/${each.vif_type}`,
    made("div", {}, text("code", "", error.code), " ", error.message,
      text("div", "dim", error.remediation || ""))]);
}

// What the daemon counts: what passed, and what was refused and why. Two readings are a rate.
const WHY = { spoofed: "spoofed", no_rule: "no rule lets it pass", no_way: "nobody has its destination",
  closed: "the port was closed", limited: "more than its limit" };
let told = { port: "", asked: 0, last: null, before: null };

async function became(port) {
  if (told.port !== port.id) told = { port: port.id, asked: 0, last: null, before: null };
  const now = performance.now();
  if (now - told.asked > 1500) {
    told.asked = now;
    const found = await api.get(api.port(port.id, "counters")).catch(() => null);
    if (found && told.port === port.id && (!told.last || found.at > told.last.at)) {
      told.before = told.last && told.last.since === found.since ? told.last : null;
      told.last = found;
    }
  }
  return told;
}

function refusals({ last, before }) {
  if (!last || !last.at) return [text("p", "dim", (last || {}).note || "")];
  const seconds = before ? last.at - before.at : 0;
  const rows = ["sent", "received"].flatMap((way) => {
    const whole = ["passed", "offered"].filter((name) => last[way][name]).map((name) => [name, last[way][name]]);
    return [...whole, ...Object.entries(last[way].refused)].map(([what, now]) => {
      const old = before && (before[way][what] || before[way].refused[what]);
      const each = (name) => old && seconds > 0 ? rate(Math.max(0, now[name] - old[name]) / seconds) : "–";
      const said = what === "offered" ? "in all" : WHY[what] ? `refused: ${WHY[what]}` : what;
      return [way === "sent" ? "sent by the guest" : "given to it", said, now.packets, now.bytes, each("packets"), each("bytes")];
    });
  });
  return [text("h3", "", "what became of it"),
    made("div", { id: "became" }, table([["", "", "frames", "bytes", "frames/s", "bytes/s"], ...rows])),
    last.note ? text("p", "dim", last.note) : null];
}

async function traffic(port) {
  const count = state.counts[port.id];
  const rates = state.rates.get(port.id) || {};
  const device = !count ? [text("p", "dim", "The port has no device of its own here.")] : [
    table([["", "sent by the guest", "given to it"], ["bit/s", rate(rates.out), rate(rates.in)],
      ["bytes", count.bytes_out, count.bytes_in], ["frames", count.frames_out, count.frames_in],
      ["no room", count.lost_out, count.lost_in]]),
    text("p", "dim", `vifctl port capture ${port.id.slice(0, 8)} --side both -w both.pcapng shows the frames.`)];
  return [...device, ...refusals(await became(port))];
}

function events(port) {
  const own = state.events.filter((each) => each.event.port === port.id).slice(-100).reverse();
  return [table(own.map(({ event }) => [moment(event.at), event.event,
    [event.phase, event.status, (event.error || {}).code].filter(Boolean).join(" ")]))];
}

const moment = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 23);
const DRAW = { explain, evidence, offers, traffic, events,
  document: (port) => [made("pre", {}, JSON.stringify(port.document, null, 2))] };

function head(port) {
  const how = health(port);
  const buttons = state.write ? state.changes.map((verb) => made("button", { textContent: verb,
    onclick: () => change(port, verb) })) : [];
  return [text("h2", "", named(port)), made("div", {}, text("span", how, `${port.status} (${port.phase})`),
    ` · ${port.plugin || "no plugin"} · `, text("span", "mono", port.device || "no device"), " · ",
    text("span", "mono", port.document.port.mac_address), " · ", text("span", "mono", addresses(port).join(" "))),
  made("div", { className: "dim mono" }, port.id), made("div", {}, ...buttons)];
}

async function change(port, verb) {
  if (!confirm(`${verb} ${named(port)}?`)) return;
  await api.post(api.port(port.id, verb)).catch((problem) => alert(problem.message));
}

export async function draw() {
  const port = state.ports.get(state.picked);
  tabs.hidden = !port;
  if (!port) { panel.replaceChildren(); drawn = ""; return; }
  const now = `${tab}:${port.id}:${port.revision}:${port.checked_at}:${Boolean(port.evidence)}:${tab === "traffic" || tab === "events" ? Math.random() : ""}`;
  if (now === drawn) return;
  drawn = now;
  tabs.replaceChildren(...TABS.map(([name, title, key]) => {
    const button = made("button", { textContent: title, title: `${title} (${key})`, onclick: () => show(name) });
    button.setAttribute("role", "tab");
    button.setAttribute("aria-selected", String(name === tab));
    return button;
  }));
  const inside = await DRAW[tab](port);
  if (drawn !== now) return;  // another one was picked meanwhile
  panel.replaceChildren(...head(port), ...inside.filter(Boolean));
  panel.dataset.port = port.id;
  panel.dataset.tab = tab;
}
