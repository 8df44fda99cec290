// Between canvases and the numbers that a network takes: (height, width, channels), 1, 2 or 3 channels.

const READ = { willReadFrequently: true };
const LONGEST = 320; // pixels of the field's longer side
const BRIGHTNESS = [0.299, 0.587, 0.114];

// A canvas whose blocks of zoom × zoom pixels are the network's.
export function sized(canvas, { height, width }) {
  const zoom = Math.max(1, Math.round(LONGEST / Math.max(height, width)));
  Object.assign(canvas, { width: width * zoom, height: height * zoom });
  canvas.getContext("2d", READ);
  return canvas;
}

// What is on a canvas of `sized`, 0 to 1: the mean of each block, of its brightness where there is one channel.
export function shares(canvas, { height, width, channels }) {
  const zoom = canvas.width / width, result = new Float64Array(height * width * channels);
  const { data } = canvas.getContext("2d", READ).getImageData(0, 0, canvas.width, canvas.height);
  for (let y = 0; y < canvas.height; y += 1) {
    for (let x = 0; x < canvas.width; x += 1) {
      const from = 4 * (y * canvas.width + x), to = (Math.floor(y / zoom) * width + Math.floor(x / zoom)) * channels;
      if (channels === 3) for (let c = 0; c < 3; c += 1) result[to + c] += data[from + c];
      else result[to] += BRIGHTNESS.reduce((sum, weight, c) => sum + weight * data[from + c], 0);
    }
  }
  return result.map((sum) => sum / (255 * zoom * zoom));
}

// Draws the middle of an image, a video or a canvas of these sizes over all of a canvas.
export function drawMiddle(canvas, image, width, height) {
  const zoom = Math.max(canvas.width / width, canvas.height / height), context = canvas.getContext("2d");
  const [w, h] = [canvas.width / zoom, canvas.height / zoom];
  context.imageSmoothingQuality = "high";
  context.drawImage(image, (width - w) / 2, (height - h) / 2, w, h, 0, 0, canvas.width, canvas.height);
}

export function black(canvas) {
  const context = canvas.getContext("2d");
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
}

// White on black: the smallest part of a canvas that holds all that is not black, enlarged to all of another one but a
// margin, in proportion. An empty canvas stays empty.
export function fitted(canvas, margin) {
  const { width, height } = canvas, made = Object.assign(document.createElement("canvas"), { width, height });
  const { data } = canvas.getContext("2d", READ).getImageData(0, 0, width, height);
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let place = 0; place < width * height; place += 1) {
    if (data[4 * place] < 64) continue;
    const x = place % width, y = Math.floor(place / width);
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
  }
  black(made);
  if (right < 0) return made;
  const [w, h] = [right - left + 1, bottom - top + 1];
  const zoom = Math.min(width * (1 - 2 * margin) / w, height * (1 - 2 * margin) / h);
  made.getContext("2d").drawImage(canvas, left, top, w, h,
    (width - zoom * w) / 2, (height - zoom * h) / 2, zoom * w, zoom * h);
  return made;
}

// Integers of (height, width, channels) as a gray or colored picture, one pixel each.
export function paint(canvas, values, { height, width, channels }) {
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
  for (let place = 0; place < width * height; place += 1) {
    const colors = [0, 1, 2].map((color) => values[place * channels + Math.min(color, channels - 1)] + 128);
    pixels.data.set([...colors, 255], 4 * place);
  }
  context.putImageData(pixels, 0, 0);
}
