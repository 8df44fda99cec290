// What a source gives, as the integers of each call of the file.

import { integers } from "./grid.js";

export class Feed {
  // page: its only input is `page.inputs[page.samples[0]]`; a file that reads a sequence has `page.frames` > 1.
  constructor(page) {
    this.grid = page.inputs[page.samples[0]];
    this.page = page;
    this.past = [];
  }

  // given: {shares: 0 to 1 of the input's range}, {signs: events}, {values: in the input's units}, or {calls: the
  // integers themselves}. Returns the integers of each call: of a still image the same at all of them.
  calls(given) {
    if (given.calls) return given.calls;
    const frame = this.frame(given), { frames, calls } = this.page;
    if (frames > 1) return [[this.sequence(frame, given)]];
    return Array(calls).fill([frame]);
  }

  frame({ shares, signs, values }) {
    const [low, high] = this.grid.range;
    if (signs) return integers(signs, this.grid);
    if (values) return integers(values, this.grid);
    if (this.page.picture?.events) return integers(shares.map((share) => (share > 0.5 ? 1 : 0)), this.grid);
    return integers(shares.map((share) => low + (high - low) * share), this.grid);
  }

  // Of what moves the last frames, of what stands still the same frame again and again.
  sequence(frame, { live, signs }) {
    const moving = live || signs, { frames } = this.page;
    this.past = moving ? [...this.past, frame].slice(-frames) : Array(frames).fill(frame);
    const whole = new Int8Array(frames * frame.length);
    const missing = frames - this.past.length;
    Array.from({ length: frames }, (_, t) => whole.set(this.past[Math.max(0, t - missing)], t * frame.length));
    return whole;
  }
}
