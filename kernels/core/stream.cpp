#include "kernels/core/stream.h"

#include <chrono>
#include <cstring>

#include "kernels/core/build.h"
#include "kernels/core/capture_lint.h"
#include "kernels/core/check.h"
#include "kernels/cuda/runtime.h"

namespace kernels {
namespace {

[[maybe_unused]] bool on_cuda(const Device& device) { return device.kind == DeviceKind::cuda && device.present; }

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Stream::Stream(Device device, StreamMode mode) : device_(std::move(device)), mode_(mode) {
  if (dry()) return;
  lint::refuse("make a stream");
  if (!device_.present) throw Error("this device is made up: it can only be planned for", device_.name);
  if constexpr (with_cuda) {
    if (on_cuda(device_)) native_ = cuda::create_stream(device_.index);
  }
}

Stream::Stream(Device device, ForeignQueue queue)
    : device_(std::move(device)), mode_(StreamMode::eager), native_(queue.native), owned_(false) {
  if (!device_.present) throw Error("this device is made up: it can only be planned for", device_.name);
}

Stream::~Stream() {
  if constexpr (with_cuda) {
    if (native_ && owned_) cuda::destroy_stream(native_);
  }
}

void Stream::synchronize() {
  lint::refuse("synchronise");
  if constexpr (with_cuda) {
    if (native_) cuda::synchronize(native_, running);
  }
}

void Stream::wait(const Event& event) {
  lint::refuse("wait for another stream");
  if constexpr (with_cuda) {
    if (native_) cuda::wait_event(native_, event.native_);
  }
}

void Stream::copy(void* destination, const void* source, std::size_t bytes) {
  lint::refuse("copy");
  if (dry() || bytes == 0) return;
  if constexpr (with_cuda) {
    if (native_) return cuda::copy(native_, destination, source, bytes, running);
  }
  std::memcpy(destination, source, bytes);
}

void Stream::force(const std::string& kernel, const std::string& row) {
  if (row.empty()) {
    forced_.erase(kernel);
  } else {
    forced_[kernel] = row;
  }
}

const std::string* Stream::forced(const char* kernel) const {
  const auto found = forced_.find(kernel);
  return found == forced_.end() ? nullptr : &found->second;
}

void Stream::lend_scratch(void* data, std::size_t bytes) {
  scratch_ = data;
  scratch_bytes_ = bytes;
}

void* Stream::scratch(std::size_t bytes, const char* kernel, const char* row) {
  if (bytes > scratch_wanted_) scratch_wanted_ = bytes;
  if (dry() || bytes <= scratch_bytes_) return scratch_;
  throw Error(
      "needs " + std::to_string(bytes) + " bytes of scratch, the stream was lent " + std::to_string(scratch_bytes_),
      std::string(kernel) + "=" + row, "lend_scratch at least what a dry stream's scratch_wanted() says");
}

Event::Event([[maybe_unused]] const Device& device) {
  if constexpr (with_cuda) {
    if (on_cuda(device)) native_ = cuda::create_event(device.index);
  }
}

Event::~Event() {
  if constexpr (with_cuda) {
    if (native_) cuda::destroy_event(native_);
  }
}

void Event::record(Stream& stream) {
  last_ = stream.running;
  if constexpr (with_cuda) {
    if (native_) return cuda::record_event(native_, stream.native());
  }
  seconds_ = now();
}

void Event::synchronize() const {
  lint::refuse("synchronise");
  if constexpr (with_cuda) {
    if (native_) cuda::synchronize_event(native_, last_);
  }
}

double Event::milliseconds_since(const Event& earlier) const {
  lint::refuse("synchronise");
  if constexpr (with_cuda) {
    if (native_) return cuda::milliseconds_between(earlier.native_, native_);
  }
  return (seconds_ - earlier.seconds_) * 1e3;
}

Graph::Graph(Stream& stream, std::function<void()> work) : work_(std::move(work)) {
  if constexpr (with_cuda) {
    if (stream.native()) native_ = cuda::capture(stream.native(), work_);
  }
}

Graph::~Graph() {
  if constexpr (with_cuda) {
    if (native_) cuda::destroy_graph(native_);
  }
}

void Graph::replay(Stream& stream) {
  if constexpr (with_cuda) {
    if (native_) {
      stream.running = {.kernel = "a kernel of the replayed step"};
      return cuda::replay(native_, stream.native(), stream.running);
    }
  }
  work_();
}

}  // namespace kernels
