"use strict";
// A drawing: strokes of points from 0 to 1 (x, y), or pixels that came with the page. What the
// network sees of it: 28 x 28 numbers, ink 0 on paper 1, in the hand that drew the training data.

const emptyDrawing = () => ({ strokes: [], pixels: null, truth: null });
const isEmpty = ({ strokes, pixels }) => pixels === null && strokes.length === 0;
const SMALLEST = 0.1; // of the pad: what is smaller, such as a dot, is not blown up to full size

/** [side * side] pixels as the network sees them, or null for an empty drawing. */
function seen(drawing, hand, side) {
  if (isEmpty(drawing)) return null;
  return drawing.pixels ?? inked(fitted(drawing.strokes, hand), hand.pen / 2, side);
}

/** Strokes in pixels of the image, as large and where the training data has them. */
function fitted(strokes, hand) {
  const points = strokes.flat();
  const [left, right] = range(points.map(([x]) => x));
  const [top, bottom] = range(points.map(([, y]) => y));
  const extent = Math.max(right - left, bottom - top, SMALLEST);
  const scale = Math.max(hand.extent - hand.pen, 1) / extent;
  const place = ([x, y]) => [
    hand.x + scale * (x - (left + right) / 2),
    hand.y + scale * (y - (top + bottom) / 2),
  ];
  return strokes.map((stroke) => stroke.map(place));
}

const range = (values) => [Math.min(...values), Math.max(...values)];

/** Ink wherever a pixel's centre lies within a radius of a stroke. */
function inked(strokes, radius, side) {
  const pixels = new Float32Array(side * side).fill(1);
  for (let i = 0; i < pixels.length; i++) {
    const centre = [(i % side) + 0.5, Math.floor(i / side) + 0.5];
    if (strokes.some((stroke) => isNear(centre, stroke, radius))) pixels[i] = 0;
  }
  return pixels;
}

const isNear = (point, stroke, radius) =>
  stroke.some((end, i) => distance(point, stroke[Math.max(i - 1, 0)], end) <= radius);

/** From a point to the straight line between two others. */
function distance([x, y], [ax, ay], [bx, by]) {
  const length = (bx - ax) ** 2 + (by - ay) ** 2;
  const along = length && ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length;
  const t = Math.min(Math.max(along, 0), 1);
  return Math.hypot(ax + t * (bx - ax) - x, ay + t * (by - ay) - y);
}

/** Paint a drawing as its maker made it, into a square canvas. */
function paint(canvas, drawing, side) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (drawing.pixels) return paintPixels(canvas, drawing.pixels, side);
  pen.strokeStyle = getComputedStyle(canvas).getPropertyValue("--ink");
  pen.lineWidth = canvas.width / 24;
  pen.lineCap = pen.lineJoin = "round";
  for (const stroke of drawing.strokes) {
    const [[x, y]] = stroke;
    pen.beginPath();
    pen.moveTo(x * canvas.width - 0.01, y * canvas.height); // so that a dot has a length
    stroke.forEach(([x, y]) => pen.lineTo(x * canvas.width, y * canvas.height));
    pen.stroke();
  }
}

/** Paint what the network sees, a square a pixel; null: nothing. */
function paintPixels(canvas, pixels, side) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = getComputedStyle(canvas).getPropertyValue("--ink");
  const size = canvas.width / side;
  pixels?.forEach((value, i) => {
    if (value < 0.5) pen.fillRect((i % side) * size, Math.floor(i / side) * size, size, size);
  });
}
