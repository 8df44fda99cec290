// Integers and the real numbers they stand for: real = scale * (integer - zero point), as the file's tensors say.

export const LOWEST = -128, HIGHEST = 127;

// Rounds halves to the even integer, as NumPy does.
export function rounded(value) {
  const near = Math.round(value);
  return Math.abs(value % 1) === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

// The integer of a number, saturated.
export function integer(value, grid) {
  return Math.min(HIGHEST, Math.max(LOWEST, rounded(value / grid.scale) + grid.zero_point));
}

export function integers(values, grid) {
  return Int8Array.from(values, (value) => integer(value, grid));
}

// The float32 numbers of integers.
export function reals(values, grid) {
  return Float32Array.from(values, (value) => grid.scale * (value - grid.zero_point));
}

export function size(shape) {
  return shape.reduce((product, length) => product * length, 1);
}
