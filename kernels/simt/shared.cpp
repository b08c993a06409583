#include "kernels/simt/shared.h"

#include <array>
#include <bit>
#include <cstdio>
#include <map>

#include "kernels/core/dtype.h"
#include "kernels/core/matrix_descriptor.h"
#include "kernels/simt/state.h"

namespace kernels::simt {
namespace {

constexpr std::size_t most_static_bytes = std::size_t{48} << 10;  // nvcc refuses more
constexpr int dynamic_id = -1, again_id = -2;

struct Copy {
  SharedArray* array;
  std::ptrdiff_t at;
  const void* from;
  std::size_t bytes;               // that are read
  std::array<std::byte, 16> seen;  // what was there when the copy was asked for; zeros behind it
};

/// The copies of one thread: those not yet committed are the last group.
struct Copies {
  std::vector<std::vector<Copy>> groups{{}};
};

std::vector<std::map<int, SharedArray>> blocks;  // the arrays of each block of the cluster
std::vector<Copies> copies;                      // one a thread
std::size_t dynamic_bytes = 0;

std::map<int, SharedArray>& own_arrays() { return blocks[own_rank()]; }

void require_room(const std::map<int, SharedArray>& arrays, int id) {
  std::size_t all = 0;
  for (const auto& [key, each] : arrays) all += key < 0 ? 0 : each.count * each.element_bytes;
  if (id >= 0 && all > most_static_bytes)
    stop("asks for " + std::to_string(all) + " bytes of static shared memory: more than 48 KiB must be dynamic");
  const std::size_t most = launch->stream.device().shared_memory;
  if (all + dynamic_bytes > most)
    stop("asks for " + std::to_string(all + dynamic_bytes) + " bytes of shared memory, and a block can have " +
         std::to_string(most));
}

SharedArray& make(std::map<int, SharedArray>& arrays, const char* type, std::size_t element_bytes, std::size_t count,
                  int id) {
  SharedArray& array = arrays[id];
  array.type = type;
  array.count = count;
  array.element_bytes = element_bytes;
  array.name = array.type + " [" + std::to_string(count) + "]" + (id < 0 ? ", dynamic" : ", id " + std::to_string(id));
  require_room(arrays, id);
  const std::uint32_t signalling_nan = 0x7fa07fa0u;  // as f32 and as two bf16
  array.bytes.resize((count * element_bytes + 3) / 4 * 4);
  for (std::size_t i = 0; i < array.bytes.size(); i += 4) std::memcpy(&array.bytes[i], &signalling_nan, 4);
  array.elements.assign(count, {});
  return array;
}

SharedArray& find(std::map<int, SharedArray>& arrays, const char* type, std::size_t element_bytes, std::size_t count,
                  int id) {
  const auto found = arrays.find(id);
  if (found == arrays.end()) return make(arrays, type, element_bytes, count, id);
  if (found->second.count != count || found->second.type != type)
    stop("uses the shared array " + found->second.name + " as " + type + " [" + std::to_string(count) + "]");
  return found->second;
}

[[noreturn]] void stop_at(const char* what, const SharedArray& array, std::ptrdiff_t at, Place place,
                          const std::string& rest) {
  stop(std::string(what) + " element " + std::to_string(at) + " of the shared array " + array.name + rest, place);
}

[[noreturn]] void stop_at_race(const char* what, const SharedArray& array, std::ptrdiff_t at, Place place,
                               unsigned thread, const char* other, int line) {
  stop_at(what, array, at, place,
          ", which thread " + std::to_string(thread) + " " + other + " at line " + std::to_string(line) +
              ": no barrier is between them");
}

std::string copier(const SharedElement& e) {
  return e.writer == SharedElement::bulk_copy ? "a bulk copy" : "cp.async of thread " + std::to_string(e.writer);
}

SharedElement& element(SharedArray& array, std::ptrdiff_t at, Place place, const char* what) {
  if (static_cast<std::size_t>(at) >= array.count) stop_at(what, array, at, place, ": past its end");
  if (!array.gone.empty()) stop_at(what, array, at, place, ", whose memory is " + array.gone);
  SharedElement& e = array.elements[static_cast<std::size_t>(at)];
  if (e.in_flight)
    stop_at(what, array, at, place,
            ", which " + copier(e) + " at line " + std::to_string(e.written_at) + " fills: it has not been waited for");
  return e;
}

/// What a bulk copy has brought is there for those who have waited at its mbarrier.
void require_waited(const SharedElement& e, const SharedArray& array, std::ptrdiff_t at, Place place,
                    const char* what) {
  if (e.writer == SharedElement::bulk_copy && !has_waited(*e.barrier, e.phase))
    stop_at(what, array, at, place,
            ", which a bulk copy at line " + std::to_string(e.written_at) +
                " brings: this thread has not waited at its mbarrier");
}

bool written_elsewhere(const SharedElement& e) {
  return e.writer < SharedElement::bulk_copy &&
         unordered(e.writer / warp_lanes, 1u << e.writer % warp_lanes, e.written);
}

/// Forgets the readers that lie behind a barrier.
void forget_readers(SharedElement& e, const Moment& present) {
  if (e.read.block == present.block) return;
  e.lanes = 0;
  e.other = SharedElement::nobody;
}

unsigned reader(const SharedElement& e, unsigned lanes) {
  return e.warp * warp_lanes + static_cast<unsigned>(std::countr_zero(lanes));
}

/// Stops a write that is not in order with others of the same block.
void require_order(SharedElement& e, SharedArray& array, std::ptrdiff_t at, Place place) {
  if (written_elsewhere(e)) stop_at_race("writes", array, at, place, e.writer, "writes too", e.written_at);
  forget_readers(e, now());
  if (const unsigned lanes = unordered(e.warp, e.lanes, e.read))
    stop_at_race("writes", array, at, place, reader(e, lanes), "reads", e.read_at);
  if (e.other != SharedElement::nobody && e.other / warp_lanes != threadIdx.x / warp_lanes)
    stop_at_race("writes", array, at, place, e.other, "reads", e.other_at);
}

void require_no_product(const SharedElement& e, SharedArray& array, std::ptrdiff_t at, Place place) {
  if (e.products == 0) return;
  stop_at("writes", array, at, place,
          ", which a product at line " + std::to_string(e.multiplied_at) + " reads: it has not been waited for");
}

void set_writer(SharedElement& e, std::uint16_t writer, Place place) {
  e.lanes = 0;
  e.other = SharedElement::nobody;
  e.writer = writer;
  e.written = now();
  e.written_at = static_cast<std::uint16_t>(place.line);
}

}  // namespace

void begin_shared(std::size_t bytes) {
  blocks.assign(launch->grid.cluster, {});
  copies.assign(launch->grid.threads * launch->grid.cluster, {});
  dynamic_bytes = bytes;
}

SharedArray& shared_array(const char* type, std::size_t element_bytes, std::size_t count, int id) {
  return find(own_arrays(), type, element_bytes, count, id);
}

SharedArray& dynamic_array(const char* type, std::size_t element_bytes) {
  return dynamic_array_of(own_rank(), type, element_bytes);
}

SharedArray& dynamic_array_of(unsigned rank, const char* type, std::size_t element_bytes) {
  return find(blocks[rank], type, element_bytes, dynamic_bytes / element_bytes, dynamic_id);
}

void check_read(SharedArray& array, std::ptrdiff_t at, Place place) {
  SharedElement& e = element(array, at, place, "reads");
  if (e.writer == SharedElement::nobody) stop_at("reads", array, at, place, ", which nobody has written");
  if (written_elsewhere(e)) stop_at_race("reads", array, at, place, e.writer, "writes", e.written_at);
  require_waited(e, array, at, place, "reads");

  const Moment present = now();
  const auto warp = static_cast<std::uint16_t>(threadIdx.x / warp_lanes);
  forget_readers(e, present);
  if (e.lanes != 0 && e.warp != warp) {
    e.other = static_cast<std::uint16_t>(reader(e, e.lanes));
    e.other_at = e.read_at;
    e.lanes = 0;
  }
  if (e.read.warp != present.warp) e.lanes = unordered(warp, e.lanes, e.read);  // those before this one say no more
  if (e.lanes == 0) e.read = present;
  e.lanes |= 1u << threadIdx.x % warp_lanes;
  e.warp = warp;
  e.read_at = static_cast<std::uint16_t>(place.line);
}

void check_write(SharedArray& array, std::ptrdiff_t at, Place place) {
  SharedElement& e = element(array, at, place, "writes");
  require_waited(e, array, at, place, "writes");
  require_no_product(e, array, at, place);
  require_order(e, array, at, place);
  set_writer(e, static_cast<std::uint16_t>(threadIdx.x), place);
}

SharedArray& dynamic_array_again(const char* type, std::size_t element_bytes, Place place) {
  const auto found = own_arrays().find(dynamic_id);
  if (found == own_arrays().end()) stop("uses dynamic shared memory again that it has not used before", place);
  SharedArray& before = found->second;
  if (before.gone.empty()) {  // for all who had to do with it this is a write
    for (std::size_t i = 0; i < before.count; ++i) check_write(before, static_cast<std::ptrdiff_t>(i), place);
    before.gone = std::string(type) + " since thread " + std::to_string(threadIdx.x) + " came to line " +
                  std::to_string(place.line);
  }
  return find(own_arrays(), type, element_bytes, dynamic_bytes / element_bytes, again_id);
}

void copy_async16(SharedArray& array, std::ptrdiff_t at, const void* from, std::size_t bytes, Place place) {
  Copy copy{.array = &array, .at = at, .from = from, .bytes = bytes, .seen = {}};
  for (std::size_t i = 0; i < copy.seen.size() / array.element_bytes; ++i) {
    check_write(array, at + static_cast<std::ptrdiff_t>(i), place);
    array.elements[static_cast<std::size_t>(at) + i].in_flight = true;
  }
  if (bytes > 0) std::memcpy(copy.seen.data(), from, bytes);
  copies[running].groups.back().push_back(copy);
}

void commit_async() { copies[running].groups.emplace_back(); }

void wait_async(unsigned groups_left, Place place) {
  auto& groups = copies[running].groups;
  while (groups.size() > groups_left + 1) {
    for (const Copy& copy : groups.front()) {
      if (copy.bytes > 0 && std::memcmp(copy.seen.data(), copy.from, copy.bytes) != 0)
        stop("waits for a cp.async whose source has been written since", place);
      const auto first = static_cast<std::size_t>(copy.at);
      SharedArray& array = *copy.array;
      std::memcpy(array.bytes.data() + first * array.element_bytes, copy.seen.data(), copy.seen.size());
      for (std::size_t i = 0; i < copy.seen.size() / array.element_bytes; ++i) {
        array.elements[first + i].in_flight = false;
        array.elements[first + i].written = now();
      }
    }
    groups.erase(groups.begin());
  }
}

void expect_bulk(SharedArray& array, std::ptrdiff_t at, bool own, Place place) {
  SharedElement& e = element(array, at, place, "writes");
  require_no_product(e, array, at, place);
  if (own) require_order(e, array, at, place);
  set_writer(e, SharedElement::bulk_copy, place);
  e.in_flight = true;
}

void land_bulk(SharedArray& array, std::size_t at, bf16 value, const Mbarrier& b) {
  SharedElement& e = array.elements[at];
  e.in_flight = false;
  e.barrier = &b;
  e.phase = b.ended;
  std::memcpy(array.bytes.data() + at * sizeof(bf16), &value, sizeof(bf16));
}

void begin_product(SharedArray& array, std::size_t at, Place place) {
  const auto first = static_cast<std::ptrdiff_t>(at);
  element(array, first + std::ptrdiff_t{swizzle_tile / sizeof(bf16)} - 1, place, "multiplies");
  SharedElement& e = element(array, first, place, "multiplies");
  if (e.writer == SharedElement::nobody) stop_at("multiplies", array, first, place, ", which nobody has written");
  require_waited(e, array, first, place, "multiplies");
  ++e.products;
  e.multiplied_at = static_cast<std::uint16_t>(place.line);
}

bf16 read_product(SharedArray& array, std::size_t at, Place place) {
  const SharedElement& e = array.elements[at];
  if (e.writer != SharedElement::bulk_copy)
    stop_at("multiplies", array, static_cast<std::ptrdiff_t>(at), place,
            ", which thread " + std::to_string(e.writer) + " writes at line " + std::to_string(e.written_at) +
                ": wgmma sees what bulk copies bring");
  bf16 value;
  std::memcpy(&value, array.bytes.data() + at * sizeof(bf16), sizeof(bf16));
  return value;
}

void end_product(SharedArray& array, std::size_t at) { --array.elements[at].products; }

const char* peek(int id, long at) {
  static std::string text;
  const auto found = own_arrays().find(id);
  if (found == own_arrays().end()) return "no such array in this block, or not yet";
  const SharedArray& array = found->second;
  const auto i = static_cast<std::size_t>(at);
  if (i >= array.count) return (text = "past the end of " + array.name).c_str();
  const std::byte* from = array.bytes.data() + i * array.element_bytes;
  std::uint64_t whole = 0;
  std::memcpy(&whole, from, array.element_bytes);
  char value[32];
  if (array.type == name_of(DType::f32)) {
    std::snprintf(value, sizeof value, "%.9g", std::bit_cast<float>(static_cast<std::uint32_t>(whole)));
  } else if (array.type == name_of(DType::bf16)) {
    std::snprintf(value, sizeof value, "%.9g", std::bit_cast<float>(static_cast<std::uint32_t>(whole) << 16));
  } else if (array.type == name_of(DType::f64)) {
    std::snprintf(value, sizeof value, "%.17g", std::bit_cast<double>(whole));
  } else if (array.type == name_of(DType::i32)) {
    std::snprintf(value, sizeof value, "%d", static_cast<std::int32_t>(whole));
  } else {
    std::snprintf(value, sizeof value, "%llu", static_cast<unsigned long long>(whole));
  }
  const SharedElement& e = array.elements[i];
  if (e.writer == SharedElement::nobody) return (text = "not written yet").c_str();
  const std::string who =
      e.in_flight || e.writer == SharedElement::bulk_copy ? copier(e) : "written by thread " + std::to_string(e.writer);
  text = std::string(value) + ", " + who + " at line " + std::to_string(e.written_at);
  return text.c_str();
}

}  // namespace kernels::simt
