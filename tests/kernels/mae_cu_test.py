"""kernels/python/mae_cu: launches by name on tensors of ctypes alone, of numpy and of PyTorch, and the two functions
that PyTorch differentiates. What is not installed is not tested, and says so.

    OMP_WAIT_POLICY=passive MAE_KERNELS_LIBRARY=build/release/libmae_kernels.so python3 tests/kernels/mae_cu_test.py
"""

import ctypes
import math
import os
import pathlib
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "kernels" / "python"))
import mae_cu  # noqa: E402
from mae_cu._library import Device, DType, Tensor  # noqa: E402

try:
    import numpy
except ImportError:
    numpy = None
try:
    import torch
except ImportError:
    torch = None


# ---- a tensor library in a few lines ---------------------------------------------------------------------------------

class Managed(ctypes.Structure):  # DLPack's DLManagedTensor
    _fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Array:
    """Numbers in a ctypes array, for whoever speaks DLPack."""

    def __init__(self, shape, values=None, kind=ctypes.c_float, code=2):
        count = math.prod(shape)
        self.numbers = (kind * count)(*(values or [0] * count))
        self.shape = (ctypes.c_int64 * len(shape))(*shape)
        dtype = DType(code, 8 * ctypes.sizeof(kind), 1)
        address = ctypes.addressof(self.numbers)
        self.managed = Managed(Tensor(address, Device(1, 0), len(shape), dtype, self.shape, None, 0))

    def __dlpack__(self):
        return new_capsule(ctypes.addressof(self.managed), b"dltensor", None)


def gelu(x):
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


class ByName(unittest.TestCase):
    def test_gelu(self):
        x = Array((2, 3), [-2.0, -1.0, -0.5, 0.0, 0.5, 3.0])
        for row in [None, "fast", "reference"]:
            y = Array((2, 3))
            mae_cu.launch("gelu_forward", row, x=x, y=y)
            for a, b in zip(y.numbers, x.numbers):
                self.assertAlmostEqual(a, gelu(b), places=6)

    def test_layernorm_in_float64(self):
        values = [0.3, -1.2, 2.5, 0.7, 4.0, 4.5, -4.0, 0.25]
        gamma, beta, eps = [1.0, 2.0, -1.0, 0.5], [0.0, 0.1, 0.2, 0.3], 1e-3
        double = {"kind": ctypes.c_double}
        y, mean, rstd = Array((2, 4), **double), Array((2,), **double), Array((2,), **double)
        mae_cu.launch("layernorm_forward", x=Array((2, 4), values, **double), gamma=Array((4,), gamma, **double),
                      beta=Array((4,), beta, **double), y=y, mean=mean, rstd=rstd, residual=None, eps=eps)
        for r in range(2):
            row = values[4 * r:4 * r + 4]
            average = sum(row) / 4
            scale = 1 / math.sqrt(sum((v - average) ** 2 for v in row) / 4 + eps)
            self.assertAlmostEqual(mean.numbers[r], average, places=12)
            self.assertAlmostEqual(rstd.numbers[r], scale, places=12)
            for c in range(4):
                self.assertAlmostEqual(y.numbers[4 * r + c], (row[c] - average) * scale * gamma[c] + beta[c], places=12)

    def test_a_choice_by_name_and_a_field_that_is_called_row(self):
        x, out = Array((2, 2), [1.0, 2.0, 3.0, 4.0]), Array((2,), [10.0, 20.0])
        mae_cu.launch("column_sum", x=x, out=out, mode="accumulate")
        self.assertEqual(list(out.numbers), [14.0, 26.0])
        y = Array((2, 2))
        mae_cu.launch("add_row", x=x, row=out, out=y)
        self.assertEqual(list(y.numbers), [15.0, 28.0, 17.0, 30.0])

    def test_simt(self):
        if "simt" not in mae_cu_devices():
            self.skipTest("this library has no simt")
        x, y = Array((3,), [-1.0, 0.0, 2.0]), Array((3,))
        stream = mae_cu.Stream("simt")
        mae_cu.launch("gelu_forward", None, stream, x=x, y=y)
        stream.synchronize()
        self.assertAlmostEqual(y.numbers[2], gelu(2.0), places=6)

    def test_threads_share_a_stream(self):
        wrong = []

        def work(seed):
            x, dy = Array((400, 33), [math.sin(i * seed) for i in range(13200)]), Array((400, 33), [1.0] * 13200)
            for _ in range(20):
                dx, dx_sum = Array((400, 33)), Array((33,))
                mae_cu.launch("gelu_backward", "reference", dy=dy, x=x, dx=dx, dx_sum=dx_sum)
                expected = sum(dx.numbers[7::33])
                if abs(dx_sum.numbers[7] - expected) > 1e-3:
                    wrong.append((seed, dx_sum.numbers[7], expected))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


