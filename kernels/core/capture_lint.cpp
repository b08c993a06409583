#include "kernels/core/capture_lint.h"

#include <string>

#include "kernels/core/check.h"
#include "kernels/core/stream.h"

namespace kernels {
namespace {

struct Linted {
  const CaptureLint* lint = nullptr;
  const Stream* stream = nullptr;
  const char* noted = nullptr;
};
thread_local Linted current;

[[noreturn]] void fail(const char* what) {
  throw Error(std::string("a step that is to be captured must not ") + what,
              std::string("after ") + current.stream->running.kernel, "do it before the step, or after it");
}

}  // namespace

CaptureLint::CaptureLint(const Stream& stream) { current = {this, &stream, nullptr}; }
CaptureLint::~CaptureLint() { current = {}; }

void CaptureLint::check() const {
  if (current.noted) fail(current.noted);
}

namespace lint {

void refuse(const char* what) {
  if (current.lint) fail(what);
}

void note(const char* what) noexcept {
  if (current.lint) current.noted = what;
}

void launch(const Stream& stream) {
  if (current.lint && current.stream != &stream) fail("launch on another stream");
}

}  // namespace lint
}  // namespace kernels
