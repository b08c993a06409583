// A launch through the C interface (kernels/c/mae_kernels.h), as another language would make it.
#pragma once

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/c/mae_kernels.h"
#include "kernels/core/launch.h"

namespace test {

using namespace kernels;

using StreamOwner = std::unique_ptr<mae_stream, void (*)(mae_stream*)>;
inline StreamOwner stream_on(const std::string& device) {
  return {mae_stream_create(device.c_str(), nullptr), mae_stream_destroy};
}

/// A tensor as another library would describe it.
struct Foreign {
  std::string name;
  std::array<std::int64_t, Shape::max_rank> shape{}, strides{};
  mae_tensor tensor{};
  bool given = true;

  Foreign(const char* field, const View& view, const Device& device) : name(field) {
    std::int64_t stride = view.row_stride;
    for (int i = view.shape.rank - 1; i >= 0; --i) {
      const auto at = static_cast<std::size_t>(i);
      shape[at] = view.shape[i];
      strides[at] = i == view.shape.rank - 1 ? 1 : stride;
      if (i < view.shape.rank - 1) stride *= view.shape[i];
    }
    constexpr mae_dtype dtypes[] = {{2, 64, 1}, {2, 32, 1}, {4, 16, 1}, {0, 32, 1}, {1, 32, 1}, {1, 16, 1}, {1, 8, 1}};
    tensor = {.data = view.data,
              .device = {device.kind == DeviceKind::cuda ? 2 : 1, device.index},
              .ndim = view.shape.rank,
              .dtype = dtypes[static_cast<int>(view.dtype)]};
  }
};

/// A launch by name, with everything that an argument struct has; tests then spoil it.
struct Call {
  std::string kernel;
  std::vector<Foreign> tensors;
  std::vector<mae_scalar> scalars;

  template <class Args>
  Call(const Args& args, const Device& device) : kernel(Args::kernel) {
    Args::fields(args, [&](const char* name, const View& view, Role) {
      if (view) tensors.emplace_back(name, view, device);
    });
    for_each_scalar(args, [&](const char* name, const auto& scalar) {
      if constexpr (std::is_enum_v<std::remove_cvref_t<decltype(scalar)>>) {
        scalars.push_back({name, 0, names_of(scalar)[static_cast<std::size_t>(scalar)]});
      } else {
        scalars.push_back({name, static_cast<double>(scalar), nullptr});
      }
    });
  }

  Foreign& operator[](const std::string& name) {
    for (Foreign& tensor : tensors) {
      if (tensor.name == name) return tensor;
    }
    throw std::out_of_range(name);
  }

  int launch(mae_stream* stream, const char* row = nullptr) {
    std::vector<mae_field> fields;
    for (Foreign& f : tensors) {
      f.tensor.shape = f.shape.data();
      f.tensor.strides = f.strides.data();
      fields.push_back({f.name.c_str(), f.given ? &f.tensor : nullptr});
    }
    return mae_launch(stream, kernel.c_str(), row, fields.data(), static_cast<int>(fields.size()), scalars.data(),
                      static_cast<int>(scalars.size()));
  }
};

}  // namespace test
