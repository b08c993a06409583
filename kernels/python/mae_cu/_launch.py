"""A launch: which stream, which tensors, which scalars."""

import ctypes
import functools
import numbers
import sys

from . import _tensors
from ._library import Error, Field, Scalar, fail, library


class Stream:
    """A queue of launches with its scratch memory, on "cpu", "cuda", "cuda:1", or "simt".

    cuda_stream is a cudaStream_t as a number, which must outlive this; 0 is CUDA's default stream.
    """

    def __init__(self, device, cuda_stream=0):
        self._destroy = library().mae_stream_destroy
        self.handle = library().mae_stream_create(device.encode(), cuda_stream or None)
        if not self.handle:
            fail()

    def __del__(self):
        if getattr(self, "handle", None) and not sys.is_finalizing():  # at its end the process gives all of it back
            self._destroy(self.handle)

    def synchronize(self):
        if library().mae_stream_synchronize(self.handle):
            fail()


@functools.lru_cache(maxsize=None)
def _shared_stream(device, cuda_stream):
    return Stream(device, cuda_stream)


def _stream_for(tensors):
    """On the GPU of the first tensor that is on one, PyTorch's current stream, or CUDA's default one; else the CPU."""
    for value, tensor in tensors:
        if tensor.device.type not in _tensors.ON_GPU:
            continue
        cuda_stream = 0
        if _tensors.is_torch(value):
            import torch
            cuda_stream = torch.cuda.current_stream(value.device).cuda_stream
        return _shared_stream(f"cuda:{tensor.device.id}", cuda_stream)
    return _shared_stream("cpu", 0)


def _scalar(kernel, name, value):
    if isinstance(value, str):
        return Scalar(name.encode(), 0, value.encode())
    if isinstance(value, numbers.Real):
        return Scalar(name.encode(), float(value), None)
    raise Error(f"{kernel}, {name}: is neither a tensor, a number nor a name, but {type(value).__name__}")


def launch(kernel, row=None, stream=None, /, **arguments):
    """Runs a kernel on tensors, given by the names that its header (kernels/NAME.h) has for views and scalars.

    A view that is None, or left out, is a null view: not given, or not wanted. Choices are made by name
    (dx_mode="accumulate"). `row` forces a row; without it the first one that takes these arguments runs. Without a
    `stream` it goes where the tensors are: on a GPU, behind the work on PyTorch's current stream; on the CPU it has run
    when this returns. Outputs are written in place. Raises Error.
    """
    tensors, fields, scalars, alive = [], [], [], []
    for name, value in arguments.items():
        if value is None:
            fields.append(Field(name.encode(), None))
        elif _tensors.is_tensor(value):
            tensor, owner = _tensors.tensor_of(f"{kernel}, {name}", value)
            tensors.append((value, tensor))
            alive.append(owner)
            fields.append(Field(name.encode(), ctypes.pointer(tensor)))
        else:
            scalars.append(_scalar(kernel, name, value))
    stream = stream or _stream_for(tensors)
    status = library().mae_launch(stream.handle, kernel.encode(), row.encode() if row else None,
                                  (Field * len(fields))(*fields), len(fields),
                                  (Scalar * len(scalars))(*scalars), len(scalars))
    if status:
        fail()
