// Draws waveforms on a canvas, in the colours of the page.

export function colours(element) {
  const style = getComputedStyle(element);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return { wave: of("wave"), quiet: of("wave-quiet"), fresh: of("new"), line: of("line"), strong: of("line-strong"), text: of("text"), soft: of("soft"), sunk: of("sunk") };
}

// Fits a canvas to its place on the screen; returns context, width and height in CSS pixels.
export function fitted(canvas) {
  const width = Math.max(1, canvas.clientWidth), height = Math.max(1, canvas.clientHeight), scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// The bars of a waveform between two samples; `colour(sample)` gives the colour of a column.
const ROOM = 0.92; // of the height that the loudest place fills

export function drawPeaks(context, peaks, { start, end, left = 0, top = 0, width, height, colour }) {
  const scale = ROOM / Math.max(0.05, peaks.highest);
  const middle = top + height / 2, step = width > 200 ? 3 : 2, bar = step - 1;
  for (let x = 0; x < width; x += step) {
    const from = start + (x / width) * (end - start);
    const found = peaks.between(from, start + ((x + step) / width) * (end - start));
    if (!found) continue;
    const high = Math.max(0.5, found.high * scale * (height / 2)), low = Math.max(0.5, -found.low * scale * (height / 2));
    context.fillStyle = colour(from);
    context.globalAlpha = 0.5;
    context.fillRect(left + x, middle - high, bar, high + low);
    context.globalAlpha = 1;
    const body = Math.max(1, Math.min(high, low, found.loud * scale * height * 0.6));
    context.fillRect(left + x, middle - body, bar, 2 * body);
  }
}

// A small picture of a whole sound.
export function spark(canvas, peaks) {
  const { context, width, height } = fitted(canvas);
  const { wave } = colours(canvas);
  drawPeaks(context, peaks, { start: 0, end: peaks.length, width, height, colour: () => wave });
}

// A curve of values from 1 to 0.
export function drawCurve(canvas, values) {
  const { context, width, height } = fitted(canvas);
  const { wave, line, soft } = colours(canvas);
  const x = (n) => 10 + (n / Math.max(1, values.length - 1)) * (width - 20), y = (value) => 8 + (1 - value) * (height - 16);
  context.strokeStyle = line;
  for (const value of [0, 0.5, 1]) {
    context.beginPath();
    context.moveTo(10, y(value));
    context.lineTo(width - 10, y(value));
    context.stroke();
  }
  context.strokeStyle = wave;
  context.lineWidth = 2;
  context.beginPath();
  values.forEach((value, n) => context[n ? "lineTo" : "moveTo"](x(n), y(value)));
  context.stroke();
  context.fillStyle = soft;
  values.forEach((value, n) => {
    context.beginPath();
    context.arc(x(n), y(value), values.length > 40 ? 1.2 : 2.5, 0, 7);
    context.fill();
  });
}
