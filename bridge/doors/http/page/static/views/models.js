// Models: what is here and loaded, what could be fetched and on which terms, adapters with their strength.

import { sentence } from "../app.js";
import { named, noncommercial, sorted } from "../catalogue.js";
import { button, el, newId, openDialog } from "../dom.js";
import { Form } from "../form.js";
import { bytes, clock } from "../format.js";
import { keyed, menu } from "../list.js";
import { Meter } from "../meter.js";
import { ENDS } from "../store.js";
import { t } from "../words.js";
import { adapterPanel } from "./adapters.js";
import { question } from "./operation.js";

const DOWNLOAD = "model-download";

export function modelsView(app) {
  const machine = el("dl", { class: "facts num" });
  const here = el("ul", { class: "cards", id: "models-here" }), absent = el("ul", { class: "cards", id: "models-absent" });
  const state = el("p", { class: "soft", role: "status" });
  const unloadAll = button(t("models.unload_all"), () => unload(""), { data: { act: "unload-all" } });
  const again = button(t("models.look"), () => refresh());
  const adapters = adapterPanel(app);
  const element = el("section", {}, el("div", {}, el("h2", {}, t("models.title")), el("p", { class: "lead" }, t("models.lead"))),
    el("div", { class: "panel" }, el("h3", {}, t("models.memory")), machine, el("div", { class: "row" }, unloadAll, again, state)),
    el("h3", {}, t("models.here")), here, adapters.element,
    el("h3", {}, t("models.absent")), el("p", { class: "soft" }, t("models.absent_help")), absent);

  const fetching = new Map(); // job -> {model, meter}

  const info = () => app.status.worker?.info ?? {};
  const facts = (list, pairs) => list.replaceChildren(...pairs.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]));

  function draw() {
    if (!element.isConnected) return;
    const { here: present, absent: others } = sorted(app.models), loaded = info().models ?? [];
    facts(machine, [[t("system.device"), info().device_name ?? info().device], [t("system.dtype"), info().dtype], [t("system.attention"), info().attention],
      [t("models.device_memory"), info().memory_gb ? `${info().memory_gb.toFixed(1)} GB` : ""], [t("models.in_use"), info().memory_bytes ? bytes(info().memory_bytes) : ""],
      [t("system.loaded"), loaded.length ? loaded.map((one) => one.name ?? one).join(", ") : t("models.none_loaded")]]);
    unloadAll.disabled = !loaded.length;
    keyed(here, present, (row) => row.name, hereRow);
    keyed(absent, others, (row) => row.name, absentRow);
  }

  const memoryOf = (row) => (row.memory_bytes?.float32 ? t("models.needs", { float32: bytes(row.memory_bytes.float32), bfloat16: bytes(row.memory_bytes.bfloat16) }) : "");

  function head(row, ...right) {
    const tags = el("span", { class: "tags" });
    return { tags, line: el("div", { class: "top-line" }, el("h3", {}, row.name, " ", tags), el("div", { class: "row" }, ...right)) };
  }

  function hereRow(row) {
    const drop = button(t("models.unload"), () => unload(row.name), { "aria-label": t("models.unload_named", { name: row.name }) });
    const use = button(t("models.use"), () => app.useIn("create", { model: row.name }), { "aria-label": t("models.use_named", { name: row.name }) });
    const { tags, line } = head(row, row.kind === "language" ? "" : use, drop, menu(t("models.more", { name: row.name }), [
      { words: t("models.facts"), run: () => show(row) }, { words: t("models.verify"), run: () => verify(row) }, { words: t("models.remove"), run: () => remove(row) },
    ].filter((_, at) => at === 0 || row.path)));
    const said = el("p", { class: "soft num" }), remarks = el("div", { class: "regions" });
    const box = el("li", { class: "card", data: { model: row.name } }, line, said, remarks);
    box.update = (one) => {
      row = one;
      const loaded = named(info().models, row.name);
      drop.hidden = !loaded;
      tags.replaceChildren(...[loaded && t("models.loaded"), row.default && t("models.default"), row.kind === "language" && t("models.language"), row.trained === false && t("models.random")].filter(Boolean).map((words) => el("span", { class: "tag" }, words)));
      said.textContent = [row.family_title, row.size_bytes ? bytes(row.size_bytes) : "", row.license ? t("models.license", { license: row.license }) : "", (row.operations?.length ? row.operations : row.task_types ?? []).join(", "), memoryOf(row)].filter(Boolean).join(" · ");
      remarks.replaceChildren(...[row.remark, row.assumed, row.lacks?.length ? t("models.lacks", { parts: row.lacks.join(", ") }) : ""].filter(Boolean).map((words) => el("p", { class: "warn" }, words)));
    };
    return box;
  }

  function absentRow(row) {
    const get = button(t("models.get"), () => offer(row), { "aria-label": t("models.get_named", { name: row.name }), data: { act: "get" } });
    const stop = button(t("job.cancel"), () => app.cancel(jobOf(row.name)?.id), { "aria-label": t("job.cancel_named", { name: row.name }), data: { act: "stop" } });
    const { tags, line } = head(row, get, stop);
    const said = el("p", { class: "soft num" }), bar = el("progress", { max: 1, "aria-label": t("models.progress", { name: row.name }) }), where = el("p", { class: "soft num", data: { part: "bytes" } });
    const remark = el("p", { class: "warn" });
    const box = el("li", { class: "card", data: { model: row.name } }, line, said, remark, bar, where);
    box.update = (one) => {
      row = one;
      tags.replaceChildren(row.kind === "language" ? el("span", { class: "tag" }, t("models.language")) : "");
      said.textContent = [row.fetch_bytes ? t("models.to_fetch", { size: bytes(row.fetch_bytes) }) : "", row.license ? t("models.license", { license: row.license }) : "", memoryOf(row)].filter(Boolean).join(" · ");
      remark.textContent = row.remark ?? "";
      remark.hidden = !row.remark;
      const job = jobOf(row.name);
      get.hidden = Boolean(job);
      stop.hidden = bar.hidden = where.hidden = !job;
      if (!job) return;
      stop.disabled = Boolean(job.cancelling);
      const { meter } = fetching.get(job.id);
      if (meter.total) bar.value = meter.done / meter.total;
      else bar.removeAttribute("value");
      const left = meter.left === null ? "" : t("job.eta", { time: clock(meter.left) });
      where.textContent = job.cancelling ? t("job.cancelling") : meter.total ? [t("models.bytes", { done: bytes(meter.done), total: bytes(meter.total) }), meter.speed ? t("models.speed", { speed: bytes(meter.speed) }) : "", left].filter(Boolean).join(" · ") : t("models.asking");
    };
    return box;
  }

  const jobOf = (model) => [...fetching].filter(([, one]) => one.model === model).map(([id]) => app.store.jobs.get(id)).find((job) => job && !ENDS.has(job.state));

  // Downloads, also those that another door asked for: their events say bytes, their requests the model

  async function follow(id, told) {
    const job = app.store.jobs.get(id);
    if (job?.operation !== DOWNLOAD) return;
    if (!fetching.has(id)) {
      if (ENDS.has(job.state)) return;
      fetching.set(id, { model: "", meter: new Meter() });
      fetching.get(id).model = (await app.requestOf(id)).model ?? "";
    }
    const { steps, step } = job.progress ?? {};
    if (steps) fetching.get(id).meter.feed(performance.now() / 1000, step, steps);
    if (ENDS.has(told?.kind)) await refresh();
    draw();
  }

  function offer(row) {
    const { fields } = app.operations.get(DOWNLOAD);
    const form = new Form(fields, { short: ["store", "hub", "revision"], omit: ["model"] });
    const wrong = el("p", { class: "error", role: "alert", hidden: true });
    const sizes = el("dl", { class: "facts num" });
    facts(sizes, [[t("models.fetch"), row.fetch_bytes ? bytes(row.fetch_bytes) : t("models.unknown")], [t("models.disk"), row.disk_bytes ? bytes(row.disk_bytes) : t("models.unknown")],
      [t("models.disk_half"), row.disk_bytes_bfloat16 < row.disk_bytes ? bytes(row.disk_bytes_bfloat16) : ""], [t("models.memory"), memoryOf(row)], [t("models.from"), row.repository], [t("models.terms"), row.license]]);
    const strict = noncommercial(row.license), agree = el("input", { type: "checkbox", id: newId("terms"), on: { change: () => { start.disabled = !agree.checked; } } });
    const start = button(t("models.get"), async () => {
      if (form.toFault()) return;
      try {
        await app.submit(DOWNLOAD, { model: row.name, ...form.values });
        dialog.close();
        app.say(t("say.queued", { name: row.name }));
      } catch (error) {
        wrong.textContent = sentence(error);
        wrong.hidden = false;
      }
    }, { class: "go", disabled: strict, data: { act: "start" } });
    const dialog = openDialog(t("models.get_named", { name: row.name }), t("close"), sizes, row.remark ? el("p", { class: "warn" }, row.remark) : "",
      strict ? el("div", { class: "field check" }, agree, el("label", { for: agree.id }, t("models.agree", { license: row.license }))) : "",
      form.element, wrong, el("div", { class: "row end" }, start));
    (strict ? agree : start).focus();
  }

  // What is done with a model that is here

  async function refresh() {
    if (!app.connected) return;
    try {
      await Promise.all([app.refreshModels(), app.refreshStatus()]);
      draw();
    } catch (error) {
      if (error.code !== "disconnected") app.fail(error);
    }
  }

  async function unload(model) {
    try {
      await app.call("models.unload", { model });
      app.tell(model ? t("models.unloaded", { name: model }) : t("system.unloaded"));
      await refresh();
    } catch (error) {
      app.fail(error);
    }
  }

  // The answer of an operation on a model, said when it is there.
  async function ask(operation, row, about) {
    state.textContent = about;
    try {
      return (await app.run(operation, { model: row.name })).result.data;
    } catch (error) {
      app.fail(error, row.name);
      return null;
    } finally {
      state.textContent = "";
    }
  }

  async function show(row) {
    const data = await ask("model-info", row, "");
    if (!data) return;
    const list = el("dl", { class: "facts" }), plain = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
    const said = Object.entries(data).filter(([, value]) => ![null, "", undefined].includes(value) && !(typeof value === "object" && !Object.keys(value).length));
    facts(list, said.map(([name, value]) => [name.replaceAll("_", " "), /_bytes$/.test(name) && typeof value === "number" ? bytes(value) : plain(value)]));
    openDialog(row.name, t("close"), list);
  }

  async function verify(row) {
    const data = await ask("model-verify", row, t("models.verifying", { name: row.name }));
    if (!data) return;
    const { problems, remarks, digest } = data;
    openDialog(t("models.verify_of", { name: row.name }), t("close"), ...(problems.length ? problems.map((one) => el("p", { class: "error" }, one)) : [el("p", {}, t("models.whole", { digest }))]), ...(remarks ?? []).map((one) => el("p", { class: "warn" }, one)));
  }

  function remove(row) {
    question(t("models.remove_named", { name: row.name }), t("models.remove_sure", { size: bytes(row.size_bytes), path: row.path }), t("models.remove"), async () => {
      if (await ask("model-remove", row, "")) app.tell(t("models.removed", { name: row.name }));
      await refresh();
    });
  }

  app.store.addEventListener("change", ({ job, told }) => {
    if (job) follow(job, told);
    else for (const id of app.store.jobs.keys()) follow(id);
  });
  for (const kind of ["status", "models"]) app.addEventListener(kind, draw);
  app.addEventListener("connected", draw);
  return {
    element, use: () => {},
    show() {
      draw();
      refresh();
      adapters.load();
    },
  };
}
