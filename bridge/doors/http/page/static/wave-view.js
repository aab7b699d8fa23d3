// The waveform as an element: look closer, scroll, mark regions by mouse and by keys. Says "regions", "seek" and "window".

import { el } from "./dom.js";
import { colours, drawPeaks, fitted } from "./draw.js";
import { clock } from "./format.js";
import { Window, region, secondLines } from "./waveform.js";
import { t } from "./words.js";

const RULER = 27; // pixels
const GRAB = 7;

export class WaveView extends HTMLElement {
  regions = []; grid = null; snapTo = "off"; fade = 0; strength = null; playhead = 0; chosen = 0;
  #peaks = null; #window = new Window(1, 1); #drag = null; #asked = 0;

  connectedCallback() {
    if (this.box) return;
    this.main = el("canvas", { class: "main" });
    this.overview = el("canvas", { class: "overview" });
    this.box = el("div", { class: "wave", tabindex: "0", role: "application", "aria-roledescription": t("wave.role"), "aria-label": t("wave.label"), "aria-describedby": "wave-keys" }, this.main, this.overview);
    this.append(this.box, el("p", { id: "wave-keys", class: "unseen" }, t("wave.keys")));
    this.main.addEventListener("pointerdown", (event) => this.#press(event));
    this.main.addEventListener("pointermove", (event) => this.#move(event));
    this.main.addEventListener("pointerup", (event) => this.#release(event));
    this.main.addEventListener("pointercancel", () => { this.#drag = null; });
    this.main.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.overview.addEventListener("pointerdown", (event) => this.#jump(event));
    this.overview.addEventListener("pointermove", (event) => { if (event.buttons) this.#jump(event); });
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.resize = new ResizeObserver(() => this.draw());
    this.resize.observe(this.box);
  }

  disconnectedCallback() { this.resize?.disconnect(); this.box = null; this.replaceChildren(); }

  get length() { return this.#peaks?.length ?? 0; }
  get window() { return this.#window; }

  set peaks(peaks) {
    const other = this.#peaks?.length !== peaks.length || this.#peaks?.rate !== peaks.rate;
    this.#peaks = peaks;
    if (other) this.#window = new Window(peaks.length, this.main?.clientWidth || 1);
    this.draw();
  }
  get peaks() { return this.#peaks; }

  draw() {
    if (this.#asked) return;
    this.#asked = requestAnimationFrame(() => {
      this.#asked = 0;
      if (this.#peaks && this.box?.isConnected) this.#paint();
    });
  }

  zoom(factor) { this.#window.zoom(factor, this.#isSeen(this.playhead) ? this.playhead : undefined); this.#windowChanged(); }
  all() { this.#window.all(); this.#windowChanged(); }
  showRegion(at) {
    const one = this.regions[at];
    const room = Math.max(one.end - one.start, this.#peaks.rate) * 0.4;
    this.#window.show(one.start - room, one.end + room);
    this.#windowChanged();
  }

  #isSeen(sample) { return sample >= this.#window.start && sample <= this.#window.end; }
  #windowChanged() { this.draw(); this.dispatchEvent(new Event("window")); }
  #snapped(sample) { return this.grid && this.snapTo !== "off" ? this.grid.snap(sample, this.snapTo) : Math.round(sample); }

  setRegions(regions, told = true) {
    this.regions = regions.map((one) => region(one.start, one.end, this.length));
    this.chosen = Math.min(this.chosen, Math.max(0, this.regions.length - 1));
    this.draw();
    if (told) this.dispatchEvent(new Event("regions"));
  }

  // Pointer

  #edgeAt(x) {
    for (const [at, one] of this.regions.entries()) {
      for (const edge of ["start", "end"]) if (Math.abs(this.#window.xAt(one[edge]) - x) <= GRAB) return { at, edge };
    }
    return null;
  }

  #press(event) {
    if (!this.#peaks || event.button) return;
    const sample = this.#window.sampleAt(event.offsetX), edge = this.#edgeAt(event.offsetX);
    const inside = this.regions.findIndex((one) => sample >= one.start && sample < one.end);
    this.main.setPointerCapture(event.pointerId);
    if (edge) this.#drag = { kind: "edge", ...edge };
    else if (inside >= 0 && !event.shiftKey) this.#drag = { kind: "body", at: inside, sample, from: { ...this.regions[inside] } };
    else this.#drag = { kind: "new", sample, x: event.offsetX, add: event.shiftKey };
    if (this.#drag.at !== undefined) this.chosen = this.#drag.at;
    this.box.focus({ preventScroll: true });
  }

  #move(event) {
    if (!this.#peaks) return;
    const drag = this.#drag;
    if (!drag) {
      this.main.style.cursor = this.#edgeAt(event.offsetX) ? "ew-resize" : "";
      return;
    }
    const sample = this.#window.sampleAt(event.offsetX);
    const next = [...this.regions];
    if (drag.kind === "edge") next[drag.at] = { ...next[drag.at], [drag.edge]: this.#snapped(sample) };
    else if (drag.kind === "body") {
      const start = this.#snapped(Math.min(this.length - (drag.from.end - drag.from.start), Math.max(0, drag.from.start + sample - drag.sample)));
      if (Math.abs(sample - drag.sample) * this.#window.width / this.#window.span < 3) return;
      next[drag.at] = { start, end: start + drag.from.end - drag.from.start };
      drag.moved = true;
    } else {
      if (Math.abs(event.offsetX - drag.x) < 4) return;
      const made = { start: this.#snapped(drag.sample), end: this.#snapped(sample) };
      if (drag.at === undefined) drag.at = drag.add ? next.length : 0;
      if (!drag.add) next.length = 0;
      next[drag.at] = made;
      this.chosen = drag.at;
    }
    this.setRegions(next);
  }

  #release(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag) return;
    const clicked = (drag.kind === "new" && drag.at === undefined) || (drag.kind === "body" && !drag.moved);
    if (clicked) this.#seek(this.#window.sampleAt(event.offsetX));
    else this.setRegions(this.regions.filter((one) => one.end > one.start));
  }

  #seek(sample) {
    this.playhead = Math.min(this.length, Math.max(0, Math.round(sample)));
    this.draw();
    this.dispatchEvent(Object.assign(new Event("seek"), { sample: this.playhead }));
  }

  #wheel(event) {
    if (!this.#peaks) return;
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.#window.scroll(((event.deltaX || event.deltaY) / this.#window.width) * this.#window.span);
    else this.#window.zoom(event.deltaY < 0 ? 1.25 : 0.8, this.#window.sampleAt(event.offsetX));
    this.#windowChanged();
  }

  #jump(event) {
    const middle = (event.offsetX / this.overview.clientWidth) * this.length;
    this.#window.show(middle - this.#window.span / 2, middle + this.#window.span / 2);
    this.#windowChanged();
  }

  // Keys

  #key(event) {
    if (event.target !== this.box || event.ctrlKey || event.metaKey || event.altKey || !this.#peaks) return;
    const act = {
      ArrowRight: () => this.#nudge(1, event.shiftKey), ArrowLeft: () => this.#nudge(-1, event.shiftKey),
      "[": () => this.#toEdge("start"), "]": () => this.#toEdge("end"),
      "+": () => this.zoom(1.6), "=": () => this.zoom(1.6), "-": () => this.zoom(0.625), 0: () => this.all(),
      Delete: () => this.setRegions(this.regions.filter((_, at) => at !== this.chosen)),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  // A step of the grid, or of a pixel; with Shift by one sixteenth of the window.
  #step(far) {
    if (far) return this.grid && this.snapTo !== "off" ? this.grid.bar * 4 : this.#window.span / 8;
    return this.grid && this.snapTo !== "off" ? this.grid.step(this.snapTo) : Math.max(1, this.#window.span / 200);
  }

  #nudge(direction, far) {
    this.#seek(this.#snapped(this.playhead + direction * this.#step(far)));
    this.#window.reveal(Math.min(this.playhead, this.length - 1));
    this.#windowChanged();
  }

  #toEdge(edge) {
    const one = this.regions[this.chosen];
    const other = one ? { ...one } : { start: this.playhead, end: edge === "start" ? this.length : this.playhead };
    other[edge] = this.playhead;
    if (!one && edge === "end") other.start = 0;
    const next = [...this.regions];
    next[this.chosen] = other.end < other.start ? { start: this.playhead, end: this.playhead } : other;
    this.setRegions(next);
  }

  // Edges as sliders, so that screen readers and keys reach them

  #edges(width) {
    const wanted = this.regions.flatMap((one, at) => ["start", "end"].map((edge) => ({ one, at, edge })));
    const present = [...this.box.querySelectorAll(".edge")];
    while (present.length > wanted.length) present.pop().remove();
    for (const [n, { one, at, edge }] of wanted.entries()) {
      const element = present[n] ?? this.box.appendChild(el("div", { class: "edge", tabindex: "0", role: "slider", "aria-orientation": "horizontal", on: { keydown: (event) => this.#edgeKey(event), focus: (event) => { this.chosen = Number(event.target.dataset.at); }, pointerdown: (event) => this.#edgePress(event), pointermove: (event) => this.#edgeMove(event), pointerup: () => { this.#drag = null; } } }));
      Object.assign(element.dataset, { at, edge });
      element.setAttribute("aria-label", t(`wave.edge.${edge}`, { number: at + 1 }));
      element.setAttribute("aria-valuemin", "0");
      element.setAttribute("aria-valuemax", String(this.length));
      element.setAttribute("aria-valuenow", String(one[edge]));
      element.setAttribute("aria-valuetext", this.#spokenPlace(one[edge]));
      const x = this.#window.xAt(one[edge]);
      element.hidden = x < -12 || x > width + 12;
      element.style.left = `${x}px`;
    }
  }

  #spokenPlace(sample) {
    const time = clock(sample / this.#peaks.rate, 2);
    return this.grid ? t("wave.place", { bar: this.grid.name(sample), time }) : time;
  }

  #edgePress(event) {
    event.target.setPointerCapture(event.pointerId);
    this.#drag = { kind: "edge", at: Number(event.target.dataset.at), edge: event.target.dataset.edge };
  }

  #edgeMove(event) {
    if (this.#drag?.kind !== "edge") return;
    const left = this.main.getBoundingClientRect().left;
    this.#setEdge(this.#drag.at, this.#drag.edge, this.#snapped(this.#window.sampleAt(event.clientX - left)));
  }

  #edgeKey(event) {
    const { at, edge } = event.target.dataset;
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 8, PageDown: -8 }[event.key];
    if (!step && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    event.stopPropagation();
    const one = this.regions[at];
    const moved = event.key === "Home" ? 0 : event.key === "End" ? this.length : this.#snapped(one[edge] + step * this.#step(false));
    this.#setEdge(Number(at), edge, moved);
  }

  #setEdge(at, edge, sample) {
    const next = [...this.regions], one = { ...next[at], [edge]: sample };
    if (one.start > one.end) one[edge] = one[edge === "start" ? "end" : "start"];
    next[at] = one;
    this.setRegions(next);
  }

  // Paint

  #paint() {
    const { context, width, height } = fitted(this.main);
    const window = this.#window, look = colours(this.box);
    window.width = width;
    this.#paintRegions(context, height, look);
    this.#paintRuler(context, width, height, look);
    const marked = (sample) => this.regions.some((one) => sample >= one.start && sample < one.end);
    drawPeaks(context, this.#peaks, { start: window.start, end: window.end, top: RULER, width, height: height - RULER, colour: (sample) => (marked(sample) ? look.fresh : look.wave) });
    this.#paintStrength(context, height, look);
    const x = window.xAt(this.playhead);
    context.fillStyle = look.text;
    context.fillRect(x - 0.75, 0, 1.5, height);
    this.#edges(width);
    this.#paintOverview(look);
  }

  #paintRegions(context, height, look) {
    for (const one of this.regions) {
      const left = this.#window.xAt(one.start), right = this.#window.xAt(one.end);
      context.fillStyle = look.fresh;
      context.globalAlpha = 0.16;
      context.fillRect(left, RULER, right - left, height - RULER);
      const fade = Math.min(this.fade * this.#window.width / this.#window.span, (right - left) / 2);
      context.globalAlpha = 0.35;
      for (let x = 0; x < fade; x += 4) {
        context.fillRect(left + x, RULER, 1.5, height - RULER);
        context.fillRect(right - x - 1.5, RULER, 1.5, height - RULER);
      }
      context.globalAlpha = 1;
    }
  }

  #paintRuler(context, width, height, look) {
    const { start, end } = this.#window, most = Math.max(3, Math.floor(width / 70));
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    const lines = this.grid
      ? this.grid.lines(start, end, most).map((line) => ({ ...line, text: line.bar === null ? "" : String(line.bar) }))
      : secondLines(start, end, this.#peaks.rate, most).map((line) => ({ ...line, text: clock(line.seconds, line.step < 1 ? 2 : 0) }));
    for (const { sample, text, bar } of lines) {
      const x = this.#window.xAt(sample), strong = bar !== null;
      context.fillStyle = look.line;
      context.fillRect(x, strong ? 4 : RULER, 1, strong ? height : height - RULER);
      if (!text) continue;
      context.fillStyle = look.soft;
      context.fillText(text, x + 5, RULER / 2 + 1);
    }
    context.fillStyle = look.line;
    context.fillRect(0, RULER - 1, width, 1);
  }

  // How much of the source a cover keeps, as a line over the wave.
  #paintStrength(context, height, look) {
    if (this.strength === null) return;
    const y = RULER + (1 - this.strength) * (height - RULER - 6) + 3;
    const spans = this.regions.length ? this.regions : [{ start: 0, end: this.length }];
    context.strokeStyle = look.text;
    context.lineWidth = 2;
    context.setLineDash([6, 4]);
    for (const one of spans) {
      context.beginPath();
      context.moveTo(this.#window.xAt(one.start), y);
      context.lineTo(this.#window.xAt(one.end), y);
      context.stroke();
    }
    context.setLineDash([]);
  }

  #paintOverview(look) {
    const { context, width, height } = fitted(this.overview), share = width / this.length;
    drawPeaks(context, this.#peaks, { start: 0, end: this.length, width, height, colour: () => look.quiet });
    context.fillStyle = look.fresh;
    context.globalAlpha = 0.5;
    for (const one of this.regions) context.fillRect(one.start * share, 0, Math.max(2, (one.end - one.start) * share), height);
    context.globalAlpha = 1;
    context.strokeStyle = look.text;
    context.strokeRect(this.#window.start * share + 0.5, 0.5, Math.max(3, this.#window.span * share - 1), height - 1);
    context.fillStyle = look.text;
    context.fillRect(this.playhead * share, 0, 1, height);
  }
}

customElements.define("wave-view", WaveView);
