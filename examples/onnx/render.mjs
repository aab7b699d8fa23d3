// Renders a song from the files of `acestep-bridge export-onnx nano` in Node, without Python. The same steps as render.py.
//
//     npm install
//     node render.mjs ~/nano-float32 song.wav "slow piano, warm strings" 20 7
//
// Arguments: folder, WAV file, caption, seconds [10], seed [1]. It runs on onnxruntime-node where that is installed (quicker), else
// on onnxruntime-web, which browsers have too.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";

const CHANNELS = 64;
const FRAMES_PER_SECOND = 25;
const RATE = 48000;

const native = await import("onnxruntime-node").catch(() => null);
const ort = native ?? (await import("onnxruntime-web"));
const { InferenceSession, Tensor } = ort.default ?? ort;

/** A graph of the folder; outside Node's own runtime its weights are handed over beside it. */
async function open(folder, part) {
  if (native) return InferenceSession.create(path.join(folder, part.file));
  const weights = `${part.file}.data`;
  const [graph, data] = await Promise.all([part.file, weights].map((name) => readFile(path.join(folder, name)).catch(() => null)));
  return InferenceSession.create(new Uint8Array(graph), {
    executionProviders: ["wasm"],
    externalData: data ? [{ path: weights, data: new Uint8Array(data) }] : [],
  });
}

/** One call of a graph, which is opened for it and released: the tensor that comes out. */
async function call(folder, part, fed) {
  const session = await open(folder, part);
  const made = await session.run(fed);
  await session.release();
  return made[part.outputs[0].name];
}

const floats = (data, shape) => new Tensor("float32", data, shape);
const integers = (numbers, shape) => new Tensor("int64", BigInt64Array.from(numbers, BigInt), shape);

/** The numbers of a .npy file of float32. */
async function readArray(file) {
  const bytes = await readFile(file);
  const start = 10 + bytes.readUInt16LE(8);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length));
}

/** The 32-bit numbers of the Mersenne twister. */
function* twister(seed) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) {
    const before = state[i - 1] ^ (state[i - 1] >>> 30);
    state[i] = Math.imul(1812433253, before) + i;
  }
  while (true) {
    for (let i = 0; i < 624; i++) {
      const mixed = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
      state[i] = state[(i + 397) % 624] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    for (let word of state) {
      word ^= word >>> 11;
      word ^= (word << 7) & 0x9d2c5680;
      word ^= (word << 15) & 0xefc60000;
      yield (word ^ (word >>> 18)) >>> 0;
    }
  }
}

/** Unit noise [frames, 64] as torch draws it on a CPU: Box and Muller's transform on blocks of sixteen. */
function seededNoise(seed, frames) {
  const noise = new Float32Array(frames * CHANNELS);
  const words = twister(Number(BigInt(seed) & 0xffffffffn));
  for (let i = 0; i < noise.length; i++) noise[i] = (words.next().value & 0xffffff) / 2 ** 24;
  for (let block = 0; block < noise.length; block += 16) {
    for (let i = block; i < block + 8; i++) {
      const radius = Math.sqrt(-2 * Math.log(Math.fround(1 - noise[i])));
      const angle = 2 * Math.PI * noise[i + 8];
      noise[i] = radius * Math.cos(angle);
      noise[i + 8] = radius * Math.sin(angle);
    }
  }
  return noise;
}

const filled = (form, words) => form.replace(/\{(\w+)\}/g, (_, name) => words[name]);

/** The condition [1, L, H] of a caption, without lyrics. */
async function encodeWords(folder, facts, silence, caption, frames) {
  const { text, parts, files } = facts;
  const tokenizer = new Tokenizer(JSON.parse(await readFile(path.join(folder, files.tokenizer), "utf8")), {});
  const embed = async (words, limit) => {
    const ids = tokenizer.encode(words).ids.slice(0, limit);
    return call(folder, parts.token_embedding, { ids: integers(ids, [1, ids.length]) });
  };
  const seconds = Math.floor(frames / FRAMES_PER_SECOND);
  const told = { instruction: text.instruction, caption, bpm: "N/A", time_signature: "N/A", key: "N/A", seconds };
  const prompt = await embed(filled(text.prompt, told), text.caption_tokens);
  const lyrics = await embed(filled(text.lyrics, { language: "unknown", lyrics: text.instrumental }), text.lyric_tokens);
  const states = await call(folder, parts.text_encoder, { embeddings: prompt });
  const timbre = floats(silence.slice(0, text.timbre_frames * CHANNELS), [1, 1, text.timbre_frames, CHANNELS]);
  return call(folder, parts.condition_encoder, { text_states: states, lyric_embeddings: lyrics, timbre });
}

