#include "core/model/device.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <array>
#include <charconv>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/version.h"

namespace regroup::model {
namespace {

// Our program links LibTorch's CPU part only; the CUDA part registers itself when it is loaded. It lies
// beside the CPU part. What stopped it is returned, nothing when it is there.
std::string load_cuda_library() {
  Dl_info cpu_library{};
  if (dladdr(reinterpret_cast<const void*>(&at::globalContext), &cpu_library) == 0) return dlerror();
  const auto library = std::filesystem::path(cpu_library.dli_fname).parent_path() / "libtorch_cuda.so";
  if (!std::filesystem::exists(library)) return "it was built without CUDA";
  return dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) ? "" : dlerror();
}

at::Device open_cuda(const std::string& name, int index) {
  static const std::string failure = load_cuda_library();
  const auto refuse = [&](const std::string& found) {
    throw UserError({.where = "--device " + name,
                     .what = "no such device",
                     .found = found,
                     .remedy = "Use --device cpu, or a LibTorch built for this machine's GPU"});
  };
  if (!failure.empty())
    refuse(fmt::format("a LibTorch {} that cannot use a GPU: {}", TORCH_VERSION, failure));
  const int devices = at::hasCUDA() ? static_cast<int>(at::detail::getCUDAHooks().deviceCount()) : 0;
  if (index >= devices) refuse(fmt::format("{} GPU(s) that LibTorch {} can use", devices, TORCH_VERSION));
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

struct NamedType {
  std::string_view name;
  at::ScalarType type;
};

constexpr std::array<NamedType, 4> kTypes = {
    {{"fp32", at::kFloat}, {"bf16", at::kBFloat16}, {"fp16", at::kHalf}, {"fp64", at::kDouble}}};

}  // namespace

at::Device open_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name == "cuda") return open_cuda(name, 0);
  constexpr std::string_view kPrefix = "cuda:";
  if (name.starts_with(kPrefix)) {
    int index = -1;
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, index);
    if (error == std::errc() && stop == end && index >= 0 && index < 128) return open_cuda(name, index);
  }
  throw UserError({.where = "--device", .expected = "cpu, cuda or cuda:N", .found = "'" + name + "'"});
}

std::uint64_t available_memory(at::Device device) {
  if (device.is_cpu()) return available_host_memory();
  return c10::getDeviceAllocator(device.type())->getMemoryInfo(device.index()).first;
}

bool fast_in_bfloat16(at::Device device) {
  return device.is_cuda() || cpu_features().find("bf16") != std::string::npos;
}

at::ScalarType parse_dtype(const std::string& name, const std::string& flag) {
  std::vector<std::string> names;
  for (const auto& [known, type] : kTypes) {
    if (name == known) return type;
    names.emplace_back(known);
  }
  throw UserError({.where = flag, .expected = "one of " + list_some(names), .found = "'" + name + "'"});
}

at::ScalarType scalar_type(checkpoint::DType dtype) {
  switch (dtype) {
    case checkpoint::DType::kF64:
      return at::kDouble;
    case checkpoint::DType::kF32:
      return at::kFloat;
    case checkpoint::DType::kF16:
      return at::kHalf;
    case checkpoint::DType::kBF16:
      return at::kBFloat16;
    default:
      check(false, "open_model() lets plain floats through only");
      return at::kFloat;
  }
}

}  // namespace regroup::model
