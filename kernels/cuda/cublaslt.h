// The rows of matmul that cuBLASLt runs, for the table in matmul.cu. Defined in cublaslt.cpp.
#pragma once

#include "kernels/matmul.h"

namespace kernels::cuda {

const char* cublaslt_refuses(const Device& device, const MatMul& s);
const char* cublaslt_tf32_refuses(const Device& device, const MatMul& s);
std::size_t cublaslt_workspace(const Device& device, const MatMul& s);
void cublaslt(Stream& stream, const MatMul& s, void* scratch);
void cublaslt_tf32(Stream& stream, const MatMul& s, void* scratch);
void tune_cublaslt(Stream& stream, const MatMul& s, void* scratch);
void tune_cublaslt_tf32(Stream& stream, const MatMul& s, void* scratch);

}  // namespace kernels::cuda
