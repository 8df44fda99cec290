/* From samples to logits: audio.bin, int16 at 16 kHz, through TFLM's audio frontend and the step form in generated C of
 * the name `net`, on the host's files through semihosting. Writes features.bin and output.bin, a frame after the other.
 * Prints `value key`: instructions of the last frame's features and of its step of the network. */
#include <stdio.h>
#include <stdlib.h>

#include "counter.h"
#include "net.h"
#include "tensorflow/lite/experimental/microfrontend/lib/frontend.h"
#include "tensorflow/lite/experimental/microfrontend/lib/frontend_util.h"

#define RATE 16000
#define STEP 160
#define FEATURES 40
#define SPAN 666

static uint32_t arena[(NET_ARENA_BYTES + 3) / 4];
static int8_t input[FEATURES], output[NET_OUTPUT_BYTES];
static net_t net;
static struct FrontendState frontend;

static FILE *opened(const char *path, const char *mode) {
  FILE *file = fopen(path, mode);
  if (file == NULL) abort();
  return file;
}

/* The settings of the package pymicro-features. */
static void start(void) {
  struct FrontendConfig config;
  FrontendFillConfigWithDefaults(&config);
  config.window.size_ms = 30;
  config.window.step_size_ms = 10;
  config.filterbank.num_channels = FEATURES;
  config.filterbank.lower_band_limit = 125.0f;
  config.filterbank.upper_band_limit = 7500.0f;
  config.noise_reduction.smoothing_bits = 10;
  config.noise_reduction.even_smoothing = 0.025f;
  config.noise_reduction.odd_smoothing = 0.06f;
  config.noise_reduction.min_signal_remaining = 0.05f;
  config.pcan_gain_control.enable_pcan = 1;
  config.pcan_gain_control.strength = 0.95f;
  config.pcan_gain_control.offset = 80.0f;
  config.pcan_gain_control.gain_bits = 21;
  config.log_scale.enable_log = 1;
  config.log_scale.scale_shift = 6;
  if (!FrontendPopulateState(&config, &frontend, RATE)) abort();
}

/* 0 to 255, less 128: scale 1, zero point -128. */
static int8_t feature(uint16_t value) {
  const uint32_t scaled = (256u * value + SPAN / 2) / SPAN;
  return (int8_t)((int32_t)(scaled > 255 ? 255 : scaled) - 128);
}

int main(void) {
  FILE *audio = opened("audio.bin", "rb"), *features = opened("features.bin", "wb");
  FILE *outputs = opened("output.bin", "wb");
  int16_t samples[STEP];
  uint64_t heard = 0, stepped = 0;
  counter_start();
  start();
  net_init(&net, (uint8_t *)arena);
  while (fread(samples, sizeof *samples, STEP, audio) == STEP) {
    size_t read;
    const uint64_t begun = counter_read();
    const struct FrontendOutput found = FrontendProcessSamples(&frontend, samples, STEP, &read);
    if (found.size == 0) continue;
    for (size_t i = 0; i < found.size; i++) input[i] = feature(found.values[i]);
    const uint64_t between = counter_read();
    net_step(&net, input, output);
    stepped = counter_read() - between;
    heard = between - begun;
    fwrite(input, 1, sizeof input, features);
    fwrite(output, 1, sizeof output, outputs);
  }
  fclose(features);
  fclose(outputs);
  printf("%lu features\n%lu network\n", (unsigned long)heard, (unsigned long)stepped);
  return 0;
}
