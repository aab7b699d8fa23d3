// The recipe that a WAV of ours carries: JSON in the USER element of its iXML chunk. Reads headers, never the sound.

const MOST = 4 * 1024 * 1024; // bytes of an iXML chunk
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'" };

// The recipe of a file, or null where it has none.
export async function recipeOf(file) {
  const head = await bytes(file, 0, 12);
  if (head.byteLength < 12 || !["RIFF", "RF64"].includes(letters(head, 0)) || letters(head, 8) !== "WAVE") return null;
  for (let at = 12; at + 8 <= file.size; ) {
    const chunk = await bytes(file, at, 8);
    const kind = letters(chunk, 0), size = chunk.getUint32(4, true);
    if (kind === "iXML" && size <= MOST) return read(await file.slice(at + 8, at + 8 + size).text());
    const length = size === 0xffffffff ? await dataSize(file) : size;
    at += 8 + length + (length % 2);
  }
  return null;
}

const bytes = async (file, at, length) => new DataView(await file.slice(at, at + length).arrayBuffer());
const letters = (view, at) => String.fromCharCode(...[0, 1, 2, 3].map((n) => view.getUint8(at + n)));

// An RF64 file says in its first chunk how long its sound is.
async function dataSize(file) {
  const view = await bytes(file, 12, 36);
  return view.byteLength >= 24 && letters(view, 0) === "ds64" ? Number(view.getBigUint64(16, true)) : file.size;
}

function read(xml) {
  const found = /<USER>([\s\S]*?)<\/USER>/.exec(xml);
  try {
    const recipe = JSON.parse(found[1].replace(/&(amp|lt|gt|quot|apos);/g, (one) => ENTITIES[one]));
    return recipe && typeof recipe === "object" ? recipe : null;
  } catch {
    return null;
  }
}
