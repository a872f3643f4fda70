// regroup families: the page docs/families.md.
#include <iostream>

#include "cli/command.h"
#include "core/family/catalogue.h"

namespace regroup::cli {

Run declare_families(CLI::App& app);

Run declare_families(CLI::App&) {
  return [](const Invocation&) {
    std::cout << family::families_page();
    return 0;
  };
}

}  // namespace regroup::cli
