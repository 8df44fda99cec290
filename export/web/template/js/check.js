// The samples that lie beside the file, and what Program.run computes for them: compared with what this browser does.

import { size } from "./grid.js";

// {samples: [[Int8Array for each input] for each call], expected: [[Int8Array for each answer] for each call]} of each.
export async function loadSamples(page) {
  const answer = await fetch(page.check.file);
  if (!answer.ok) throw new Error(`${page.check.file} is not there.`);
  const bytes = new Int8Array(await answer.arrayBuffer());
  const inputs = page.samples.map((place) => page.inputs[place]);
  const outputs = page.answers.map((place) => page.outputs[place]);
  let start = 0;
  const taken = (tensor) => bytes.slice(start, start += size(tensor.shape));
  return Array.from({ length: page.check.samples }, () => {
    const calls = Array.from({ length: page.calls }, () => [inputs.map(taken), outputs.map(taken)]);
    return { samples: calls.map(([samples]) => samples), expected: calls.map(([, expected]) => expected) };
  });
}

// Runs them all. Returns {compared, differing, integers: of each sample its last answers, additions: of each}.
export async function check(engine, samples) {
  const found = { compared: 0, differing: 0, integers: [], additions: [] };
  for (const one of samples) {
    engine.reset();
    let last, additions = 0;
    for (const [call, inputs] of one.samples.entries()) {
      last = await engine.step(inputs);
      additions += last.additions;
      last.outputs.forEach((values, place) => {
        found.compared += values.length;
        found.differing += values.reduce((count, value, at) => count + (value !== one.expected[call][place][at]), 0);
      });
    }
    found.integers.push(last.outputs.map((values) => Array.from(values)));
    found.additions.push(additions);
  }
  return found;
}