/** Noise -> latents, by Euler's steps over the times of the schedule; guided where the model is used so. */
async function denoise(folder, facts, silence, condition, nothing, x, frames) {
  const { times, guidance, guidance_scale: scale, guidance_start: start } = facts.schedule;
  const context = new Float32Array(frames * 2 * CHANNELS).fill(1);
  for (let i = 0; i < frames; i++) context.set(silence.subarray(i * CHANNELS, (i + 1) * CHANNELS), i * 2 * CHANNELS);
  const transformer = await open(folder, facts.parts.transformer);
  const velocity = async (time, words) => {
    const at = floats(Float32Array.of(time), [1]);
    const latents = floats(x, [1, frames, CHANNELS]);
    const fed = { latents, timestep: at, timestep_r: at, context: floats(context, [1, frames, 2 * CHANNELS]), condition: words };
    return (await transformer.run(fed)).velocity.data;
  };
  for (let step = 0; step + 1 < times.length; step++) {
    let v = await velocity(times[step], condition);
    if (guidance !== "none" && times[step] >= start) {
      const away = await velocity(times[step], nothing);
      v = v.map((value, i) => away[i] + scale * (value - away[i]));
    }
    const length = times[step + 1] - times[step];
    x = x.map((value, i) => value + length * v[i]);
  }
  await transformer.release();
  return x;
}

/** Latents -> the two channels at 48 kHz, in tiles that overlap. */
async function decode(folder, facts, latents, frames) {
  const part = facts.parts.codec_decoder;
  const { hop, tile_frames: tile, context_frames: margin } = part.facts;
  const placed = part.inputs.some((port) => port.name === "first_frame");
  const codec = await open(folder, part);
  const sound = [new Float32Array(frames * hop), new Float32Array(frames * hop)];
  for (let start = 0; start < frames; start += tile - 2 * margin) {
    const end = Math.min(frames, start + tile - 2 * margin);
    const [first, last] = [Math.max(0, start - margin), Math.min(frames, end + margin)];
    const fed = { latents: floats(latents.slice(first * CHANNELS, last * CHANNELS), [1, last - first, CHANNELS]) };
    if (placed) fed.first_frame = integers([first], [1]);
    const { data } = (await codec.run(fed)).audio;
    for (const [channel, samples] of sound.entries()) {
      const begin = (channel * (last - first) + start - first) * hop;
      samples.set(data.subarray(begin, begin + (end - start) * hop), start * hop);
    }
  }
  return sound;
}

/** A stereo WAV file of 32-bit floats. */
function wav([left, right]) {
  const bytes = Buffer.alloc(44 + left.length * 8);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write("WAVEfmt ", 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(3, 20); // floats
  bytes.writeUInt16LE(2, 22);
  bytes.writeUInt32LE(RATE, 24);
  bytes.writeUInt32LE(RATE * 8, 28);
  bytes.writeUInt16LE(8, 32);
  bytes.writeUInt16LE(32, 34);
  bytes.write("data", 36);
  bytes.writeUInt32LE(left.length * 8, 40);
  left.forEach((value, i) => {
    bytes.writeFloatLE(value, 44 + i * 8);
    bytes.writeFloatLE(right[i], 48 + i * 8);
  });
  return bytes;
}

const [folder, out, caption, seconds = "10", seed = "1"] = process.argv.slice(2);
if (!caption) {
  console.error('usage: node render.mjs FOLDER OUT.wav "CAPTION" [SECONDS] [SEED]');
  process.exit(2);
}
const facts = JSON.parse(await readFile(path.join(folder, "export.json"), "utf8"));
const frames = Math.ceil((Math.max(10, Number(seconds)) * FRAMES_PER_SECOND) / 10) * 10;
const silence = await readArray(path.join(folder, facts.files.silence_latent));
const nothing = await readArray(path.join(folder, facts.files.null_condition));
const condition = await encodeWords(folder, facts, silence, caption, frames);
const away = floats(nothing, [1, 1, nothing.length]);
const latents = await denoise(folder, facts, silence, condition, away, seededNoise(seed, frames), frames);
await writeFile(out, wav(await decode(folder, facts, latents, frames)));
