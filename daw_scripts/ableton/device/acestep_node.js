// The network half of the device (Node for Max): submits jobs to the daemon, follows them, hands results to the Live half (acestep_live.js).
"use strict";

const fs = require("fs");
const os = require("os");
const path = require("path");
const Max = require("max-api");

const { Rpc } = require("./rpc.js");
const { Float } = require("./msgpack.js");
const requests = require("./requests.js");
const results = require("./results.js");
const settings = require("./settings.js");

const PROTOCOL = 1;
const RETRY_MS = 2000;
const FLOATS = new Set(["bpm", "duration", "strength", "noise_strength", "crossfade", "context", "guidance_scale"]);

const state = { rpc: null, jobs: new Map(), count: 0, retry: null };

// The daemon's home folder: the same rule as the daemon's own.
function homeFolder(env, platform, installed) {
  if (env.ACESTEP_BRIDGE_HOME) return env.ACESTEP_BRIDGE_HOME;
  if (installed) return installed;
  const user = os.homedir();
  if (platform === "win32") return path.join(env.LOCALAPPDATA || path.join(user, "AppData", "Local"), "acestep-bridge");
  if (platform === "darwin") return path.join(user, "Library", "Application Support", "acestep-bridge");
  return path.join(env.XDG_DATA_HOME || path.join(user, ".local", "share"), "acestep-bridge");
}

function connection() {
  const file = path.join(homeFolder(process.env, process.platform, settings.home), "runtime", "connection.json");
  return JSON.parse(fs.readFileSync(file, "utf8"));
}

function say(text) {
  Max.outlet("status", text);
}

function tell(facts) {
  say(requests.sentence(settings.messages, facts));
}

// Connect, say hello, check the protocol, and ask for what was missed of jobs that are still open.
async function connect() {
  if (state.rpc && state.rpc.socket) return state.rpc;
  let facts;
  try {
    facts = connection();
  } catch (failure) {
    throw { code: "daemon_not_running", message: requests.sentence(settings.messages, { code: "daemon_not_running", command: "acestep-bridge serve" }) };
  }
  const rpc = new Rpc(heard, lost);
  await rpc.connect(facts.rpc.host, facts.rpc.port);
  await rpc.call("hello", facts.token ? { token: facts.token, client: "live" } : { client: "live" });
  const { protocol } = await rpc.call("version", {});
  if (protocol !== PROTOCOL) {
    rpc.close();
    const code = protocol < PROTOCOL ? "daemon_older" : "daemon_newer";
    throw { code, message: requests.sentence(settings.messages, { code, daemon: protocol, script: PROTOCOL, host: "ableton" }) };
  }
  state.rpc = rpc;
  Max.outlet("connected", 1);
  if (state.jobs.size) {
    const after = {};
    for (const job of state.jobs.values()) after[job.id] = job.seq;
    await rpc.call("job.subscribe", { ids: Object.keys(after), after });
  }
  return rpc;
}

function lost(reason) {
  Max.outlet("connected", 0);
  if (!state.jobs.size || state.retry) return;
  say(reason);
  state.retry = setInterval(() => connect().then(() => { clearInterval(state.retry); state.retry = null; }, () => {}), RETRY_MS);
  state.retry.unref();
}

function typed(params) {
  const found = {};
  for (const [name, value] of Object.entries(params)) found[name] = FLOATS.has(name) && typeof value === "number" ? new Float(value) : value;
  return found;
}

// Submit the jobs of an action. `text` is JSON: {action, situation, wishes, values}.
async function submit(text) {
  const { action: name, situation, wishes, values } = JSON.parse(text);
  const action = requests.action(settings.actions, name);
  const refused = requests.refusal(action, situation);
  if (refused) return tell(refused);
  if (action.each && !(values[action.each] && values[action.each].length)) return tell({ code: "no_tracks" });
  try {
    const rpc = await connect();
    const { operations } = await rpc.call("describe", { operation: action.operation });
    for (const job of requests.jobs(action, situation, wishes, values, operations[0].fields)) {
      const id = `live-${Date.now().toString(36)}-${process.pid}-${++state.count}`;
      state.jobs.set(id, { ...requests.pending(id, action, situation, job), seq: -1 });
      await rpc.call("job.submit", { id, operation: job.operation, params: typed(job.params) }).catch((failure) => {
        state.jobs.delete(id);
        throw failure;
      });
      say(`${action.title}: sent`);
    }
  } catch (failure) {
    say(failure.message || String(failure));
  }
}

function heard(method, params) {
  const event = method === "event" && params[0];
  const job = event && state.jobs.get(event.job);
  if (!job || event.seq <= job.seq) return;
  job.seq = event.seq;
  if (event.kind === "progress") {
    Max.outlet("progress", event.data.fraction);
    say(`${job.title}: ${event.data.stage} ${Math.round(100 * event.data.fraction)} %`);
  }
  if (event.kind === "done") return finish(job).catch((failure) => say(failure.message || String(failure)));
  if (["failed", "cancelled", "interrupted"].includes(event.kind)) {
    state.jobs.delete(job.id);
    const error = event.data.error || {};
    say(`${job.title}: ${error.message || event.data.reason || event.kind}`);
  }
}

// Copy the results into the set's media folder and tell the Live half where they belong.
async function finish(job) {
  const view = await state.rpc.call("job.result", { id: job.id });
  state.jobs.delete(job.id);
  const folder = job.folder || path.join(os.homedir(), "Music", "acestep-bridge");
  const list = results.placements(job, view);
  try {
    fs.mkdirSync(folder, { recursive: true });
    for (const place of list) {
      fs.copyFileSync(place.path, path.join(folder, place.copy));
      place.path = path.join(folder, place.copy);
    }
  } catch (failure) {
    return tell({ code: "readonly_media_folder", path: folder });
  }
  Max.outlet("progress", 1);
  for (const place of list) Max.outlet("place", JSON.stringify({ ...place, rate: job.rate, first: job.first, track: job.track }));
  say(`${job.title}: done`);
}

async function cancel() {
  const id = [...state.jobs.keys()].pop();
  if (!id) return tell({ code: "no_jobs" });
  await (await connect()).call("job.cancel", { id });
}

Max.addHandlers({
  submit,
  cancel: () => cancel().catch((failure) => say(failure.message)),
  connect: () => connect().catch((failure) => say(failure.message)),
});

module.exports = { homeFolder };
