// Where the input is seen: a field to draw on, a line of text, controls, and what the network takes of it.

import { paint } from "./pixels.js";

export class Stage {
  // shown: {height, width, channels} of what the network takes, to be seen as a picture.
  constructor(shown) {
    this.shown = shown;
    this.replaceField();
    this.hint = document.getElementById("hint");
    this.controls = document.getElementById("controls");
    this.seen = document.querySelector("#seen canvas");
    this.caption = document.querySelector("#seen figcaption");
  }

  // A new canvas: of the last one nothing is left over.
  replaceField() {
    const old = document.getElementById("field");
    this.field = old.cloneNode();
    old.replaceWith(this.field);
  }

  clear() {
    this.replaceField();
    this.controls.replaceChildren();
    this.say("");
  }

  say(text) {
    this.hint.textContent = text;
  }

  control(...elements) {
    this.controls.replaceChildren(...elements);
  }

  // The integers that go in.
  see(values, text) {
    paint(this.seen, values, this.shown);
    this.caption.textContent = text;
  }

  // Integers as the field's own picture.
  paint(values) {
    paint(this.field, values, this.shown);
    this.field.style.imageRendering = "pixelated";
  }

  wave(samples) {
    Object.assign(this.field, { width: 320, height: 120 });
    const context = this.field.getContext("2d"), step = samples.length / 320;
    context.strokeStyle = "#fff";
    context.beginPath();
    for (let x = 0; x < 320; x += 1) {
      const part = samples.subarray(Math.floor(x * step), Math.floor((x + 1) * step) + 1);
      const reach = part.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
      context.moveTo(x + 0.5, 60 - 58 * Math.min(1, reach));
      context.lineTo(x + 0.5, 61 + 58 * Math.min(1, reach));
    }
    context.stroke();
  }
}
