// Keep creating: the standing order of the daemon, so that it survives a reload and every tab shows the same.

import { button, el } from "../dom.js";
import { t } from "../words.js";

const BATCHES = 100;

// `start(operation, params, device)` begins an order; a seed is dropped, since each batch gets its own.
export function standingOrder(app) {
  const state = el("span", { class: "soft num", role: "status", data: { part: "order" } });
  const stop = button(t("order.stop"), () => ask("autogen.stop").catch((error) => app.fail(error)), { data: { act: "stop-order" }, hidden: true });

  async function ask(method, params = {}) {
    draw(await app.call(method, params));
  }

  function draw(order) {
    const runs = order.state === "running";
    stop.hidden = !runs;
    state.textContent = runs ? t("order.runs", { done: order.done ?? 0 }) : order.state === "ended" && order.reason ? t("order.ended", { reason: order.reason }) : "";
  }

  const look = () => app.connected && ask("autogen.status").catch(() => {});
  for (const kind of ["connected", "history"]) app.addEventListener(kind, look);
  return {
    element: el("div", { class: "row" }, state, stop),
    async start(operation, { seed, seeds, ...params }, device = "") {
      await ask("autogen.start", { operation, params, batches: BATCHES, ...(device ? { device } : {}) });
    },
  };
}
