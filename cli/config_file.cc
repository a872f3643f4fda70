#include "cli/config_file.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace regroup::cli {
namespace {

using Values = std::vector<std::string>;

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::vector<std::pair<std::string, Values>> items_of_provenance(const std::filesystem::path& file) {
  const Json json = read_json(file);
  if (!json.contains("options") || !json["options"].is_object())
    throw UserError({.where = file.string(),
                     .what = "has no \"options\"",
                     .remedy = "Give a regroup.json or a TOML file"});
  std::vector<std::pair<std::string, Values>> items;
  for (const auto& [key, value] : json["options"].items()) {
    Values values;
    if (value.is_array())
      for (const Json& element : value) values.push_back(text_of(element));
    else
      values.push_back(text_of(value));
    items.emplace_back(key, values);
  }
  return items;
}

std::vector<std::pair<std::string, Values>> items_of_toml(const std::filesystem::path& file) {
  std::ifstream stream(file);
  if (!stream) throw UserError({.where = file.string(), .what = "cannot be opened"});
  std::vector<std::pair<std::string, Values>> items;
  try {
    for (const CLI::ConfigItem& item : CLI::ConfigTOML().from_config(stream))
      if (item.name != "++" && item.name != "--") items.emplace_back(item.fullname(), item.inputs);
  } catch (const CLI::Error& error) {
    throw UserError({.where = file.string(), .what = "not valid TOML", .found = error.what()});
  }
  return items;
}

bool excluded_by_a_flag(const CLI::Option& option) {
  return std::ranges::any_of(option.get_excludes(),
                             [](const CLI::Option* other) { return other->count() > 0; });
}

const std::string& switch_value(const std::filesystem::path& file, const CLI::Option& option,
                                const Values& values) {
  if (values.size() == 1 && (values.front() == "true" || values.front() == "false")) return values.front();
  throw UserError({.where = file.string(),
                   .what = option.get_lnames().front() + " is a switch",
                   .expected = "true or false",
                   .found = values.empty() ? "an empty list" : list_some(values)});
}

}  // namespace

void apply_config_file(CLI::App& app, const std::filesystem::path& file) {
  const auto items = file.extension() == ".json" ? items_of_provenance(file) : items_of_toml(file);
  std::vector<std::pair<CLI::Option*, Values>> pending;
  for (const auto& [key, values] : items) {
    CLI::Option* option = app.get_option_no_throw("--" + key);
    if (option == nullptr || key == "config" || key == "help")
      throw UserError({.where = file.string(),
                       .what = "'" + key + "' is no option of 'regroup " + app.get_name() + "'",
                       .remedy = "'regroup " + app.get_name() + " --help' lists them"});
    if (option->count() == 0 && !excluded_by_a_flag(*option)) pending.emplace_back(option, values);
  }
  for (auto& [option, values] : pending) {
    try {
      // A switch takes true or false; the rest takes what it would take on the command line.
      if (option->get_expected_max() == 0)
        option->add_result(switch_value(file, *option, values));
      else
        for (const std::string& value : values) option->add_result(value);
      option->run_callback();
    } catch (const CLI::Error& error) {
      throw UserError({.where = file.string(), .what = error.what()});
    }
  }
}

Json resolved_options(const CLI::App& app) {
  Json options = Json::object();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty()) continue;
    const std::string& name = option->get_lnames().front();
    // What decides whether a run may start, not what it does: given anew each time.
    if (name == "help" || name == "config" || name == "overwrite" || name == "plan") continue;
    const Values values = option->count() > 0 ? Values(option->results()) : Values{option->get_default_str()};
    // "[]" is how CLI11 writes a list that nobody gave.
    if (values.empty() || (values.size() == 1 && (values.front().empty() || values.front() == "[]")))
      continue;
    if (option->get_expected_max() > 1)
      options[name] = values;
    else
      options[name] = values.front();
  }
  return options;
}

}  // namespace regroup::cli
