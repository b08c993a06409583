#include "kernels/cpu/widened.h"

#include <algorithm>
#include <string>

#include "kernels/cases/activation.h"
#include "kernels/cases/attention.h"
#include "kernels/cases/layernorm.h"
#include "kernels/cases/loss.h"
#include "kernels/cases/matmul.h"
#include "kernels/cases/reduce.h"
#include "tests/support/threads.h"

using namespace kernels;

namespace {

// Relative errors of all that the row writes, in the order of the fields, against the f64 reference.
template <class Args>
std::vector<double> errors_of(const Args& args, const std::string& row) {
  test::Bench<Args> bench(devices().front(), args), exact(devices().front(), test::with_dtype_f64(args));
  test::make_inputs(exact, bench);
  for (test::Bench<Args>* b : {&bench, &exact}) {
    b->upload();
    b->run(b == &bench ? row : "reference");
    b->download();
  }
  std::vector<double> errors;
  for (std::size_t i = 0; i < bench.count(); ++i) {
    if (bench.role(i) != Role::input)
      errors.push_back(test::relative_error(bench.operand(i).host_view(), exact.operand(i).host_view()));
  }
  return errors;
}

template <class Args>
void check_errors(const char* shape) {
  int ran = 0;
  for (const Args& args : Case<Args>::make(Dims(shape), DType::bf16)) {
    if (cpu::widened<Args>.refuses(devices().front(), args) ||
        choose(devices().front(), args).name != std::string("widened"))
      continue;
    const auto widened = errors_of(args, "widened"), reference = errors_of(args, "reference");
    for (std::size_t i = 0; i < widened.size(); ++i) {
      INFO(Args::kernel << " " << shape << " variation " << ran << " result " << i);
      CHECK(widened[i] <= std::max(2 * reference[i], 1e-5));  // 1e-5: results in f32
    }
    ++ran;
  }
  CHECK(ran > 0);
}

}  // namespace

TEST_CASE("bf16 through the f32 rows is at most twice as far from f64 as the bf16 reference") {
  check_errors<MatMul>("M=203 N=64 K=530 PAD=4");
  check_errors<AttentionForward>("B=2 T=50 H=3 D=32");
  check_errors<AttentionBackward>("B=1 T=197 H=2 D=48 PAD=4");
  check_errors<LayerNormForward>("R=37 C=588 PAD=4");
  check_errors<LayerNormBackward>("R=300 C=192");
  check_errors<GeluForward>("R=37 C=588 PAD=4");
  check_errors<GeluBackward>("R=37 C=588 PAD=4");
  check_errors<MaskedMseForward>("B=2 L=16 P=588 PAD=4");
  check_errors<ColumnSum>("R=257 C=192");
  check_errors<SquaredNorm>("N=200001");
}

TEST_CASE("widened rows give the same bits on any number of threads") {
  for (const MatMul& args : Case<MatMul>::make(Dims("M=203 N=70 K=300"), DType::bf16))
    test::check_threads(args, "widened");
  test::check_threads(Case<AttentionForward>::make(Dims("B=2 T=50 H=3 D=32"), DType::bf16)[1], "widened");
  test::check_threads(Case<LayerNormBackward>::make(Dims("R=600 C=64"), DType::bf16)[0], "widened");
}

TEST_CASE("one buffer may be two fields of a widened row") {
  std::vector<bf16> x(700), separate(700);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = bf16(0.01f * static_cast<float>(i) - 3.5f);
  const View in = view_of(x.data(), DType::bf16, {7, 100}), out = view_of(separate.data(), DType::bf16, {7, 100});
  Stream stream(devices().front());
  std::vector<std::byte> scratch(cpu::widened<GeluForward>.workspace(stream.device(), {.x = in, .y = out}));
  stream.lend_scratch(scratch.data(), scratch.size());
  launch(stream, GeluForward{.x = in, .y = out}, "widened");
  launch(stream, GeluForward{.x = in, .y = in}, "widened");
  CHECK(std::memcmp(x.data(), separate.data(), x.size() * sizeof(bf16)) == 0);
}

TEST_CASE("widened rows take bf16 only, and no layernorm whose statistics are those of a rounded sum") {
  Stream stream(devices().front(), StreamMode::dry);
  CHECK_THROWS_WITH(launch(stream, Case<MatMul>::make(Dims("M=4 N=6 K=8"), DType::f32)[0], "widened"),
                    ContainsSubstring("bf16 only"));
  const LayerNormForward residual = Case<LayerNormForward>::make(Dims("R=4 C=8"), DType::bf16)[2];
  CHECK_THROWS_WITH(launch(stream, residual, "widened"), ContainsSubstring("rounded sum"));
  CHECK(choose(stream.device(), residual).name == std::string("reference"));
}
