// Uptraining: continued pre-training of a converted checkpoint until it has won back what merging heads lost
// (Ainslie et al. 2023, section 2.2: next-token cross-entropy on alpha of the original pre-training compute).
//
// What a run leaves in OUT, and when:
//
//   metrics.jsonl            one object a step, from the first step on
//   tensorboard/             the same as event files, if asked for
//   checkpoints/step-N/      the state after step N; appears whole or not at all; the last --keep are kept
//   model weights, tokenizer, regroup.json, training.html, …, and config.json last: only once training is
//   over, so that an
//                            unfinished OUT cannot be mistaken for a model
//
// A run that was killed at any moment and resumed ends with the same bytes as one that was never stopped, on
// the same machine with the same number of threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.h"

namespace regroup::uptrain {

// Zero or empty means: chosen for this model and budget (uptrain/recipe.h, docs/uptraining.md).
struct UptrainOptions {
  std::filesystem::path model, out;
  std::vector<std::filesystem::path> data, valid;
  std::vector<double> data_weights;  // of the files of `data`; empty: as much of each as it holds
  std::string documents = "joined";  // a row of data::document_rules()
  std::filesystem::path teacher;     // empty: none

  // What is minimised (uptrain/loss.h). With a share w of cross-entropy, kl is (1 - w) τ² KL + w CE.
  std::string loss;  // a row of losses(); empty: kl with a teacher, else cross-entropy
  double temperature = 1;
  double cross_entropy_share = 0;
  double match_fraction = 0;  // of the steps, first: layer-wise matching of attention outputs

  // What is trained (uptrain/trained.h).
  std::string train = "all";
  bool freeze_embeddings = false;
  double kv_lr_multiplier = 1;  // of the learning rate of keys and values

  // The budget: exactly one of the first three. A fraction is of the pre-training tokens, which are read from
  // the model's training_record.json unless given; the tokens that the conversion looked at are taken off.
  std::optional<std::int64_t> tokens, steps;
  std::optional<double> fraction;
  std::optional<std::int64_t> pretrain_tokens;

  std::int64_t sequence_length = 0;  // inputs of a training window, in tokens
  std::int64_t batch_tokens = 0;     // tokens of an optimizer step
  std::int64_t micro_batch = 0;      // windows in one forward and backward pass: memory, not mathematics
  bool recompute = false;            // activations, a layer at a time: less memory, a third more work
  std::string optimizer = "adamw";   // a row of optimizers()
  double lr = 0;                     // peak
  std::string schedule = "1-sqrt";   // a row of schedules()
  double warmup = 0.05;              // of the steps
  std::string precision;    // of activations and matrix products: bf16 or fp32; weights are fp32. Empty: bf16
                            // where the device is fast in it
  double weight_decay = 0;  // of matrices; never of norms, biases and embeddings
  double clip = 1;          // largest global gradient norm; 0: no clipping

  double skip_outliers = 0;  // standard deviations beyond which a step is skipped; 0: none is

  std::int64_t save_every = 0, validate_every = 0;  // steps
  std::int64_t keep = 2;                            // saved states, besides the best by validation loss
  double time_limit = 0;     // minutes from the start; then the state is saved and the run stops; 0: none
  bool tensorboard = false;  // event files in OUT/tensorboard
  bool resume = false;
  bool overwrite = false;
  std::string finish = "last";  // the state that becomes the model: the last, or the best by validation loss
  std::string dtype;            // of the finished weights; empty: the source's
  bool no_bos = false;
  std::string data_format = "auto";

  std::string device = "cpu";
  std::uint64_t seed = 0;
  Json resolved = Json::object();  // what the command line resolved to, for regroup.json
};

// What --loss, --train, --optimizer and --schedule know by name.
std::vector<std::string> loss_names(), trained_part_names(), optimizer_names(), schedule_names();

struct UptrainSummary {
  bool finished = true;  // false: stopped by a signal or the time limit, to be resumed
  double flops = 0;      // of all steps, the teacher's passes included
  std::int64_t steps = 0, tokens = 0, parameters = 0;
  double seconds = 0;  // in steps, by all processes that had a part in the run
  double last_loss = 0;
  std::optional<double> first_validation_loss, last_validation_loss;
};

// UserError for everything a person can mend: the budget, the data, an OUT that is in the way, a loss that is
// not finite.
UptrainSummary uptrain(const UptrainOptions& options);

}  // namespace regroup::uptrain
