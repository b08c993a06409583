#include "apps/stop_request.h"

#include <signal.h>

#include <array>
#include <string_view>

#include "apps/progress.h"
#include "engine/number.h"

namespace apps {
namespace {

struct Signal {
  int number;
  const char* name;
  struct sigaction before;
};
std::array<Signal, 3> signals{{{SIGTERM, "SIGTERM", {}}, {SIGINT, "SIGINT", {}}, {SIGHUP, "SIGHUP", {}}}};
volatile sig_atomic_t asked = 0;

extern "C" void ask(int number) { asked = number; }

}  // namespace

StopRequest::StopRequest(double deadline) : deadline_(deadline) {
  asked = 0;
  for (Signal& s : signals) {
    sigaction(s.number, nullptr, &s.before);
    if (s.before.sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = ask;
    action.sa_flags = SA_RESTART | (s.number == SIGINT ? SA_RESETHAND : 0);  // queues may send SIGTERM more than once
    sigaction(s.number, &action, nullptr);
  }
}

StopRequest::~StopRequest() {
  for (const Signal& s : signals) sigaction(s.number, &s.before, nullptr);
}

std::string StopRequest::signal() const {
  for (const Signal& s : signals) {
    if (s.number == asked) return s.name;
  }
  return "";
}

std::string StopRequest::reason() const {
  const std::string name = signal();
  return name.empty() && clock_seconds() >= deadline_ ? "--max-time" : name;
}

double parse_duration(const std::string& text) {
  constexpr std::string_view units = "dhms";
  constexpr double seconds[] = {86400, 3600, 60, 1};
  double total = 0;
  std::size_t unit = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find_first_not_of("0123456789.", at);
    if (end == std::string::npos || end == at) return -1;
    const auto number = engine::parse_number<double>(text.substr(at, end - at));
    const std::size_t found = units.find(text[end], unit);
    if (!number || found == std::string_view::npos) return -1;
    total += *number * seconds[found];
    unit = found + 1;
    at = end + 1;
  }
  return text.empty() ? -1 : total;
}

}  // namespace apps
