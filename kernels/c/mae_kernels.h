// The kernels of mae.cu for other languages: libmae_kernels.so. C11 or C++, no other header of ours, nothing of CUDA.
//
// A kernel, its views ("fields"), its scalars and its rows are named by text; what they mean stands in the header of
// the kernel, kernels/NAME.h. Tensors come as DLPack describes them: a `DLTensor*` can be cast to `const mae_tensor*`,
// since the layout is the same. Nothing takes over memory: tensors are borrowed for the length of a call, and what is
// queued on a GPU needs theirs until it has run.
//
//     mae_stream* stream = mae_stream_create("cpu", NULL);
//     const mae_field fields[] = {{"x", &x}, {"y", &y}};
//     if (mae_launch(stream, "gelu_forward", NULL, fields, 2, NULL, 0) != MAE_OK) puts(mae_last_error());
//     mae_stream_destroy(stream);
//
// Whatever can be seen in names, shapes, dtypes, strides and devices is checked, and refused with a text. Two things
// cannot: that `data` is memory of the size which shape and strides say, and that indices which a tensor holds (ids,
// rank, labels, boxes, bounds) are in range.
#ifndef MAE_KERNELS_H
#define MAE_KERNELS_H

#include <stdint.h>

#if defined(__GNUC__)
#define MAE_API __attribute__((visibility("default")))
#else
#define MAE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define MAE_ABI 1  // raised when a layout or the meaning of a function changes

// ---- tensors: DLPack's DLDevice, DLDataType and DLTensor, field by field -------------------------------------------

typedef struct {
  int32_t type;  // 1 memory of the host, 2 CUDA, 3 pinned memory of the host, 13 CUDA's managed memory
  int32_t id;
} mae_device;

typedef struct {
  uint8_t code;  // 0 int, 1 unsigned, 2 float, 4 bfloat
  uint8_t bits;
  uint16_t lanes;  // 1
} mae_dtype;

typedef struct {
  void* data;
  mae_device device;
  int32_t ndim;  // up to 5; 0 is taken for a shape of (1)
  mae_dtype dtype;
  int64_t* shape;
  int64_t*
      strides;  // in elements; NULL: contiguous. The last is 1, and the others are those of rows one distance apart
  uint64_t byte_offset;
} mae_tensor;

// ---- errors: what fails returns MAE_ERROR; NULL or -1 where it would return something else --------------------------

enum { MAE_OK = 0, MAE_ERROR = 1 };

/// What went wrong in this thread's last call that failed: "place: fact", and "try: advice" in a second line, where
/// there is any. Valid until the next one fails.
MAE_API const char* mae_last_error(void);

// ---- what there is --------------------------------------------------------------------------------------------------

MAE_API int mae_abi(void);              // MAE_ABI of the library
MAE_API const char* mae_version(void);  // "0.1.0"
MAE_API int mae_kernel_count(void);
MAE_API const char* mae_kernel_name(int index);  // NULL out of range

enum { MAE_INPUT = 0, MAE_OUTPUT = 1, MAE_UPDATED = 2 };  // every element of an output is written

typedef struct {
  const char* name;
  int role;  // with the scalars' defaults: a gradient that is accumulated into is updated
} mae_field_info;

typedef struct {
  const char* name;
  double value;                // the default; of one with choices, the place of its name
  int whole;                   // 1: whole numbers alone
  const char* const* choices;  // names that it takes instead of numbers; NULL: none
  int choice_count;
} mae_scalar_info;

/// These write the first `capacity` answers and return how many there are; -1 and an error for an unknown name.
MAE_API int mae_kernel_fields(const char* kernel, mae_field_info* into, int capacity);
MAE_API int mae_kernel_scalars(const char* kernel, mae_scalar_info* into, int capacity);
/// device: "cpu", "cuda", "simt". In the order in which they are tried; none, where this build lacks the device.
MAE_API int mae_rows(const char* kernel, const char* device, const char** into, int capacity);

// ---- streams --------------------------------------------------------------------------------------------------------

/// A queue of launches and the scratch memory that they need. Threads may share one: their launches come one by one.
typedef struct mae_stream mae_stream;

/// device: "cpu", "cuda", "cuda:1", or "simt": the CUDA kernels on the CPU, checked and slow. cuda_stream: on a GPU,
/// the cudaStream_t that launches go to, which outlives this; NULL there is CUDA's default stream. Elsewhere NULL.
/// Returns NULL on failure.
MAE_API mae_stream* mae_stream_create(const char* device, void* cuda_stream);
/// Waits for what was queued. NULL is allowed.
MAE_API void mae_stream_destroy(mae_stream* stream);
MAE_API int mae_stream_synchronize(mae_stream* stream);

// ---- launches -------------------------------------------------------------------------------------------------------

typedef struct {
  const char* name;
  const mae_tensor* tensor;  // NULL: not given, or not wanted
} mae_field;

typedef struct {
  const char* name;
  double number;
  const char* text;  // for a scalar with choices, the name of one; else NULL
} mae_scalar;

/// Queues a kernel; on the CPU it has run when this returns. row: NULL for the first one that takes these arguments.
/// Fields that are left out are null views, scalars that are left out have their defaults. Scratch memory grows with
/// the largest launch so far: on a GPU that growth waits for the device, and cannot happen while a graph is captured.
MAE_API int mae_launch(mae_stream* stream, const char* kernel, const char* row, const mae_field* fields,
                       int field_count, const mae_scalar* scalars, int scalar_count);

#ifdef __cplusplus
}
#endif

#endif
