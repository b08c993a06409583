// Fiber: a function with a stack of its own, which can stop in the middle and go on later. One host thread resumes one
// fiber at a time, so nothing runs in parallel and nothing needs a lock.
//
// The switch is a dozen instructions (fiber.cpp): the registers that a call must keep, and the stack pointer. The
// address sanitizer is told of each switch, so that it knows every stack.
#pragma once

#include <cstddef>

namespace kernels::simt {

class Fiber {
 public:
  static constexpr std::size_t stack_bytes = std::size_t{128} << 10;  // a page is only taken when it is touched

  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// From now on resume() runs entry(argument), which must not throw. A fiber that is in the middle of something drops
  /// it: its locals are not destroyed.
  void start(void (*entry)(void*), void* argument);
  /// Runs the fiber until it calls yield() or its entry returns.
  void resume();
  /// For the function that the fiber runs: back to resume().
  void yield();
  bool done() const { return done_; }

 private:
  static void run(Fiber* fiber);
  void drop();

  std::byte* memory_;       // the guard, then the stack
  void* stack_ = nullptr;   // its top, while the fiber does not run
  void* caller_ = nullptr;  // the top of the stack that resumed it, while it runs
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  bool done_ = true;

  // for the sanitizer: its records of both stacks, and where the caller's lies
  void *fake_ = nullptr, *caller_fake_ = nullptr;
  const void* caller_bottom_ = nullptr;
  std::size_t caller_bytes_ = 0;
};

}  // namespace kernels::simt
