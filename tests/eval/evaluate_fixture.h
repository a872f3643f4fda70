// An evaluation small enough for any test.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "core/base/random.h"
#include "core/data/formats.h"
#include "eval/eval.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_llama.h"

namespace regroup::eval {

// Two models of one vocabulary, and a shard of random ids.
class Evaluate : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::write_tiny_llama({.seed = 1}, folder_ / "source");
    testing::write_tiny_llama({.kv_heads = 2, .seed = 2}, folder_ / "model");
    options_.source = folder_ / "source";
    options_.models = {folder_ / "model"};
    options_.data = {ids_file("ids.bin", 201)};
    options_.window = 16;
  }

  std::filesystem::path ids_file(const char* name, int count) {
    data::TokenStream stream;
    RandomStream random(3, "ids");
    for (int i = 0; i < count; ++i) stream.tokens.push_back(static_cast<data::Token>(random.below(24)));
    stream.document_starts = {0};
    data::data_format("llm.c").write(folder_ / name, stream, 24, false);
    return folder_ / name;
  }

  std::string refusal() {
    return testing::user_error_of([&] { evaluate(options_); });
  }

  testing::TempDir folder_;
  Options options_;
};

}  // namespace regroup::eval
