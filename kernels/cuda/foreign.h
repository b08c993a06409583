// What of the CUDA runtime belongs to somebody else, where our kernels run beside another library's: which GPU is
// current in this thread, and the stream that everybody shares.
#pragma once

namespace kernels::cuda {

int current_device() noexcept;  // -1: there is none
void make_current(int device) noexcept;
/// What a null cudaStream_t means, by its other name: our null is "no stream".
void* default_stream() noexcept;

}  // namespace kernels::cuda
