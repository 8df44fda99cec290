// From frames to an answer: one call of an unrolled file, or one call a timestep, with the states carried over.

import { additionsOf } from "./additions.js";
import { size } from "./grid.js";

export class Engine {
  constructor(network, page) {
    this.network = network;
    this.page = page;
    this.reset();
  }

  // Back to before the first timestep.
  reset() {
    this.steps = 0;
    this.states = new Map(this.page.states.map(({ input }) => {
      const tensor = this.page.inputs[input];
      return [input, new Int8Array(size(tensor.shape)).fill(tensor.zero_point)];
    }));
  }

  // What the network says of one sample. samples: an Int8Array for each input that is no state; of a file of the step
  // form they are the same at every timestep. Returns {outputs, layers, additions, milliseconds, calls}.
  async predict(samples) {
    this.reset();
    return this.sequence(Array(this.page.calls).fill(samples));
  }

  // The same, with what goes in at each call.
  async sequence(calls) {
    const results = [];
    for (const samples of calls) results.push(await this.step(samples));
    return joined(results);
  }

  // One call of the file.
  async step(samples) {
    if (this.page.limit !== null && this.steps >= this.page.limit) this.reset();
    const given = [...samples];
    const inputs = this.page.inputs.map((_, place) => this.states.get(place) ?? given.shift());
    const outputs = await this.network.call(inputs);
    for (const { input, output } of this.page.states) this.states.set(input, outputs[output]);
    this.steps += 1;
    return {
      outputs: this.page.answers.map((place) => outputs[place]),
      layers: this.page.layers.map(({ steps }) => steps.map(({ output }) => outputs[output])),
      additions: additionsOf(this.page.readers, inputs, outputs),
      milliseconds: this.network.milliseconds,
      calls: 1,
    };
  }
}

function joined(results) {
  const last = results[results.length - 1];
  return {
    outputs: last.outputs,
    layers: last.layers.map((_, layer) => results.flatMap((result) => result.layers[layer])),
    additions: results.reduce((sum, { additions }) => sum + additions, 0),
    milliseconds: results.reduce((sum, { milliseconds }) => sum + milliseconds, 0),
    calls: results.length,
  };
}
