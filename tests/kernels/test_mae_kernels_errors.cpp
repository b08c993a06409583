// What the C interface (kernels/c/mae_kernels.h) refuses, and in which words.
#include <cmath>
#include <string>
#include <vector>

#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/c/mae_kernels.h"
#include "kernels/layernorm.h"
#include "kernels/reduce.h"
#include "tests/support/catch.h"
#include "tests/support/foreign_call.h"

using namespace kernels;
using test::Call;
using test::Foreign;
using test::stream_on;
using test::StreamOwner;

namespace {

/// A LayerNorm in f32 that works, to be spoilt.
struct Small {
  std::vector<float> x = std::vector<float>(24, 1.5f), gamma = std::vector<float>(4, 1.0f), y = std::vector<float>(24);
  StreamOwner stream = stream_on("cpu");
  Call call{LayerNormForward{.x = view_of(x.data(), DType::f32, {2, 3, 4}),
                             .gamma = view_of(gamma.data(), DType::f32, {4}),
                             .beta = view_of(gamma.data(), DType::f32, {4}),
                             .y = view_of(y.data(), DType::f32, {2, 3, 4})},
            devices().front()};
};

/// The text of the refusal; "" where it was none.
std::string refusal(Small& small, const char* row = nullptr) {
  return small.call.launch(small.stream.get(), row) == MAE_OK ? "" : mae_last_error();
}

}  // namespace

TEST_CASE("a name that is not there is an error") {
  Small small;
  CHECK(refusal(small) == "");
  CHECK(refusal(small, "reference") == "");
  CHECK_THAT(refusal(small, "fastest"),
             ContainsSubstring("no row \"fastest\" on cpu") && ContainsSubstring("reference"));

  small.call.tensors.push_back(small.call["x"]);
  CHECK_THAT(refusal(small), ContainsSubstring("field \"x\" is given twice"));
  small.call.tensors.back().name = "weight";
  CHECK_THAT(refusal(small), ContainsSubstring("no field \"weight\"") && ContainsSubstring("gamma"));
  small.call.tensors.pop_back();

  small.call["beta"].given = false;
  CHECK_THAT(refusal(small), ContainsSubstring("layernorm_forward") && ContainsSubstring("beta"));
  small.call["beta"].given = true;

  small.call.scalars.push_back({"heads", 2, nullptr});
  CHECK_THAT(refusal(small), ContainsSubstring("no scalar \"heads\"") && ContainsSubstring("eps"));
  small.call.scalars.back() = {"eps", 1e-6, nullptr};
  CHECK_THAT(refusal(small), ContainsSubstring("given twice"));
  small.call.scalars = {{"eps", 0, "small"}};
  CHECK_THAT(refusal(small), ContainsSubstring("is a number"));
  small.call.scalars = {{nullptr, 0, nullptr}};
  CHECK_THAT(refusal(small), ContainsSubstring("null"));
  small.call.scalars.clear();
  CHECK(refusal(small) == "");

  small.call.kernel = "layernorm";
  CHECK_THAT(refusal(small), ContainsSubstring("no such kernel"));
}

TEST_CASE("a scalar takes what its type takes") {
  const StreamOwner stream = stream_on("cpu");
  std::vector<double> values(64);
  const View view = view_of(values.data(), DType::f64, {2, 4, 8});
  Call call(AttentionForward{.q = view, .k = view, .v = view, .out = view, .heads = 2}, devices().front());
  CHECK(call.launch(stream.get()) == MAE_OK);
  for (const double heads : {1.5, -3e9, 1e300, static_cast<double>(NAN)}) {
    call.scalars[0].number = heads;
    CHECK(call.launch(stream.get()) == MAE_ERROR);
    CHECK_THAT(mae_last_error(), ContainsSubstring("attention_forward, heads") && ContainsSubstring("whole number"));
  }
  call.scalars[0].number = 3;
  CHECK(call.launch(stream.get()) == MAE_ERROR);
  CHECK_THAT(mae_last_error(), ContainsSubstring("heads must divide C"));

  Call sum(ColumnSum{.x = view, .out = view}, devices().front());
  sum.scalars[0] = {"mode", 1, nullptr};
  CHECK(sum.launch(stream.get()) == MAE_ERROR);
  CHECK_THAT(mae_last_error(), ContainsSubstring("by name") && ContainsSubstring("one of overwrite, accumulate"));
  sum.scalars[0].text = "add";
  CHECK(sum.launch(stream.get()) == MAE_ERROR);
  CHECK_THAT(mae_last_error(), ContainsSubstring("there is no \"add\""));
}

