// A stand-in for the part of a browser's document that the page's modules use: elements, attributes, events, focus, and selectors of one
// step. It lays nothing out and draws nothing; what depends on that is tested in Chromium.

const SELECTOR = /^([a-z0-9]+)?((?:\.[\w-]+)*)((?:\[[^\]]+\])*)(:not\(\[hidden\]\))?$/i;

const named = (text) => text.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());

export class Element extends EventTarget {
  attributes = new Map(); dataset = {}; children = []; parentNode = null; ownText = ""; value_ = ""; checked = false; tabIndex = 0;

  constructor(tag) {
    super();
    this.tagName = tag.toUpperCase();
    this.classList = {
      toggle: (name, on = !this.classes.has(name)) => { const all = this.classes; if (on) all.add(name); else all.delete(name); this.setAttribute("class", [...all].join(" ")); },
      add: (name) => this.classList.toggle(name, true), remove: (name) => this.classList.toggle(name, false), contains: (name) => this.classes.has(name),
    };
  }

  get classes() { return new Set((this.attributes.get("class") ?? "").split(" ").filter(Boolean)); }
  setAttribute(name, value) { if (name.startsWith("data-")) this.dataset[named(name.slice(5))] = String(value); else this.attributes.set(name, String(value)); }
  getAttribute(name) { return this.attributes.get(name) ?? null; }
  removeAttribute(name) { this.attributes.delete(name); }
  get id() { return this.attributes.get("id") ?? ""; }
  get hidden() { return this.attributes.has("hidden"); }
  set hidden(on) { if (on) this.attributes.set("hidden", ""); else this.attributes.delete("hidden"); }
  get disabled() { return this.attributes.has("disabled"); }
  set disabled(on) { if (on) this.attributes.set("disabled", ""); else this.attributes.delete("disabled"); }
  get open() { return this.attributes.has("open"); }
  set open(on) { if (on) this.attributes.set("open", ""); else this.attributes.delete("open"); }

  get textContent() { return this.ownText + this.children.map((one) => one.textContent).join(""); }
  set textContent(text) { this.replaceChildren(); this.ownText = String(text); }
  append(...given) { for (const one of given) this.insertBefore(one, null); }
  prepend(one) { this.insertBefore(one, this.children[0] ?? null); }
  insertBefore(given, place) {
    const one = given instanceof Element ? given : Object.assign(new Element("#text"), { ownText: String(given) });
    one.remove();
    const at = place ? this.children.indexOf(place) : this.children.length;
    this.children.splice(at, 0, one);
    one.parentNode = this;
  }
  replaceChildren(...given) { for (const one of [...this.children]) one.remove(); this.ownText = ""; this.append(...given); }
  remove() {
    const all = this.parentNode?.children;
    if (!all) return;
    all.splice(all.indexOf(this), 1);
    this.parentNode = null;
    if (this.contains(document.activeElement)) document.activeElement = document.body;
  }
  get firstChild() { return this.children[0] ?? null; }
  get lastChild() { return this.children.at(-1) ?? null; }
  get nextSibling() { const all = this.parentNode?.children ?? []; return all[all.indexOf(this) + 1] ?? null; }
  get isConnected() { return document.body.contains(this); }
  contains(other) { for (let one = other; one; one = one.parentNode) if (one === this) return true; return false; }
  get below() { return this.children.flatMap((one) => [one, ...one.below]); }

  matches(selector) {
    return selector.split(",").some((text) => {
      const [, tag, classes, attributes, shown] = SELECTOR.exec(text.trim()) ?? [];
      if (tag && this.tagName !== tag.toUpperCase()) return false;
      if (shown && this.hidden) return false;
      if (!classes.split(".").filter(Boolean).every((name) => this.classes.has(name))) return false;
      return [...attributes.matchAll(/\[([\w-]+)(?:="?([^"\]]*)"?)?\]/g)].every(([, name, value]) => {
        const own = name.startsWith("data-") ? this.dataset[named(name.slice(5))] : this.attributes.get(name);
        return own !== undefined && (value === undefined || String(own) === value);
      });
    });
  }
  querySelectorAll(selector) { return this.below.filter((one) => one.tagName !== "#TEXT" && one.matches(selector)); }
  querySelector(selector) { return this.querySelectorAll(selector)[0] ?? null; }
  closest(selector) { for (let one = this; one; one = one.parentNode) if (one.matches(selector)) return one; return null; }

  get options() { return this.querySelectorAll("option"); }
  get value() { return this.tagName === "SELECT" ? (this.options.find((one) => one.selected) ?? this.options[0])?.value ?? "" : this.value_; }
  set value(given) {
    if (this.tagName !== "SELECT") this.value_ = String(given);
    else for (const one of this.options) one.selected = one.value === String(given);
  }

  focus() { if (this.isConnected && !this.disabled) document.activeElement = this; }
  click() { if (!this.disabled) this.dispatchEvent(new Event("click")); }
  press(key) { return this.#bubble(Object.assign(new Event("keydown", { cancelable: true }), { key })); }
  choose(value) { this.value = value; this.#bubble(new Event("change")); }
  type(text) { this.value = text; for (const kind of ["input", "change"]) this.#bubble(new Event(kind)); }
  // An event goes up until somebody stops it.
  #bubble(event) {
    let stopped = false;
    const plain = event.stopPropagation.bind(event);
    event.stopPropagation = () => { stopped = true; plain(); };
    for (let one = this; one && !stopped; one = one.parentNode) one.dispatchEvent(event);
    return event;
  }
  getBoundingClientRect() { return { top: 0, left: 0, width: 100, height: 20 }; }
  scrollIntoView() { }
  showModal() { this.open = true; }
  close() { this.dispatchEvent(new Event("close")); }
}

const storage = () => {
  const kept = new Map();
  return { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, String(value)), removeItem: (name) => kept.delete(name) };
};

// A new, empty document; its body.
export function install() {
  const body = new Element("body");
  const document = { body, activeElement: body, createElement: (tag) => new Element(tag), createElementNS: (_, tag) => new Element(tag), documentElement: new Element("html"), getElementById: (id) => body.below.find((one) => one.id === id) ?? null, addEventListener() { } };
  Object.assign(globalThis, { document, innerHeight: 800, localStorage: storage(), sessionStorage: storage(), location: { origin: "http://here", hash: "" } });
  return body;
}
