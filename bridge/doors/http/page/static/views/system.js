// System: what the daemon does and runs on, its queue, its limits, who talks to it, its log, and the doctor.

import { sentence } from "../app.js";
import { button, el } from "../dom.js";
import { bytes, clock } from "../format.js";
import { jobRow, keyed } from "../list.js";
import { t } from "../words.js";

const LOG_LINES = 80;

export function systemView(app) {
  const machine = el("dl", { class: "facts num" }), limits = el("dl", { class: "facts num" }), doors = el("dl", { class: "facts" }), peers = el("dl", { class: "facts num" });
  const warnings = el("div", { class: "regions" });
  const queue = el("ul", { class: "cards" }), none = el("p", { class: "soft" }, t("queue.empty"));
  const pause = button("", () => act(app.status.queue?.paused ? "queue.resume" : "queue.pause"));
  const clear = button(t("system.clear"), () => act("queue.clear"));
  const log = el("div", { class: "log", tabindex: "0", role: "log", "aria-label": t("system.log") });
  const findings = el("div", { class: "regions", role: "status" });
  const doctor = button(t("system.doctor_ask"), () => examine());
  const plugins = el("div", { class: "scroll" }), devices = el("div", { class: "scroll" });
  const panel = (title, ...content) => el("div", { class: "panel" }, el("h3", {}, title), ...content);
  const element = el("section", {}, el("div", {}, el("h2", {}, t("system.title")), el("p", { class: "lead" }, t("system.lead"))), warnings,
    el("div", { class: "panels" }, panel(t("system.machine"), machine, el("div", { class: "row" }, button(t("system.unload"), () => unload()))), panel(t("system.limits"), limits), panel(t("system.doors"), doors), panel(t("system.peers"), peers)),
    panel(t("system.devices"), el("p", { class: "soft" }, t("system.devices_help")), devices),
    panel(t("queue.title"), el("div", { class: "row" }, pause, clear), none, queue),
    panel(t("system.doctor"), el("p", { class: "soft" }, t("system.doctor_help")), el("div", { class: "row" }, doctor), findings),
    panel(t("system.plugins"), plugins),
    panel(t("system.log"), log, el("div", { class: "row" }, button(t("system.log_again"), () => readLog()))));

  const show = (list, pairs) => list.replaceChildren(...pairs.filter(([, value]) => value !== "" && value !== undefined && value !== null).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]));

  function draw() {
    const { status } = app, info = status.worker?.info ?? {};
    show(machine, [[t("system.version"), `${status.program} ${status.version}`], [t("system.uptime"), clock(status.uptime)], [t("system.state"), t(`state.${status.state}`)],
      [t("system.dtype"), info.dtype], [t("system.attention"), info.attention], [t("system.tier"), info.tier?.name ?? info.tier], [t("system.model"), status.model],
      [t("system.library"), status.library], [t("system.latents"), status.latents ? `${status.latents.count} · ${bytes(status.latents.bytes)} / ${bytes(status.latents.most)}` : ""]]);
    show(limits, [...Object.entries(status.limits ?? {}), [t("system.longest"), info.minutes ? info.minutes * 60 : ""], [t("system.at_once"), info.items ?? ""]].map(([name, value]) => [name.replaceAll("_", " "), /bytes/.test(name) ? bytes(value) : typeof value === "object" ? JSON.stringify(value) : value]));
    show(doors, Object.entries(status.doors ?? {}).map(([name, one]) => [name, typeof one === "string" ? one : Object.entries(one).map(([key, value]) => `${key} ${value}`).join(", ")]));
    show(peers, [[t("system.subscribers"), status.subscribers], ...Object.entries(status.queue?.clients ?? {}).map(([name, count]) => [name, t("system.waits", { count })])]);
    drawDevices(status.devices ?? []);
    warnings.replaceChildren(...(status.warnings ?? []).map((one) => el("p", { class: "warn" }, one)));
    pause.textContent = t(status.queue?.paused ? "system.resume" : "system.pause");
    drawQueue();
  }

  function drawDevices(rows) {
    const heads = ["system.device", "system.worker", "system.loaded", "system.job", "system.memory"];
    const cells = (row) => [row.device, t(`worker.${row.state}`), (row.info?.models ?? []).join(", "), row.job ?? "", memoryOf(row.info ?? {})];
    devices.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, heads.map((key) => el("th", { scope: "col" }, t(key))))),
      el("tbody", {}, rows.map((row) => el("tr", { data: { device: row.device } }, cells(row).map((text) => el("td", {}, text)))))));
  }

  function memoryOf(info) {
    return [info.memory_bytes ? bytes(info.memory_bytes) : "", info.memory_gb ? bytes(info.memory_gb * 2 ** 30) : ""].filter(Boolean).join(" / ");
  }

  function drawQueue() {
    if (!element.isConnected) return;
    const { active } = app.store;
    none.hidden = active.length > 0;
    keyed(queue, active.slice(0, 200), (job) => job.id, (job) => jobRow(app, job));
  }

  async function act(method) {
    try {
      await app.call(method, {});
      await app.refreshStatus();
    } catch (error) {
      app.fail(error);
    }
  }

  async function unload() {
    try {
      await app.call("models.unload", {});
      app.tell(t("system.unloaded"));
    } catch (error) {
      app.fail(error);
    }
  }

  async function readLog() {
    try {
      const { lines } = await app.call("log.tail", { lines: LOG_LINES });
      log.replaceChildren(...lines.map((line) => el("p", { class: line.level }, `${new Date(line.time * 1000).toLocaleTimeString()} ${line.level} ${line.logger}${line.job ? ` [${line.job}]` : ""} ${line.message}`)));
      log.scrollTop = log.scrollHeight;
    } catch (error) {
      if (error.code !== "disconnected") app.fail(error);
    }
  }

  async function readPlugins() {
    try {
      const found = await app.call("plugins.list", {});
      plugins.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ["system.plugin", "system.version", "system.state", "system.reason"].map((key) => el("th", { scope: "col" }, t(key))))),
        el("tbody", {}, found.map((one) => el("tr", {}, el("td", {}, one.name), el("td", {}, one.version ?? ""), el("td", {}, one.state), el("td", {}, one.reason ?? ""))))));
    } catch (error) {
      if (error.code !== "disconnected") app.fail(error);
    }
  }

  async function examine() {
    doctor.disabled = true;
    findings.replaceChildren(el("p", { class: "soft" }, t("system.examining")));
    try {
      const answer = await app.call("doctor", {}, 300_000);
      const kind = { warning: "warn", problem: "error" };
      findings.replaceChildren(...answer.findings.map((one) => el("p", { class: kind[one.level] ?? "soft" }, `${t(`doctor.${one.level}`)} · ${one.subject}: ${one.text}${one.advice ? ` ${one.advice}` : ""}`)));
    } catch (error) {
      findings.replaceChildren(el("p", { class: "error" }, sentence(error)));
    } finally {
      doctor.disabled = false;
    }
  }

  app.addEventListener("status", () => element.isConnected && draw());
  app.store.addEventListener("change", () => requestAnimationFrame(drawQueue));
  app.addEventListener("connected", () => { if (element.isConnected) { readLog(); readPlugins(); } });
  return {
    element, use: () => {},
    show() {
      if (!app.connected) return;
      app.refreshStatus().catch(() => {});
      draw();
      readLog();
      readPlugins();
    },
  };
}
