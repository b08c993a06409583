#include "kernels/simt/shared.h"

#include <map>

namespace kernels::simt {
namespace {

constexpr std::size_t most_bytes = std::size_t{227} << 10;  // what one block can ask for on sm_90
constexpr int dynamic_id = -1;

struct Copy {
  SharedArray* array;
  std::ptrdiff_t at;
  std::size_t element_bytes;
  const void* from;
  std::size_t bytes;
};

/// The copies of one thread: those not yet committed are the last group.
struct Copies {
  std::vector<std::vector<Copy>> groups{{}};
};

std::map<int, SharedArray> arrays;
std::vector<Copies> copies;  // one a thread
std::size_t dynamic_bytes = 0;

SharedArray& make(const char* type, std::size_t element_bytes, std::size_t count, int id) {
  SharedArray& array = arrays[id];
  array.count = count;
  array.name = std::string(type) + " [" + std::to_string(count) + "]" +
               (id == dynamic_id ? ", dynamic" : ", id " + std::to_string(id));
  const std::uint32_t signalling_nan = 0x7fa07fa0u;  // as f32 and as two bf16
  array.bytes.resize((count * element_bytes + 3) / 4 * 4);
  for (std::size_t i = 0; i < array.bytes.size(); i += 4) std::memcpy(&array.bytes[i], &signalling_nan, 4);
  array.elements.assign(count, {});
  std::size_t all = 0;
  for (const auto& [key, each] : arrays) all += each.bytes.size();
  if (all > most_bytes) stop("asks for shared memory beyond the 227 KiB that a block can have");
  return array;
}

SharedArray& find(const char* type, std::size_t element_bytes, std::size_t count, int id) {
  const auto found = arrays.find(id);
  if (found == arrays.end()) return make(type, element_bytes, count, id);
  if (found->second.count != count || found->second.elements.size() * element_bytes > found->second.bytes.size() + 3)
    stop("uses the id of the shared array " + found->second.name + " for another one");
  return found->second;
}

[[noreturn]] void stop_at(const char* what, const SharedArray& array, std::ptrdiff_t at, const std::string& rest = {}) {
  stop(std::string(what) + " element " + std::to_string(at) + " of the shared array " + array.name + rest);
}

std::string thread_text(unsigned thread) { return "thread " + std::to_string(thread); }

/// Whether an access by `thread` at `then` lies before what the running thread does at `present`.
bool in_order(unsigned thread, const Moment& then, const Moment& present) {
  if (thread == threadIdx.x || then.block < present.block) return true;
  return thread / warp_lanes == threadIdx.x / warp_lanes && then.warp < present.warp;
}

SharedElement& element(SharedArray& array, std::ptrdiff_t at, const char* what) {
  if (at < 0 || static_cast<std::size_t>(at) >= array.count) stop_at(what, array, at, ": past its end");
  return array.elements[static_cast<std::size_t>(at)];
}

}  // namespace

void begin_shared(std::size_t bytes) {
  arrays.clear();
  copies.assign(threads_of_block(), {});
  dynamic_bytes = bytes;
}

SharedArray& shared_array(const char* type, std::size_t element_bytes, std::size_t count, int id) {
  return find(type, element_bytes, count, id);
}

SharedArray& dynamic_array(const char* type, std::size_t element_bytes) {
  return find(type, element_bytes, dynamic_bytes / element_bytes, dynamic_id);
}

void check_read(SharedArray& array, std::ptrdiff_t at) {
  SharedElement& e = element(array, at, "reads");
  const Moment present = now();
  if (e.in_flight) stop_at("reads", array, at, ", which cp.async fills: it has not been waited for");
  if (e.writer == SharedElement::nobody) stop_at("reads", array, at, ", which nobody has written");
  if (!in_order(e.writer, e.written, present))
    stop_at("reads", array, at, ", which " + thread_text(e.writer) + " writes: no barrier is between them");
  const auto self = static_cast<std::uint16_t>(threadIdx.x);
  if (e.readers[0] != SharedElement::nobody && e.readers[0] / warp_lanes != self / warp_lanes) {
    e.readers[1] = e.readers[0];
    e.read[1] = e.read[0];
  }
  e.readers[0] = self;
  e.read[0] = present;
}

void check_write(SharedArray& array, std::ptrdiff_t at) {
  SharedElement& e = element(array, at, "writes");
  const Moment present = now();
  if (e.in_flight) stop_at("writes", array, at, ", which cp.async fills: it has not been waited for");
  if (e.writer != SharedElement::nobody && !in_order(e.writer, e.written, present))
    stop_at("writes", array, at, ", which " + thread_text(e.writer) + " writes too: no barrier is between them");
  for (int i = 0; i < 2; ++i) {
    if (e.readers[i] != SharedElement::nobody && !in_order(e.readers[i], e.read[i], present))
      stop_at("writes", array, at, ", which " + thread_text(e.readers[i]) + " reads: no barrier is between them");
  }
  e.writer = static_cast<std::uint16_t>(threadIdx.x);
  e.written = present;
}

void copy_async(SharedArray& array, std::ptrdiff_t at, std::size_t element_bytes, const void* from, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes / element_bytes; ++i) {
    check_write(array, at + static_cast<std::ptrdiff_t>(i));
    array.elements[static_cast<std::size_t>(at) + i].in_flight = true;
  }
  copies[threadIdx.x].groups.back().push_back({&array, at, element_bytes, from, bytes});
}

void commit_async() { copies[threadIdx.x].groups.emplace_back(); }

void wait_async(unsigned groups_left) {
  auto& groups = copies[threadIdx.x].groups;
  while (groups.size() > groups_left + 1) {
    for (const Copy& copy : groups.front()) {
      const auto first = static_cast<std::size_t>(copy.at);
      std::memcpy(copy.array->bytes.data() + first * copy.element_bytes, copy.from, copy.bytes);
      for (std::size_t i = 0; i < copy.bytes / copy.element_bytes; ++i) {
        SharedElement& e = copy.array->elements[first + i];
        e.in_flight = false;
        e.writer = static_cast<std::uint16_t>(threadIdx.x);
        e.written = now();
      }
    }
    groups.erase(groups.begin());
  }
}

}  // namespace kernels::simt
