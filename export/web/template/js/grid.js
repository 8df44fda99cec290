// Integers and the real numbers they stand for: real = scale * (integer - zero point), as the file's tensors say.

export const LOWEST = -128, HIGHEST = 127;

// Rounds halves to the even integer, as NumPy does.
export function rounded(value) {
  const near = Math.round(value);
  return near - value === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

// The integer of a number, saturated.
export function integer(value, grid) {
  return Math.min(HIGHEST, Math.max(LOWEST, rounded(value / grid.scale) + grid.zero_point));
}

// Loops, here and elsewhere, are over all that a network computes: `from` and `map` take a hundred times as long.
export function integers(values, grid) {
  const result = new Int8Array(values.length);
  for (let place = 0; place < values.length; place += 1) result[place] = integer(values[place], grid);
  return result;
}

// The float32 numbers of integers.
export function reals(values, grid) {
  const result = new Float32Array(values.length);
  for (let place = 0; place < values.length; place += 1) result[place] = grid.scale * (values[place] - grid.zero_point);
  return result;
}

// How many values are not 0.
export function nonzero(values) {
  let count = 0;
  for (let place = 0; place < values.length; place += 1) count += values[place] !== 0;
  return count;
}

export function size(shape) {
  return shape.reduce((product, length) => product * length, 1);
}
