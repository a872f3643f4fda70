#include "core/model/block_cache.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace regroup::model {
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
    std::vector<void*> dropped;
    void* block = nullptr;
    {
      const std::lock_guard lock(mutex_);
      const auto found = free_.lower_bound(bytes);
      if (found != free_.end() && found->first <= bytes + bytes / 8) {
        block = found->second;
        use(found->first);
        free_.erase(found);
        return block;
      }
      use(bytes);
      held_ += bytes;
      dropped = drop_beyond_share();
    }
    for (void* kept : dropped) c10::free_cpu(kept);
    block = c10::alloc_cpu(bytes);
    const std::lock_guard lock(mutex_);
    size_.emplace(block, bytes);
    return block;
  }

  void use(std::size_t bytes) {
    in_use_ += bytes;
    most_in_use_ = std::max(most_in_use_, in_use_);
  }

  // The largest of the kept blocks, as many as are too much beside those in use.
  std::vector<void*> drop_beyond_share() {
    std::vector<void*> dropped;
    while (held_ > most_in_use_ + most_in_use_ / 4 && !free_.empty()) {
      const auto largest = std::prev(free_.end());
      held_ -= largest->first;
      size_.erase(largest->second);
      dropped.push_back(largest->second);
      free_.erase(largest);
    }
    return dropped;
  }

  static void give_back(void* block) {
    BlockCache& cache = instance();
    {
      const std::lock_guard lock(cache.mutex_);
      if (const auto size = cache.size_.find(block); size != cache.size_.end()) {
        cache.in_use_ -= size->second;
        cache.free_.emplace(size->second, block);
        return;
      }
    }
    c10::free_cpu(block);
  }

  std::mutex mutex_;
  std::multimap<std::size_t, void*> free_;               // by size
  std::unordered_map<void*, std::size_t> size_;          // of every block that is kept, in use or not
  std::size_t in_use_ = 0, most_in_use_ = 0, held_ = 0;  // bytes; held ones are in use or kept
};

}  // namespace

void keep_freed_blocks() {
  c10::SetCPUAllocator(&BlockCache::instance());
}

}  // namespace regroup::model
