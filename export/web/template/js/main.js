// The page: reads page.json, opens the file, and shows what it makes of every input.

import { check, loadSamples } from "./check.js";
import { Engine } from "./engine.js";
import { Feed } from "./feed.js";
import { openNetwork } from "./network.js";
import { Scores } from "./scores.js";
import { Camera } from "./sources/camera.js";
import { Drawing } from "./sources/drawing.js";
import { Picture } from "./sources/image.js";
import { Microphone } from "./sources/microphone.js";
import { Samples } from "./sources/samples.js";
import { element, Spikes } from "./spikes.js";
import { Stage } from "./stage.js";

const SOURCES = { drawing: Drawing, image: Picture, camera: Camera, microphone: Microphone, samples: Samples };
const at = (id) => document.getElementById(id);
const count = (number) => number.toLocaleString("en");

async function open() {
  at("problem").textContent = "Loading LiteRT.js, 10 MB.";
  const page = await (await fetch("page.json")).json();
  describe(page);
  const network = await openNetwork(page.network, page);
  const samples = await loadSamples(page);
  at("problem").hidden = true;
  document.querySelector("main").hidden = false;
  const view = new View(page, new Engine(network, page));
  view.offerSources(samples);
  offerCheck(page, new Engine(network, page), samples, view);
}

function describe(page) {
  document.title = at("title").textContent = page.title;
  at("what").textContent = `${page.what} It runs in this browser: nothing that you draw, show or say leaves it.`;
  const link = Object.assign(element("a", "", page.file.name), { href: page.file.name, download: page.file.name });
  const hash = element("code", "", page.file.sha256);
  at("file").append("The file: ", link, `, ${count(page.file.bytes)} bytes, SHA-256 `, hash, ".");
  at("copy").textContent = page.copy;
  at("engine").textContent = page.engine;
}

// What is shown of the newest input: while one is computed, only the last of those that come meanwhile is kept.
class View {
  constructor(page, engine) {
    Object.assign(this, { page, engine, feed: new Feed(page), shown: 0, waiting: null, running: null });
    this.stage = new Stage(page.shown);
    this.scores = new Scores(at("scores"), page);
    this.spikes = new Spikes(at("layers"), page.layers);
    at("spikes").hidden = !page.layers.length;
    const highest = Math.max(1, ...page.layers.map((layer) => layer.highest));
    at("levels").textContent = highest > 1 ? `(up to ${highest}: the higher, the stronger)` : "";
    this.history = [];
  }

  offerSources(samples) {
    const tabs = this.page.sources.map((name) => this.tab(SOURCES[name], samples));
    tabs[0].click();
  }

  tab(Source, samples) {
    const tab = Object.assign(element("button", "", Source.label), { type: "button" });
    tab.setAttribute("role", "tab");
    const source = new Source(this.stage, { ...this.page, samples }, (given) => this.take(given));
    tab.onclick = () => {
      this.source?.stop();
      this.stage.clear();
      this.engine.reset();
      this.history = [];
      [...at("tabs").children].forEach((other) => other.setAttribute("aria-selected", other === tab));
      this.source = source;
      source.start();
    };
    at("tabs").append(tab);
    return tab;
  }

  // Returns when the newest input has been shown.
  take(given) {
    this.waiting = given;
    this.running ??= this.work().finally(() => { this.running = null; });
    return this.running;
  }

  async work() {
    while (this.waiting) {
      const given = this.waiting, calls = this.feed.calls(given);
      this.waiting = null;
      const last = calls[calls.length - 1][0];
      this.stage.see(last.subarray(last.length - this.page.shown.size), this.page.takes);
      const stream = this.page.endless && (given.live || given.signs);
      this.show(stream ? this.remembered(await this.engine.step(calls[0])) : await this.whole(calls));
    }
  }

  whole(calls) {
    this.engine.reset();
    return this.engine.sequence(calls);
  }

  // Of a stream the spikes of the last calls.
  remembered(result) {
    this.history = [...this.history, result.layers].slice(-this.page.calls);
    return { ...result, layers: result.layers.map((_, layer) => this.history.flatMap((layers) => layers[layer])) };
  }

  show({ outputs, layers, additions, milliseconds, calls }) {
    const turn = this.shown += 1;
    this.scores.show(outputs);
    if (at("slow").checked) this.spikes.play(layers, () => turn === this.shown);
    else this.spikes.show(layers);
    this.showWork(additions, milliseconds, calls);
  }

  // page.work is that of one call.
  showWork(additions, milliseconds, calls) {
    const [most, products] = [this.page.work.additions * calls, this.page.work.multiply_accumulates * calls];
    at("additions").textContent = count(additions);
    at("of").textContent = most ? `of ${count(most)} weights that would be added if nothing was silent ` +
      `(${(100 * additions / most).toFixed(1)} %)` : ": no weight meets spikes.";
    at("share").style.width = `${most ? 100 * additions / most : 0}%`;
    at("others").textContent =
      `${products ? `Beside them ${count(products)} multiply-accumulates on the input. ` : ""}` +
      `${milliseconds.toFixed(1)} ms here: LiteRT.js computes all of them, spikes or none.`;
  }
}

function offerCheck(page, engine, samples, view) {
  at("checkwhat").textContent = page.check.what;
  at("checkrun").onclick = async () => {
    at("checkrun").disabled = true;
    await view.running;
    const { compared, differing, ...found } = await check(engine, samples);
    at("checked").textContent = `${samples.length} samples, ${count(differing)} of ${count(compared)} integers differ` +
      ` from Program.run.`;
    at("checked").className = differing ? "bad" : "";
    at("integers").textContent = JSON.stringify(found);
    at("integers").parentElement.hidden = false;
    at("checkrun").disabled = false;
  };
}

open().catch((error) => {
  at("problem").hidden = false;
  at("problem").textContent = `This page cannot run the network. ${error?.message ?? error}`;
});
