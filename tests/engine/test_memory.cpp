#include "engine/memory.h"
#include "engine/tape.h"
#include "kernels/core/check.h"
#include "kernels/core/philox.h"
#include "tests/support/catch.h"

using namespace engine;

TEST_CASE("the arena takes the smallest interval that fits, and merges neighbours") {
  Arena arena;  // the books only
  const std::size_t a = arena.take(1000), b = arena.take(100), c = arena.take(3000), d = arena.take(1);
  CHECK(a == 0);
  CHECK(b == 1024);
  CHECK(c == 1536);
  CHECK(d == 1536 + 3072);
  CHECK(arena.used() == 1024 + 512 + 3072 + 512);
  arena.give(a);
  arena.give(c);
  CHECK(arena.take(900) == a);  // 1024 free at 0 is nearer than 3072
  arena.give(a);
  arena.give(b);
  CHECK(arena.take(4096) == 0);  // a, b and c have become one
  CHECK(arena.peak() == 5120);
}

TEST_CASE("the same sequence finds the same addresses, in the dry run and in the reserved block") {
  const auto sequence = [](Arena& arena) {
    std::vector<std::size_t> offsets, live;
    for (std::uint32_t i = 0; i < 500; ++i) {
      const auto w = kernels::philox({i, 0, 0, 0}, {1, 2});
      if (w.w[0] % 3 != 0 || live.empty()) {
        live.push_back(arena.take(w.w[1] % 100000));
        offsets.push_back(live.back());
      } else {
        const std::size_t k = w.w[2] % live.size();
        arena.give(live[k]);
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(k));
      }
    }
    for (std::size_t offset : live) arena.give(offset);
    return offsets;
  };
  Arena books, block;
  const auto planned = sequence(books);
  CHECK(books.used() == 0);
  block.reserve(kernels::devices().front(), books.peak());
  CHECK(sequence(block) == planned);
  CHECK(sequence(block) == planned);
}

TEST_CASE("the end of a reserved block is no better fit than in the dry run") {
  const auto sequence = [](Arena& arena) {
    const std::size_t a = arena.take(2048), b = arena.take(512), c = arena.take(512);
    arena.give(c);  // 512 bytes are left at the end of the block, 2048 in front
    arena.give(a);
    const std::size_t d = arena.take(512);
    for (std::size_t offset : {b, d}) arena.give(offset);
    return d;
  };
  Arena books, block;
  const std::size_t planned = sequence(books);
  block.reserve(kernels::devices().front(), books.peak());
  CHECK(sequence(block) == planned);
}

TEST_CASE("a full arena is an error, not growth") {
  Arena arena;
  arena.reserve(kernels::devices().front(), 4096);
  arena.take(2048);
  CHECK_THROWS_AS(arena.take(4096), kernels::Error);
}
