// The file on LiteRT.js: integers in, integers out. It takes and gives float32, which hold those integers exactly.

import { integers, reals, size } from "./grid.js";

// A module that needs SIMD: one function, i8x16.splat of 0 and i8x16.popcnt.
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

export const NO_SIMD = "This browser has no WebAssembly SIMD, which LiteRT.js needs. Take one of 2023 or later: " +
  "Chrome or Edge 91, Firefox 89, Safari 16.4.";

export function hasSimd() {
  return typeof WebAssembly === "object" && WebAssembly.validate(SIMD);
}

// Loads LiteRT.js and a file. Throws an Error that says in words what is missing.
export async function openNetwork(address, page) {
  if (!hasSimd()) throw new Error(NO_SIMD);
  const litert = await import("@litertjs/core");
  await litert.loadLiteRt("./litert/core/wasm/");
  const model = await litert.loadAndCompile(address, { accelerator: "wasm" });
  return new Network(litert, model, page);
}

class Network {
  // page: with `inputs` and `outputs` in the order of the file, each with name, shape, scale and zero_point.
  constructor(litert, model, page) {
    this.litert = litert;
    this.model = model;
    this.page = page;
  }

  // One call. inputs: an Int8Array for each input. Returns an Int8Array for each output; how long LiteRT.js took is
  // in `milliseconds`.
  async call(inputs) {
    const { Tensor } = this.litert;
    const tensors = new Map(this.page.inputs.map((input, place) =>
      [input.name, new Tensor(reals(inputs[place], input), [1, ...input.shape])]));
    const start = performance.now();
    const outputs = await this.model.run(Object.fromEntries(tensors));
    this.milliseconds = performance.now() - start;
    tensors.forEach((tensor) => tensor.delete());
    return this.page.outputs.map((output) => {
      const values = integers(outputs[output.name].toTypedArray(), output);
      outputs[output.name].delete();
      if (values.length !== size(output.shape)) throw new Error(`Output ${output.name} has ${values.length} values.`);
      return values;
    });
  }
}
