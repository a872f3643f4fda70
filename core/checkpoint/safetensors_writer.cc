#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/checkpoint/safetensors.h"

namespace regroup::checkpoint {
namespace {

constexpr std::size_t kHeaderAlignment = 8;
constexpr std::uint64_t kWritebackInterval = 32 << 20;
constexpr std::size_t kMostBytesInFlight = 64 << 20;

std::string json_text(const std::string& text) {
  return Json(text).dump();
}

void append_tensor(std::string& json, const TensorInfo& tensor) {
  fmt::format_to(std::back_inserter(json), R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                 json_text(tensor.name), dtype_name(tensor.dtype), fmt::join(tensor.shape, ","), tensor.begin,
                 tensor.end);
}

}  // namespace

std::string encode_safetensors_header(std::vector<TensorInfo>& tensors,
                                      const std::map<std::string, std::string>& metadata) {
  std::uint64_t end = 0;
  for (TensorInfo& tensor : tensors) {
    const std::uint64_t bits = static_cast<std::uint64_t>(tensor.elements()) * dtype_bits(tensor.dtype);
    check(bits % 8 == 0, "a tensor that does not fill its last byte");
    tensor.begin = end;
    tensor.end = end += bits / 8;
  }
  std::string json = "{";
  const auto separate = [&json] { json += json.size() > 1 ? "," : ""; };
  if (!metadata.empty()) json += "\"__metadata__\":" + nlohmann::json(metadata).dump();
  for (const TensorInfo& tensor : tensors) separate(), append_tensor(json, tensor);
  json += "}";
  json.resize((json.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');

  std::string length;
  for (std::size_t i = 0; i < 8; ++i) length += static_cast<char>(json.size() >> 8 * i & 0xFF);
  return length + json;
}

void sort_as_reference(std::vector<TensorInfo>& tensors) {
  std::ranges::sort(tensors, [](const TensorInfo& a, const TensorInfo& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
  });
}

// SHA-256 on a thread of its own, of bytes that someone else is writing meanwhile.
class SafetensorsWriter::Hashing {
 public:
  Hashing() : thread_([this] { run(); }) {}

  ~Hashing() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      queue_.clear();
    }
    work_.notify_one();
    thread_.join();
  }

  // The bytes must stay until drain() returns.
  void borrow(std::span<const std::byte> bytes) { enqueue({.owned = {}, .bytes = bytes}); }

  void take(std::vector<std::byte>&& bytes) {
    const std::span<const std::byte> view(bytes);  // a move of the vector leaves its elements in place
    enqueue({.owned = std::move(bytes), .bytes = view});
  }

  std::vector<std::byte> spare() {
    const std::lock_guard lock(mutex_);
    if (spare_.empty()) return {};
    std::vector<std::byte> buffer = std::move(spare_.back());
    spare_.pop_back();
    return buffer;
  }

  void drain() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return in_flight_ == 0; });
  }

  std::string hex() {
    drain();
    return hash_.hex();
  }

 private:
  struct Job {
    std::vector<std::byte> owned;
    std::span<const std::byte> bytes;
  };

  void enqueue(Job job) {
    std::unique_lock lock(mutex_);
    const std::size_t size = job.bytes.size();
    done_.wait(lock, [&] { return in_flight_ == 0 || in_flight_ + size <= kMostBytesInFlight; });
    in_flight_ += size;
    queue_.push_back(std::move(job));
    lock.unlock();
    work_.notify_one();
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      work_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      if (stop_) return;
      Job job = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      hash_.update(job.bytes);
      lock.lock();
      in_flight_ -= job.bytes.size();
      if (job.owned.capacity() > 0) spare_.push_back(std::move(job.owned));
      done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable work_, done_;
  std::deque<Job> queue_;
  std::vector<std::vector<std::byte>> spare_;
  std::size_t in_flight_ = 0;  // bytes that are queued or being hashed
  bool stop_ = false;
  Sha256 hash_;
  std::thread thread_;  // last: it uses all of the above
};

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorInfo> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(File::create(path)), hashing_(std::make_shared<Hashing>()) {
  const std::string header = encode_safetensors_header(tensors, metadata);
  header_ = {.tensors = std::move(tensors), .metadata = metadata, .data_begin = header.size()};
  expected_ = header.size() + (header_.tensors.empty() ? 0 : header_.tensors.back().end);
  append(std::as_bytes(std::span(header)));
}

void SafetensorsWriter::append(std::span<const std::byte> bytes) {
  hashing_->borrow(bytes);
  try {
    write(bytes);
  } catch (...) {
    hashing_->drain();
    throw;
  }
  hashing_->drain();
}

std::vector<std::byte> SafetensorsWriter::exchange(std::vector<std::byte> full) {
  // The hashing thread may be done with the buffer first; nobody gets it as a spare one before this returns.
  const std::span<const std::byte> view(full);
  hashing_->take(std::move(full));
  write(view);
  return hashing_->spare();
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  check(bytes.size() <= expected_ - written_, "more bytes than the announced tensors have");
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), kWritebackInterval));
    file_.append(piece);
    bytes = bytes.subspan(piece.size());
    written_ += piece.size();
    if (written_ < writeback_at_ + kWritebackInterval) continue;
    file_.start_writeback();
    writeback_at_ = written_;
  }
}

std::string SafetensorsWriter::finish() {
  check(written_ == expected_, "fewer bytes than the announced tensors have");
  file_.sync();
  SafetensorsHeader written = SafetensorsReader(file_.path()).header();
  std::ranges::sort(written.tensors, {}, &TensorInfo::name);
  std::ranges::sort(header_.tensors, {}, &TensorInfo::name);
  check(written == header_, "the header that was written reads differently");
  return hashing_->hex();
}

}  // namespace regroup::checkpoint
