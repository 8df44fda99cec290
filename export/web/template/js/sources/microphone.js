// The microphone: the last second, again and again, or a file of sound.

import { heard, mfcc, RATE } from "../mfcc.js";
import { button, filePicker } from "../controls.js";
import { noDevice } from "./camera.js";

const PAUSE = 200; // milliseconds between two looks at the last second

export class Microphone {
  static label = "Microphone";

  // sound: {features: "mfcc", frames, coefficients}, or {features: "waveform", samples}.
  constructor(stage, { sound }, emit) {
    Object.assign(this, { stage, sound, emit });
    this.length = sound.features === "mfcc" ? heard(sound.frames) : sound.samples;
    this.picker = filePicker("audio/*", (file) => this.open(file));
  }

  // Nobody is asked for a microphone before the button is pressed.
  start() {
    this.stage.wave(new Float32Array(this.length));
    this.stage.say("Sound stays on this device.");
    this.stage.control(button("Listen", () => this.listen()), this.picker);
  }

  stop() {
    this.turn = null;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    this.stream = this.context = null;
  }

  async listen() {
    this.stop();
    const turn = this.turn = {}, context = this.context = new AudioContext();
    try {
      await context.audioWorklet.addModule(new URL("recorder.js", import.meta.url));
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false } });
      if (this.turn !== turn) return stream.getTracks().forEach((track) => track.stop());
      this.stream = stream;
      this.record(context, stream);
    } catch (error) {
      if (this.turn === turn) this.stage.say(`No microphone: ${noDevice(error)}`);
      return undefined;
    }
    return this.loop(turn, context.sampleRate);
  }

  // Keeps the last samples, at the rate of the device.
  record(context, stream) {
    const recorder = new AudioWorkletNode(context, "recorder");
    this.ring = new Float32Array(Math.ceil(this.length * context.sampleRate / RATE));
    recorder.port.onmessage = ({ data }) => {
      this.ring.copyWithin(0, data.length);
      this.ring.set(data, this.ring.length - data.length);
    };
    context.createMediaStreamSource(stream).connect(recorder);
  }

  async loop(turn, rate) {
    while (this.turn === turn) {
      await new Promise((done) => setTimeout(done, PAUSE));
      const audio = await resampled(this.ring, rate);
      if (this.turn === turn) await this.send(audio, true);
    }
  }

  async open(file) {
    this.stop();
    try {
      const buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
      this.stage.say(file.name);
      await this.send(buffer.getChannelData(0), false);
    } catch {
      this.stage.say(`${file.name} is no sound that this browser reads.`);
    }
  }

  send(audio, live) {
    const samples = new Float32Array(this.length);
    samples.set(audio.subarray(0, this.length));
    this.stage.wave(samples);
    const { features, frames, coefficients } = this.sound;
    const values = features === "mfcc" ? mfcc(samples, frames, coefficients) : Float64Array.from(samples);
    return this.emit({ values, live });
  }
}

// Samples of any rate at RATE, by the browser's own filter.
async function resampled(samples, rate) {
  if (rate === RATE) return samples.slice();
  const context = new OfflineAudioContext(1, Math.round(samples.length * RATE / rate), RATE);
  const buffer = new AudioBuffer({ length: samples.length, sampleRate: rate });
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}
