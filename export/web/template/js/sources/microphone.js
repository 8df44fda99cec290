// The microphone: the last second, again and again, or a file of sound.

import { heard, mfcc, RATE } from "../mfcc.js";
import { filePicker } from "../controls.js";
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

  async start() {
    this.running = true;
    this.stage.control(this.picker);
    this.stage.wave(new Float32Array(this.length));
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false } });
    } catch (error) {
      this.stage.say(`No microphone: ${noDevice(error)}`);
      return;
    }
    if (!this.running) return this.stop();
    await this.listen();
    this.stage.say("Sound stays on this device.");
    this.loop();
  }

  stop() {
    this.running = false;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    this.stream = this.context = null;
  }

  async listen() {
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule(new URL("recorder.js", import.meta.url));
    const recorder = new AudioWorkletNode(this.context, "recorder");
    this.ring = new Float32Array(Math.ceil(this.length * this.context.sampleRate / RATE));
    recorder.port.onmessage = ({ data }) => {
      this.ring.copyWithin(0, data.length);
      this.ring.set(data, this.ring.length - data.length);
    };
    this.context.createMediaStreamSource(this.stream).connect(recorder);
  }

  async loop() {
    while (this.running) {
      await new Promise((done) => setTimeout(done, PAUSE));
      if (this.running) await this.send(await resampled(this.ring, this.context.sampleRate), true);
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
