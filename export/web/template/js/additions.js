// How many weights were added: for every spike, or sum of spikes, that is not 0, the weights that it meets.

// readers: {input or output: which tensor is read, uses: weights that a value at each position meets, channels: how
// many values stand at a position, one after the other}.
export function additionsOf(readers, inputs, outputs) {
  const read = ({ input, output }) => (input === null ? outputs[output] : inputs[input]);
  return readers.reduce((sum, reader) => sum + ofReader(reader, read(reader)), 0);
}

function ofReader({ uses, channels }, values) {
  let sum = 0;
  for (let position = 0; position < uses.length; position += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      if (values[position * channels + channel] !== 0) sum += uses[position];
    }
  }
  return sum;
}
