// Tape: the ops of one forward pass in the order in which they ran. Backward walks it from the end, and each record
// drops what it saved as soon as it has run. There is no sort, no recursion and no global mode: an op records itself
// exactly when it is handed a tape.
//
// A record is {op, gradient of its output, what it keeps, backward}. backward(context, dy) launches the kernels that
// turn dy into gradients of the inputs; it may move dy on to an input instead of copying it. A later `recompute` record
// fits the same interface: it keeps a segment's inputs, runs the segment again on a tape of its own, and walks that.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "engine/finite_check.h"
#include "engine/profile.h"
#include "engine/tensor.h"
#include "kernels/core/launch.h"

namespace engine {

class Tape;

/// What every op needs: where to run, where to allocate, whether to record.
struct Context {
  kernels::Stream& stream;
  Arena& arena;
  DType dtype = DType::f32;      // of activations
  Tape* tape = nullptr;          // null: ops only compute
  Profile* profile = nullptr;    // null: nobody listens
  FiniteCheck* check = nullptr;  // null: nobody looks at the values

  /// A tensor in the arena, contents undefined.
  Tensor tensor(const Shape& shape, DType type) const;
  Tensor tensor(const Shape& shape) const { return tensor(shape, dtype); }
  Tensor like(const Tensor& x) const { return tensor(x.shape(), x.dtype()); }
};

class Tape {
 public:
  using Backward = std::function<void(Context&, Gradient& dy)>;

  /// Marks y as tracked. `kept` names what the closure keeps alive, for the books only.
  void record(Context& context, const char* op, Tensor& y, std::initializer_list<Tensor> kept, Backward backward);

  /// Fills the gradient of `loss` with ones, then walks the tape from its end, emptying it.
  void backward(Context& context, const Tensor& loss);
  /// The same with a gradient that is already there.
  void unwind(Context& context);

  bool empty() const { return records_.empty(); }
  /// The output of the last record: the loss, after a forward pass.
  Tensor last() const { return records_.back().y; }

 private:
  struct Record {
    const char* op;
    std::string range;
    Tensor y;  // without its value
    Backward backward;
  };
  std::vector<Record> records_;
  std::set<const Storage*> kept_;
};

/// The place where a backward writes the gradient of x, and how: overwrite if it is the first, else accumulate.
struct GradientTarget {
  View view;
  kernels::Write mode;
};
GradientTarget gradient_target(Context& context, const Tensor& x);

/// Hands a finished gradient to x: taken over without a copy if it is the first, else added.
void give_gradient(Context& context, const Tensor& x, Gradient gradient);

/// True when someone wants the gradient of x.
inline bool tracked(const Tensor& x) { return x.gradient != nullptr; }

}  // namespace engine
