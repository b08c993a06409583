// The parts of row `short`, backward; attention_short_backward.cu puts them together.
#pragma once

#include "kernels/cuda/attention_short.cuh"

namespace kernels::MAE_GPU {

/// Heads of D elements; a warp owns Own tiles of 16 keys; a block has up to Warps warps, and Blocks blocks fit one
/// multiprocessor's registers.
template <int D_, int Own, int Warps, int Blocks>
struct Plan {
  static constexpr int D = D_, own = Own, warps = Warps, blocks = Blocks;
  static constexpr int pitch = pitch_of(D);      // of k
  static constexpr int query_pitch = 2 * D + 8;  // of a query: q, dout, and 8 elements that keep banks apart, where
  static constexpr int start = 2 * D;            // the query has its -lse log2 e and
  static constexpr int slope_start = start + 2;  // its -delta, f32 in two elements each
  static constexpr int piece = D == 80 ? 16 : D == 64 ? 32 : D;  // columns of dq that a warp makes at once: registers
};

/// A block's shared memory, in elements from the start: rows of queries, keys, column sums of dq (warps, D) in f32,
/// dS^T.
struct Layout {
  int query_tiles, key_tiles;
  int chunk;        // tiles of queries between two barriers
  int slope_pitch;  // of dS^T, (16 key_tiles, 16 chunk)
  int keys, sums, slopes, end;
};

struct Backward {
  ShortSizes s;
  Layout at;
  Matrix<const bf16> q, k, v, out, dout;
  Matrix<const float> lse;
  Matrix<bf16> dq, dk, dv;
  float* partial;  // (B, 3, C): column sums of dq, 0, dv over one sample; null: not wanted
};

__device__ inline unsigned bits_of(float x) {
  unsigned bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
__device__ inline float float_of(unsigned bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
template <class Tile>
__device__ void store_float(Tile to, float x) {
  store_pair(to, bits_of(x));
}
template <class Tile>
__device__ float load_float(Tile from) {
  return float_of(load_pair(from));
}

// ---- before the loop: delta -----------------------------------------------------------------------------------------

/// Half a row of out, for delta: lane l has row l / 2 of its warp's tile, the packs of 8 columns whose number has the
/// parity of l. On their way while shared memory fills.
template <int D>
struct HalfRow {
  Pack<unsigned, 4> at[D / 16];
};
template <int D>
__device__ HalfRow<D> load_half_row(const bf16* head, long long stride, int row, int valid) {
  HalfRow<D> half{};
  if (row >= valid) return half;
#pragma unroll
  for (int i = 0; i < D / 16; ++i) {
    const bf16* from = head + (row * stride + i * 16 + my_lane() % 2 * 8);
    require_aligned(from, 16);
    half.at[i] = *reinterpret_cast<const Pack<unsigned, 4>*>(from);
  }
  return half;
}

/// -delta of one row, from out and from what shared memory has of the query.
template <class P, class Tile>
__device__ void store_delta(const HalfRow<P::D>& out, Tile query) {
  const int half = my_lane() % 2;
  float sum = 0;
#pragma unroll
  for (int i = 0; i < P::D / 16; ++i) {
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      const unsigned x = out.at[i].at[w], y = load_pair(query + (P::D + i * 16 + half * 8 + w * 2));
      sum += low_half(x) * low_half(y) + high_half(x) * high_half(y);
    }
  }
  sum += __shfl_xor_sync(full_warp, sum, 1);
  if (half == 0) store_float(query + P::slope_start, -sum);
}

// ---- the loop: warps own keys ---------------------------------------------------------------------------------------

/// What a warp has in registers: v of its tiles of keys, and the sums dk and dv. k it reads again and again.
template <class P>
struct Owned {
  int first;  // key of its first tile; its tile n begins n s.warps tiles further on
  int key;    // where ldmatrix4 finds its first tile of k, from the start of k
  FragmentA v[P::own][P::D / 16];
  FragmentC dk[P::own][P::D / 8] = {}, dv[P::own][P::D / 8] = {};
};

/// What stands in element `at` of four queries' rows: of the columns of a 16 x 16 tile that this lane has.
template <class P, class Tile>
__device__ void load_columns(float (&to)[4], Tile queries, int at) {
  const auto first = queries + (my_lane() % 4 * 2 * P::query_pitch + at);
#pragma unroll
  for (int i = 0; i < 4; ++i) to[i] = load_float(first + (i % 2 + i / 2 * 8) * P::query_pitch);
}

/// to += keys x queries, 16 x 16, over D elements of a query. keys(n, i): columns 16 i ... of the warp's tile n. `row`
/// is the lane's: point_across.
template <class P, class Keys, class Tile>
__device__ void multiply(FragmentC (&to)[P::own][2], Keys keys, Tile row) {
#pragma unroll
  for (int i = 0; i < P::D / 16; ++i) {
    unsigned b[4];
    ldmatrix4(b, row + i * 16);
#pragma unroll
    for (int n = 0; n < P::own; ++n) {
      const FragmentA a = keys(n, i);
      mma(to[n][0], a, {b[0], b[1]});
      mma(to[n][1], a, {b[2], b[3]});
    }
  }
}

/// sums += a b, of 16 keys x 16 queries and D elements of the queries. `row` is the lane's: point_down.
template <class P, class Tile>
__device__ void add(FragmentC (&sums)[P::own][P::D / 8], const FragmentA (&a)[P::own], Tile row) {
#pragma unroll
  for (int i = 0; i < P::D / 16; ++i) {
    unsigned b[4];
    ldmatrix4_transposed(b, row + i * 16);
#pragma unroll
    for (int n = 0; n < P::own; ++n) {
      mma(sums[n][2 * i], a[n], {b[0], b[1]});
      mma(sums[n][2 * i + 1], a[n], {b[2], b[3]});
    }
  }
}

/// P of keys that there are not is zero, whatever lse is; `left` keys of the tile there are.
__device__ inline void forget(FragmentC (&p)[2], int left) {
  left -= my_lane() / 4;
#pragma unroll
  for (int side = 0; side < 2; ++side) {
#pragma unroll
    for (int i = 0; i < 4; ++i) p[side].at[i] = i / 2 * 8 < left ? p[side].at[i] : 0.0f;
  }
}

/// All that a warp does for 16 queries: P^T and dS^T of its keys, which go into dv and dk, and dS^T into `slopes`.
template <class P, class Tile>
__device__ void visit_queries(Owned<P>& mine, const ShortSizes& s, const Layout& layout, Tile keys, Tile queries,
                              Tile slopes, Tile across, Tile down) {
  const float factor = s.scale * log2_e;
  FragmentC sums[P::own][2] = {};
  FragmentA p[P::own], ds[P::own];
  const auto first_key = [&](int n) { return mine.first + n * s.warps * 16; };
  const auto k = [&](int n, int i) {  // of a tile that there is not, the first one
    FragmentA a;
    ldmatrix4(a.at, keys + (mine.key + (first_key(n) < s.T ? n * s.warps * 16 * P::pitch : 0) + i * 16));
    return a;
  };
  multiply<P>(sums, k, across);
  float starts[4];
  load_columns<P>(starts, queries, P::start);
#pragma unroll
  for (int n = 0; n < P::own; ++n) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float& x = sums[n][i / 4].at[i % 4];
      x = exp2_fast(x * factor + starts[i / 4 * 2 + i % 2]);
    }
    if (const int left = s.T - first_key(n); left < 16) forget(sums[n], left);
    p[n] = as_a(sums[n][0], sums[n][1]);
  }
  add<P>(mine.dv, p, down + P::D);
  const auto v = [&](int n, int i) { return mine.v[n][i]; };
  load_columns<P>(starts, queries, P::slope_start);
#pragma unroll
  for (int n = 0; n < P::own; ++n) {
#pragma unroll
    for (int i = 0; i < 8; ++i) sums[n][i / 4].at[i % 4] = starts[i / 4 * 2 + i % 2];
  }
  multiply<P>(sums, v, across + P::D);
#pragma unroll
  for (int n = 0; n < P::own; ++n) {
#pragma unroll
    for (int w = 0; w < 4; ++w) {  // word w: keys from 8 (w % 2) on, queries from 8 (w / 2) on
      const auto& slope = sums[n][w / 2].at;
      ds[n].at[w] = bf16_pair(low_half(p[n].at[w]) * slope[w % 2 * 2], high_half(p[n].at[w]) * slope[w % 2 * 2 + 1]);
    }
    if (first_key(n) >= s.T) continue;
    const int lane = my_lane();
    const auto to = slopes + ((first_key(n) + lane / 4) * layout.slope_pitch + lane % 4 * 2);
#pragma unroll
    for (int w = 0; w < 4; ++w) store_pair(to + (w % 2 * 8 * layout.slope_pitch + w / 2 * 8), ds[n].at[w]);
  }
  add<P>(mine.dk, ds, down);
}

