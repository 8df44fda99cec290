// The camera, frame after frame: brightness and color, or, where the network takes events, what changed since the last.

import { black, drawMiddle, shares, sized } from "../pixels.js";
import { button, checkbox } from "../controls.js";

const CHANGE = 0.08; // of the range of brightness: less is no event

export class Camera {
  static label = "Camera";

  constructor(stage, { picture }, emit) {
    Object.assign(this, { stage, picture, emit });
    this.invert = checkbox("invert", false, () => {});
    this.video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  }

  // Nobody is asked for a camera before the button is pressed.
  start() {
    this.canvas = sized(this.stage.field, this.picture);
    black(this.canvas);
    this.stage.say("Frames stay on this device.");
    this.stage.control(button("Start the camera", () => this.film()), this.invert.label);
  }

  stop() {
    this.turn = null;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = this.video.srcObject = null;
  }

  async film() {
    this.stop();
    const turn = this.turn = {};
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      this.stream = this.video.srcObject = stream;
      if (this.turn !== turn) return stream.getTracks().forEach((track) => track.stop());
      await this.video.play();
    } catch (error) {
      if (this.turn === turn) this.stage.say(`No camera: ${noDevice(error)}`);
      return undefined;
    }
    return this.loop(turn);
  }

  // Frames go to the network until it is another turn.
  async loop(turn) {
    for (let before = null; this.turn === turn;) {
      await new Promise(requestAnimationFrame);
      if (this.turn !== turn || !this.video.videoWidth) continue;
      drawMiddle(this.canvas, this.video, this.video.videoWidth, this.video.videoHeight);
      const values = shares(this.canvas, this.picture);
      const seen = this.invert.checked() ? values.map((value) => 1 - value) : values;
      await this.emit(this.picture.events ? { signs: changes(seen, before) } : { shares: seen, live: true });
      before = seen;
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
