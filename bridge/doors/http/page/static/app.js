// What all views share: the daemon behind the page, jobs and their ends, messages, the player, and where the reader is.

import { CallError, Client, SOCKET, outage, ownMachine } from "./client.js";
import { button, el, iconButton } from "./dom.js";
import { ENDS, Store, spoken } from "./store.js";
import { has, t } from "./words.js";

const TOAST_MS = 9000;
const SNAPSHOT_JOBS = 100;
const RETRY_MS = 1500;

export class App extends EventTarget {
  store = new Store();
  operations = new Map(); models = []; status = {}; connected = false; views = new Map();
  #mine = new Set(); #requests = new Map(); #own = new Map();

  constructor() {
    super();
    this.client = new Client(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${SOCKET}`);
    for (const kind of ["online", "offline"]) addEventListener(kind, () => this.#network());
    this.client.addEventListener("open", () => this.#opened());
    this.client.addEventListener("lost", () => this.#lost());
    this.client.addEventListener("told", (event) => event.method === "event" && this.store.apply(event.data));
    this.store.addEventListener("change", (event) => this.#changed(event));
  }

  call(method, params, callMs) { return this.client.call(method, params, callMs); }

  // Connection

  async #opened() {
    try {
      this.store.expect();
      await this.call("hello", { client: "studio page", events: false });
      await this.call("job.subscribe", { ids: [] });
      await Promise.all([this.#takeSnapshot(), this.#describe(), this.refreshStatus()]);
    } catch (error) {
      if (error.code !== "disconnected") setTimeout(() => this.client.open && this.#opened(), RETRY_MS); // a busy daemon is asked again
      return;
    }
    const again = this.wasConnected && !this.connected;
    Object.assign(this, { connected: true, wasConnected: true });
    this.#banner("");
    if (again) this.tell(t("link.again"));
    this.dispatchEvent(new Event("connected"));
    this.dispatchEvent(new Event("history"));
  }

  async #takeSnapshot() {
    const rows = await this.call("job.list", { limit: SNAPSHOT_JOBS });
    const listed = new Set(rows.map((row) => row.id));
    const lost = [...this.store.jobs.values()].filter((job) => !ENDS.has(job.state) && !listed.has(job.id));
    this.store.snapshot(rows);
    for (const job of lost) {
      this.call("job.status", { id: job.id }).then((row) => this.store.note(job.id, row), () => {});
    }
  }

  async #describe() {
    const [operations, models, own] = await Promise.all([this.#operationsOf({}), this.call("models.list", {}), this.#ownOf("")]);
    this.#own = new Map([["", own]]);
    Object.assign(this, { operations, models });
  }

  async #operationsOf(params) {
    const { operations } = await this.call("describe", params);
    return new Map(operations.map((one) => [one.name, one]));
  }

  // A model that is gone, or cannot be told apart, has what any model has.
  #ownOf(model) {
    return this.#operationsOf({ model: model || "default" }).catch((error) => {
      if (error.code === "disconnected") throw error;
      return null;
    });
  }

  // Each model has operations, ranges and defaults of its own; once `know` has come back, `can` and `fieldsOf` tell them. The empty name is
  // the default model's.
  async know(model = "") {
    if (!this.#own.has(model)) this.#own.set(model, await this.#ownOf(model));
  }

  knows(model = "") { return this.#own.has(model); }
  can(operation, model = "") { return this.#own.get(model)?.has(operation) ?? this.operations.has(operation); }
  fieldsOf(operation, model = "") { return (this.#own.get(model)?.get(operation) ?? this.operations.get(operation))?.fields ?? []; }

  async refreshModels() {
    await this.#describe();
    this.dispatchEvent(new Event("models"));
  }

  async refreshStatus() {
    this.status = await this.call("status", {});
    this.dispatchEvent(new Event("status"));
    return this.status;
  }

  // A network that goes away closes no socket for minutes.
  #network() {
    if (!ownMachine(location.hostname)) this.client.again();
  }

  #lost() {
    this.connected = false;
    this.#banner(t(outage(navigator.onLine, location.hostname)));
    this.dispatchEvent(new Event("lost"));
  }

  #banner(words) {
    const banner = document.getElementById("banner");
    banner.textContent = words;
    banner.hidden = !words;
  }

  // Jobs

  // Hands a job in; its id. A connection that breaks on the way is waited for: the same id twice is one job.
  async submit(operation, params, { quiet = false, id = newJobId(), device = "" } = {}) {
    this.#mine.add(id);
    for (;;) {
      try {
        const accepted = await this.call("job.submit", { operation, params, id, ...(device ? { device } : {}) });
        this.store.note(id, { operation, caption: params.caption ?? "", quiet, position: accepted.position ?? 0, client: "" });
        for (const note of accepted.notes ?? []) this.tell(note);
        return id;
      } catch (error) {
        if (error.code !== "disconnected") throw error;
        await once(this, "connected");
      }
    }
  }

  // The whole job once it has ended as done; throws what it failed with.
  async run(operation, params) {
    const id = await this.submit(operation, params, { quiet: true });
    return this.ended(id);
  }

  async ended(id) {
    while (!ENDS.has(this.store.jobs.get(id)?.state)) await once(this.store, "change");
    const job = await this.call("job.result", { id });
    if (job.state === "done") return job;
    throw new CallError(job.error ?? { code: job.state, message: t(`job.${job.state}`) });
  }

  async cancel(id) {
    this.store.note(id, { cancelling: true });
    try {
      const row = await this.call("job.cancel", { id });
      if (ENDS.has(row.state)) this.store.note(id, row);
    } catch (error) {
      this.store.note(id, { cancelling: false });
      this.fail(error);
    }
  }

  #changed({ job: id, told }) {
    const job = id && this.store.jobs.get(id);
    if (!job || !told || job.quiet) return;
    if (!job.operation) this.#learn(id);
    const name = job.caption || job.operation || id;
    if (told.kind === "progress") {
      const step = spoken(job.said, told.data?.fraction);
      job.said = told.data?.fraction;
      if (step && this.#mine.has(id)) this.say(t("say.progress", { name, percent: step }));
    } else if (told.kind === "done") {
      this.say(t("say.done", { name }));
      this.dispatchEvent(new Event("history"));
    } else if (told.kind === "failed") this.fail(told.data?.error ?? {}, name);
    else if (told.kind === "cancelled" && !job.cancelling) this.tell(t("job.cancelled_elsewhere", { name }));
    else if (told.kind === "interrupted") this.tell(t("job.interrupted_named", { name }), "bad");
  }

  // What a job of another client is about: its events do not say.
  async #learn(id) {
    try {
      const { operation, caption, client } = await this.call("job.status", { id });
      this.store.note(id, { operation, caption, client });
    } catch {
      return; // it may be gone already
    }
  }

  // The request of a job, asked for once: neither events nor lists carry it.
  requestOf(id) {
    if (!this.#requests.has(id)) {
      this.#requests.set(id, this.call("job.result", { id }).then(({ request }) => request, () => { this.#requests.delete(id); return {}; }));
    }
    return this.#requests.get(id);
  }

  // Messages

  say(words) { document.getElementById("polite").textContent = words; }

  tell(words, kind = "", act = null) {
    const toast = el("div", { class: `toast ${kind}` }, el("span", {}, words), el("span", { class: "row" },
      act && button(act.words, () => { toast.remove(); act.run(); }),
      iconButton("close", t("close"), () => toast.remove(), { class: "icon plain" })));
    document.getElementById("toasts").append(toast);
    document.getElementById(kind === "bad" ? "urgent" : "polite").textContent = words;
    if (kind !== "bad" && !act) setTimeout(() => toast.remove(), TOAST_MS);
    if (act) setTimeout(() => toast.remove(), 3 * TOAST_MS);
    const all = document.getElementById("toasts").children;
    while (all.length > 4) all[0].remove();
  }

  fail(error, about = "") {
    const words = sentence(error);
    this.tell(about ? t("job.failed_named", { name: about, reason: words }) : words, "bad");
  }

  // Places: "edit/job-1/0" is the view "edit" with the rest as its words.

  go(view, ...words) {
    const hash = `#${[view, ...words.map(encodeURIComponent)].join("/")}`;
    if (location.hash === hash) this.dispatchEvent(new Event("place"));
    else location.hash = hash;
  }

  get place() {
    const [view, ...words] = location.hash.slice(1).split("/");
    try {
      return { view: view || "create", words: words.map(decodeURIComponent) };
    } catch {
      return { view: "create", words: [] };
    }
  }

  // What loaded models are able to do: an operation with a task that no model here has is not offered.
  able(operation) { return this.operations.has(operation); }

  model(name) { return this.models.find((one) => one.present && (name ? one.name === name : one.default)) ?? null; }
}

export function sentence(error) {
  const code = error?.code ?? "internal";
  if (has(`error.${code}`)) return t(`error.${code}`, { reason: error.message ?? "" });
  return error?.message || t("error.internal", { reason: "" });
}

export const newJobId = () => `page-${[...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

const once = (target, kind) => new Promise((resolve) => target.addEventListener(kind, resolve, { once: true }));

// What the reader has typed, kept for this browser until it is sent or cleared.
export const drafts = {
  read(name, usual) {
    try {
      return JSON.parse(localStorage.getItem(`studio.${name}`)) ?? usual;
    } catch {
      return usual;
    }
  },
  write(name, value) {
    try {
      localStorage.setItem(`studio.${name}`, JSON.stringify(value));
    } catch {
      return; // a browser that keeps nothing still works
    }
  },
};
