// The house's rules, proved by every #include line: what may know of what.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = REGROUP_SOURCE_DIR;

// folder -> the folders it may include, besides itself.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"core/base", {}},
    {"core/report", {"core/base"}},
    {"core/checkpoint", {"core/base"}},
    {"core/family", {"core/base", "core/checkpoint"}},
    {"core/families", {"core/base", "core/checkpoint", "core/family"}},
    {"core/tokenizer", {"core/base"}},
    {"core/data", {"core/base", "core/tokenizer"}},
    {"core/gguf", {"core/base"}},
    {"core/model", {"core/base", "core/checkpoint", "core/family", "core/tokenizer"}},
    {"core/metric", {"core/base", "core/data", "core/family", "core/model"}},
    {"convert", {"core"}},
    {"uptrain", {"core"}},
    {"eval", {"core"}},
    {"export", {"core"}},
    {"cli", {"core", "convert", "uptrain", "eval", "export"}},
};

struct Include {
  std::string file, folder, target;
};

// "core/base" for core/base/x.h, "cli" for cli/x.cc.
std::string folder_of(const std::string& path) {
  const std::size_t first = path.find('/');
  if (path.substr(0, first) != "core") return path.substr(0, first);
  return path.substr(0, path.find('/', first + 1));
}

std::vector<Include> includes(const char* pattern) {
  std::vector<Include> found;
  const std::regex line_pattern(pattern);
  for (const auto& [folder, allowed] : kMayInclude) {
    for (const auto& entry : fs::directory_iterator(kRoot / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      std::ifstream file(entry.path());
      std::smatch match;
      for (std::string line; std::getline(file, line);)
        if (std::regex_search(line, match, line_pattern))
          found.push_back({fs::relative(entry.path(), kRoot).string(), folder, match[1]});
    }
  }
  return found;
}

TEST(Layering, IncludesPointDownward) {
  const auto all = includes(R"(^\s*#include "([^"]+)\")");
  EXPECT_GT(all.size(), 50u) << "the test reads no files";
  for (const auto& [file, folder, target] : all) {
    if (target.find('/') == std::string::npos) continue;  // generated
    const std::string to = folder_of(target);
    const auto& allowed = kMayInclude.at(folder);
    const bool fine =
        to == folder || allowed.contains(to) || (allowed.contains("core") && to.starts_with("core/"));
    EXPECT_TRUE(fine) << file << " includes " << target;
  }
}

TEST(Layering, EveryFolderHasARule) {
  for (const char* place : {"core", "."})
    for (const auto& entry : fs::directory_iterator(kRoot / place)) {
      if (!entry.is_directory()) continue;
      const std::string name = fs::relative(entry.path(), kRoot).lexically_normal().string();
      bool sources = false;
      for (const auto& file : fs::directory_iterator(entry.path()))
        sources |= file.path().extension() == ".cc";
      EXPECT_TRUE(!sources || kMayInclude.contains(name)) << name;
    }
}

TEST(Layering, LibTorchStaysAboveTheModel) {
  const std::set<std::string> free = {"core/base",     "core/checkpoint", "core/family",
                                      "core/families", "core/tokenizer",  "core/data",
                                      "core/report",   "core/gguf",       "export"};
  for (const auto& [file, folder, target] : includes(R"(^\s*#include <((ATen|torch|c10)/[^>]+)>)"))
    EXPECT_FALSE(free.contains(folder)) << file << " includes " << target;
}

// spdlog's formatting library and LibTorch's do not go together; flags belong to the program.
TEST(Layering, LibrariesStayInTheirPlace) {
  for (const auto& [file, folder, target] : includes(R"(^\s*#include <((spdlog|CLI)/[^>]+)>)")) {
    if (target.starts_with("spdlog")) {
      EXPECT_EQ(file, "core/base/log.cc");
    } else {
      EXPECT_EQ(folder, "cli") << file;
    }
  }
}

TEST(Layering, HeadersDoNotFormat) {
  for (const auto& [file, folder, target] : includes(R"(^\s*#include <(fmt/[^>]+)>)"))
    EXPECT_TRUE(file.ends_with(".cc")) << file << ": fmt in a header differs between targets";
}

// A message for a machine of ours is of no use elsewhere.
TEST(Tree, HasNoAbsolutePathsOfAMachine) {
  const std::regex machine(R"((^|[^A-Za-z0-9_.])/(root|home|work|farm)/[a-z])");
  int read = 0;
  for (auto entry = fs::recursive_directory_iterator(kRoot); entry != fs::recursive_directory_iterator();
       ++entry) {
    const std::string name = entry->path().filename();
    if (entry->is_directory() &&
        (name == "build" || name == ".git" || name == ".venv" || entry->is_symlink())) {
      entry.disable_recursion_pending();
      continue;
    }
    const std::set<std::string> text = {".h", ".cc", ".md", ".sh", ".py", ".txt", ".toml", ".cmake"};
    if (!entry->is_regular_file() || !text.contains(entry->path().extension())) continue;
    if (name == "layering_test.cc") continue;
    ++read;
    std::ifstream file(entry->path());
    int number = 0;
    for (std::string line; std::getline(file, line);) {
      ++number;
      EXPECT_FALSE(std::regex_search(line, machine)) << entry->path() << ":" << number << ": " << line;
    }
  }
  EXPECT_GT(read, 50);
}

}  // namespace
