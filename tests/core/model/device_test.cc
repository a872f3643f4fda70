#include "core/model/device.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <thread>

#include "core/base/error.h"

namespace regroup::model {
namespace {

std::string refusal(const std::string& name) {
  try {
    open_device(name);
  } catch (const UserError& error) {
    return error.what();
  }
  return "opened";
}

TEST(Device, OpensTheCpu) {
  EXPECT_TRUE(open_device("cpu").is_cpu());
}

TEST(Device, RefusesWhatIsNoDevice) {
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cpu:0"})
    EXPECT_EQ(refusal(name), "--device: expected cpu, cuda or cuda:N, found '" + std::string(name) + "'");
}

TEST(Device, SaysWhyThereIsNoSuchGpu) {
  const std::string message = refusal("cuda:127");
  EXPECT_NE(message.find("--device cuda:127: no such device: found "), std::string::npos) << message;
  EXPECT_NE(message.find("Use --device cpu"), std::string::npos) << message;
}

// at::parallel_for is compiled into our code: without OpenMP, or with another one than LibTorch's, it would
// run on one thread, or on as many as it likes.
TEST(Threads, OurLoopsRunOnAsManyAsLibTorchIsGiven) {
  const int before = at::get_num_threads();
  for (const int threads : {3, 1}) {
    at::set_num_threads(threads);
    std::array<std::thread::id, 3> ran;
    at::parallel_for(0, 3, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        ran[static_cast<std::size_t>(i)] = std::this_thread::get_id();
    });
    EXPECT_EQ(std::set(ran.begin(), ran.end()).size(), static_cast<std::size_t>(threads));
  }
  at::set_num_threads(before);
}

TEST(Device, KnowsTheFourTypes) {
  EXPECT_EQ(parse_dtype("fp32", "--dtype"), at::kFloat);
  EXPECT_EQ(parse_dtype("bf16", "--dtype"), at::kBFloat16);
  EXPECT_EQ(parse_dtype("fp16", "--dtype"), at::kHalf);
  EXPECT_EQ(parse_dtype("fp64", "--dtype"), at::kDouble);
  try {
    parse_dtype("int8", "--kv-dtype");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "--kv-dtype: expected one of fp32, bf16, fp16, fp64, found 'int8'");
  }
}

TEST(Device, HostMemoryIsWhatTheMachineCanGive) {
  const std::uint64_t bytes = available_memory(at::kCPU);
  EXPECT_GT(bytes, 64u << 20);
  EXPECT_LT(bytes, 1ull << 50);
}

}  // namespace
}  // namespace regroup::model
