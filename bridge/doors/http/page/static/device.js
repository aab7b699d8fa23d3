// Which device a job is to run on. It is asked only where the daemon has several; else, and by itself, the next free one takes the job.

import { el, newId } from "./dom.js";
import { t } from "./words.js";

export const deviceNames = (status) => {
  const names = (status.devices ?? []).map((row) => row.device);
  return names.length > 1 ? names : [];
};

export function deviceChoice(app) {
  const select = el("select", { id: newId("device") });
  const element = el("span", { class: "row", data: { part: "device" } }, el("label", { for: select.id, class: "soft" }, t("device.label")), select);

  function show() {
    const names = deviceNames(app.status), chosen = select.value;
    element.hidden = !names.length;
    if ([...select.options].slice(1).map((one) => one.value).join() === names.join() && select.options.length) return;
    select.replaceChildren(el("option", { value: "" }, t("device.any")), ...names.map((name) => el("option", { value: name }, name)));
    select.value = names.includes(chosen) ? chosen : "";
  }

  app.addEventListener("status", show);
  show();
  return { element, get value() { return element.hidden ? "" : select.value; } };
}
