// The sound to work on: dropped, chosen, or a result. An upload that a reload breaks off is told of afterwards.

import { button, el } from "../dom.js";
import { bytes } from "../format.js";
import { sendFile } from "../upload.js";
import { t } from "../words.js";

const BROKEN = "studio.uploading"; // of this tab
const MOST_BYTES = 2 ** 31;

export function sourcePicker(app, taken) {
  const input = el("input", { type: "file", accept: "audio/*,.wav,.flac,.aif,.aiff,.mp3,.ogg,.opus", class: "unseen", tabindex: "-1", "aria-label": t("source.choose"), on: { change: () => input.files[0] && send(input.files[0]) } });
  const bar = el("progress", { max: 1, hidden: true, "aria-label": t("source.sending") });
  const state = el("p", { class: "soft num", role: "status" }), error = el("p", { class: "error", role: "alert", hidden: true });
  const stop = button(t("source.stop"), () => sending?.stop(), { hidden: true });
  const choose = button(t("source.choose"), () => input.click(), { class: "go" });
  const drop = el("div", { class: "drop", on: {
    dragover: (event) => { event.preventDefault(); drop.classList.add("over"); },
    dragleave: () => drop.classList.remove("over"),
    drop: (event) => { event.preventDefault(); drop.classList.remove("over"); const file = event.dataTransfer.files[0]; if (file) send(file); },
  } }, el("h3", {}, t("source.drop")), el("p", { class: "soft" }, t("source.kinds")), el("div", { class: "row" }, choose, button(t("source.library"), () => app.go("library")), stop), input, bar, state, error);
  let sending = null;

  const refuse = (words) => { error.textContent = words; error.hidden = false; };

  async function send(file) {
    error.hidden = true;
    if (file.size < 1) return refuse(t("source.empty", { name: file.name }));
    const most = app.status.limits?.upload_bytes ?? MOST_BYTES;
    if (file.size > most) return refuse(t("source.large", { name: file.name, size: bytes(file.size), most: bytes(most) }));
    sessionStorage.setItem(BROKEN, file.name);
    bar.hidden = stop.hidden = false;
    try {
      sending = sendFile(file, (share) => { bar.value = share; state.textContent = t("source.sent", { name: file.name, percent: Math.round(share * 100) }); });
      taken(await sending.done);
    } catch (failure) {
      refuse(failure.code === "aborted" ? t("source.stopped", { name: file.name }) : failure.code === "disconnected" ? t("source.lost", { name: file.name }) : failure.message);
    } finally {
      sessionStorage.removeItem(BROKEN);
      bar.hidden = stop.hidden = true;
      state.textContent = "";
      input.value = "";
      sending = null;
    }
  }

  const broken = sessionStorage.getItem(BROKEN);
  if (broken) {
    sessionStorage.removeItem(BROKEN);
    refuse(t("source.broken", { name: broken }));
  }
  return { element: drop, send, refuse };
}
