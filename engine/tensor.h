// Tensor: a view that owns its memory in the step arena, and, where it is tracked, a place for its gradient.
#pragma once

#include <memory>

#include "engine/memory.h"

namespace engine {

/// An interval of the arena; given back when its last owner goes.
struct Storage {
  Storage(Arena& a, std::size_t size) : arena(a), offset(a.take(size)), bytes(size) {}
  ~Storage() { arena.give(offset); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  Arena& arena;
  std::size_t offset, bytes;
};

/// The gradient of one tensor: empty until an op's backward writes or gives it.
struct Gradient {
  View view{};
  std::shared_ptr<Storage> storage;  // null while empty

  explicit operator bool() const { return static_cast<bool>(view); }
};

struct Tensor {
  View view{};
  std::shared_ptr<Storage> storage;    // null for foreign memory: parameters, inputs
  std::shared_ptr<Gradient> gradient;  // null: not tracked, no gradient wanted

  const Shape& shape() const { return view.shape; }
  DType dtype() const { return view.dtype; }
  explicit operator bool() const { return static_cast<bool>(view); }
};

/// Foreign memory as an untracked tensor.
inline Tensor tensor_of(const View& view) { return {.view = view, .storage = nullptr, .gradient = nullptr}; }

/// x without its value: for closures that only write its gradient, so that the value's memory can go.
inline Tensor gradient_only(const Tensor& x) { return {.view = x.view, .storage = nullptr, .gradient = x.gradient}; }

}  // namespace engine
