// Stream: the queue that every kernel is launched on, and the few things that belong to a queue: which rows are
// forced, the scratch memory that rows may use, and who wants to hear of launches.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/device.h"
#include "kernels/core/view.h"

namespace kernels {

/// The fewest operations and bytes that a launch can need: for rooflines and utilisation.
struct Cost {
  double flops = 0;  // 2 per multiply-add
  double bytes = 0;  // each input read once, each output written once
};

enum class Role { input, output, updated };  // updated: read and written (accumulation, optimizer state)

struct Field {
  const char* name;
  View view;
  Role role;
};

struct LaunchRecord {
  const char* kernel;
  const char* row;
  Cost cost;
  std::size_t workspace;      // bytes
  std::vector<Field> fields;  // the views of the argument struct, null ones left out
};

/// The launch under way, or the last one: for the messages of a device, and for tests of how work is split.
struct Running {
  const char* kernel = "a kernel";
  const char* row = "";
  unsigned warps = 0;  // cuda, simt: of its largest grid, where that is ours
};

/// dry: launches are validated, costed and observed, but nothing runs and no memory is touched.
enum class StreamMode { eager, dry };

/// A cudaStream_t that somebody else owns.
struct ForeignQueue {
  void* native;
};

class Event;
class Stream;

/// A launch whose row chooses by timing, to be run before the first step.
struct Tuning {
  std::size_t bytes;  // of memory, for its operands
  std::function<void(Stream&, std::byte* memory)> run;
};

class Stream {
 public:
  explicit Stream(Device device, StreamMode mode = StreamMode::eager);
  /// Launches go to `queue`, which outlives this; what else is done there is its owner's business.
  Stream(Device device, ForeignQueue queue);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  const Device& device() const { return device_; }
  bool dry() const { return mode_ == StreamMode::dry; }
  void* native() const { return native_; }  // cudaStream_t, or null
  void synchronize();
  /// What is queued from now on starts after `event`, which another stream has recorded.
  void wait(const Event& event);
  /// Copies between host and device, or within one, in stream order. Host memory must stay valid until synchronize().
  void copy(void* destination, const void* source, std::size_t bytes);

  /// From now on `kernel` runs the row called `row`; an empty row takes the choice back. Checked at the launch.
  void force(const std::string& kernel, const std::string& row);
  const std::string* forced(const char* kernel) const;
  void copy_choices(const Stream& other) { forced_ = other.forced_; }

  /// Scratch for rows. Without an owner's buffer of at least the bytes asked for, eager launches throw.
  void lend_scratch(void* data, std::size_t bytes);
  void* scratch(std::size_t bytes, const char* kernel, const char* row);
  std::size_t scratch_wanted() const { return scratch_wanted_; }  // the largest request so far

  std::function<void(const LaunchRecord&)> observer;  // called before each launch, where set
  Running running;
  std::vector<Tuning> tunings;  // dry: of the launches so far

 private:
  Device device_;
  StreamMode mode_;
  void* native_ = nullptr;
  bool owned_ = true;
  std::map<std::string, std::string, std::less<>> forced_;
  void* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0, scratch_wanted_ = 0;
};

/// A moment on a stream.
class Event {
 public:
  explicit Event(const Device& device);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(Stream& stream);
  /// Waits until all that was queued before record() is done; returns at once where nothing was recorded.
  void synchronize() const;
  /// Waits for both events. Milliseconds from `earlier` to this one.
  double milliseconds_since(const Event& earlier) const;

 private:
  friend class Stream;
  void* native_ = nullptr;
  Running last_;  // launched before record()
  double seconds_ = 0;
};

/// A recorded sequence of launches. On a CPU the record is the function itself and a replay calls it again.
class Graph {
 public:
  /// Runs `work` once under capture: on cuda nothing executes until replay(); on cpu nothing runs at all yet.
  Graph(Stream& stream, std::function<void()> work);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  void replay(Stream& stream);

 private:
  std::function<void()> work_;
  void* native_ = nullptr;
};

}  // namespace kernels
