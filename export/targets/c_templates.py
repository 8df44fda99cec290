"""The C++ files of `carray`, as templates: $names are filled in."""

from __future__ import annotations

from string import Template

DATA = Template("""\
// $title
// Written by keras_ternary_spike. Do not edit.
#include "$name.h"

alignas(16) const unsigned char g_$name[$size] = {
$bytes
};
const unsigned int g_${name}_size = $size;
""")

HEADER = Template("""\
// $title
// Written by keras_ternary_spike. Do not edit.
#ifndef ${guard}_H_
#define ${guard}_H_

// The .tflite file.
extern const unsigned char g_$name[$size];
extern const unsigned int g_${name}_size;

// Bytes of tensor arena: $measured measured with TFLite Micro's reference kernels on a 64-bit
// machine, and $margin on top for kernels that need scratch memory. interpreter.arena_used_bytes()
// says on the board what can be saved.
constexpr int k${camel}ArenaBytes = $arena;

#endif  // ${guard}_H_
""")

OPS = Template("""\
// $title
// The operators of $name for TFLite Micro. Written by keras_ternary_spike. Do not edit.
#ifndef ${guard}_OPS_H_
#define ${guard}_OPS_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

using ${camel}OpResolver = tflite::MicroMutableOpResolver<$count>;

inline TfLiteStatus Register${camel}Ops(${camel}OpResolver& resolver) {
$calls
  return kTfLiteOk;
}

#endif  // ${guard}_OPS_H_
""")

MAIN = Template("""\
// $title
// A loop for TFLite Micro, yours to edit: replace the bodies of ReadSample and UseResult.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "$name.h"
#include "${name}_ops.h"
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

alignas(16) uint8_t arena[k${camel}ArenaBytes];

// Rounds to the file's integers and saturates. real = scale * (integer - zero_point)
int8_t Quantize(float real, float scale, int zero_point) {
  const float integer = std::nearbyint(real / scale) + static_cast<float>(zero_point);
  return static_cast<int8_t>(integer < -128.0f ? -128.0f : integer > 127.0f ? 127.0f : integer);
}

constexpr int kInputs[] = {
$inputs
};
constexpr int kOutputs[] = {
$outputs
};

// Fills the inputs, row by row. Returns false when there are no more samples.
bool ReadSample(tflite::MicroInterpreter& interpreter) {
  static bool more = true;
  for (const int index : kInputs) {
    TfLiteTensor* input = interpreter.input(index);
    const int8_t zero = Quantize(0.0f, input->params.scale, input->params.zero_point);
    std::memset(input->data.int8, zero, input->bytes);
  }
  const bool any = more;
  more = false;
  return any;
}

// Reads the outputs, row by row.
void UseResult(tflite::MicroInterpreter& interpreter) {
  for (const int index : kOutputs) {
    const TfLiteTensor* output = interpreter.output(index);
    size_t largest = 0;
    for (size_t i = 1; i < output->bytes; ++i) {
      if (output->data.int8[i] > output->data.int8[largest]) largest = i;
    }
    MicroPrintf("output %d: largest at %d", index, static_cast<int>(largest));
  }
}
$states
}  // namespace

int main() {
  tflite::InitializeTarget();
  const tflite::Model* model = tflite::GetModel(g_$name);
  if (model->version() != TFLITE_SCHEMA_VERSION) return 1;

  static ${camel}OpResolver resolver;
  if (Register${camel}Ops(resolver) != kTfLiteOk) return 1;
  static tflite::MicroInterpreter interpreter(model, resolver, arena, k${camel}ArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) return 1;
  MicroPrintf("arena: %d of %d bytes", static_cast<int>(interpreter.arena_used_bytes()), k${camel}ArenaBytes);
$reset
  while (ReadSample(interpreter)) {$load
    if (interpreter.Invoke() != kTfLiteOk) return 1;$save
    UseResult(interpreter);
  }
  return 0;
}
""")

STATES = Template("""
// The membranes between two timesteps. Inputs and outputs may share memory, so they are kept apart.
struct State {
  int input, output, offset, bytes, zero_point;
};
constexpr State kStates[] = {
$rows
};
int8_t states[$bytes];

void ResetStates() {
  for (const State& s : kStates) std::memset(states + s.offset, s.zero_point, s.bytes);
}

void LoadStates(tflite::MicroInterpreter& interpreter) {
  for (const State& s : kStates) std::memcpy(interpreter.input(s.input)->data.int8, states + s.offset, s.bytes);
}

void SaveStates(tflite::MicroInterpreter& interpreter) {
  for (const State& s : kStates) std::memcpy(states + s.offset, interpreter.output(s.output)->data.int8, s.bytes);
}
""")
