// Draws the losses of a training on a canvas, in the colours of the page.

import { colours, fitted } from "./draw.js";
import { figure, frame, ticks } from "./losses.js";

const LEFT = 52, BOTTOM = 22, TOP = 8, RIGHT = 10; // room for the numbers

const DASHES = { steps: [], training: [], validation: [7, 5] }; // told apart without colour, too

export function drawLosses(canvas, lines) {
  const { context, width, height } = fitted(canvas);
  const look = colours(canvas), box = frame(lines);
  if (!box) return;
  const x = (value) => LEFT + ((value - box.left) / (box.right - box.left)) * (width - LEFT - RIGHT);
  const y = (value) => height - BOTTOM - ((value - box.low) / (box.high - box.low)) * (height - BOTTOM - TOP);
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (const value of ticks(box.low, box.high, Math.max(2, Math.floor(height / 44)))) {
    context.fillStyle = look.line;
    context.fillRect(LEFT, y(value), width - LEFT - RIGHT, 1);
    context.fillStyle = look.soft;
    context.textAlign = "right";
    context.fillText(figure(value), LEFT - 6, y(value));
  }
  context.textAlign = "center";
  for (const value of ticks(box.left, box.right, Math.max(2, Math.floor(width / 90))).filter(Number.isInteger)) context.fillText(String(value), x(value), height - BOTTOM / 2);
  const strokes = { steps: [look.quiet, 1], training: [look.wave, 2], validation: [look.fresh, 2] };
  for (const { name, points } of lines) {
    [context.strokeStyle, context.lineWidth] = strokes[name];
    context.setLineDash(DASHES[name]);
    context.beginPath();
    points.forEach(([at, value], n) => context[n ? "lineTo" : "moveTo"](x(at), y(value)));
    context.stroke();
    if (points.length < 60 && name !== "steps") {
      context.fillStyle = context.strokeStyle;
      for (const [at, value] of points) context.fillRect(x(at) - 2, y(value) - 2, 4, 4);
    }
  }
  context.setLineDash([]);
}
