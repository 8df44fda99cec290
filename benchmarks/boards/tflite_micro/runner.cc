// Runs model.tflite on every sample of input.bin, all on the host through semihosting; writes output.bin.
//
// Prints lines of `key value`: arena, instructions (of the last sample) and instructions of every kind of operator.
#include <malloc.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "counter.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

constexpr int kKinds = 32;
constexpr size_t kAlignment = 16;

// Instructions by kind of operator. Its own reading of the counter costs some hundred an operator.
class Profile : public tflite::MicroProfilerInterface {
 public:
  uint32_t BeginEvent(const char* tag) override {
    start_ = counter_read();
    return Row(tag);
  }
  void EndEvent(uint32_t row) override { counts_[row] += counter_read() - start_; }
  void Clear() { std::memset(counts_, 0, sizeof(counts_)); }
  void Print() const {
    for (int row = 0; row < rows_; row++) {
      std::printf("%s %lu\n", tags_[row], static_cast<unsigned long>(counts_[row]));
    }
  }

 private:
  int Row(const char* tag) {
    for (int row = 0; row < rows_; row++) {
      if (std::strcmp(tags_[row], tag) == 0) return row;
    }
    if (rows_ == kKinds) std::abort();
    tags_[rows_] = tag;
    return rows_++;
  }

  uint64_t start_ = 0;
  int rows_ = 0;
  const char* tags_[kKinds];
  uint64_t counts_[kKinds] = {};
};

struct Bytes {
  uint8_t* data;
  size_t size;
};

Bytes Read(const char* path) {
  FILE* file = std::fopen(path, "rb");
  if (file == nullptr || std::fseek(file, 0, SEEK_END) != 0) std::abort();
  const size_t size = std::ftell(file);
  std::rewind(file);
  uint8_t* data = static_cast<uint8_t*>(memalign(kAlignment, size));
  if (data == nullptr || std::fread(data, 1, size, file) != size) std::abort();
  std::fclose(file);
  return {data, size};
}

tflite::MicroMutableOpResolver<kKinds> Resolver() {
  tflite::MicroMutableOpResolver<kKinds> resolver;
  resolver.AddAdd();
  resolver.AddAveragePool2D();
  resolver.AddConcatenation();
  resolver.AddConv2D();
  resolver.AddDepthwiseConv2D();
  resolver.AddDequantize();
  resolver.AddFullyConnected();
  resolver.AddMaxPool2D();
  resolver.AddMaximum();
  resolver.AddMean();
  resolver.AddMinimum();
  resolver.AddMul();
  resolver.AddPad();
  resolver.AddQuantize();
  resolver.AddRelu();
  resolver.AddRelu6();
  resolver.AddReshape();
  resolver.AddSlice();
  resolver.AddSoftmax();
  resolver.AddStridedSlice();
  resolver.AddSub();
  resolver.AddTranspose();
  resolver.AddTransposeConv();
  return resolver;
}

// One inference; the instructions it took.
uint64_t Invoke(tflite::MicroInterpreter& interpreter) {
  const uint64_t start = counter_read();
  if (interpreter.Invoke() != kTfLiteOk) std::abort();
  return counter_read() - start;
}

}  // namespace

int main() {
  const Bytes model = Read("model.tflite");
  const Bytes samples = Read("input.bin");
  auto resolver = Resolver();
  Profile profile;
  uint8_t* arena = static_cast<uint8_t*>(memalign(kAlignment, ARENA_BYTES));
  if (arena == nullptr) std::abort();
  tflite::MicroInterpreter plain(tflite::GetModel(model.data), resolver, arena, ARENA_BYTES);
  if (plain.AllocateTensors() != kTfLiteOk) std::abort();
  counter_start();
  FILE* outputs = std::fopen("output.bin", "wb");
  std::printf("arena %lu\n", static_cast<unsigned long>(plain.arena_used_bytes()));
  size_t offset = 0;
  while (offset < samples.size) {
    for (size_t index = 0; index < plain.inputs_size(); index++) {
      TfLiteTensor* input = plain.input(index);
      std::memcpy(input->data.raw, samples.data + offset, input->bytes);
      offset += input->bytes;
    }
    std::printf("instructions %lu\n", static_cast<unsigned long>(Invoke(plain)));
    for (size_t index = 0; index < plain.outputs_size(); index++) {
      std::fwrite(plain.output(index)->data.raw, 1, plain.output(index)->bytes, outputs);
    }
  }
  std::fclose(outputs);
  tflite::MicroInterpreter profiled(tflite::GetModel(model.data), resolver, arena, ARENA_BYTES, nullptr, &profile);
  if (profiled.AllocateTensors() != kTfLiteOk) std::abort();
  profile.Clear();
  std::memcpy(profiled.input(0)->data.raw, samples.data, profiled.input(0)->bytes);
  Invoke(profiled);
  profile.Print();
  return 0;
}