// ---- behind each chunk: warps own queries ---------------------------------------------------------------------------

template <int D, class Tile>
__device__ void clear_columns(Tile sums) {
  for (int c = my_lane(); c < D; c += lanes) store_float(sums + 2 * c, 0);
  __syncwarp();
}
/// Adds factor * the column sums of 16 rows to `sums`, the warp's own. Of 8 sums that a lane has a share of, four go to
/// a lane that keeps those, then two, then one: the lanes l with l / 4 = i keep sum i.
template <int Tiles, class Tile>
__device__ void add_columns(Tile sums, const FragmentC (&rows)[Tiles], float factor) {
  const int lane = my_lane();
#pragma unroll
  for (int first = 0; first < Tiles; first += 4) {
    float sum[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int n = first + i / 2;
      sum[i] = n < Tiles ? (rows[n].at[i % 2] + rows[n].at[i % 2 + 2]) * factor : 0;
    }
#pragma unroll
    for (int kept = 4; kept > 0; kept /= 2) {
      const bool upper = (lane & 4 * kept) != 0;
#pragma unroll
      for (int i = 0; i < kept; ++i) {
        const float away = upper ? sum[i] : sum[i + kept];
        sum[i] = (upper ? sum[i + kept] : sum[i]) + __shfl_xor_sync(full_warp, away, 4 * kept);
      }
    }
    const int column = first * 8 + lane / 8 * 8 + lane % 4 * 2 + lane / 4 % 2;
    if (column < Tiles * 8) store_float(sums + 2 * column, load_float(sums + 2 * column) + sum[0]);
  }
}

