"""libmae_kernels.so: where it is, what its C header (kernels/c/mae_kernels.h) says, and what it knows."""

import ctypes
import functools
import os
import pathlib

ABI = 1  # of the header that the structures below were written from


class Error(RuntimeError):
    """What the library refused, in its words: the place, the fact, and what to try."""


class Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class DType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class Tensor(ctypes.Structure):  # DLPack's DLTensor
    _fields_ = [("data", ctypes.c_void_p), ("device", Device), ("ndim", ctypes.c_int32), ("dtype", DType),
                ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
                ("byte_offset", ctypes.c_uint64)]


class Field(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("tensor", ctypes.POINTER(Tensor))]


class Scalar(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("number", ctypes.c_double), ("text", ctypes.c_char_p)]


class FieldInfo(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("role", ctypes.c_int)]


class ScalarInfo(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_double), ("whole", ctypes.c_int),
                ("choices", ctypes.POINTER(ctypes.c_char_p)), ("choice_count", ctypes.c_int)]


def _places():
    """Where the library is looked for. A path that was asked for stands alone."""
    asked_for = os.environ.get("MAE_KERNELS_LIBRARY")
    if asked_for:
        return [pathlib.Path(asked_for)]
    here = pathlib.Path(__file__).resolve().parent
    return [here / "libmae_kernels.so", here.parents[2] / "build" / "release" / "libmae_kernels.so"]


def _load():
    places = _places()
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise Error("libmae_kernels.so is not at " + " or ".join(map(str, places)) +
                    "\ntry: cmake --build build/release --target mae_kernels_c, or set MAE_KERNELS_LIBRARY to its path")
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise Error(f"{path}: {error}") from error
    loaded.mae_abi.restype = ctypes.c_int
    if loaded.mae_abi() != ABI:
        raise Error(f"{path}: speaks version {loaded.mae_abi()} of the C interface, and this module {ABI}\n"
                    "try: module and library of one commit")
    return loaded


@functools.cache
def library():
    loaded = _load()
    text, number, pointer = ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p
    for name, result, arguments in [
            ("mae_last_error", text, []),
            ("mae_version", text, []),
            ("mae_kernel_count", number, []),
            ("mae_kernel_name", text, [number]),
            ("mae_kernel_fields", number, [text, ctypes.POINTER(FieldInfo), number]),
            ("mae_kernel_scalars", number, [text, ctypes.POINTER(ScalarInfo), number]),
            ("mae_rows", number, [text, text, ctypes.POINTER(text), number]),
            ("mae_stream_create", pointer, [text, pointer]),
            ("mae_stream_destroy", None, [pointer]),
            ("mae_stream_synchronize", number, [pointer]),
            ("mae_launch", number,
             [pointer, text, text, ctypes.POINTER(Field), number, ctypes.POINTER(Scalar), number])]:
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def fail():
    raise Error(library().mae_last_error().decode())


def _listed(function, kind, *names):
    """All answers of one of the library's lists."""
    names = [name.encode() for name in names]
    count = function(*names, None, 0)
    if count < 0:
        fail()
    answers = (kind * count)()
    function(*names, answers, count)
    return answers


def version():
    return library().mae_version().decode()


def kernels():
    """The names of all kernels."""
    return [library().mae_kernel_name(i).decode() for i in range(library().mae_kernel_count())]


def field_names(kernel):
    """The views of a kernel and what it does with them: {"x": "input", "y": "output"}."""
    roles = ["input", "output", "updated"]
    return {info.name.decode(): roles[info.role] for info in _listed(library().mae_kernel_fields, FieldInfo, kernel)}


def scalars(kernel):
    """The scalars of a kernel and their defaults: {"heads": 1, "scale": 1.0, "bias_mode": "overwrite"}."""
    def default(info):
        if info.choice_count:
            return info.choices[int(info.value)].decode()
        return int(info.value) if info.whole else info.value
    return {info.name.decode(): default(info) for info in _listed(library().mae_kernel_scalars, ScalarInfo, kernel)}


def rows(kernel, device="cpu"):
    """The rows of a kernel on "cpu", "cuda" or "simt", in the order in which they are tried."""
    return [row.decode() for row in _listed(library().mae_rows, ctypes.c_char_p, kernel, device)]
