// The regions of an edit in numbers: bars and seconds, both ways bound to the waveform.

import { button, el, iconButton, newId } from "../dom.js";
import { clock, parseClock } from "../format.js";
import { t } from "../words.js";

export function regionRows(wave) {
  const list = el("div", { class: "regions" });
  const add = button(t("region.add"), () => {
    const { grid, peaks, playhead } = wave;
    const span = grid ? grid.bar * 4 : peaks.rate * 5;
    const start = grid ? grid.snap(playhead, "bar") : playhead;
    wave.chosen = wave.regions.length;
    wave.setRegions([...wave.regions, { start, end: Math.min(start + span, wave.length) }]);
    list.querySelector(".region:last-child input")?.focus();
  }, { data: { act: "add-region" } });

  const parsers = {
    bar: (text) => wave.grid?.read(text) ?? NaN,
    time: (text) => Math.round(parseClock(text) * wave.peaks.rate),
  };
  // The end is said as musicians do: bars 5 to 8 end where bar 9 begins.
  const barText = (sample) => (wave.grid ? wave.grid.name(sample).replace(/\.1$/, "") : "");

  function field(at, edge, kind) {
    const id = newId(`region-${edge}-${kind}`);
    const input = el("input", { id, type: "text", inputmode: kind === "bar" ? "text" : "decimal", autocomplete: "off", class: "num", data: { edge, kind }, on: { change: () => {
      const sample = parsers[kind](input.value);
      input.setAttribute("aria-invalid", String(!Number.isFinite(sample)));
      if (!Number.isFinite(sample)) return;
      const next = wave.regions.map((one) => ({ ...one }));
      next[at] = { ...next[at], [edge]: Math.min(wave.length, Math.max(0, sample)) };
      keepOrder(next[at], edge);
      wave.setRegions(next);
    } } });
    return el("div", { class: "field" }, el("label", { for: id }, t(`region.${edge}_${kind}`)), input);
  }

  // A start behind the end takes the end along (and the other way round), so that a region typed in is never turned over.
  function keepOrder(one, edge) {
    if (one.start <= one.end) return;
    if (edge === "start") one.end = one.start;
    else one.start = one.end;
  }

  function rows() {
    const { regions } = wave;
    while (list.children.length > regions.length) list.lastChild.remove();
    regions.forEach((one, at) => {
      const row = list.children[at] ?? list.appendChild(el("div", { class: "region", role: "group", "aria-label": t("region.name", { number: at + 1 }) },
        field(at, "start", "bar"), field(at, "end", "bar"), field(at, "start", "time"), field(at, "end", "time"),
        el("div", { class: "row" }, iconButton("look", t("region.show", { number: at + 1 }), () => wave.showRegion(at)), iconButton("close", t("region.remove", { number: at + 1 }), () => { wave.setRegions(wave.regions.filter((_, n) => n !== at)); add.focus(); }))));
      for (const input of row.querySelectorAll("input")) {
        const sample = one[input.dataset.edge];
        input.closest(".field").hidden = input.dataset.kind === "bar" && !wave.grid;
        if (document.activeElement !== input || input.getAttribute("aria-invalid") !== "true") input.value = input.dataset.kind === "bar" ? barText(sample) : clock(sample / wave.peaks.rate, 3);
        input.setAttribute("aria-invalid", "false");
      }
    });
  }
  return { element: el("div", { class: "regions" }, list, el("div", { class: "row" }, add)), rows };
}

// What the regions mean, in a sentence.
export function spans(wave) {
  const { grid, peaks } = wave;
  return wave.regions.map((one) => {
    const time = `${clock(one.start / peaks.rate, 2)} – ${clock(one.end / peaks.rate, 2)}`;
    if (!grid) return time;
    const [first, last] = [grid.barAt(one.start), grid.barAt(one.end)];
    const whole = [first, last].every((bar) => Math.abs(bar - Math.round(bar)) < 0.002);
    return whole && last > first ? t("region.bars", { from: Math.round(first), to: Math.round(last) - 1, time }) : `${grid.name(one.start)} – ${grid.name(one.end)} (${time})`;
  }).join(", ");
}
