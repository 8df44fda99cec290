// The camera, frame after frame: brightness and color, or, where the network takes events, what changed since the last.

import { black, drawMiddle, shares, sized } from "../pixels.js";
import { checkbox } from "../controls.js";

const CHANGE = 0.08; // of the range of brightness: less is no event

export class Camera {
  static label = "Camera";

  constructor(stage, { picture }, emit) {
    Object.assign(this, { stage, picture, emit });
    this.invert = checkbox("invert", false, () => {});
    this.video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  }

  async start() {
    this.canvas = sized(this.stage.field, this.picture);
    black(this.canvas);
    this.running = true;
    this.before = null;
    this.stage.control(this.invert.label);
    try {
      const wanted = { video: { facingMode: "environment" } };
      this.stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      this.stage.say(`No camera: ${noDevice(error)}`);
      return;
    }
    if (!this.running) return this.stop();
    this.video.srcObject = this.stream;
    await this.video.play();
    this.stage.say("Frames stay on this device.");
    this.loop();
  }

  stop() {
    this.running = false;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
  }

  async loop() {
    while (this.running) {
      await new Promise(requestAnimationFrame);
      if (!this.running || !this.video.videoWidth) continue;
      drawMiddle(this.canvas, this.video, this.video.videoWidth, this.video.videoHeight);
      const values = shares(this.canvas, this.picture);
      const seen = this.invert.checked() ? values.map((value) => 1 - value) : values;
      await this.emit(this.picture.events ? { signs: changes(seen, this.before) } : { shares: seen, live: true });
      this.before = seen;
    }
  }
}

// +1 where a pixel became brighter, -1 where darker.
export function changes(now, before) {
  const change = (value, place) => (before === null ? 0 : value - before[place]);
  return now.map(change).map((value) => (Math.abs(value) < CHANGE ? 0 : Math.sign(value)));
}

export function noDevice(error) {
  if (!globalThis.isSecureContext) return "browsers give it to pages from localhost and https only.";
  return error?.name === "NotAllowedError" ? "this page was not allowed to use it." : "none was found.";
}
