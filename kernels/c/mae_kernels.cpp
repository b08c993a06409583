#include "kernels/c/mae_kernels.h"

#include <algorithm>
#include <new>

#include "kernels/c/table.h"
#include "kernels/core/check.h"

using namespace kernels;

namespace {

std::string& last_error() {
  thread_local std::string text;
  return text;
}

int fail(const std::string& text) noexcept {
  try {
    last_error() = text;
  } catch (...) {
    last_error().clear();  // no memory for the words
  }
  return MAE_ERROR;
}

/// No exception leaves: MAE_OK, or MAE_ERROR and the words for mae_last_error().
template <class F>
int guarded(F&& f) noexcept {
  try {
    f();
    return MAE_OK;
  } catch (const Error& error) {
    return fail(error.what() + (error.advice().empty() ? "" : "\ntry: " + error.advice()));
  } catch (const std::bad_alloc&) {
    return fail("mae_kernels: out of memory");
  } catch (const std::exception& error) {
    return fail(std::string("mae_kernels: ") + error.what());
  } catch (...) {
    return fail("mae_kernels: an exception of unknown kind");
  }
}

/// Writes what fits, and returns how many there are.
template <class From, class To, class F>
int list(const From& from, To* into, int capacity, F&& convert) {
  const int count = static_cast<int>(from.size());
  for (int i = 0; into && i < std::min(count, capacity); ++i) into[i] = convert(from[static_cast<std::size_t>(i)]);
  return count;
}

template <class F>
int counted(F&& f) noexcept {
  int count = -1;
  guarded([&] { count = f(); });
  return count;
}

DeviceKind kind_of(const char* device) {
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::cuda, DeviceKind::simt}) {
    if (device && std::string(name_of(kind)) == device) return kind;
  }
  throw Error("there is no such kind of device", device ? device : "null", "one of cpu, cuda, simt");
}

template <class T>
std::span<const T> span_of(const T* first, int count, const char* what) {
  if (count < 0 || (count > 0 && !first))
    throw Error(std::string("the array of ") + what + " is null, or its length negative", "mae_launch");
  return {first, static_cast<std::size_t>(count)};
}

mae_field_info info_of(const c::FieldSlot& slot) {
  constexpr int roles[] = {MAE_INPUT, MAE_OUTPUT, MAE_UPDATED};  // in the order of Role
  return {slot.name, roles[static_cast<int>(slot.role)]};
}

mae_scalar_info info_of(const c::ScalarSlot& slot) {
  return {.name = slot.name,
          .value = slot.value,
          .whole = slot.whole,
          .choices = slot.choices.empty() ? nullptr : slot.choices.data(),
          .choice_count = static_cast<int>(slot.choices.size())};
}

}  // namespace

const char* mae_last_error() { return last_error().c_str(); }
int mae_abi() { return MAE_ABI; }
const char* mae_version() { return MAE_VERSION; }

int mae_kernel_count() {
  return counted([] { return static_cast<int>(c::table().size()); });
}

const char* mae_kernel_name(int index) {
  const char* name = nullptr;
  guarded([&] {
    if (index < 0 || index >= mae_kernel_count())
      throw Error("there is no kernel of this number", std::to_string(index), "numbers below mae_kernel_count()");
    name = c::table()[static_cast<std::size_t>(index)].name;
  });
  return name;
}

int mae_kernel_fields(const char* kernel, mae_field_info* into, int capacity) {
  return counted([&] {
    return list(c::find_kernel(kernel).slots().fields, into, capacity, [](const auto& slot) { return info_of(slot); });
  });
}

int mae_kernel_scalars(const char* kernel, mae_scalar_info* into, int capacity) {
  return counted([&] {
    return list(c::find_kernel(kernel).slots().scalars, into, capacity, [](const auto& slot) { return info_of(slot); });
  });
}

int mae_rows(const char* kernel, const char* device, const char** into, int capacity) {
  return counted([&] {
    return list(c::find_kernel(kernel).rows(kind_of(device)), into, capacity, [](const char* row) { return row; });
  });
}

mae_stream* mae_stream_create(const char* device, void* cuda_stream) {
  mae_stream* stream = nullptr;
  guarded([&] {
    if (!device) throw Error("the name of the device is null", "mae_stream_create", "one of cpu, cuda, simt");
    const KeepsCurrentDevice kept;
    stream = new mae_stream(find_device(device), cuda_stream);
  });
  return stream;
}

void mae_stream_destroy(mae_stream* stream) {
  if (!stream) return;
  mae_stream_synchronize(stream);
  guarded([&] {
    KeepsCurrentDevice kept;
    kept.enter(stream->device());
    delete stream;
  });
}

int mae_stream_synchronize(mae_stream* stream) {
  return guarded([&] {
    if (!stream) throw Error("the stream is null", "mae_stream_synchronize");
    const std::lock_guard lock(stream->gate());
    stream->stream.synchronize();
  });
}

int mae_launch(mae_stream* stream, const char* kernel, const char* row, const mae_field* fields, int field_count,
               const mae_scalar* scalars, int scalar_count) {
  return guarded([&] {
    const c::Kernel& found = c::find_kernel(kernel);
    if (!stream) throw Error("the stream is null", found.name, "mae_stream_create makes one");
    const c::Request request{.kernel = found.name,
                             .row = row ? row : "",
                             .fields = span_of(fields, field_count, "fields"),
                             .scalars = span_of(scalars, scalar_count, "scalars")};
    const std::lock_guard lock(stream->gate());
    KeepsCurrentDevice kept;
    kept.enter(stream->device());
    found.launch(*stream, request);
  });
}
