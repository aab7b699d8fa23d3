// Elements, made without markup: what comes from people, files and models is text and stays text.

import { icon } from "./icons.js";

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name === "value" || name === "checked" || name === "selected" || name === "indeterminate") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

export const button = (words, act, attributes = {}) =>
  el("button", { type: "button", ...attributes, on: { click: act, ...attributes.on } }, words);

export const iconButton = (sign, name, act, attributes = {}) =>
  button(icon(sign), act, { class: "icon", ...attributes, "aria-label": name, title: name });

let numbers = 0;
export const newId = (stem) => `${stem}-${(numbers += 1)}`;

// A row of which one is chosen, moved through with the arrow keys.
export function segments(label, choices, chosen, onChoose) {
  const box = el("div", { class: "segments", role: "radiogroup", "aria-label": label });
  const choose = (value, focus) => {
    for (const one of box.children) {
      const on = one.dataset.value === value;
      one.setAttribute("aria-checked", String(on));
      one.tabIndex = on ? 0 : -1;
      if (on && focus) one.focus();
    }
  };
  for (const [value, words] of choices) {
    box.append(button(words, () => { choose(value); onChoose(value); }, { role: "radio", data: { value } }));
  }
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...box.children];
    const next = all[(all.findIndex((one) => one.tabIndex === 0) + step + all.length) % all.length];
    choose(next.dataset.value, true);
    onChoose(next.dataset.value);
  });
  choose(chosen);
  box.choose = choose;
  return box;
}

// A dialog with a heading; focus goes back where it was when it closes.
export function openDialog(title, closeWords, ...content) {
  const before = document.activeElement;
  const heading = el("h2", { id: newId("dialog") }, title);
  const dialog = el("dialog", { "aria-labelledby": heading.id },
    el("div", {}, el("div", { class: "head" }, heading, iconButton("close", closeWords, () => dialog.close(), { class: "icon plain" })), ...content));
  dialog.addEventListener("close", () => { dialog.remove(); before?.focus?.(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
