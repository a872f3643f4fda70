#include "core/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace regroup {
namespace {

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_color_mt("regroup");
    made->set_pattern("%^%v%$");
    return made;
  }();
  return *instance;
}

bool quiet_ = false;

}  // namespace

void set_quiet(bool quiet) {
  quiet_ = quiet;
  logger().set_level(quiet ? spdlog::level::warn : spdlog::level::info);
}

bool is_quiet() {
  return quiet_;
}

void log_info(std::string_view text) {
  logger().info(text);
}
void log_warning(std::string_view text) {
  logger().warn("warning: {}", text);
}
void log_error(std::string_view text) {
  logger().error("error: {}", text);
}

}  // namespace regroup
