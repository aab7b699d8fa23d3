// Sending results to a DAW: what waits for its scripts, and what they have taken.

import { sentence } from "../app.js";
import { button, el } from "../dom.js";
import { t } from "../words.js";

export const HOSTS = { reaper: "REAPER", ardour: "Ardour", ableton: "Ableton Live" };

const LOOK_MS = 1500; // between two looks while something waits

// The panel of what waits, and the ways to send. `look()` asks at once; it goes on asking while something waits and the panel is shown.
export function sending(app) {
  const list = el("ul", { class: "cards" });
  const element = el("section", { class: "panel", hidden: true, "aria-label": t("send.title"), data: { part: "waiting" } }, el("h3", {}, t("send.title")), el("p", { class: "soft" }, t("send.help")), list);
  const given = new Set(); // taken back here, so not taken by a host
  let known = new Map(), timer = 0;

  async function send(host, job, files = []) {
    try {
      const row = await app.call("handover.send", { job, host, files });
      app.tell(t("send.waits", { name: row.title, host: HOSTS[host] }));
      await look();
    } catch (failure) {
      app.fail(failure);
    }
  }

  async function takeBack(row) {
    given.add(row.id);
    try {
      await app.call("handover.cancel", { id: row.id });
    } catch (failure) {
      given.delete(row.id);
      if (failure.code !== "not_found") app.tell(sentence(failure), "bad");
    }
    await look();
  }

  async function look() {
    clearTimeout(timer);
    try {
      show(await app.call("handover.list", {}));
    } catch (failure) {
      if (failure.code !== "disconnected") app.fail(failure);
    }
  }

  function show(rows) {
    const now = new Map(rows.map((row) => [row.id, row]));
    for (const [id, row] of known) if (!now.has(id) && !given.delete(id)) app.tell(t("send.taken", { name: row.title, host: HOSTS[row.host] ?? row.host }));
    known = now;
    element.hidden = !rows.length;
    list.replaceChildren(...rows.map((row) => el("li", { class: "row", data: { waits: row.id } }, el("span", {}, t("send.row", { name: row.title, host: HOSTS[row.host] ?? row.host, count: row.files })),
      button(t("send.back"), () => takeBack(row), { "aria-label": t("send.back_named", { name: row.title, host: HOSTS[row.host] ?? row.host }) }))));
    if (rows.length && element.isConnected) timer = setTimeout(look, LOOK_MS);
  }

  // What a menu offers: of a take (its index in the result), or of all takes.
  const actions = (job, files = []) => Object.entries(HOSTS).map(([host, name]) => ({ words: t("send.to", { host: name }), run: () => send(host, job, files) }));

  return { element, look, actions };
}
