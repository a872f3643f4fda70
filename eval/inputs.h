// What goes into an evaluation, opened and checked before any weight is read.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "core/data/token_stream.h"
#include "core/data/windows.h"
#include "core/family/model_directory.h"
#include "core/tokenizer/tokenizer.h"
#include "eval/eval.h"
#include "eval/result.h"
#include "eval/task.h"
#include "eval/task_scores.h"

namespace regroup::eval {

struct Inputs {
  std::vector<family::ModelDirectory> models;     // the source first
  std::string tokenizer_sha256;                   // of the source's tokenizer file, if it has one
  data::TokenStream stream;                       // cut to --max-tokens
  std::int64_t stream_tokens = 0, documents = 0;  // before that
  std::vector<TaskData> tasks;
  Requests requests;  // of the tasks
  std::int64_t window = 0;
  std::vector<data::Window> windows;  // of the stream
};

Inputs open_inputs(const Options& options);

// For showing tokens as text; null where the directory has no tokenizer that can be read.
std::unique_ptr<tokenizer::Tokenizer> open_reader(const std::filesystem::path& source);

ModelFacts facts_of(const family::ModelDirectory& model);

// Gives every model its directory's name, or the path as given where two share one.
void name_models(std::vector<ModelFacts>& facts);

}  // namespace regroup::eval
