// The spikes of every layer and timestep as pictures: one square a value, one tile a channel.

import { LOWEST, nonzero, size } from "./grid.js";

const MOST_TILES = 64;
const SIDE = 168; // CSS pixels that a picture is at most wide or high
const GAP = 1;

export class Spikes {
  // place: the element to fill. layers: of the page, with name, shape and steps. columns: how many timesteps are shown.
  constructor(place, layers) {
    this.rows = layers.map((layer) => new Row(place, layer));
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.rows.forEach((row) => row.redraw()));
  }

  // values: for each layer the Int8Array of each timestep.
  show(values) {
    this.rows.forEach((row, layer) => row.show(values[layer]));
  }

  // The same, timestep after timestep and layer after layer. going: says whether to go on.
  async play(values, going, pause = 350) {
    this.rows.forEach((row) => row.clear());
    const timesteps = Math.max(0, ...values.map((steps) => steps.length));
    for (let step = 0; step < timesteps; step += 1) {
      for (const [layer, row] of this.rows.entries()) {
        if (step >= values[layer].length) continue;
        await new Promise((done) => setTimeout(done, pause));
        if (!going()) return;
        row.showStep(step, values[layer][step]);
      }
    }
  }
}

class Row {
  constructor(place, layer) {
    this.layer = layer;
    const row = element("div", "layer");
    const name = element("span", "name", layer.name);
    this.rate = element("span", "quiet");
    this.steps = element("div", "steps");
    row.append(name, " ", this.rate, this.steps);
    place.append(row);
    this.tiles = tiling(layer.shape);
    this.places = placesOf(this.tiles);
    this.pictures = [];
    this.values = [];
  }

  show(values) {
    this.values = [...values];
    values.forEach((spikes, step) => this.draw(step, spikes));
    this.pictures.splice(values.length).forEach(({ figure }) => figure.remove());
    this.count();
  }

  showStep(step, spikes) {
    this.values[step] = spikes;
    this.draw(step, spikes);
    this.count();
  }

  clear() {
    this.values = [];
    this.pictures.forEach(({ canvas }) => canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height));
    this.count();
  }

  redraw() {
    this.values.forEach((spikes, step) => this.draw(step, spikes));
  }

  count() {
    const seen = this.values.filter(Boolean);
    const fired = seen.reduce((sum, spikes) => sum + nonzero(spikes), 0);
    const all = seen.reduce((sum, spikes) => sum + spikes.length, 0);
    const hidden = this.tiles.channels > MOST_TILES ? `, the first ${MOST_TILES} channels` : "";
    this.rate.textContent = `${this.layer.shape.join(" × ")}${hidden}, ` +
      `${fired.toLocaleString("en")} of ${all.toLocaleString("en")} fired`;
  }

  draw(step, spikes) {
    const canvas = (this.pictures[step] ??= this.picture(step)).canvas;
    const { width, height } = this.tiles, context = canvas.getContext("2d");
    const pixels = context.createImageData(width, height), colors = new Uint32Array(pixels.data.buffer);
    const palette = colorOfEach(this.layer.highest);
    for (let pixel = 0; pixel < colors.length; pixel += 1) {
      const place = this.places[pixel];
      if (place >= 0) colors[pixel] = palette[spikes[place] - LOWEST];
    }
    context.putImageData(pixels, 0, 0);
  }

  picture(step) {
    const figure = element("figure"), canvas = element("canvas");
    const { width, height } = this.tiles, zoom = Math.max(1, Math.min(12, Math.floor(SIDE / Math.max(width, height))));
    Object.assign(canvas, { width, height });
    canvas.style.width = `${Math.min(SIDE * 2, zoom * width)}px`;
    figure.append(canvas, element("figcaption", "", `timestep ${(this.layer.steps[step]?.timestep ?? step) + 1}`));
    this.steps.append(figure);
    return { figure, canvas };
  }
}

// Where the values of a tensor (height, width, channels), (rows, columns) or (values) are drawn.
export function tiling(shape) {
  if (size(shape) === shape[shape.length - 1]) return vectorTiling(size(shape));
  const [rows, columns, channels] = shape.length === 2 ? [...shape, 1] : [size(shape.slice(0, -2)), ...shape.slice(-2)];
  const shown = Math.min(channels, MOST_TILES);
  const across = nearestDivisor(shown, Math.sqrt(1.6 * shown * rows / columns));
  const down = Math.ceil(shown / across);
  return {
    rows, columns, channels, shown, across, gap: GAP,
    width: across * (columns + GAP) - GAP, height: down * (rows + GAP) - GAP,
  };
}

// The divisor that is in proportion nearest to a number: rows of tiles are full.
function nearestDivisor(whole, wanted) {
  const distance = (number) => Math.abs(Math.log(number / wanted));
  const divisors = Array.from({ length: whole }, (_, place) => place + 1).filter((number) => whole % number === 0);
  return divisors.reduce((best, number) => (distance(number) < distance(best) ? number : best));
}

function vectorTiling(values) {
  const across = Math.min(values, Math.max(8, Math.ceil(Math.sqrt(2 * values))));
  const line = { rows: 1, columns: values, channels: 1, shown: 1, across: 1, gap: 0 };
  return { ...line, wrap: across, width: across, height: Math.ceil(values / across) };
}

// For each pixel the place of its value in the tensor, -1 between tiles.
function placesOf({ rows, columns, channels, shown, across, gap, wrap, width, height }) {
  const places = new Int32Array(width * height).fill(-1);
  for (let channel = 0; channel < shown; channel += 1) {
    const left = (channel % across) * (columns + gap), top = Math.floor(channel / across) * (rows + gap);
    for (let at = 0; at < rows * columns; at += 1) {
      const pixel = wrap ? at : (top + Math.floor(at / columns)) * width + left + at % columns;
      places[pixel] = at * channels + channel;
    }
  }
  return places;
}

// The color of every int8, as the four bytes of a pixel: of graded spikes the stronger, the higher they are.
function colorOfEach(highest) {
  const style = getComputedStyle(document.documentElement), palette = new Uint8ClampedArray(4 * 256);
  const [up, down, rest] = ["--up", "--down", "--rest"].map((name) => bytesOf(style.getPropertyValue(name).trim()));
  for (let at = 0; at < 256; at += 1) {
    const spike = at + LOWEST, strength = 0.3 + 0.7 * Math.min(1, Math.abs(spike) / Math.max(1, highest));
    palette.set(spike > 0 ? up : spike < 0 ? down : rest, 4 * at);
    palette[4 * at + 3] = spike === 0 ? 255 : 255 * strength;
  }
  return new Uint32Array(palette.buffer);
}

// [red, green, blue] of "#rrggbb".
function bytesOf(color) {
  return [1, 3, 5].map((place) => parseInt(color.slice(place, place + 2), 16));
}

export function element(tag, kind = "", text = "") {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text; // never markup: names may be of anybody
  return made;
}
