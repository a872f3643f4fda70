#include <array>

#include "cli/command.h"

namespace regroup::cli {

// Each is defined in the file of its name.
Run declare_convert(CLI::App& app);
Run declare_eval(CLI::App& app);
Run declare_export(CLI::App& app);
Run declare_families(CLI::App& app);
Run declare_generate(CLI::App& app);
Run declare_inspect(CLI::App& app);
Run declare_tokenize(CLI::App& app);
Run declare_uptrain(CLI::App& app);

std::span<const Command> commands() {
  static const std::array all = {
      Command{"inspect", "say what a checkpoint is and which key/value heads it can have", declare_inspect},
      Command{"convert", "turn a checkpoint into one with fewer key/value heads", declare_convert},
      Command{"uptrain", "train a converted model further until it has won back what was lost",
              declare_uptrain},
      Command{"eval", "how well models predict a text, and what separates them from the source",
              declare_eval},
      Command{"generate", "continue a text with a model", declare_generate},
      Command{"tokenize", "turn text into a token shard", declare_tokenize},
      Command{"families", "which model families there are, and what becomes of each", declare_families},
      Command{"export", "write a checkpoint as a GGUF file for llama.cpp", declare_export},
  };
  return all;
}

}  // namespace regroup::cli
