// Mel-frequency cepstral coefficients, as keras_ternary_spike.data.speech makes them for training.

export const RATE = 16000; // samples a second
const WINDOW = 640, STRIDE = 320, POINTS = 1024; // samples; the last one of the transform
const BINS = 40, LOWEST = 20, HIGHEST = 4000; // Hz
const LOG_FLOOR = 1e-6;

// audio: samples in [-1, 1] at RATE; what is missing at the end is silence. Returns frames × coefficients numbers.
export function mfcc(audio, frames, coefficients) {
  const rows = Array.from({ length: frames }, (_, frame) =>
    cosines(logMel(magnitudes(audio, frame * STRIDE)), coefficients));
  return Float64Array.from(rows.flat());
}

// How many samples `frames` windows hear.
export function heard(frames) {
  return WINDOW + (frames - 1) * STRIDE;
}

// |Fourier transform| of a window, Hann's periodic one, padded to POINTS: the frequencies 0 to half the rate.
function magnitudes(audio, start) {
  const real = new Float64Array(POINTS), imaginary = new Float64Array(POINTS);
  for (let n = 0; n < WINDOW; n += 1) {
    real[n] = (audio[start + n] ?? 0) * (0.5 - 0.5 * Math.cos(2 * Math.PI * n / WINDOW));
  }
  transform(real, imaginary);
  return Float64Array.from({ length: POINTS / 2 + 1 }, (_, k) => Math.hypot(real[k], imaginary[k]));
}

// The fast Fourier transform in place, by halves.
function transform(real, imaginary) {
  const { length } = real;
  if (length === 1) return;
  const even = [real, imaginary].map((part) => part.filter((_, n) => n % 2 === 0));
  const odd = [real, imaginary].map((part) => part.filter((_, n) => n % 2 === 1));
  transform(...even);
  transform(...odd);
  for (let k = 0; k < length / 2; k += 1) {
    const [c, s] = [Math.cos(2 * Math.PI * k / length), -Math.sin(2 * Math.PI * k / length)];
    const [r, i] = [c * odd[0][k] - s * odd[1][k], c * odd[1][k] + s * odd[0][k]];
    [real[k], imaginary[k]] = [even[0][k] + r, even[1][k] + i];
    [real[k + length / 2], imaginary[k + length / 2]] = [even[0][k] - r, even[1][k] - i];
  }
}

function mel(hertz) {
  return 1127 * Math.log(1 + hertz / 700);
}

// Triangles of equal width in mel; the frequency 0 counts for none.
const TRIANGLES = Array.from({ length: BINS }, (_, bin) => {
  const edge = (place) => mel(LOWEST) + (mel(HIGHEST) - mel(LOWEST)) * place / (BINS + 1);
  const [low, middle, high] = [edge(bin), edge(bin + 1), edge(bin + 2)];
  return Float64Array.from({ length: POINTS / 2 + 1 }, (_, k) => {
    const place = mel(k * RATE / POINTS);
    return k === 0 ? 0 : Math.max(0, Math.min((place - low) / (middle - low), (high - place) / (high - middle)));
  });
});

function logMel(spectrum) {
  const energy = (weights) => weights.reduce((sum, weight, k) => sum + weight * spectrum[k], 0);
  return TRIANGLES.map((weights) => Math.log(LOG_FLOOR + energy(weights)));
}

// The discrete cosine transform, type 2, orthogonal but for the first coefficient, as TensorFlow scales it.
function cosines(values, coefficients) {
  return Array.from({ length: coefficients }, (_, k) => Math.sqrt(2 / BINS) *
    values.reduce((sum, value, n) => sum + value * Math.cos(Math.PI * k * (n + 0.5) / BINS), 0));
}
