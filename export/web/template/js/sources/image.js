// An image file: its middle, as large as fits.

import { black, drawMiddle, shares, sized } from "../pixels.js";
import { checkbox, filePicker } from "../controls.js";

export class Picture {
  static label = "Image";

  constructor(stage, { picture }, emit) {
    Object.assign(this, { stage, picture, emit });
    this.invert = checkbox("invert", false, () => this.send());
    this.picker = filePicker("image/*", (file) => this.open(file));
  }

  start() {
    this.canvas = sized(this.stage.field, this.picture);
    black(this.canvas);
    this.stage.say("It stays on this device.");
    this.stage.control(this.picker, this.invert.label);
    this.send();
  }

  stop() {}

  async open(file) {
    try {
      const image = await createImageBitmap(file);
      drawMiddle(this.canvas, image, image.width, image.height);
      this.send();
    } catch {
      this.stage.say(`${file.name} is no image that this browser reads.`);
    }
  }

  send() {
    const values = shares(this.canvas, this.picture);
    this.emit({ shares: this.invert.checked() ? values.map((value) => 1 - value) : values });
  }
}
