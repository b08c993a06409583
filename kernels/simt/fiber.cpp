#include "kernels/simt/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#include "kernels/core/sanitizer.h"

#if defined(MAE_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

// mae_switch_stack(save, next): pushes what a function call must keep, leaves the stack pointer in *save, takes `next`
// as the stack pointer, pops the same registers from there and returns to where that stack was left.
extern "C" void mae_switch_stack(void** save, void* next);

#if defined(__x86_64__)
asm(R"(
.text
.globl mae_switch_stack
.type mae_switch_stack, @function
mae_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size mae_switch_stack, .-mae_switch_stack

# where a new stack returns to: r12 holds the function, r13 its argument; no caller, so a debugger stops here
.type mae_first_frame, @function
.globl mae_first_frame
mae_first_frame:
  .cfi_startproc
  .cfi_undefined rip
  movq %r13, %rdi
  callq *%r12
  ud2
  .cfi_endproc
.size mae_first_frame, .-mae_first_frame
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl mae_switch_stack
.type mae_switch_stack, @function
mae_switch_stack:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size mae_switch_stack, .-mae_switch_stack

// where a new stack returns to: x19 holds the function, x20 its argument; no caller, so a debugger stops here
.globl mae_first_frame
.type mae_first_frame, @function
mae_first_frame:
  .cfi_startproc
  .cfi_undefined x30
  mov x0, x20
  blr x19
  brk #0
  .cfi_endproc
.size mae_first_frame, .-mae_first_frame
)");
#else
#error "no switch of stacks for this processor: configure with -DMAE_SIMT=OFF"
#endif
extern "C" void mae_first_frame();

namespace kernels::simt {
namespace {

// Below a stack. A stack that grows too long, or has a frame that is too large, hits this and nothing else.
constexpr std::size_t guard_bytes = Fiber::stack_bytes;

// What the sanitizer must hear around a switch. `fake`: its own record of the stack that is left, null when it ends.
#if defined(MAE_ASAN)
void before_switch(void** fake, const void* bottom, std::size_t bytes) {
  __sanitizer_start_switch_fiber(fake, bottom, bytes);
}
void after_switch(void* fake, const void** bottom, std::size_t* bytes) {
  __sanitizer_finish_switch_fiber(fake, bottom, bytes);
}
#else
void before_switch(void**, const void*, std::size_t) {}
void after_switch(void*, const void**, std::size_t*) {}
#endif

}  // namespace

Fiber::Fiber() {
  void* memory = mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, guard_bytes, PROT_NONE);
  memory_ = static_cast<std::byte*>(memory);
}

Fiber::~Fiber() {
  if (!done_) drop();
  allow(memory_ + guard_bytes, stack_bytes);
  munmap(memory_, guard_bytes + stack_bytes);
}

void Fiber::start(void (*entry)(void*), void* argument) {
  if (!done_) drop();
  fake_ = nullptr;
  entry_ = entry;
  argument_ = argument;
  done_ = false;
  auto* top = reinterpret_cast<std::uintptr_t*>(memory_ + guard_bytes + stack_bytes);
#if defined(__x86_64__)
  // as the switch leaves it: r15, r14, r13 (argument), r12 (function), rbx, rbp, the return address; the two words
  // above align the stack to 16 bytes where mae_first_frame calls
  top -= 9;
  for (int i = 0; i < 9; ++i) top[i] = 0;
  top[2] = reinterpret_cast<std::uintptr_t>(this);
  top[3] = reinterpret_cast<std::uintptr_t>(&run);
  top[6] = reinterpret_cast<std::uintptr_t>(&mae_first_frame);
#else
  top -= 20;  // x19 (function), x20 (argument), x21 ... x29, x30 (return address), d8 ... d15
  for (int i = 0; i < 20; ++i) top[i] = 0;
  top[0] = reinterpret_cast<std::uintptr_t>(&run);
  top[1] = reinterpret_cast<std::uintptr_t>(this);
  top[11] = reinterpret_cast<std::uintptr_t>(&mae_first_frame);
#endif
  stack_ = top;
}

// What the sanitizer keeps of a run that nobody goes back to: the marks in its stack, and its record, which it gives up
// when the stack is left for good. So pretend to be there and to leave.
void Fiber::drop() {
  allow(memory_ + guard_bytes, stack_bytes);
  if (!fake_) return;
  before_switch(&caller_fake_, memory_ + guard_bytes, stack_bytes);
  after_switch(fake_, &caller_bottom_, &caller_bytes_);
  before_switch(nullptr, caller_bottom_, caller_bytes_);
  after_switch(caller_fake_, nullptr, nullptr);
}

// The three functions below have no locals whose address is taken: the last yield() never returns, and what the
// sanitizer had marked in its frame would stay marked.

void Fiber::resume() {
  before_switch(&caller_fake_, memory_ + guard_bytes, stack_bytes);
  mae_switch_stack(&caller_, stack_);
  after_switch(caller_fake_, nullptr, nullptr);
}

void Fiber::yield() {
  before_switch(done_ ? nullptr : &fake_, caller_bottom_, caller_bytes_);
  mae_switch_stack(&stack_, caller_);
  after_switch(fake_, &caller_bottom_, &caller_bytes_);
}

void Fiber::run(Fiber* fiber) {
  after_switch(nullptr, &fiber->caller_bottom_, &fiber->caller_bytes_);
  fiber->entry_(fiber->argument_);
  fiber->done_ = true;
  fiber->yield();
  std::abort();  // a fiber that is done was resumed
}

}  // namespace kernels::simt
