// What a conversion that looks at tokens keeps on disk: finished layers and made tokens, which a killed run
// is taken up from, and hidden states that do not fit into memory.
#include <gtest/gtest.h>

#include "convert/calibrated_merge.h"
#include "convert/kept_tokens.h"
#include "convert/layer_files.h"
#include "convert/stream_storage.h"
#include "core/checkpoint/safetensors.h"
#include "tests/convert/calibrated_fixture.h"
#include "tests/support/expect_error.h"

namespace regroup::convert {
namespace {

using testing::user_error_of;

using WorkInProgress = CalibratedMerge;

TEST_F(WorkInProgress, ARunGoesOnFromTheLayersAnotherFinished) {
  const auto model = family::open_model(folder_ / "source");
  const CalibrationTokens text = read_calibration(model, options("out").calibration, 0);
  const CalibrationRecipe recipe{.merge = {.method = &merge_method("optimal"),
                                           .groups = 2,
                                           .by_cost = true,
                                           .grouping_seconds = 60,
                                           .layers = 3},
                                 .refits = parse_refits("ridge,reconstruct")};
  const auto all_layers = [&](MergedLayers layers) {
    std::vector<at::Tensor> tensors;
    for (std::int64_t layer = 0; layer < 3; ++layer)
      for (const auto part :
           {family::Part::kQueryWeight, family::Part::kKeyWeight, family::Part::kOutputWeight})
        tensors.push_back(layers.merged(*model.find(part, layer)));
    return tensors;
  };
  const auto whole = all_layers(merged_from_tokens(model, recipe, text, folder_ / "whole"));
  // What a killed run leaves: its first layer, and a second one that was being written.
  fs::create_directory(folder_ / "killed");
  for (const char* name : {"fingerprint", "layer-0.safetensors"})
    fs::copy_file(folder_ / "whole" / name, folder_ / "killed" / name);
  write_text(folder_ / "killed/unfinished", "half a layer");
  const auto before = fs::last_write_time(folder_ / "killed/layer-0.safetensors");
  const auto resumed = all_layers(merged_from_tokens(model, recipe, text, folder_ / "killed"));
  EXPECT_EQ(fs::last_write_time(folder_ / "killed/layer-0.safetensors"), before) << "not done again";
  for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_TRUE(at::equal(resumed[i], whole[i])) << i;
  // Layers of another conversion are not taken up.
  CalibrationRecipe other = recipe;
  other.refits = parse_refits("ridge");
  ::testing::internal::CaptureStderr();
  const auto fresh = all_layers(merged_from_tokens(model, other, text, folder_ / "killed"));
  EXPECT_CONTAINS(::testing::internal::GetCapturedStderr(),
                  "are of another conversion (refit): starting clean");
  EXPECT_NE(fs::last_write_time(folder_ / "killed/layer-0.safetensors"), before);
  EXPECT_FALSE(at::equal(fresh[0], whole[0]));
}

TEST_F(WorkInProgress, ALayerIsReadAsItWasWritten) {
  const auto draw = [](at::IntArrayRef shape) { return at::randn(shape, at::kDouble); };
  MergedLayer layer{.attention = {.q_HDN = draw({4, 2, 7}),
                                  .k_KDN = draw({2, 2, 7}),
                                  .v_KDN = draw({2, 2, 7}),
                                  .o_MHD = draw({6, 4, 2}),
                                  .hidden = 6}};
  layer.record = {.grouping = {{0, 3}, {1, 2}},
                  .exact_grouping = true,
                  .error = MergeError{0.25, 0.5},
                  .refits = {{"ridge", 0.5, 0.125, true}, {"scale", 0.125, 0.25, false}}};
  fs::create_directory(folder_ / "layers");  // an empty folder is nobody's
  const LayerFiles files(folder_ / "layers", Json{{"seed", 1}});
  files.write(3, layer);
  const MergedLayer back = LayerFiles(folder_ / "layers", Json{{"seed", 1}}).read(3);
  EXPECT_TRUE(at::equal(back.attention.q_HDN, layer.attention.q_HDN));
  EXPECT_TRUE(at::equal(back.attention.k_KDN, layer.attention.k_KDN));
  EXPECT_TRUE(at::equal(back.attention.v_KDN, layer.attention.v_KDN));
  EXPECT_TRUE(at::equal(back.attention.o_MHD, layer.attention.o_MHD));
  EXPECT_EQ(back.attention.hidden, 6);
  EXPECT_EQ(back.record.grouping, layer.record.grouping);
  EXPECT_TRUE(back.record.exact_grouping);
  ASSERT_TRUE(back.record.error);
  EXPECT_EQ(back.record.error->keys, 0.25);
  EXPECT_EQ(back.record.error->values, 0.5);
  ASSERT_EQ(back.record.refits.size(), 2u);
  EXPECT_EQ(back.record.refits[1].name, "scale");
  EXPECT_EQ(back.record.refits[1].before, 0.125);
  EXPECT_EQ(back.record.refits[1].after, 0.25);
  EXPECT_TRUE(back.record.refits[0].accepted);
  EXPECT_FALSE(back.record.refits[1].accepted);
}

TEST_F(WorkInProgress, AFolderThatIsNotOursIsNotTouched) {
  fs::create_directory(folder_ / "mine");
  write_text(folder_ / "mine/thesis.txt", "years of work");
  const std::string text = user_error_of([&] { LayerFiles(folder_ / "mine", Json{{"seed", 1}}); });
  EXPECT_CONTAINS(text, "stands where finished layers are to be kept");
  EXPECT_EQ(read_text(folder_ / "mine/thesis.txt"), "years of work");
}

TEST_F(WorkInProgress, HiddenStatesOnDiskChangeNoBit) {
  const std::string in_memory = weights_in(run(options("a")));
  ConvertOptions tight = options("b");
  tight.calibration.memory = 1;
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(weights_in(run(tight)), in_memory);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_CONTAINS(said, "hidden states of 240 KiB do not fit beside a layer");
  EXPECT_FALSE(fs::exists(folder_ / ".b.layers"));

  const auto model = family::open_model(folder_ / "source");
  const CalibrationOptions tiny{.memory = 1, .scratch = folder_.path()};
  const StreamStorage storage(model, at::empty({20, 64}, at::kLong), 3, tiny);
  ASSERT_TRUE(storage.on_disk());
  const at::Tensor one = storage.make(), other = storage.make();
  EXPECT_EQ(one.sizes(), at::IntArrayRef({20, 64, 16}));
  EXPECT_TRUE(one.eq(0).all().item<bool>());
  one.fill_(1);
  EXPECT_TRUE(other.eq(0).all().item<bool>());
  EXPECT_FALSE(StreamStorage(model, at::empty({20, 64}, at::kLong), 3, {}).on_disk());
}

// Blocks are taken at once: a disk that fills up later cannot end the run.
TEST_F(WorkInProgress, ADiskWithoutRoomForHiddenStatesIsSaidAtOnce) {
  const auto model = family::open_model(folder_ / "source");
  const at::Tensor far_too_many = at::empty({1}, at::kLong).expand({std::int64_t{1} << 40, 64});
  const StreamStorage storage(model, far_too_many, 1, {.scratch = folder_.path()});
  EXPECT_CONTAINS(user_error_of([&] { storage.make(); }), "not enough room for a temporary file");
}

TEST_F(WorkInProgress, LayerFilesTakeWhatIsCountedForThem) {
  for (const bool attention_bias : {false, true}) {
    TinyLlama shape = kShape;
    shape.attention_bias = attention_bias;
    shape.hidden = 64;
    testing::write_tiny_llama(shape, folder_ / "wide");
    const auto model = family::open_model(folder_ / "wide");
    merged_from_tokens(model, {.merge = {.method = &merge_method("mean"), .groups = 2, .layers = 3}},
                       {.tokens_WT = at::zeros({4, 32}, at::kLong), .held_out = 1, .origin = ""},
                       folder_ / "work");
    std::uint64_t held = 0;
    for (const auto& file : fs::directory_iterator(folder_ / "work"))
      if (file.path().extension() == ".safetensors") {
        const checkpoint::TensorFile reader = checkpoint::open_safetensors(file.path());
        for (const auto& tensor : reader.header().tensors) held += tensor.bytes();
      }
    const std::uint64_t counted = layer_file_bytes(model, 2);
    EXPECT_LE(held, counted);
    EXPECT_GT(held, counted / 10 * 9);
    fs::remove_all(folder_ / "work");
    fs::remove_all(folder_ / "wide");
  }
}

TEST(LayerBytes, CountExpertsAndTheOutput) {
  family::ModelConfig config{
      .vocab_size = 1, .hidden = 100, .layers = 1, .heads = 1, .kv_heads = 1, .head_dim = 1, .ffn = 100};
  const std::uint64_t plain = layer_bytes(config, 4);
  config.experts = {.count = 64, .chosen = 2, .ffn = 50, .shared_ffn = 200};
  EXPECT_EQ(layer_bytes(config, 4), plain + 4 * 3 * 100 * (64 * 50 + 200 - 100));
  config.vocab_size = 1'000'000;
  EXPECT_EQ(layer_bytes(config, 4), 4u * 100 * 1'000'000);
}

// What lies beside the output is another run's: this one has not looked at it.
TEST_F(WorkInProgress, AConversionFromWeightsAloneLeavesLayersAlone) {
  fs::create_directory(folder_ / ".out.layers");
  write_text(folder_ / ".out.layers/layer-0.safetensors", "hours of work");
  ConvertOptions quick = options("out");
  quick.calibration = {.weights_only = true};
  run(quick);
  EXPECT_EQ(read_text(folder_ / ".out.layers/layer-0.safetensors"), "hours of work");
}

TEST_F(WorkInProgress, TokensAreMadeOnceForARecipe) {
  int made = 0;
  const auto tokens = [&](const Json& recipe) {
    return kept_tokens(folder_ / "tokens-kept", recipe, [&] {
      ++made;
      return CalibrationTokens{
          .tokens_WT = at::arange(6).reshape({3, 2}) + made, .held_out = 1, .origin = "drawn"};
    });
  };
  const CalibrationTokens first = tokens({{"seed", 0}}), again = tokens({{"seed", 0}});
  EXPECT_EQ(made, 1);
  EXPECT_TRUE(at::equal(again.tokens_WT, first.tokens_WT));
  EXPECT_EQ(again.held_out, 1);
  EXPECT_EQ(again.origin, "drawn");
  ::testing::internal::CaptureStderr();
  EXPECT_FALSE(at::equal(tokens({{"seed", 1}}).tokens_WT, first.tokens_WT));
  EXPECT_CONTAINS(::testing::internal::GetCapturedStderr(), "are of another conversion (seed): made anew");
  write_text(folder_ / "thesis", "years of work");
  EXPECT_CONTAINS(
      user_error_of([&] { kept_tokens(folder_ / "thesis", {}, [] { return CalibrationTokens(); }); }),
      "stands where tokens are to be kept");
  EXPECT_EQ(read_text(folder_ / "thesis"), "years of work");
}

TEST_F(WorkInProgress, ARunThatWasCutOffDrawsNoTokensAgain) {
  ConvertOptions drawing = options("out");
  drawing.calibration = {.tokens = 64 * 20};
  fs::create_directory(folder_ / ".out.layers");  // of somebody else: found after the tokens were drawn
  write_text(folder_ / ".out.layers/thesis.txt", "years of work");
  EXPECT_CONTAINS(user_error_of([&] { run(drawing); }), "stands where finished layers are to be kept");
  EXPECT_TRUE(fs::exists(folder_ / ".out.tokens"));
  fs::remove_all(folder_ / ".out.layers");
  ::testing::internal::CaptureStderr();
  const std::string resumed = weights_in(run(drawing));
  EXPECT_CONTAINS(::testing::internal::GetCapturedStderr(), "going on with the tokens in");
  EXPECT_FALSE(fs::exists(folder_ / ".out.tokens"));
  drawing.output = folder_ / "whole";
  EXPECT_EQ(weights_in(run(drawing)), resumed);
}

}  // namespace
}  // namespace regroup::convert
