// A drawing: white strokes of a finger, a pen or a mouse on black.

import { black, fitted, shares, sized } from "../pixels.js";
import { checkbox, button } from "../controls.js";

const BRUSH = 0.09; // of the field's width

export class Drawing {
  static label = "Draw";

  constructor(stage, { picture }, emit) {
    Object.assign(this, { stage, picture, emit });
    this.fit = checkbox("fit to the field", true, () => this.send());
    this.invert = checkbox("dark on light", false, () => this.send());
  }

  start() {
    this.canvas = sized(this.stage.field, this.picture);
    this.clear();
    this.stage.say("Draw here.");
    this.stage.control(button("Clear", () => this.clear()), this.fit.label, this.invert.label);
    this.canvas.onpointerdown = (event) => this.begin(event);
    this.canvas.onpointermove = (event) => this.move(event);
    this.canvas.onpointerup = this.canvas.onpointercancel = () => this.end();
  }

  stop() {
    this.end();
  }

  clear() {
    black(this.canvas);
    this.last = null;
    this.send();
  }

  begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.move(event);
  }

  end() {
    this.last = null;
  }

  move(event) {
    if (!this.last) return;
    const context = this.canvas.getContext("2d"), next = this.place(event);
    Object.assign(context, { strokeStyle: "#fff", lineCap: "round", lineWidth: BRUSH * this.canvas.width });
    context.beginPath();
    context.moveTo(...this.last);
    context.lineTo(...next);
    context.stroke();
    this.last = next;
    this.send();
  }

  place(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [(event.clientX - left) * this.canvas.width / width, (event.clientY - top) * this.canvas.height / height];
  }

  send() {
    const canvas = this.fit.checked() ? fitted(this.canvas, this.picture.margin) : this.canvas;
    const values = shares(canvas, this.picture);
    this.emit({ shares: this.invert.checked() ? values.map((value) => 1 - value) : values });
  }
}
