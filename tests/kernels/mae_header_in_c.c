// The C header compiles as C11, and a launch works from there: kernels.mae_kernels calls it.
#include <stddef.h>

#include "kernels/c/mae_kernels.h"

int mae_header_in_c(const float* x, float* y, int64_t count);

int mae_header_in_c(const float* x, float* y, int64_t count) {
  const mae_tensor from = {.data = (void*)x, .device = {1, 0}, .ndim = 1, .dtype = {2, 32, 1}, .shape = &count};
  const mae_tensor to = {.data = y, .device = {1, 0}, .ndim = 1, .dtype = {2, 32, 1}, .shape = &count};
  const mae_field fields[] = {{"x", &from}, {"y", &to}};
  mae_stream* stream = mae_stream_create("cpu", NULL);
  const int status = mae_launch(stream, "gelu_forward", NULL, fields, 2, NULL, 0);
  mae_stream_destroy(stream);
  return status;
}
