#include "core/base/hashed_file.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "core/base/error.h"

namespace regroup {
namespace {

constexpr std::size_t kBlock = 8 << 20;

std::size_t round_up(std::uint64_t size) {
  return (size + File::kAlignment - 1) / File::kAlignment * File::kAlignment;
}

template <typename Job>
std::future<void> on_another_thread(Job job) {
  return std::async(std::launch::async, std::move(job));
}

void wait_for(std::future<void>& job) {
  if (job.valid()) job.get();
}

}  // namespace

AlignedBytes::AlignedBytes(std::size_t size)
    : data_(static_cast<std::byte*>(std::aligned_alloc(File::kAlignment, round_up(size)))),
      size_(round_up(size)) {
  if (!data_ && size_ > 0) throw std::bad_alloc();
}

HashedReader::HashedReader(const std::filesystem::path& path)
    : file_(File::open_for_streaming(path)), size_(file_.size()), blocks_((size_ + kBlock - 1) / kBlock) {
  for (std::uint64_t block = 0; block < std::min<std::uint64_t>(blocks_, slots_.size()); ++block)
    start_reading(block);
}

std::span<const std::byte> HashedReader::block_bytes(std::uint64_t block) {
  return slot(block).bytes.span().first(std::min<std::uint64_t>(kBlock, size_ - block * kBlock));
}

void HashedReader::start_reading(std::uint64_t block) {
  if (block >= blocks_) return;
  Slot& target = slot(block);
  if (target.bytes.span().empty())
    target.bytes = AlignedBytes(std::min<std::uint64_t>(kBlock, size_ - block * kBlock));
  target.reading = on_another_thread([this, block, bytes = target.bytes.span()] {
    const std::uint64_t wanted = block_bytes(block).size();
    const std::uint64_t got = file_.read_up_to(block * kBlock, bytes);
    if (got < wanted) file_.read_at(block * kBlock + got, bytes.subspan(got, wanted - got));  // says why
  });
}

void HashedReader::advance() {
  wait_for(hashing_);  // of the block before, whose place the next but three takes
  if (entered_ > 0) start_reading(entered_ - 1 + slots_.size());
  slot(entered_).reading.get();
  hashing_ = on_another_thread([this, bytes = block_bytes(entered_)] { hash_.update(bytes); });
  ++entered_;
}

std::span<const std::byte> HashedReader::next(std::uint64_t most) {
  const std::uint64_t block = position_ / kBlock;
  if (block == entered_) advance();
  const auto rest = block_bytes(block).subspan(position_ % kBlock);
  const auto bytes = rest.first(std::min<std::uint64_t>(rest.size(), most));
  position_ += bytes.size();
  return bytes;
}

void HashedReader::read(std::span<std::byte> out) {
  check(out.size() <= size_ - position_, "a read past the file's end");
  while (!out.empty()) {
    const auto bytes = next(out.size());
    std::memcpy(out.data(), bytes.data(), bytes.size());
    out = out.subspan(bytes.size());
  }
}

void HashedReader::skip(std::uint64_t bytes) {
  check(bytes <= size_ - position_, "a read past the file's end");
  while (bytes > 0) bytes -= next(bytes).size();
}

std::string HashedReader::finish() {
  skip(size_ - position_);
  wait_for(hashing_);
  return hash_.hex();
}

HashedWriter::HashedWriter(const std::filesystem::path& path, std::uint64_t size)
    : file_(File::create_for_streaming(path)), size_(size) {}

void HashedWriter::append(std::span<const std::byte> bytes) {
  check(bytes.size() <= size_ - position_, "more bytes than were announced");
  while (!bytes.empty()) {
    Slot& target = slot(position_ / kBlock);
    if (position_ % kBlock == 0) wait_for(target.writing);
    if (target.bytes.span().empty())
      target.bytes = AlignedBytes(std::min<std::uint64_t>(kBlock, size_ - position_));
    const auto room = target.bytes.span().subspan(position_ % kBlock);
    const auto piece = bytes.first(std::min(bytes.size(), room.size()));
    std::memcpy(room.data(), piece.data(), piece.size());
    bytes = bytes.subspan(piece.size());
    position_ += piece.size();
    if (position_ % kBlock == 0 || position_ == size_) start_writing();
  }
}

// Of the block that ends at position_.
void HashedWriter::start_writing() {
  const std::uint64_t begin = (position_ - 1) / kBlock * kBlock, size = position_ - begin;
  Slot& full = slot(begin / kBlock);
  std::memset(full.bytes.span().data() + size, 0, round_up(size) - size);
  wait_for(hashing_);
  hashing_ = on_another_thread([this, bytes = full.bytes.span().first(size)] { hash_.update(bytes); });
  full.writing = on_another_thread(
      [this, begin, bytes = full.bytes.span().first(round_up(size))] { file_.write_at(begin, bytes); });
}

std::string HashedWriter::finish() {
  check(position_ == size_, "fewer bytes than were announced");
  for (Slot& slot : slots_) wait_for(slot.writing);
  wait_for(hashing_);
  file_.resize(size_);  // the last block was filled up to the alignment
  file_.sync();
  return hash_.hex();
}

}  // namespace regroup
