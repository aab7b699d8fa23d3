// Numbers as people read them.

export function clock(seconds, digits = 0) {
  const factor = 10 ** digits;
  const all = Math.round(Math.max(0, seconds || 0) * factor);
  const whole = Math.floor(all / factor), rest = all % factor;
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60, left = whole % 60;
  const start = hours ? `${hours}:${String(minutes).padStart(2, "0")}` : String(minutes);
  return `${start}:${String(left).padStart(2, "0")}${digits ? `.${String(rest).padStart(digits, "0")}` : ""}`;
}

// "1:02.5", "62.5" -> 62.5; NaN for anything else.
export function parseClock(text) {
  const parts = String(text).trim().split(":");
  if (!parts.length || parts.length > 3 || parts.some((part) => !/^\d+([.,]\d+)?$/.test(part))) return NaN;
  return parts.reduce((sum, part) => sum * 60 + Number(part.replace(",", ".")), 0);
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count || 0, at = 0;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return `${at && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

// The factor that brings a sound of one loudness (root mean square) down to another; never above 1, so nothing clips.
export function matchingVolume(loudness, quietest) {
  return loudness > 1e-5 && quietest > 1e-5 ? Math.min(1, quietest / loudness) : 1;
}

// What a browser needs to make a file of what is dragged out: type, name and address in one line.
export function dragged(sound, origin) {
  return { DownloadURL: `${sound.type}:${sound.name}:${origin}${sound.address}`, "text/uri-list": origin + sound.address };
}
