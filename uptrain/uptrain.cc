#include "uptrain/uptrain.h"

#include <fmt/format.h>

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/memory.h"
#include "core/base/output_file.h"
#include "core/base/units.h"
#include "core/base/version.h"
#include "core/data/formats.h"
#include "core/data/overlap.h"
#include "core/data/token_stream.h"
#include "core/data/training_windows.h"
#include "core/family/model_directory.h"
#include "core/model/block_cache.h"
#include "core/model/device.h"
#include "core/model/gemm_peak.h"
#include "core/tokenizer/tokenizer.h"
#include "uptrain/continuation.h"
#include "uptrain/loss.h"
#include "uptrain/made_by.h"
#include "uptrain/memory.h"
#include "uptrain/parameters.h"
#include "uptrain/recipe.h"
#include "uptrain/report.h"
#include "uptrain/result.h"
#include "uptrain/room.h"
#include "uptrain/run_directory.h"
#include "uptrain/state.h"
#include "uptrain/teacher.h"
#include "uptrain/trained.h"
#include "uptrain/trainer.h"
#include "uptrain/validation.h"

namespace regroup::uptrain {
namespace {

namespace fs = std::filesystem;

struct Data {
  data::TokenStream train;
  std::optional<data::TokenStream> valid;
};

Data read_data(const UptrainOptions& options, const family::ModelConfig& config) {
  const data::ReadOptions read{.format = options.data_format,
                               .document_start = !options.no_bos,
                               .vocab_size = config.vocab_size,
                               .threads = at::get_num_threads()};
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  std::vector<fs::path> files = options.data;
  files.insert(files.end(), options.valid.begin(), options.valid.end());
  if (data::needs_tokenizer(files, options.data_format)) tokenizer = tokenizer::open_tokenizer(options.model);
  Data data{.train = data::read_tokens(options.data, tokenizer.get(), read), .valid = {}};
  if (!options.valid.empty()) data.valid = data::read_tokens(options.valid, tokenizer.get(), read);
  return data;
}

// A validation loss on text that was trained on says nothing.
void refuse_overlap(const Data& data) {
  constexpr double kRefused = 0.01;
  const data::Overlap overlap = data::overlap(data.train, *data.valid);
  if (!overlap.first) return;
  const std::string what = fmt::format(
      "{:.1f}% of it stand in the training text too, first from {} on, which is {}", 100 * overlap.share,
      data::place_of(*data.valid, overlap.first->held_out), data::place_of(data.train, overlap.first->train));
  if (overlap.share < kRefused)
    log_warning("--valid: " + what);
  else
    throw UserError({.where = "--valid", .what = what, .remedy = "Hold text out that is not in --data"});
}

// A run reads its inputs until the end, and another one may resume it.
void require_another_place(const UptrainOptions& options) {
  std::vector<fs::path> inputs = options.data;
  inputs.insert(inputs.end(), options.valid.begin(), options.valid.end());
  inputs.push_back(options.model);
  if (!options.teacher.empty()) inputs.push_back(options.teacher);
  require_apart(options.out, inputs);
}

// Everything that decides what a model makes of a text.
std::vector<fs::path> files_of(const family::ModelDirectory& model) {
  std::vector<fs::path> files = tokenizer::tokenizer_files(model.path);
  for (const auto& file : model.checkpoint.files()) files.push_back(file.path());
  if (fs::is_directory(model.path)) files.push_back(model.path / "config.json");
  return files;
}

std::vector<fs::path> files_behind(const std::vector<fs::path>& named) {
  std::vector<fs::path> files;
  for (const fs::path& name : named)
    for (const fs::path& file : data::files_behind(name)) files.push_back(file);
  return files;
}

// What is read, by role, in the order of the arguments: a file that is given twice is read twice.
using InputFiles = std::vector<std::pair<std::string, std::vector<fs::path>>>;

InputFiles input_files(const UptrainOptions& options, const family::ModelDirectory& model,
                       const std::optional<family::ModelDirectory>& teacher) {
  InputFiles inputs{{"model", files_of(model)}};
  if (teacher) inputs.emplace_back("teacher", files_of(*teacher));
  inputs.emplace_back("data", files_behind(options.data));
  inputs.emplace_back("valid", files_behind(options.valid));
  return inputs;
}

// Role -> file -> SHA-256.
Json input_hashes(const InputFiles& inputs) {
  Json json;
  for (const auto& [role, files] : inputs) {
    json[role] = Json::object();
    for (const fs::path& file : files)
      if (!json[role].contains(file.string())) json[role][file.string()] = sha256_of_file(file);
  }
  return json;
}

Json must_match(const UptrainOptions& options, const Recipe& recipe, const InputFiles& inputs,
                const Json& hashes) {
  Json json = deciding_options(options, recipe);
  for (const auto& [role, files] : inputs) {
    json[role] = Json::array();
    for (const fs::path& file : files) json[role].push_back(hashes[role][file.string()]);
  }
  json["threads"] = at::get_num_threads();
  return json;
}

// Chooses passes that fit where that was left to us; says what is needed before the first step.
void fit_memory(const UptrainOptions& options, const MemoryQuestion& question, double available,
                Recipe& recipe) {
  const Passes asked{recipe.micro_batch, recipe.recompute};
  const Passes passes = options.micro_batch > 0 ? asked : fitting_passes(question, asked, available);
  if (passes.recompute && !asked.recompute)
    log_info("activations are recomputed in the backward pass, to fit into memory");
  recipe.micro_batch = passes.micro_batch;
  recipe.recompute = passes.recompute;
  const MemoryEstimate estimate = estimate_memory(question, passes);
  log_info(fmt::format(
      "memory: {} = {} for weights, gradients and optimizer + {} for activations + {} for program and "
      "data; {} available",
      human_bytes(estimate.total()), human_bytes(estimate.weights), human_bytes(estimate.activations),
      human_bytes(estimate.program), human_bytes(available)));
  if (estimate.total() <= available) return;
  throw UserError({.where = "memory",
                   .expected = fmt::format("{} for this run", human_bytes(estimate.total())),
                   .found = fmt::format("{} available", human_bytes(available)),
                   .remedy = estimate.weights <= available
                                 ? "Give a smaller --micro-batch or --sequence-length, or --recompute"
                                 : "The weights alone do not fit: use a larger machine"});
}

// Says what the run will leave on the disk, and refuses where that does not fit.
void fit_disk(const UptrainOptions& options, const Recipe& recipe, const Counts& counts, double result) {
  const bool validates = !options.valid.empty();
  const Room room = room_of({.weights = counts,
                             .keep = options.keep,
                             .saves = recipe.most_saves(validates),
                             .validates = validates,
                             .result = result});
  const double available = available_room(options.out);
  log_info(fmt::format("disk: {} = {} states of {} + {} for the model; {} available",
                       human_bytes(room.total()), room.states, human_bytes(room.state),
                       human_bytes(room.result), human_bytes(available)));
  require_room(options.out, room, available);
}

void log_start(const UptrainOptions& options, const Recipe& recipe, const data::TokenStream& train,
               double peak) {
  log_info(fmt::format("budget: {}", recipe.budget));
  log_info(fmt::format("data: {} tokens ({:.2f} passes over it); {}",
                       human_count(double(train.tokens.size())),
                       double(recipe.tokens()) / double(train.tokens.size()), train.convention));
  log_info(fmt::format(
      "{} windows of {} a step, {} at a time; peak learning rate {:.1e}, schedule {}, warm-up {}, {}",
      recipe.batch, recipe.sequence_length, recipe.micro_batch, recipe.lr, options.schedule, options.warmup,
      options.precision));
  log_info(fmt::format("{} GEMM peak {}FLOP/s on {} threads of {} ({})", options.precision, human_count(peak),
                       at::get_num_threads(), cpu_name(), cpu_features()));
}

Json provenance(const UptrainOptions& options, const Recipe& recipe, const RunState& state,
                const Json& hashes, double flops) {
  Json json;
  json["program"] = "regroup uptrain";
  json.update(made_by());
  json["options"] = options.resolved;
  json["resolved"] = deciding_options(options, recipe);
  json["inputs"] = hashes;
  json["source"]["path"] = options.model.string();
  if (const Json earlier = recorded_provenance(options.model); !earlier.is_null())
    json["source"]["provenance"] = earlier;
  json["seed"] = options.seed;
  json["threads"] = at::get_num_threads();
  json["budget"] = recipe.budget;
  json["steps"] = state.step;
  json["flops"] = flops;
  add_progress(json, state);
  return json;
}

std::optional<SavedState> state_to_resume(const UptrainOptions& options) {
  const bool goes_on = require_run_directory(options.out, options.resume, options.overwrite);
  if (!options.resume) return std::nullopt;
  auto saved = goes_on ? newest_state(checkpoints_of(options.out)) : std::nullopt;
  log_info(saved ? fmt::format("resuming after step {}", saved->step())
                 : "there is no state to resume from: starting at the first step");
  return saved;
}

RunState starting_state(const std::optional<SavedState>& saved, const UptrainOptions& options, Recipe& recipe,
                        const Json& matching, Parameters& parameters, const WeightNames& names) {
  if (!saved)
    return {.match_steps = recipe.match_steps, .recompute = recipe.recompute, .must_match = matching};
  RunState state = continued(*saved, options, recipe, matching, parameters, names);
  remove_states_after(checkpoints_of(options.out), state.step);
  recipe.match_steps = state.match_steps;
  return state;
}

// bfloat16 is emulated where a processor has no instructions for it, a hundred times slower than float32.
UptrainOptions with_precision(UptrainOptions options) {
  if (options.precision.empty())
    options.precision = model::fast_in_bfloat16(model::open_device(options.device)) ? "bf16" : "fp32";
  return options;
}

// Leaves in `parameters` what the model is to be made of: the last step's weights are there.
RunState finishing_state(const UptrainOptions& options, const RunState& last, Parameters& parameters,
                         const WeightNames& names) {
  if (options.finish == "last") return last;
  const auto best = best_state(checkpoints_of(options.out));
  if (!best || best->step() == last.step) return last;
  log_info(
      fmt::format("the model is made of the state after step {}, the best by validation loss", best->step()));
  return read_state(*best, best->must_match(), parameters, names);
}

UptrainSummary summary_of(const RunState& state, std::int64_t parameters) {
  return {.steps = state.step,
          .tokens = state.tokens,
          .parameters = parameters,
          .seconds = state.seconds,
          .last_loss = state.last_loss,
          .first_validation_loss = state.first_validation_loss,
          .last_validation_loss = state.last_validation_loss};
}

}  // namespace

UptrainSummary uptrain(const UptrainOptions& given) {
  const auto started = std::chrono::steady_clock::now();
  require_another_place(given);
  const std::optional<SavedState> saved = state_to_resume(given);
  const UptrainOptions options = with_precision(saved ? with_choices_of(*saved, given) : given);
  const auto dtype = result_dtype(options.dtype);
  const family::ModelDirectory model = family::open_model(options.model);
  const std::optional<family::ModelDirectory> teacher_files = open_teacher(options, model);
  const Data data = read_data(options, model.config);
  if (data.valid) refuse_overlap(data);
  Recipe recipe = make_recipe(options, model.config, static_cast<std::int64_t>(data.train.tokens.size()));
  const data::TrainingWindows windows(data.train, {.length = recipe.sequence_length,
                                                   .seed = options.seed,
                                                   .weights = options.data_weights,
                                                   .documents = options.documents});
  const auto valid_windows = data.valid
                                 ? validation_windows(*data.valid, windows.rule(), recipe.sequence_length)
                                 : std::vector<data::Window>();
  const at::Device device = model::open_device(options.device);
  const at::ScalarType compute = model::parse_dtype(options.precision, "--precision");

  model::Weights weights = model::load_weights(model, at::kFloat, device);
  const WeightNames names = weight_names(model, weights);
  const Treatments treated = treatments(options, names);
  const std::vector<Slot> slots = make_slots(weights, treated);
  const Counts counts = count(slots);
  constexpr double kTrainingCode = 24 << 20;  // of LibTorch, read in when the first step needs it
  // Before memory is counted: the libraries of matrix products take theirs at the first one.
  const double peak = model::gemm_peak(compute, device);
  const auto loaded = 4.0 * static_cast<double>(model.parameters());
  const double held = device.is_cpu() ? static_cast<double>(resident_host_memory()) : loaded;
  fit_memory(options,
             {.config = model.config,
              .weights = counts,
              .teacher_parameters = teacher_files ? teacher_files->parameters() : 0,
              .sequence_length = recipe.sequence_length,
              .precision = options.precision,
              .sees_logits = loss(options.loss, teacher_files.has_value()).sees_logits,
              .trains_down_projections = trains_down_projections(slots),
              .fused = device.is_cpu(),
              .program = std::max(0.0, held - loaded) + (device.is_cpu() ? kTrainingCode : 0)},
             static_cast<double>(model::available_memory(device)) + held, recipe);
  fit_disk(options, recipe, counts, result_bytes(model, dtype));
  const InputFiles inputs = input_files(options, model, teacher_files);
  const Json hashes = input_hashes(inputs);
  Parameters parameters(std::move(weights), compute, treated);
  const model::Decoder student(model.config, parameters.compute());
  std::optional<model::Decoder> teacher;
  if (teacher_files)
    teacher.emplace(teacher_files->config, model::load_weights(*teacher_files, compute, device));

  RunDirectory directory(options.out, options.resume, options.overwrite);
  RunState state =
      starting_state(saved, options, recipe, must_match(options, recipe, inputs, hashes), parameters, names);
  MetricsFile metrics(directory.metrics(), state.step, options.tensorboard ? directory.tensorboard() : "");
  log_start(options, recipe, data.train, peak);
  const Run run{.options = options,
                .recipe = recipe,
                .train = data.train,
                .windows = windows,
                .valid = data.valid ? &*data.valid : nullptr,
                .valid_windows = valid_windows,
                .student = student,
                .teacher = teacher ? &*teacher : nullptr,
                .parameters = parameters,
                .device = device,
                .peak_flops = peak,
                .started = started,
                .save = [&](const RunState& s) {
                  save_state(directory.checkpoints(), s, parameters, names, options.keep);
                }};
  model::keep_freed_blocks();
  const bool finished = train(run, state, metrics);
  UptrainSummary summary = summary_of(state, model.parameters());
  summary.finished = finished;
  summary.flops = flops_of(run, state.step);
  if (!finished) return summary;

  directory.prepare_finishing();
  const RunState source = finishing_state(options, state, parameters, names);
  write_result(directory.finishing(), model, parameters, dtype, source.tokens);
  Json record = provenance(options, recipe, state, hashes, summary.flops);
  record["model_of_step"] = source.step;
  write_text(directory.finishing() / "regroup.json", to_text(record));
  write_text(directory.finishing() / "training.html", report_html(directory.metrics(), record));
  directory.finish();
  return summary;
}

}  // namespace regroup::uptrain
