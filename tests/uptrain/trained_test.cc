#include "uptrain/trained.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/expect_error.h"

namespace regroup::uptrain {
namespace {

using family::Part;

const WeightNames kNames{{{Part::kTokenEmbedding, -1}, "model.embed_tokens.weight"},
                         {{Part::kQueryWeight, 0}, "model.layers.0.self_attn.q_proj.weight"},
                         {{Part::kKeyWeight, 0}, "model.layers.0.self_attn.k_proj.weight"},
                         {{Part::kValueWeight, 1}, "model.layers.1.self_attn.v_proj.weight"},
                         {{Part::kUpWeight, 1}, "model.layers.1.mlp.up_proj.weight"}};

std::set<std::string> trained(const UptrainOptions& options) {
  const Treatments treat = treatments(options, kNames);
  std::set<std::string> names;
  for (const auto& [key, name] : kNames)
    if (treat(key).trained) names.insert(name);
  return names;
}

TEST(Trained, ByNameOfAPart) {
  EXPECT_EQ(trained({}).size(), 5);
  EXPECT_EQ(trained({.train = "attention"}),
            (std::set<std::string>{kNames.at({Part::kQueryWeight, 0}), kNames.at({Part::kKeyWeight, 0}),
                                   kNames.at({Part::kValueWeight, 1})}));
  EXPECT_EQ(trained({.train = "kv"}),
            (std::set<std::string>{kNames.at({Part::kKeyWeight, 0}), kNames.at({Part::kValueWeight, 1})}));
}

TEST(Trained, ByPatternOfNames) {
  EXPECT_EQ(trained({.train = R"(layers\.1\.)"}),
            (std::set<std::string>{kNames.at({Part::kValueWeight, 1}), kNames.at({Part::kUpWeight, 1})}));
}

TEST(Trained, EmbeddingsMayStay) {
  EXPECT_EQ(trained({.freeze_embeddings = true}).size(), 4);
}

TEST(Trained, KeysAndValuesMayLearnFaster) {
  const Treatments treat = treatments({.kv_lr_multiplier = 2}, kNames);
  EXPECT_EQ(treat({Part::kKeyWeight, 0}).lr_multiplier, 2);
  EXPECT_EQ(treat({Part::kQueryWeight, 0}).lr_multiplier, 1);
}

TEST(Trained, RefusesWhatTrainsNothing) {
  const std::string none = testing::user_error_of([] { trained({.train = "nothing_like_it"}); });
  EXPECT_CONTAINS(none, "--train");
  EXPECT_CONTAINS(none, "nothing is left to train");
  EXPECT_CONTAINS(none, "nothing_like_it");
  testing::user_error_of([] { trained({.train = "embed", .freeze_embeddings = true}); });
  const std::string unreadable = testing::user_error_of([] { trained({.train = "("}); });
  EXPECT_CONTAINS(unreadable, "all, attention, kv");
  EXPECT_CONTAINS(unreadable, "regular expression");
}

}  // namespace
}  // namespace regroup::uptrain
