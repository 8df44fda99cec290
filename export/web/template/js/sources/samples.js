// The samples beside the file, one after the other.

import { button } from "../controls.js";

export class Samples {
  static label = "Samples";

  constructor(stage, { samples, check }, emit) {
    Object.assign(this, { stage, samples, check, emit, place: 0 });
  }

  start() {
    this.stage.control(button("Back", () => this.turn(-1)), button("Next", () => this.turn(1)));
    this.turn(0);
  }

  stop() {}

  turn(by) {
    this.place = (this.place + by + this.samples.length) % this.samples.length;
    this.stage.say(`${this.check.called} ${this.place + 1} of ${this.samples.length}.`);
    const calls = this.samples[this.place].samples;
    this.stage.paint(calls[calls.length - 1][0]);
    this.emit({ calls });
  }
}
