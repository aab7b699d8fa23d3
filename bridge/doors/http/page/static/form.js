// A form made from the fields of an operation: the operations of plug-ins have theirs by the same way.

import { button, el, newId } from "./dom.js";
import { control, grouped, read, shown, shownChoices } from "./fields.js";
import { has, language, t } from "./words.js";

const SHORT_WORDS = 12; // groups with fewer fields open beside the short form

export class Form {
  #fields; #rows = new Map(); #changed;

  // `short`: names that come first; `omit`: fields that the view looks after; `open`: groups that are open.
  constructor(fields, { values = {}, short = [], omit = [], open = [], changed = () => {}, find = false, folded = false } = {}) {
    this.#fields = fields.filter((field) => !omit.includes(field.name));
    this.#changed = changed;
    this.element = el("div", { class: "panel-form" });
    const groups = grouped(this.#fields, short, omit);
    for (const [name, members] of groups) this.element.append(this.#group(name, members, name === "short" || name === "main" || groups.size === 1 || open.includes(name)));
    if (find && this.#fields.length > SHORT_WORDS) this.element.prepend(this.#finder());
    if (folded) this.#fold();
    this.element.addEventListener("keydown", (event) => {
      const row = event.target.closest(".field");
      if (event.key === "Escape" && row && !row.classList.contains("hushed")) {
        row.classList.add("hushed");
        event.stopPropagation();
      }
    });
    this.element.addEventListener("focusout", (event) => event.target.closest(".field")?.classList.remove("hushed"));
    this.fill(values);
  }

  #group(name, members, open) {
    const rows = el("div", { class: "fields" }, members.map((field) => this.#row(field)));
    if (name === "short" || name === "main") return rows;
    const words = has(`group.${name}`) ? t(`group.${name}`) : name;
    return el("details", { class: "group", open, data: { group: name } }, el("summary", {}, words), rows);
  }

  // Everything but the short form behind one heading.
  #fold() {
    const rest = [...this.element.children].filter((part) => !part.matches(".fields"));
    if (rest.length) this.element.append(el("details", { class: "group", data: { group: "all" } }, el("summary", {}, t("create.to_custom")), el("div", { class: "panel-form" }, ...rest)));
  }

  #finder() {
    const id = newId("find");
    const input = el("input", { id, type: "search", autocomplete: "off", on: { input: () => this.#find(input.value.trim().toLowerCase()) } });
    return el("div", { class: "field" }, el("label", { for: id }, t("form.find")), input);
  }

  #find(text) {
    for (const { row, field } of this.#rows.values()) {
      row.hidden = Boolean(text) && !`${field.name} ${labelOf(field)} ${field.summary}`.toLowerCase().includes(text);
    }
    for (const group of this.element.querySelectorAll("details.group")) {
      if (group.dataset.group === "all") continue; // the finder is in it
      const some = [...group.querySelectorAll(".field")].some((row) => !row.hidden);
      group.hidden = !some;
      if (text) group.open = some;
    }
  }

  #row(field) {
    const id = newId(field.name), kind = control(field);
    const help = el("p", { class: "help", id: `${id}-help` }, helpOf(field));
    const wrong = el("p", { class: "wrong", id: `${id}-wrong`, hidden: true });
    const about = { "aria-describedby": `${id}-help ${id}-wrong` };
    const changed = () => { this.#check(field.name); this.#changed(field.name); };
    const made = CONTROLS[kind](field, id, about, changed);
    const label = kind === "ticks"
      ? el("span", { class: "label", id: `${id}-label` }, labelOf(field))
      : el("label", { for: id }, labelOf(field));
    const parts = kind === "check" ? [made.element, label] : [label, made.element];
    const row = el("div", { class: `field${kind === "check" ? " check" : ""}${["area", "json", "ticks", "lines"].includes(kind) ? " wide" : ""}`, data: { field: field.name } }, parts, wrong, help);
    this.#rows.set(field.name, { field, row, wrong, ...made });
    return row;
  }

  #check(name) {
    const one = this.#rows.get(name);
    const found = read(one.field, one.get());
    this.#tell(one, found.fault ? t(found.fault, found.limits) : "");
    return found;
  }

  #tell(one, words) {
    one.wrong.textContent = words;
    one.wrong.hidden = !words;
    one.focus.setAttribute("aria-invalid", String(Boolean(words)));
  }

  // What differs from the defaults. Wrong fields are left out and marked; `faults` says which.
  get values() {
    const found = {};
    for (const [name] of this.#rows) {
      const { value, fault } = this.#check(name);
      if (!fault && value !== undefined) found[name] = value;
    }
    return found;
  }

  get faults() {
    return [...this.#rows.keys()].filter((name) => this.#check(name).fault);
  }

  fill(values) {
    for (const [name, one] of this.#rows) one.set(shown(one.field, values[name] ?? (["check", "select", "slider"].includes(control(one.field)) ? one.field.default : undefined)));
  }

  set(name, value) {
    const one = this.#rows.get(name);
    if (!one) return;
    one.set(shown(one.field, value));
    this.#check(name);
    this.#changed(name);
  }

  has(name) { return this.#rows.has(name); }
  value(name) { return this.#rows.has(name) ? read(this.#rows.get(name).field, this.#rows.get(name).get()).value : undefined; }
  text(name) { return this.#rows.get(name)?.get(); }

  // Shows the daemon's sentence at its field, or takes it away; whether there is such a field.
  mark(name, words) {
    const one = this.#rows.get(String(name ?? "").split(/[.[]/)[0]);
    if (one) this.#tell(one, words);
    return Boolean(one);
  }

  // The same, and takes the reader there.
  refuse(name, words) {
    if (!this.mark(name, words)) return false;
    const one = this.#rows.get(String(name).split(/[.[]/)[0]);
    for (let group = one.row.closest("details"); group; group = group.parentNode.closest("details")) group.open = true;
    one.focus.focus();
    return true;
  }

  toFault() {
    const first = this.faults[0];
    if (first) this.refuse(first, this.#rows.get(first).wrong.textContent);
    return Boolean(first);
  }
}

export const labelOf = (field) => {
  if (language !== "en" && has(`field.${field.name}`)) return t(`field.${field.name}`);
  return field.label || field.name;
};

function helpOf(field) {
  const limits = control(field) === "lines" ? [t("help.lines")] : [];
  if (typeof field.min === "number" && typeof field.max === "number") limits.push(t("help.between", { min: field.min, max: field.max }));
  if (field.default !== undefined && field.default !== null && field.default !== "" && !Array.isArray(field.default) && typeof field.default !== "object") limits.push(t("help.default", { value: String(field.default) }));
  return [field.summary, field.hint, ...limits].filter(Boolean).join(" · ");
}

const simple = (element) => ({ element, focus: element, get: () => element.value, set: (value) => { element.value = value; } });

const placeholder = (field) => (field.default ?? field.example ?? "") === "" || typeof (field.default ?? field.example) === "object" ? undefined : String(field.default ?? field.example);

const CONTROLS = {
  text: (field, id, about, changed) => simple(el("input", { id, type: "text", maxlength: field.max_length, placeholder: placeholder(field), autocomplete: "off", ...about, on: { input: changed } })),
  area: (field, id, about, changed) => simple(el("textarea", { id, rows: field.name === "lyrics" ? 6 : 3, maxlength: field.max_length, placeholder: placeholder(field), ...about, on: { input: changed } })),
  json: (field, id, about, changed) => simple(el("textarea", { id, rows: 2, spellcheck: "false", placeholder: field.example ? JSON.stringify(field.example) : undefined, ...about, on: { change: changed } })),
  lines: (field, id, about, changed) => simple(el("textarea", { id, rows: 2, class: "short", placeholder: Array.isArray(field.example) ? field.example.join("\n") : undefined, ...about, on: { change: changed } })),
  list: (field, id, about, changed) => simple(el("input", { id, type: "text", autocomplete: "off", placeholder: Array.isArray(field.example) ? field.example.join(", ") : undefined, ...about, on: { change: changed } })),
  number: (field, id, about, changed) => simple(el("input", { id, type: "text", inputmode: field.type === "int" ? "numeric" : "decimal", autocomplete: "off", placeholder: placeholder(field), ...about, on: { change: changed } })),
  select: (field, id, about, changed) => {
    const choices = shownChoices(field);
    const options = choices.includes(field.default ?? "") ? choices : ["", ...choices];
    const select = el("select", { id, ...about, on: { change: changed } }, options.map((one) => el("option", { value: String(one) }, choiceWords(field, one))));
    // What was chosen once and is no choice any more (a model that was deleted) stays chosen until somebody chooses again.
    const set = (value) => {
      const known = [...select.options].some((one) => one.value === String(value));
      if (!known) select.append(el("option", { value: String(value) }, t("form.gone", { value })));
      select.value = String(value);
    };
    return { ...simple(select), set };
  },
  check: (field, id, about, changed) => {
    const box = el("input", { id, type: "checkbox", ...about, on: { change: changed } });
    return { element: box, focus: box, get: () => box.checked, set: (value) => { box.checked = Boolean(value); } };
  },
  ticks: (field, id, about, changed) => {
    const boxes = shownChoices(field).map((one) => el("input", { type: "checkbox", data: { value: one }, on: { change: changed } }));
    const element = el("div", { class: "choices", role: "group", "aria-labelledby": `${id}-label`, ...about }, boxes.map((box) => el("label", {}, box, box.dataset.value.replaceAll("_", " "))));
    return { element, focus: boxes[0] ?? element, get: () => boxes.filter((box) => box.checked).map((box) => box.dataset.value), set: (value) => boxes.forEach((box) => { box.checked = (value || []).includes(box.dataset.value); }) };
  },
  slider: (field, id, about, changed) => {
    const usual = field.default ?? "";
    const number = el("input", { id, type: "text", inputmode: "decimal", autocomplete: "off", placeholder: String(usual), ...about, on: { change: () => { if (number.value.trim()) range.value = number.value; changed(); } } });
    const range = el("input", { type: "range", min: field.min, max: field.max, step: (field.max - field.min) / 100, "aria-label": labelOf(field), ...about, on: { input: () => { number.value = String(Number(Number(range.value).toPrecision(4))); changed(); } } });
    const set = (value) => { number.value = value; range.value = value === "" ? usual : value; };
    return { element: el("div", { class: "pair" }, range, number), focus: number, get: () => number.value, set };
  },
};

function choiceWords(field, one) {
  if (one === "") return t("form.usual");
  if (field.choices_from === "languages" && one !== "unknown") {
    try {
      return `${new Intl.DisplayNames([language], { type: "language" }).of(one)} (${one})`;
    } catch {
      return one;
    }
  }
  return has(`choice.${one}`) ? t(`choice.${one}`) : String(one);
}

export { button };
