// What the audition page knows of sounds; nothing here touches the page.

const TARGET = 0.1; // root mean square, -20 dB of full scale
const CEILING = 0.98;

export function clock(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// The factor that brings samples of all channels to the common loudness without clipping.
export function matchingGain(channels) {
  let sum = 0, count = 0, peak = 0;
  for (const samples of channels) {
    for (const value of samples) {
      sum += value * value;
      peak = Math.max(peak, Math.abs(value));
    }
    count += samples.length;
  }
  const loudness = Math.sqrt(sum / Math.max(count, 1));
  return loudness > 1e-5 ? Math.min(TARGET / loudness, CEILING / peak) : 1;
}

// What a browser needs to make a file of what is dragged out: type, name and address in one line.
export function dragged(sound, origin) {
  return { DownloadURL: `${sound.type}:${sound.name}:${origin}${sound.address}`, "text/uri-list": origin + sound.address };
}
