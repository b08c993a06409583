#include "kernels/simt/wgmma.h"

#include <algorithm>
#include <vector>

#include "kernels/simt/state.h"

namespace kernels::simt {
namespace {

constexpr unsigned M = 64, N = 128, K = 16, warpgroup_threads = 128;

/// What a thread has asked for and not waited for. The last group is not committed yet.
struct Products {
  std::vector<std::vector<WarpgroupProduct>> groups{{}};
  std::size_t made = 0;  // of these, the first
  bool fenced = false;   // since the last wait
};

std::vector<Products> products;  // one a thread
std::vector<unsigned> arrived;   // at a wait, of the warpgroup that begins with this thread

unsigned first_of_warpgroup() { return running - threadIdx.x % warpgroup_threads; }

/// A descriptor, taken apart: bytes from the start of dynamic shared memory.
struct Tile {
  unsigned start, leading, stride;
  bool k_down;

  Tile(MatrixDescriptor d, bool down) : k_down(down) {
    const auto field = [&](int bit) { return static_cast<unsigned>(d.bits >> bit & 0x3fff) << 4; };
    start = field(0), leading = field(16), stride = field(32);
  }
  unsigned byte(unsigned i, unsigned k) const {
    return swizzled(k_down ? start + i / 64 * leading + i % 64 * 2 + k / 8 * stride + k % 8 * swizzle_bytes
                           : start + i / 8 * stride + i % 8 * swizzle_bytes + k * 2);
  }
  /// For the first element of each 8 rows, which a bulk copy brings whole.
  template <class F>
  void for_each_8_rows(unsigned rows, F f) const {
    for (unsigned i = 0; i < rows; i += k_down ? 64 : 8) {
      for (unsigned k = 0; k < (k_down ? K : 1); k += 8)
        f((k_down ? start + i / 64 * leading + k / 8 * stride : start + i / 8 * stride) / swizzle_tile * swizzle_tile /
          sizeof(bf16));
    }
  }
};

bool swizzle_is_128_bytes(MatrixDescriptor d) { return d.bits >> 62 == 1 && (d.bits >> 49 & 7) == 0; }

/// From each 8 rows on the swizzle begins anew; within its row of 128 bytes a tile may begin anywhere if k is across.
bool aligned(const Tile& tile) {
  const unsigned within = tile.start % swizzle_tile;
  return tile.stride % swizzle_tile == 0 &&
         (tile.k_down ? within == 0 && tile.leading % swizzle_tile == 0 : within < swizzle_bytes);
}

SharedArray& memory() { return dynamic_array("bf16", sizeof(bf16)); }

template <unsigned rows>
void read(const Tile& tile, float (&to)[rows][K], Place place) {
  SharedArray& from = memory();
  for (unsigned i = 0; i < rows; ++i) {
    for (unsigned k = 0; k < K; ++k) to[i][k] = read_product(from, tile.byte(i, k) / sizeof(bf16), place);
  }
}

FragmentC& fragment(const WarpgroupProduct& of_thread, unsigned column) { return of_thread.sums->at[column / 8]; }

/// Sums in the order of k, in f32. `all`: what each thread of the warpgroup has asked for.
void make(const std::vector<const WarpgroupProduct*>& all) {
  const WarpgroupProduct& p = *all.front();
  float a[M][K], b[N][K];
  read(Tile(p.a, p.k_down_a), a, p.place);
  read(Tile(p.b, p.k_down_b), b, p.place);
  for (unsigned m = 0; m < M; ++m) {
    float c[N];
    const auto each = [&](auto f) {
      for (unsigned n = 0; n < N; ++n)
        f(c[n], fragment(*all[m / 16 * warp_lanes + m % 8 * 4 + n % 8 / 2], n).at[m / 8 % 2 * 2 + n % 2]);
    };
    each([&](float& sum, float at) { sum = p.adds ? at : 0.0f; });
    for (unsigned n = 0; n < N; ++n) {
      for (unsigned k = 0; k < K; ++k) c[n] += a[m][k] * b[n][k];
    }
    each([&](float sum, float& at) { at = sum; });
  }
}

bool alike(const WarpgroupProduct& a, const WarpgroupProduct& b) {
  return a.a.bits == b.a.bits && a.b.bits == b.b.bits && a.adds == b.adds && a.place == b.place &&
         a.k_down_a == b.k_down_a && a.k_down_b == b.k_down_b;
}

/// The products of the warpgroup that begins with thread `first`, all but those of the newest groups.
void make_all(unsigned first, unsigned groups_left, Place place) {
  const auto& lead = products[first].groups;
  for (unsigned t = first; t < first + warpgroup_threads; ++t) {
    const auto& groups = products[t].groups;
    bool same = groups.size() == lead.size();
    for (std::size_t g = 0; same && g < lead.size(); ++g) {
      same = groups[g].size() == lead[g].size();
      for (std::size_t i = 0; same && i < lead[g].size(); ++i) same = alike(groups[g][i], lead[g][i]);
    }
    if (!same) stop("waits for other products than thread " + std::to_string(t), place);
  }
  const std::size_t count = lead.size() > groups_left + 1 ? lead.size() - groups_left - 1 : 0;
  for (std::size_t g = 0; g < count; ++g) {
    for (std::size_t i = 0; i < lead[g].size(); ++i) {
      std::vector<const WarpgroupProduct*> all;
      for (unsigned t = first; t < first + warpgroup_threads; ++t) all.push_back(&products[t].groups[g][i]);
      make(all);
    }
  }
  for (unsigned t = first; t < first + warpgroup_threads; ++t) products[t].made = count;
}

template <class F>
void for_each_8_rows(const WarpgroupProduct& p, F f) {
  Tile(p.a, p.k_down_a).for_each_8_rows(M, f);
  Tile(p.b, p.k_down_b).for_each_8_rows(N, f);
}

/// For a warp its products are over when a lane of it goes on behind its wait, not before.
void drop_made() {
  const unsigned first = running - threadIdx.x % warp_lanes;
  for (unsigned t = first; t < first + warp_lanes; ++t) {
    Products& of_lane = products[t];
    for (; of_lane.made > 0; --of_lane.made) {
      for (const WarpgroupProduct& p : of_lane.groups.front())
        for_each_8_rows(p, [&](std::size_t at) { end_product(memory(), at); });
      of_lane.groups.erase(of_lane.groups.begin());
    }
  }
}

}  // namespace

void fence_products() { products[running].fenced = true; }

void ask_for_product(const WarpgroupProduct& product) {
  Products& mine = products[running];
  if (!mine.fenced) stop("multiplies without a wgmma.fence since it last waited", product.place);
  if (!swizzle_is_128_bytes(product.a) || !swizzle_is_128_bytes(product.b))
    stop("multiplies a tile that is not swizzled by 128 bytes", product.place);
  const Tile a(product.a, product.k_down_a), b(product.b, product.k_down_b);
  if (!aligned(a) || !aligned(b))
    stop("multiplies a tile whose 8 rows do not start at a multiple of 1024 bytes", product.place);
  for_each_8_rows(product, [&](std::size_t at) { begin_product(memory(), at, product.place); });
  mine.groups.back().push_back(product);
}

void commit_products() { products[running].groups.emplace_back(); }

void wait_for_products(unsigned groups_left, Place place) {
  const unsigned first = first_of_warpgroup();
  if (threadIdx.x / warpgroup_threads >= launch->grid.threads / warpgroup_threads)
    stop("is in no whole warpgroup", place);
  products[running].fenced = false;
  if (++arrived[first] < warpgroup_threads) {
    wait(State::in_warpgroup, place);
    return drop_made();
  }
  arrived[first] = 0;
  for (unsigned t = first; t < first + warpgroup_threads; ++t) {
    if (t != running && threads[t]->place != place)
      stop("waits for products elsewhere than thread " + std::to_string(t) + ", which does at " +
               text_of(threads[t]->place),
           place);
    threads[t]->state = State::ready;
  }
  make_all(first, groups_left, place);
  drop_made();
}

void begin_products() {
  products.assign(launch->grid.threads * launch->grid.cluster, {});
  arrived.assign(products.size(), 0);
}

void require_no_products() {
  for (unsigned t = 0; t < products.size(); ++t) {
    become(t);
    const auto& groups = products[t].groups;
    if (std::any_of(groups.begin(), groups.end(), [](const auto& group) { return !group.empty(); }))
      stop("ends with products that it has not waited for");
  }
}

void stop_in_warpgroup() {
  stop("waits for products with " + std::to_string(arrived[first_of_warpgroup()]) +
           " of the 128 threads of its warpgroup",
       threads[running]->place);
}

}  // namespace kernels::simt
