"""The recurrent compiler: a cell's ``step`` becomes one C++ function for a whole sequence, forward and backward.

``trace.py`` writes down one step, ``emit.py`` makes C++ of it, ``toolchain.py`` builds and keeps that, ``sequence.py``
runs it; ``kernels.h`` and ``loop.h`` are the parts in C++ that all cells have in common.
"""

from seqlab.nn.compiler.sequence import CompiledCell, Steps, compile_cell
from seqlab.nn.compiler.toolchain import NoCompiler, has_bf16
from seqlab.nn.compiler.torch_operations import Unsupported

__all__ = ["CompiledCell", "NoCompiler", "Steps", "Unsupported", "compile_cell", "has_bf16"]
