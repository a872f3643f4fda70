// regroup: the program. Parses, runs one subcommand, and turns failures into one line and an exit code:
// 0 done, 1 a gate failed, 2 the user's input, 3 our bug, 4 a gate cannot tell.
#include <exception>
#include <filesystem>
#include <new>

#include "cli/command_line.h"
#include "core/base/error.h"
#include "core/base/log.h"

int main(int argc, char** argv) {
  using namespace regroup;
  try {
    return cli::run(argc, argv);
  } catch (const UserError& error) {
    log_error(error.what());
    return 2;
  } catch (const std::filesystem::filesystem_error& error) {  // a directory that may not be read, a dead disk
    log_error(error.path1().string() + ": " + error.code().message());
    return 2;
  } catch (const std::bad_alloc&) {
    log_error("out of memory: a smaller --batch, --micro-batch or --window needs less");
    return 2;
  } catch (const std::exception& error) {
    log_error(std::string("this is a bug in regroup, please report it: ") + error.what());
    return 3;
  }
}
