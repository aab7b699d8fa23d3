// One sound at a time, or two at the same position (A and B), equally loud; loop, back, and where it plays.

import { button, el, iconButton } from "./dom.js";
import { clock, matchingVolume } from "./format.js";
import { setIcon } from "./icons.js";
import { loadPeaks } from "./peaks.js";
import { t } from "./words.js";

const TOGETHER = 0.03; // seconds that A and B may be apart

export class Player extends EventTarget {
  sounds = { a: null, b: null };
  side = "a"; loop = false; loopSpan = null; levelled = true;
  #audio = { a: new Audio(), b: new Audio() };
  #loudness = { a: 0, b: 0 };

  constructor(place, fail) {
    super();
    this.fail = fail;
    for (const side of ["a", "b"]) {
      const audio = this.#audio[side];
      audio.preload = "metadata";
      audio.addEventListener("timeupdate", () => side === this.side && this.#tick());
      audio.addEventListener("ended", () => side === this.side && this.#ended());
      audio.addEventListener("error", () => this.sounds[side] && this.fail(t("player.broken", { name: this.sounds[side].name })));
      for (const kind of ["play", "pause", "loadedmetadata"]) audio.addEventListener(kind, () => this.#show());
    }
    this.#build(place);
  }

  #build(place) {
    this.toggleButton = iconButton("play", t("player.play"), () => this.toggle(), { class: "go round" });
    this.position = el("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": t("player.position"), on: { input: () => this.seek(Number(this.position.value)) } });
    this.time = el("span", { class: "num soft" }, "0:00");
    this.name = el("b", {}, t("player.nothing"));
    this.sideA = button("A", () => this.choose("a"), { "aria-pressed": "true", "aria-label": t("player.side", { side: "A" }) });
    this.sideB = button("B", () => this.choose("b"), { "aria-pressed": "false", disabled: true, "aria-label": t("player.side", { side: "B" }) });
    this.loopButton = iconButton("loop", t("player.loop"), () => this.setLoop(!this.loop), { "aria-pressed": "false" });
    this.levelButton = button(t("player.level"), () => { this.levelled = !this.levelled; this.#balance(); this.#show(); }, { "aria-pressed": "true" });
    place.setAttribute("aria-label", t("player.label"));
    place.replaceChildren(
      el("div", { class: "row" }, iconButton("home", t("player.home"), () => this.seek(0)), iconButton("back", t("player.back"), () => this.seek(this.seconds - 5)), this.toggleButton),
      el("div", { class: "now" }, this.name, el("div", { class: "seek" }, this.position, this.time)),
      el("div", { class: "row" }, this.sideA, this.sideB, this.levelButton, this.loopButton),
    );
  }

  get seconds() { return this.#audio[this.side].currentTime; }
  get playing() { return !this.#audio[this.side].paused; }
  get sound() { return this.sounds[this.side]; }

  // `sound`: {address, peaks, name, key}. On side b it waits to be compared.
  load(sound, side = this.side, keepPlace = false) {
    const at = keepPlace ? this.seconds : 0;
    this.sounds[side] = sound;
    this.#audio[side].src = sound.address;
    if (at) this.#audio[side].currentTime = at;
    this.#loudness[side] = 0;
    this.sideB.disabled = !this.sounds.b;
    if (sound.peaks) loadPeaks(sound.peaks).then((peaks) => { if (this.sounds[side] === sound) { this.#loudness[side] = peaks.loudness; this.#balance(); } }, () => {});
    this.#balance();
    this.#show();
  }

  async play(sound) {
    if (sound && this.sound?.key !== sound.key) {
      const side = this.sounds.b?.key === sound.key ? "b" : "a";
      if (this.sounds[side]?.key !== sound.key) this.load(sound, side);
      this.choose(side);
    }
    if (!this.sound) return;
    try {
      await this.#audio[this.side].play();
    } catch (error) {
      if (error.name !== "AbortError") this.fail(t(error.name === "NotAllowedError" ? "player.not_allowed" : "player.no_device"));
    }
  }

  pause() { for (const audio of Object.values(this.#audio)) audio.pause(); }
  toggle() { if (this.playing) this.pause(); else this.play(); }

  seek(seconds) {
    const audio = this.#audio[this.side];
    audio.currentTime = Math.max(0, Math.min(seconds, audio.duration || 0));
    this.#tick();
  }

  setLoop(on, span = this.loopSpan) {
    this.loop = on;
    this.loopSpan = span;
    this.#show();
  }

  // Goes over to the other sound at the same place.
  choose(side) {
    if (side === this.side || !this.sounds[side]) return;
    const before = this.#audio[this.side], next = this.#audio[side], played = !before.paused;
    this.side = side;
    if (this.sounds.a && this.sounds.b && Math.abs(next.currentTime - before.currentTime) > TOGETHER) next.currentTime = before.currentTime;
    if (played) next.play().then(() => before.pause(), () => before.pause());
    this.#show();
  }

  #balance() {
    const both = this.levelled && this.#loudness.a && this.#loudness.b;
    const quietest = Math.min(this.#loudness.a, this.#loudness.b);
    for (const side of ["a", "b"]) this.#audio[side].volume = both ? matchingVolume(this.#loudness[side], quietest) : 1;
  }

  get volumes() { return { a: this.#audio.a.volume, b: this.#audio.b.volume }; }

  #tick() {
    const span = this.loop && this.loopSpan;
    if (span && this.playing && (this.seconds >= span.end || this.seconds < span.start - 0.5)) this.#audio[this.side].currentTime = span.start;
    this.position.value = this.seconds;
    const whole = this.#audio[this.side].duration || 0;
    this.time.textContent = `${clock(this.seconds)} / ${clock(whole)}`;
    this.position.setAttribute("aria-valuetext", this.time.textContent);
    this.dispatchEvent(new Event("tick"));
  }

  #ended() {
    if (this.loop) this.#audio[this.side].play().catch(() => {});
    this.dispatchEvent(new Event("ended"));
  }

  #show() {
    const duration = this.#audio[this.side].duration;
    if (Number.isFinite(duration)) this.position.max = duration;
    this.name.textContent = this.sound?.name ?? t("player.nothing");
    setIcon(this.toggleButton.firstChild, this.playing ? "pause" : "play");
    this.toggleButton.setAttribute("aria-label", t(this.playing ? "player.pause" : "player.play"));
    this.sideA.setAttribute("aria-pressed", String(this.side === "a"));
    this.sideB.setAttribute("aria-pressed", String(this.side === "b"));
    this.loopButton.setAttribute("aria-pressed", String(this.loop));
    this.levelButton.setAttribute("aria-pressed", String(this.levelled));
    this.#tick();
    this.dispatchEvent(new Event("change"));
  }
}