/// dq = scale dS k, of 16 queries and `Columns` columns.
template <int Columns, class P, class Tile>
__device__ void finish_queries(const Backward& a, Tile keys, Tile slopes, Tile sums, int first, int column, P) {
  const int pitch = a.at.slope_pitch;
  auto slope = slopes + point_across(pitch), key = keys + (point_down(P::pitch) + column);
  FragmentC dq[Columns / 8] = {};
#pragma unroll 2
  for (int j = 0; j < a.at.key_tiles; ++j, slope = slope + 16 * pitch, key = key + 16 * P::pitch) {
    FragmentA ds;
    ldmatrix4_transposed(ds.at, slope);
#pragma unroll
    for (int i = 0; i < Columns / 16; ++i) {
      unsigned b[4];
      ldmatrix4_transposed(b, key + i * 16);
      mma(dq[2 * i], ds, {b[0], b[1]});
      mma(dq[2 * i + 1], ds, {b[2], b[3]});
    }
  }
  bf16* head = head_of<P::D>(a.dq, a.s, a.s.Tq) + column;
  store_rows<Columns>(dq, a.s.scale, a.s.scale, head, a.dq.stride, first, a.s.Tq);
  if (a.partial) add_columns(sums + 2 * column, dq, a.s.scale);
}

/// The warps share out a chunk's tiles of queries, or pieces of their columns: of 16 where tiles are few.
template <class P, class Tile>
__device__ void finish_chunk(const Backward& a, Tile keys, Tile slopes, Tile sums, int first_tile, int tiles, P plan) {
  const auto share_out = [&]<int Columns>(std::integral_constant<int, Columns>) {
    for (int i = my_warp(); i < tiles * (P::D / Columns); i += a.s.warps) {
      int q = i, column = 0;
      for (; q >= tiles; q -= tiles) column += Columns;
      finish_queries<Columns>(a, keys, slopes + q * 16, sums, (first_tile + q) * 16, column, plan);
    }
  };
  if (2 * tiles > a.s.warps) {
    share_out(std::integral_constant<int, P::piece>{});
  } else {
    share_out(std::integral_constant<int, 16>{});
  }
}

// ---- the end --------------------------------------------------------------------------------------------------------

/// The block's row of partial: the warps' sums (warps, D) of dq and of dv, added in order.
template <class P, class Tile>
__device__ void write_partial(const Backward& a, Tile dq, Tile dv, P) {
  const int H = a.s.H.by, sample = static_cast<int>(blockIdx.x) / H, head = static_cast<int>(blockIdx.x) % H;
  float* partial = a.partial + (static_cast<long long>(sample) * 3 * H + head) * P::D;
  for (int c = static_cast<int>(threadIdx.x); c < P::D; c += a.s.warps * lanes) {
    float sums[2] = {};
    for (int w = 0; w < a.s.warps; ++w) {
      sums[0] += load_float(dq + 2 * (w * P::D + c));
      sums[1] += load_float(dv + 2 * (w * P::D + c));
    }
    partial[c] = sums[0];
    partial[H * P::D + c] = 0;
    partial[2 * H * P::D + c] = sums[1];
  }
}

}  // namespace kernels::MAE_GPU
