"""Tensors of others as the library's: a DLTensor that points into their memory for as long as a call takes."""

import ctypes
import sys

from ._library import Device, DType, Error, Tensor

HOST, CUDA, PINNED_HOST, MANAGED_CUDA = 1, 2, 3, 13  # DLPack's device types
ON_GPU = (CUDA, MANAGED_CUDA)
LEGACY_STREAM = 1  # what `__dlpack__` calls CUDA's default stream

_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

# DLPack's code and bits by the end of str(torch.dtype): no version of PyTorch has all of them
_TORCH_DTYPES = {"float64": (2, 64), "float32": (2, 32), "float16": (2, 16), "bfloat16": (4, 16), "bool": (6, 8),
                 "int64": (0, 64), "int32": (0, 32), "int16": (0, 16), "int8": (0, 8),
                 "uint64": (1, 64), "uint32": (1, 32), "uint16": (1, 16), "uint8": (1, 8)}


def is_torch(value):
    torch = sys.modules.get("torch")  # whoever has a tensor has imported it
    return torch is not None and isinstance(value, torch.Tensor)


def is_tensor(value):
    return is_torch(value) or hasattr(value, "__dlpack__")


def _of_torch(name, value):
    """By pointer, shape and strides: DLPack refuses tensors that need a gradient, and old versions bf16."""
    if str(value.layout) != "torch.strided":
        raise Error(f"{name}: a tensor of {value.layout} has no strides\ntry: a dense tensor")
    if value.device.type not in ("cpu", "cuda"):
        raise Error(f"{name}: is in memory of {value.device}\ntry: a tensor of the CPU or of a CUDA device")
    dtype = str(value.dtype).rpartition(".")[2]
    if dtype not in _TORCH_DTYPES:
        raise Error(f"{name}: no kernel takes {dtype}\ntry: float64, float32 or bfloat16")
    code, bits = _TORCH_DTYPES[dtype]
    sizes = ctypes.c_int64 * value.dim()
    shape, strides = sizes(*value.shape), sizes(*value.stride())
    device = Device(CUDA, value.device.index) if value.device.type == "cuda" else Device(HOST, 0)
    return Tensor(value.data_ptr(), device, value.dim(), DType(code, bits, 1), shape, strides, 0), (shape, strides)


def _of_dlpack(name, value):
    on_gpu = hasattr(value, "__dlpack_device__") and value.__dlpack_device__()[0] in ON_GPU
    try:
        capsule = value.__dlpack__(stream=LEGACY_STREAM) if on_gpu else value.__dlpack__()
    except (BufferError, TypeError, RuntimeError) as error:
        raise Error(f"{name}: its __dlpack__ refuses: {error}") from error
    # The capsule keeps its name: it was not consumed, so it gives the tensor back itself when it goes.
    return Tensor.from_address(_capsule_pointer(capsule, b"dltensor")), capsule


def tensor_of(name, value):
    """The DLTensor of a tensor, and what must live as long as that is used."""
    return _of_torch(name, value) if is_torch(value) else _of_dlpack(name, value)