TEST_CASE("a tensor that a view cannot be is an error") {
  Small small;
  const mae_tensor good = small.call["x"].tensor;
  const auto with = [&](auto change) {
    Small spoilt;
    change(spoilt.call["x"]);
    return refusal(spoilt);
  };
  CHECK(with([](Foreign&) {}) == "");
  CHECK(good.ndim == 3);
  CHECK_THAT(with([](Foreign& x) { x.tensor.dtype = {2, 16, 1}; }), ContainsSubstring("no kernel takes float16"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.dtype.lanes = 4; }), ContainsSubstring("float32x4"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.dtype = {0, 32, 1}; }), ContainsSubstring("x must be f64, f32 or bf16"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.ndim = 6; }), ContainsSubstring("6 dimensions"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.ndim = -1; }), ContainsSubstring("-1 dimensions"));
  CHECK_THAT(with([](Foreign& x) { x.shape[1] = 0; }), ContainsSubstring("dimension 1 is not positive"));
  CHECK_THAT(with([](Foreign& x) { x.shape[1] = 2; }), ContainsSubstring("strides"));
  CHECK_THAT(with([](Foreign& x) { x.strides[2] = 2; }), ContainsSubstring("contiguous copy"));
  CHECK_THAT(with([](Foreign& x) { x.strides[0] = 24; }), ContainsSubstring("(24, 4, 1) of shape (2, 3, 4)"));
  CHECK_THAT(with([](Foreign& x) { x.strides = {0, 0, 1}; }), ContainsSubstring("one distance"));
  CHECK_THAT(with([](Foreign& x) { x.strides = {-12, -4, 1}; }), ContainsSubstring("one distance"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.data = nullptr; }), ContainsSubstring("no data"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.byte_offset = 2; }), ContainsSubstring("multiple of its elements' size"));
  CHECK_THAT(with([](Foreign& x) {
               x.tensor.device = {2, 1};
             }),
             ContainsSubstring("cuda:1") && ContainsSubstring("the stream is on cpu"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.device = {7, 0}; }), ContainsSubstring("device type 7"));
}

TEST_CASE("strides that are never walked do not matter, and rows may be padded") {
  std::vector<float> x(60, 1.0f), y(60);
  const StreamOwner stream = stream_on("cpu");
  Call call(GeluForward{.x = view_of(x.data(), DType::f32, {1, 5, 1, 4}, 6),
                        .y = view_of(y.data(), DType::f32, {1, 5, 1, 4}, 12)},
            devices().front());
  call["x"].strides = {7, 6, 1000, 1};
  CHECK(call.launch(stream.get()) == MAE_OK);
  CHECK(y[4 * 12 + 3] == Approx(0.841345).epsilon(1e-5));  // Phi(1)
  CHECK(y[4] == 0);                                        // between two rows
}

TEST_CASE("nulls and devices that are not here are errors") {
  CHECK(mae_stream_create("tpu", nullptr) == nullptr);
  CHECK_THAT(mae_last_error(), ContainsSubstring("tpu: there is no such device"));
  CHECK(mae_stream_create("h100-80", nullptr) == nullptr);
  CHECK_THAT(mae_last_error(), ContainsSubstring("made up"));
  CHECK(mae_stream_create(nullptr, nullptr) == nullptr);
  int number = 0;
  CHECK(mae_stream_create("cpu", &number) == nullptr);
  CHECK_THAT(mae_last_error(), ContainsSubstring("belongs to a GPU"));
  if (!why_no_cuda().empty()) {
    CHECK(mae_stream_create("cuda", nullptr) == nullptr);
    CHECK_THAT(mae_last_error(), ContainsSubstring("cuda: there is no such device"));
  }
  CHECK(mae_launch(nullptr, "gelu_forward", nullptr, nullptr, 0, nullptr, 0) == MAE_ERROR);
  CHECK_THAT(mae_last_error(), ContainsSubstring("the stream is null"));
  const StreamOwner stream = stream_on("cpu");
  CHECK(mae_launch(stream.get(), nullptr, nullptr, nullptr, 0, nullptr, 0) == MAE_ERROR);
  CHECK(mae_launch(stream.get(), "gelu_forward", nullptr, nullptr, 2, nullptr, 0) == MAE_ERROR);
  CHECK_THAT(mae_last_error(), ContainsSubstring("array of fields is null"));
  CHECK(mae_stream_synchronize(nullptr) == MAE_ERROR);
  mae_stream_destroy(nullptr);
}
