#include "uptrain/block_cache.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <map>
#include <mutex>
#include <unordered_map>

namespace regroup::uptrain {
namespace {

constexpr std::size_t kSmallestKept = 64 << 10;

class BlockCache final : public at::Allocator {
 public:
  static BlockCache& instance() {
    static auto* cache = new BlockCache;  // outlives every tensor
    return *cache;
  }

  at::DataPtr allocate(std::size_t bytes) override {
    void* block = bytes < kSmallestKept ? c10::alloc_cpu(bytes) : take(bytes);
    return {block, block, &give_back, at::Device(at::kCPU)};
  }

  at::DeleterFnPtr raw_deleter() const override { return &give_back; }

  void copy_data(void* to, const void* from, std::size_t count) const override {
    default_copy_data(to, from, count);
  }

 private:
  void* take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = free_.lower_bound(bytes);
    if (found != free_.end() && found->first <= bytes + bytes / 8) {
      void* block = found->second;
      free_.erase(found);
      return block;
    }
    void* block = c10::alloc_cpu(bytes);
    size_.emplace(block, bytes);
    return block;
  }

  static void give_back(void* block) {
    BlockCache& cache = instance();
    {
      const std::lock_guard lock(cache.mutex_);
      if (const auto size = cache.size_.find(block); size != cache.size_.end()) {
        cache.free_.emplace(size->second, block);
        return;
      }
    }
    c10::free_cpu(block);
  }

  std::mutex mutex_;
  std::multimap<std::size_t, void*> free_;       // by size
  std::unordered_map<void*, std::size_t> size_;  // of every block that is kept, in use or not
};

}  // namespace

void keep_freed_blocks() {
  c10::SetCPUAllocator(&BlockCache::instance());
}

}  // namespace regroup::uptrain
