// Real output against the published schema.
#include <gtest/gtest.h>

#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "core/base/file.h"
#include "core/base/json.h"
#include "eval/gate.h"
#include "eval/report.h"
#include "tests/eval/full_result.h"

namespace regroup::eval {
namespace {

// What of `report` is not as docs/report.schema.json has it; empty: nothing.
std::string complaint(const Json& report) {
  const auto text = read_text(std::string(REGROUP_SOURCE_DIR) + "/docs/report.schema.json");
  const SortedJson rules = parse_sorted_json(text, "schema"),
                   value = parse_sorted_json(to_text(report), "report");
  valijson::Schema schema;
  valijson::SchemaParser parser;
  parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(rules), schema);
  valijson::Validator validator;
  valijson::ValidationResults results;
  if (validator.validate(schema, valijson::adapters::NlohmannJsonAdapter(value), &results)) return "";
  std::string all = "invalid:";
  for (valijson::ValidationResults::Error error; results.popError(error);) {
    all += "\n";
    for (const std::string& step : error.context) all += step;
    all += ": " + error.description;
  }
  return all;
}

TEST(Schema, HoldsOfEveryReport) {
  const auto with_options = [](Result& result) { result.options = Json::object(); };
  EXPECT_EQ(complaint(report_json(full_result())), "");
  for (const Nats& nats : {Nats{{1, 2}}, Nats{{1, 2}, {1, 2}}})
    EXPECT_EQ(complaint(report_json(sample_result(scores_of(nats), equal_clusters(1, 2), {}, with_options))),
              "");
  EXPECT_EQ(complaint(report_json(sample_result(scores_of({{1, 2}, {1, 2}}), equal_clusters(2, 1),
                                                {Gate{1, 0.9}}, with_options))),
            "");
}

TEST(Schema, HoldsOfEveryGate) {
  for (std::size_t kind = 0; kind < gate_kinds().size(); ++kind) {
    Result result = full_result();
    result.gates = {{.budget = 1, .confidence = 0.95, .kind = kind}};
    if (kind_of(result.gates[0]).of_tasks()) result.gates[0].task = std::string("piqa");
    GateDecision decision;
    decision.verdict = result.verdict.value();
    for (std::size_t m = 1; m < result.models.size(); ++m) result.models[m].gates = {decision};
    EXPECT_EQ(complaint(report_json(result)), "") << gate_kinds()[kind].key;
  }
}

TEST(Schema, RefusesWhatIsNoReport) {
  const Json good = report_json(full_result());
  const auto broken = [&](const char* at, const Json& value) {
    Json json = good;
    json[Json::json_pointer(at)] = value;
    return complaint(json);
  };
  EXPECT_NE(broken("/format_version", 2), "");
  EXPECT_NE(broken("/models/1/difference/value", "much"), "");
  EXPECT_NE(broken("/models/1/difference/interval", Json{1}), "");
  EXPECT_NE(broken("/models/1/breakdowns/context/0/tokens", -1), "");
  EXPECT_NE(broken("/models/1/gates/0/verdict", "maybe"), "");
  EXPECT_NE(broken("/models/1/surprise", 1), "");
  EXPECT_NE(broken("/data/files/0/sha256", "abc"), "");
  Json without = good;
  without["models"][1].erase("bootstrap");
  EXPECT_NE(complaint(without), "");
}

}  // namespace
}  // namespace regroup::eval