def mae_cu_devices():
    return [device for device in ("cpu", "cuda", "simt") if mae_cu.rows("gelu_forward", device)]


class WhatThereIs(unittest.TestCase):
    def test_names(self):
        self.assertIn("attention_forward", mae_cu.kernels())
        self.assertEqual(mae_cu.field_names("gelu_forward"), {"x": "input", "y": "output"})
        self.assertEqual(mae_cu.scalars("attention_backward"), {"heads": 1, "scale": 1.0, "bias_mode": "overwrite"})
        self.assertIn("reference", mae_cu.rows("attention_forward"))
        self.assertRegex(mae_cu.version(), r"^\d+\.\d+\.\d+$")
        for kernel in mae_cu.kernels():
            self.assertTrue(mae_cu.field_names(kernel), kernel)
            self.assertIn("reference", mae_cu.rows(kernel), kernel)

    def test_the_page_lists_every_scalar(self):
        page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "pytorch.md").read_text()
        cells = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
        listed = {kernel: scalars for kernels, scalars in cells[2:] for kernel in kernels.split(", ")}
        self.assertEqual(listed, {k: ", ".join(mae_cu.scalars(k)) or "none" for k in mae_cu.kernels()})

    def test_only_the_interface_is_exported(self):
        library = ctypes.CDLL(os.environ["MAE_KERNELS_LIBRARY"]) if "MAE_KERNELS_LIBRARY" in os.environ else None
        if library is None:
            self.skipTest("MAE_KERNELS_LIBRARY is not set")
        self.assertFalse(hasattr(library, "_ZN7kernels7devicesEv") or hasattr(library, "mae_switch_stack"))
        self.assertTrue(hasattr(library, "mae_launch"))


class Errors(unittest.TestCase):
    def refused(self, words, kernel, *positional, **arguments):
        with self.assertRaises(mae_cu.Error) as caught:
            mae_cu.launch(kernel, *positional, **arguments)
        self.assertIn(words, str(caught.exception))

    def test_texts(self):
        x, y = Array((2, 3)), Array((2, 3))
        self.refused("there is no such kernel\ntry: one of gelu_forward, gelu_backward", "gelu", x=x, y=y)
        self.refused('no row "best" on cpu\ntry: one of', "gelu_forward", "best", x=x, y=y)
        self.refused('no field "z"\ntry: one of x, y', "gelu_forward", x=x, z=y)
        self.refused('no scalar "eps"', "gelu_forward", x=x, y=y, eps=1)
        self.refused("gelu_forward", "gelu_forward", x=x)
        self.refused("gelu_forward", "gelu_forward", x=x, y=Array((3, 2)))
        self.refused("no kernel takes int64", "gelu_forward", x=x, y=Array((2, 3), kind=ctypes.c_int64, code=0))
        self.refused("neither a tensor", "gelu_forward", x=x, y=[1, 2])
        with self.assertRaisesRegex(mae_cu.Error, "no such device"):
            mae_cu.Stream("tpu")

    def test_a_library_that_is_not_there(self):
        code = "import mae_cu\ntry: mae_cu.kernels()\nexcept mae_cu.Error as error: print(error)"
        environment = {**os.environ, "MAE_KERNELS_LIBRARY": "/nowhere/libmae_kernels.so", "PYTHONPATH": sys.path[0]}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        self.assertIn("is not at /nowhere/libmae_kernels.so\ntry: ", run.stdout, run.stderr)


@unittest.skipIf(numpy is None, "numpy is not installed")
class OnNumpy(unittest.TestCase):
    def test_matmul_of_padded_rows(self):
        random = numpy.random.default_rng(1)
        a, b = random.normal(size=(5, 12))[:, :7], random.normal(size=(9, 7))
        bias, out = random.normal(size=9), numpy.empty((5, 9))
        mae_cu.launch("matmul", a=a, b=b, b_layout="transposed", bias=bias, out=out)
        numpy.testing.assert_allclose(out, a @ b.T + bias, rtol=1e-12, atol=1e-12)

    def test_strides_that_no_view_has(self):
        with self.assertRaisesRegex(mae_cu.Error, "strides"):
            mae_cu.launch("gelu_forward", x=numpy.zeros((3, 2)).T, y=numpy.zeros((2, 3)))

    def test_read_only(self):
        x = numpy.zeros(3)
        x.flags.writeable = False
        try:
            mae_cu.launch("gelu_forward", x=x, y=numpy.ones(3))  # numpy 2.1 and later hand it out, or refuse it
        except mae_cu.Error as error:
            self.assertIn("gelu_forward, x: its __dlpack__ refuses", str(error))


