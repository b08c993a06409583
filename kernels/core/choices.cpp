#include "kernels/core/choices.h"

#include <mutex>
#include <sstream>

namespace kernels {
namespace {

std::mutex mutex;
Choices& kept() {
  static Choices all;
  return all;
}

}  // namespace

Choices choices() {
  const std::lock_guard lock(mutex);
  return kept();
}

void adopt_choices(const Choices& choices) {
  const std::lock_guard lock(mutex);
  for (const auto& [key, value] : choices) kept()[key] = value;
}

std::optional<std::string> find_choice(const std::string& key) {
  const std::lock_guard lock(mutex);
  const auto found = kept().find(key);
  return found == kept().end() ? std::nullopt : std::optional(found->second);
}

std::string keep_choice(const std::string& key, const std::string& value) {
  const std::lock_guard lock(mutex);
  return kept().try_emplace(key, value).first->second;
}

std::string to_text(const Choices& choices) {
  std::string text;
  for (const auto& [key, value] : choices) text += (text.empty() ? "" : ";") + key + "=" + value;
  return text;
}

Choices choices_from(const std::string& text) {
  Choices choices;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line, ';');) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos) choices[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return choices;
}

}  // namespace kernels
