// The daemon's answers, by the proxy that vifctl started.

export class Failed extends Error {
  constructor(status, error) {
    super(error.message || `HTTP ${status}`);
    this.status = status;
    this.error = error;
  }
}

async function answered(response) {
  const text = await response.text();
  let value = null;
  try { value = text ? JSON.parse(text) : null; } catch { value = { message: text.trim() }; }
  if (!response.ok) throw new Failed(response.status, value || {});
  return value;
}

export async function get(path) {
  return answered(await fetch(path, { credentials: "same-origin" }));
}

export async function post(path, body) {
  const headers = { "X-Vifd-Ui": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return answered(await fetch(path, {
    method: "POST", headers, credentials: "same-origin",
    body: body === undefined ? undefined : JSON.stringify(body),
  }));
}

export const port = (id, verb = "") => `/v1/ports/${encodeURIComponent(id)}${verb && "/" + verb}`;

// The events of a stream as they come; the rest that is no whole one yet is kept.
function frames(text, told) {
  const found = text.split("\n\n");
  const rest = found.pop();
  for (const frame of found) {
    const said = {};
    for (const line of frame.split("\n")) {
      const at = line.indexOf(": ");
      if (at > 0) said[line.slice(0, at)] = line.slice(at + 2);
    }
    if (said.data) told(JSON.parse(said.data), said.id);
  }
  return rest;
}

const stream = (after, following) =>
  fetch(`/v1/events?after=${after}&follow=${following}`, { credentials: "same-origin" });

// What the journal has of events; the id of the last one.
export async function past(told) {
  let last = "0";
  const response = await stream("0", false);
  if (response.ok) frames(await response.text(), (event, id) => { last = id; told(event, id); });
  return last;
}

// Every event after an id, for ever; a connection that is lost is made again where it was.
export async function follow(after, told, lost) {
  for (;;) {
    try {
      const response = await stream(after, true);
      if (!response.ok) throw new Failed(response.status, {});
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text = frames(text + value, (event, id) => { after = id; told(event, id); });
      }
    } catch (problem) {
      lost(problem);
    }
    await new Promise((go) => setTimeout(go, 1000));
  }
}