def explicit_attention(qkv, heads):
    B, L, C3 = qkv.shape
    q, k, v = qkv.view(B, L, 3, heads, C3 // 3 // heads).permute(2, 0, 3, 1, 4)
    p = torch.softmax(q @ k.transpose(-1, -2) * (C3 // 3 // heads) ** -0.5, dim=-1)
    return (p @ v).transpose(1, 2).reshape(B, L, C3 // 3)


@unittest.skipIf(torch is None, "torch is not installed")
class OnPyTorch(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)

    def test_gradcheck_of_attention(self):
        for B, L, heads, D in [(1, 1, 1, 1), (2, 5, 1, 4), (2, 7, 2, 3), (1, 9, 3, 8), (3, 4, 3, 5)]:
            qkv = torch.randn(B, L, 3 * heads * D, dtype=torch.float64, requires_grad=True)
            self.assertTrue(torch.autograd.gradcheck(lambda x: mae_cu.attention(x, heads), (qkv,)))
            print(f"  gradcheck attention {tuple(qkv.shape)}, {heads} heads: passed")

    def test_gradcheck_of_layernorm(self):
        for shape in [(1, 2), (5, 7), (2, 3, 8), (2, 2, 3, 5)]:
            x, weight, bias = (torch.randn(s, dtype=torch.float64, requires_grad=True)
                               for s in (shape, shape[-1:], shape[-1:]))
            w, b = weight.detach(), bias.detach()
            self.assertTrue(torch.autograd.gradcheck(mae_cu.layernorm, (x, weight, bias)))
            self.assertTrue(torch.autograd.gradcheck(lambda a: mae_cu.layernorm(a, w, b), (x,)))
            self.assertTrue(torch.autograd.gradcheck(lambda a: mae_cu.layernorm(x.detach(), a, b), (weight,)))
            print(f"  gradcheck layernorm {shape}: passed")

    def compare(self, ours, theirs, inputs, tolerance):
        """Values and gradients of two functions, relative L2."""
        results = []
        for function in (ours, theirs):
            leaves = [x.detach().clone().requires_grad_() for x in inputs]
            out = function(*leaves)
            out.backward(torch.sin(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape).to(out))
            results.append([out.detach()] + [leaf.grad for leaf in leaves])
        for a, b in zip(*results):
            self.assertEqual((a.shape, a.dtype), (b.shape, b.dtype))
            a, b = a.double(), b.double()
            self.assertLess(float((a - b).norm() / b.norm()), tolerance)

    def test_attention_is_that_of_pytorch(self):
        def sdpa(qkv, heads):
            B, L, C3 = qkv.shape
            q, k, v = qkv.view(B, L, 3, heads, C3 // 3 // heads).permute(2, 0, 3, 1, 4)
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
            return out.transpose(1, 2).reshape(B, L, C3 // 3)

        formulas = [explicit_attention]
        if hasattr(torch.nn.functional, "scaled_dot_product_attention"):
            formulas.append(sdpa)
        for dtype, tolerance in [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)]:
            qkv = torch.randn(2, 50, 3 * 96).to(dtype)
            for formula in formulas:
                self.compare(lambda x: mae_cu.attention(x, 3), lambda x: formula(x, 3), [qkv], tolerance)

    @staticmethod
    def layer_norm(x, weight, bias):
        return torch.nn.functional.layer_norm(x, weight.shape, weight, bias)

    def test_layernorm_is_that_of_pytorch(self):
        for dtype, tolerance in [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)]:
            inputs = [torch.randn(4, 17, 64).to(dtype), torch.randn(64).to(dtype), torch.randn(64).to(dtype)]
            self.compare(mae_cu.layernorm, self.layer_norm, inputs, tolerance)

    def test_parameters_of_another_dtype(self):
        x, weight = torch.randn(3, 8).bfloat16(), torch.randn(8, requires_grad=True)
        bias = torch.zeros(8, requires_grad=True)
        y = mae_cu.layernorm(x, weight, bias)
        y.sum().backward()  # its gradient is one number with strides of zero
        self.assertEqual((y.dtype, weight.grad.dtype, bias.grad.dtype), (torch.bfloat16, torch.float32, torch.float32))
        self.assertTrue(torch.equal(bias.grad, torch.full((8,), 3.0)))

    def test_a_named_row_and_inputs_that_are_not_contiguous(self):
        qkv = torch.randn(3 * 32, 5, 2).permute(2, 1, 0)
        for row in ["reference", "fast"]:
            out = mae_cu.attention(qkv, 2, row=row)
            self.assertLess(float((out - explicit_attention(qkv.contiguous(), 2)).norm() / out.norm()), 1e-5)
        x = torch.randn(8, 6).t()
        self.assertTrue(torch.allclose(mae_cu.layernorm(x, torch.ones(8), torch.zeros(8)),
                                       torch.nn.functional.layer_norm(x, (8,)), atol=1e-6))

    def test_a_training_step(self):
        weight, projection = torch.ones(24, requires_grad=True), torch.randn(24, 72, requires_grad=True)
        before = projection.detach().clone()
        optimizer = torch.optim.SGD([weight, projection], lr=0.1)
        x = torch.randn(2, 6, 24)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            out = mae_cu.attention(mae_cu.layernorm(x, weight, torch.zeros(24)) @ projection, heads=3)
            loss = (out - x).pow(2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        self.assertLess(losses[-1], losses[0])
        self.assertFalse(torch.equal(before, projection))

    def test_errors(self):
        with self.assertRaisesRegex(mae_cu.Error, "2 heads do not divide C = 5"):
            mae_cu.attention(torch.zeros(1, 2, 15), 2)
        with self.assertRaisesRegex(mae_cu.Error, r"must be \(B, L, 3 C\)"):
            mae_cu.attention(torch.zeros(2, 15), 1)
        with self.assertRaisesRegex(mae_cu.Error, "no kernel takes float16"):
            mae_cu.attention(torch.zeros(1, 2, 15).half(), 1)
        with self.assertRaisesRegex(mae_cu.Error, r"must be \(C\)"):
            mae_cu.layernorm(torch.zeros(2, 3), torch.zeros(4), torch.zeros(3))
        with self.assertRaisesRegex(mae_cu.Error, "no row"):
            mae_cu.layernorm(torch.zeros(2, 3), torch.zeros(3), torch.zeros(3), row="best")
        with self.assertRaisesRegex(mae_cu.Error, "meta"):
            mae_cu.launch("gelu_forward", x=torch.zeros(3, device="meta"), y=torch.zeros(3))
        with self.assertRaisesRegex(mae_cu.Error, "sparse"):
            mae_cu.launch("gelu_forward", x=torch.zeros(3, 3).to_sparse(), y=torch.zeros(3, 3))
        qkv = torch.randn(1, 2, 12, requires_grad=True)
        (gradient,) = torch.autograd.grad(mae_cu.attention(qkv, 1).pow(2).sum(), qkv, create_graph=True)
        with self.assertRaisesRegex(RuntimeError, "once_differentiable"):
            gradient.sum().backward()

    def test_on_a_gpu(self):
        if not torch.cuda.is_available() or "cuda" not in mae_cu_devices():
            self.skipTest("no GPU, or a library without CUDA")
        qkv = torch.randn(4, 50, 3 * 96)
        weight, bias = torch.randn(288), torch.randn(288)
        other = torch.cuda.Stream()
        for stream in (torch.cuda.current_stream(), other):
            with torch.cuda.stream(stream):
                stream.wait_stream(torch.cuda.default_stream())
                for dtype, tolerance in [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)]:
                    on_gpu = [t.cuda().to(dtype) for t in (qkv, weight, bias)]
                    self.compare(lambda x: mae_cu.attention(x, 3), lambda x: explicit_attention(x, 3), on_gpu[:1],
                                 tolerance)
                    self.compare(mae_cu.layernorm, self.layer_norm, on_gpu, tolerance)
        with self.assertRaisesRegex(mae_cu.Error, "all tensors of a launch on one device"):
            mae_cu.launch("gelu_forward", x=torch.zeros(3).cuda(), y=torch.zeros(3))


if __name__ == "__main__":
    for name, module in [("numpy", numpy), ("torch", torch)]:
        print(f"{name}: {module.__version__}" if module else f"{name} is not installed: its tests were not run")
    unittest.main(verbosity=2)
