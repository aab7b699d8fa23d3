// The signs on buttons, drawn here so that no font decides how they look.

const PATHS = {
  play: "M8 5.5v13l11-6.5z", pause: "M7 5.5h3.6v13H7zm6.4 0H17v13h-3.6z", home: "M6 5.5h2.6v13H6zM19 5.5v13l-9-6.5z",
  loop: "M7 7h9V4l4.5 4.5L16 13v-3H9v3H6V8a1 1 0 0 1 1-1zm10 10H8v3l-4.5-4.5L8 11v3h7v-3h3v5a1 1 0 0 1-1 1z",
  back: "M12 5V2L6.5 6.5 12 11V8a5.5 5.5 0 1 1-5.5 5.5H3.6A8.4 8.4 0 1 0 12 5z",
  trash: "M9 4h6l1 2h4v2H4V6h4zM6 9.5h12L17 20H7zm3.5 2 .4 6.5h1.4l-.3-6.5zm3.5 0-.3 6.5h1.4l.4-6.5z",
  star: "m12 3 2.7 5.8 6.3.8-4.6 4.4 1.2 6.3L12 17.2 6.4 20.3l1.2-6.3L3 9.6l6.3-.8z",
  up: "M12 5.5 5.5 12l1.9 1.9 3.3-3.3v8h2.6v-8l3.3 3.3 1.9-1.9z", down: "m12 18.5 6.5-6.5-1.9-1.9-3.3 3.3v-8h-2.6v8l-3.3-3.3L5.5 12z",
  close: "m6.4 4.9 5.6 5.6 5.6-5.6 1.5 1.5-5.6 5.6 5.6 5.6-1.5 1.5-5.6-5.6-5.6 5.6-1.5-1.5 5.6-5.6-5.6-5.6z",
  more: "M5.5 10.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6zm6.5 0a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6zm6.5 0a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6z",
  look: "M10.5 4a6.5 6.5 0 0 1 5.1 10.5l4.4 4.4-1.5 1.5-4.4-4.4A6.5 6.5 0 1 1 10.5 4zm0 2a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z",
  theme: "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zm0 2v14a7 7 0 0 0 0-14z",
  plus: "M10.8 5h2.4v5.8H19v2.4h-5.8V19h-2.4v-5.8H5v-2.4h5.8z", minus: "M5 10.8h14v2.4H5z",
};

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", width: 20, height: 20, "aria-hidden": "true", focusable: "false" })) svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("fill", "currentColor");
  svg.append(path);
  setIcon(svg, name);
  return svg;
}

export function setIcon(svg, name) {
  svg.firstChild.setAttribute("d", PATHS[name]);
}
