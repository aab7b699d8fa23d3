// A strength by slider and by number.

import { el, newId } from "../dom.js";
import { t } from "../words.js";

const STRONGEST = 4; // of `acestep.checkpoints.adapters`; the daemon has the last word

// `value` is undefined while what is typed is no strength.
export function strength(words, start) {
  const wrong = el("p", { class: "wrong", id: newId("strength-wrong"), hidden: true });
  const number = el("input", { id: newId("strength"), type: "text", inputmode: "decimal", autocomplete: "off", value: String(start), "aria-describedby": wrong.id, on: { input: () => check() } });
  const range = el("input", { type: "range", min: -STRONGEST, max: STRONGEST, step: 0.05, value: start, "aria-label": words, on: { input: () => { number.value = String(Number(range.value)); check(); } } });
  const value = () => {
    const typed = Number(number.value.trim().replace(",", "."));
    return number.value.trim() && Math.abs(typed) <= STRONGEST ? typed : undefined;
  };
  function check() {
    const right = value() !== undefined;
    if (right) range.value = value();
    number.setAttribute("aria-invalid", String(!right));
    wrong.textContent = right ? "" : t("fault.between", { min: -STRONGEST, max: STRONGEST });
    wrong.hidden = right;
  }
  return {
    element: el("div", { class: "field" }, el("label", { for: number.id }, words), el("div", { class: "pair" }, range, number), wrong),
    get value() { return value(); },
    set value(one) { number.value = String(one); check(); },
  };
}
