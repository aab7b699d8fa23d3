// The device's connection to the daemon: found by its connection file, greeted, kept, and made again once it is lost; and how a daemon
// is started (Node for Max).
"use strict";

const { spawn } = require("child_process");
const fs = require("fs");
const os = require("os");
const path = require("path");

const { Rpc } = require("./rpc.js");
const settings = require("./settings.js");
const { trouble } = require("./sentences.js");

const PROTOCOL = 1;
const RETRY_MS = 2000;
const EVERYWHERE = ["0.0.0.0", "::"];
const WAY_TO_START = "the button 'Start daemon' (in a terminal: acestep-bridge serve)";

// The daemon's home folder: the same rule as the daemon's own.
function homeFolder(env, platform, installed) {
  if (env.ACESTEP_BRIDGE_HOME) return env.ACESTEP_BRIDGE_HOME;
  if (installed) return installed;
  const user = os.homedir();
  if (platform === "win32") return path.join(env.LOCALAPPDATA || path.join(user, "AppData", "Local"), "acestep-bridge");
  if (platform === "darwin") return path.join(user, "Library", "Application Support", "acestep-bridge");
  return path.join(env.XDG_DATA_HOME || path.join(user, ".local", "share"), "acestep-bridge");
}

function home() {
  return homeFolder(process.env, process.platform, settings.home);
}

// Where the daemon and scripts leave files for each other.
function spool() {
  return path.join(home(), "spool");
}

function notRunning() {
  return trouble({ code: "daemon_not_running", command: WAY_TO_START });
}

// What the running daemon says of itself.
function facts() {
  try {
    return JSON.parse(fs.readFileSync(path.join(home(), "runtime", "connection.json"), "utf8"));
  } catch (failure) {
    throw notRunning();
  }
}

let starting = null; // the start that is under way

// Have a daemon in this home, which outlives Live. Rejects with the reason where it does not come up.
function start() {
  if (!starting) starting = started().finally(() => { starting = null; });
  return starting;
}

// The installer's command starts a daemon where none runs, and ends once that answers.
function started() {
  const [program, ...words] = settings.starter;
  const env = { ...process.env, ACESTEP_BRIDGE_HOME: home() };
  return new Promise((resolve, reject) => {
    const failed = (reason) => reject({ code: "daemon_unreachable", message: `The daemon did not start: ${reason}` });
    const command = spawn(program, words, { detached: true, windowsHide: true, stdio: ["ignore", "ignore", "pipe"], env });
    let said = "";
    command.stderr.setEncoding("utf8").on("data", (text) => { said += text; });
    command.once("error", (failure) => failed(failure.message));
    command.once("close", (code) => (code === 0 ? resolve() : failed(said.trim().replace(/\s+/g, " "))));
  });
}

// Where the daemon's page is on which results are heard and dragged out.
function auditionPage() {
  const { http } = facts();
  if (!http) throw trouble({ code: "page_off" });
  const host = EVERYWHERE.includes(http.host) ? "127.0.0.1" : http.host;
  return `http://${host.includes(":") ? `[${host}]` : host}:${http.port}/audition`;
}

class Daemon {
  // `heard(method, params)` gets notifications, `lost(reason)` the end of a connection; `greeted(rpc)` may ask for more at its start.
  constructor(heard, lost, greeted) {
    Object.assign(this, { heard, lost, greeted, rpc: null, dialing: null, retry: null });
  }

  // The connection, made where there is none.
  async connect() {
    if (this.rpc && this.rpc.socket) return this.rpc;
    if (!this.dialing) this.dialing = this.dial().finally(() => { this.dialing = null; });
    return this.dialing;
  }

  // The answer of a method; see Rpc.
  async call(method, params) {
    return (await this.connect()).call(method, params);
  }

  async dial() {
    const { rpc: { host, port }, token } = facts();
    const rpc = new Rpc(this.heard, this.lost);
    await rpc.connect(host, port).catch(() => { throw notRunning(); });
    await rpc.call("hello", token ? { token, client: "live" } : { client: "live" });
    const { protocol } = await rpc.call("version", {});
    if (protocol !== PROTOCOL) {
      rpc.close();
      throw trouble({ code: protocol < PROTOCOL ? "daemon_older" : "daemon_newer", daemon: protocol, script: PROTOCOL, host: "ableton" });
    }
    this.rpc = rpc;
    await this.greeted(rpc);
    return rpc;
  }

  // Connect as soon as the daemon can be reached.
  keepTrying() {
    if (this.retry) return;
    this.retry = setInterval(() => this.connect().then(() => { clearInterval(this.retry); this.retry = null; }, () => {}), RETRY_MS);
    this.retry.unref();
  }
}

module.exports = { Daemon, auditionPage, spool, start };
