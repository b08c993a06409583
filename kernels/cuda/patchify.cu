// Patchify and unpatchify on CUDA, patches in f32 and bf16.
//
// Both: one thread a pack of N values of a patch, all packs of all patches in a row, 256 threads a block.
// Patches are moved in packs of 4 values where their rows allow (14 x 14 pixels of 3 channels are 147 packs), and
// patchify's in 16 bytes where a line of pixels is whole packs, too. What is side by side in a patch is side by side,
// or C values apart, in its image: a warp touches few lines of it, and the caches keep them for the other values. How
// pixels are read: patchify.cuh.
// Bytes: read one side (with ids, of the images the pixels of those patches), write the other: the least possible.
#include "kernels/cuda/patchify.cuh"

namespace kernels::MAE_GPU {
namespace {

constexpr int threads = 256;  // of a block
constexpr int widest_pack = 4;

// The packs of all patches, and which patch of all images each row of patches is.
struct Packs {
  unsigned count, each;             // each: of one patch
  Matrix<const std::int32_t> ids;   // null: row r is patch r
  unsigned ids_a_sample, a_sample;  // K and L

  __device__ unsigned patch(unsigned row) const {
    if (!ids.data) return row;
    const unsigned b = row / ids_a_sample;
    return b * a_sample + static_cast<unsigned>(ids[b][row - b * ids_a_sample]);
  }
};

template <class Pixel, class T, int N, class Way>
__global__ void __launch_bounds__(threads)
    patchify_kernel(Cut cut, Packs p, const Pixel* images, const float* scale, const float* shift, Matrix<T> patches) {
  const unsigned pack = blockIdx.x * threads + threadIdx.x;
  if (pack >= p.count) return;
  const unsigned row = pack / p.each, first = (pack - row * p.each) * N;
  float out[N];
  Way(scale, shift).template read<N>(cut, images + cut.corner(p.patch(row)), first, out);
  store<T, N>(patches[row] + first, out);
}

template <class T, int N>
__global__ void __launch_bounds__(threads) unpatchify_kernel(Cut cut, Packs p, Matrix<const T> patches, T* images) {
  const unsigned pack = blockIdx.x * threads + threadIdx.x;
  if (pack >= p.count) return;
  const unsigned row = pack / p.each, first = (pack - row * p.each) * N;
  T* corner = images + cut.corner(row);
  PatchValue at(cut, first);
  float in[N];
  load<T, N>(patches[row] + first, in);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    corner[at.in_image(cut)] = T(in[i]);
    at.next(cut);
  }
}

template <int N>
Packs packs_of(const View& patches) {
  return {.count = static_cast<unsigned>(patches.shape.count() / N), .each = static_cast<unsigned>(patches.cols() / N)};
}

template <class Pixel, class T>
void patchify_typed(Stream& stream, const Patchify& a) {
  const Cut cut = cut_of(a.images, a.patch, a.order);
  const auto run = [&]<int N, class Way>() {
    Packs p = packs_of<N>(a.patches);
    p.ids = matrix<const std::int32_t>(a.ids);
    p.ids_a_sample = static_cast<unsigned>(a.patches.shape[1]);
    p.a_sample = static_cast<unsigned>(a.images.shape[1] / a.patch) * cut.across;
    run_kernel(stream, {blocks_for(p.count, threads), threads}, patchify_kernel<Pixel, T, N, Way>, cut, p,
               a.images.as<const Pixel>(), a.scale.as<const float>(), a.shift.as<const float>(), matrix<T>(a.patches));
  };
  with_way<Pixel, T>(a, run, a.patches);
}

void patchify(Stream& stream, const Patchify& a, void*) {
  visit(a.patches.dtype, [&]<class T>(T) {
    visit_pixel(a.images.dtype, [&]<class Pixel>(Pixel) { patchify_typed<Pixel, T>(stream, a); });
  });
}

void unpatchify(Stream& stream, const Unpatchify& a, void*) {
  visit(a.patches.dtype, [&]<class T>(T) {
    const bool wide = packs(a.patches, widest_pack);
    const auto kernel = wide ? unpatchify_kernel<T, widest_pack> : unpatchify_kernel<T, 1>;
    const Packs p = wide ? packs_of<widest_pack>(a.patches) : packs_of<1>(a.patches);
    run_kernel(stream, {blocks_for(p.count, threads), threads}, kernel, cut_of(a.images, a.patch, a.order), p,
               matrix<const T>(a.patches), a.images.as<T>());
  });
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  const char* reason = not_f32_or_bf16(a.patches);
  return reason ? reason : more_than_31_bits(a.images, a.patches);
}

}  // namespace

const Variant<Patchify> patchify_rows[] = {{.name = "packs", .refuses = refuses<Patchify>, .run = patchify}};
const Variant<Unpatchify> unpatchify_rows[] = {{.name = "packs", .refuses = refuses<Unpatchify>, .run = unpatchify}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<Patchify> Patchify::MAE_GPU{MAE_GPU::patchify_rows};
const Rows<Unpatchify> Unpatchify::MAE_GPU{MAE_GPU::unpatchify_rows};
}  // namespace kernels
