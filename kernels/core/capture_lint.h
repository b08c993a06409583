// Capture lint: what a step must not do if a graph is to replay it, refused on every device, so that a run on a CPU
// finds what would break a capture on a GPU.
//
// While a lint stands, its thread may launch kernels on the linted stream and nothing else: to allocate or free device
// memory, to synchronise, to copy (the host would read or write in the middle of the step), to make a stream, or to
// launch on another stream (a default stream is one) throws kernels::Error.
#pragma once

namespace kernels {

class Stream;

/// One at a time in a thread.
class CaptureLint {
 public:
  explicit CaptureLint(const Stream& stream);
  ~CaptureLint();
  CaptureLint(const CaptureLint&) = delete;
  CaptureLint& operator=(const CaptureLint&) = delete;

  /// Throws if something was done that could not throw where it happened: device memory was freed.
  void check() const;
};

namespace lint {

/// What is about to be done cannot be captured: throws where a lint stands.
void refuse(const char* what);
/// The same for what must not throw: kept for check().
void note(const char* what) noexcept;
/// A launch on this stream.
void launch(const Stream& stream);

}  // namespace lint

}  // namespace kernels
