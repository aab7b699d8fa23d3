// Addresses and names of the sounds of results and uploads.

import { t } from "./words.js";

export const soundOf = (row, file) => ({
  key: `${row.id}/${file.index}`,
  address: `/studio/sounds/${encodeURIComponent(row.id)}/${file.index}/${encodeURIComponent(file.name)}`,
  peaks: `/studio/peaks/${encodeURIComponent(row.id)}/${file.index}`,
  name: `${row.caption || row.operation} · ${takeName(file)}`,
  type: typeOf(file.name),
  file: file.name,
});

export const uploadSound = (upload) => ({
  key: `upload/${upload.id}`,
  address: `/studio/sounds/upload/${upload.id}`,
  peaks: `/studio/peaks/upload/${upload.id}`,
  name: upload.name,
  file: upload.name,
});

const TYPES = { wav: "audio/wav", flac: "audio/flac", mp3: "audio/mpeg", ogg: "audio/ogg", opus: "audio/ogg", aif: "audio/aiff", aiff: "audio/aiff" };

export const ending = (name) => String(name).split(".").pop().toLowerCase();
export const typeOf = (name) => TYPES[ending(name)] ?? "application/octet-stream";
export const isSound = (file) => ending(file.name) in TYPES;
export const isLatent = (file) => file.role === "latent" || ending(file.name) === "safetensors";

export function takeName(file) {
  const number = (file.variant ?? 0) + 1;
  if (file.preview && !file.track) return `${t("take.preview", { number: file.stage ?? 1 })} · ${number}`;
  return [file.track?.replaceAll("_", " "), file.role, number].filter((one) => one !== "" && one !== undefined).join(" ");
}

export const copyAddress = (row, file, format) => `/studio/copies/${encodeURIComponent(row.id)}/${file.index}/${format}`;
export const zipAddress = (takes) => `/studio/zip?${takes.map(([row, file]) => `take=${encodeURIComponent(row.id)}:${file.index}`).join("&")}`;
