"""Count the bytes of all tensors that are alive while a model computes, with or without content.

Inside :class:`LiveBytes` the code of training runs as it is. Tensors without content (torch's fake tensors) have
shapes, types and lifetimes only, so that a model of any size can take a step on any machine. Integers and truth values
are kept real: where tokens are decides shapes.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

ATEN = torch.ops.aten
INDEXED = (ATEN.index.Tensor, ATEN.index_put.default, ATEN.index_put_.default, ATEN._index_put_impl_.default)
"""Operations that may be given a mask, of which the shape of the result depends."""


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what is alive, and the most that ever was, among what it has seen.

    Args:
        without_content: give new tensors of numbers no content.
    """

    def __init__(self, *, without_content: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.fake = FakeTensorMode(allow_non_fake_inputs=True) if without_content else None
        self.live = 0
        """Bytes."""
        self.peak = 0
        """Bytes."""
        self._known: dict[int, Any] = {}

    def count(self, tensor: Tensor) -> None:
        """Count a tensor's storage, once, until it is freed."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return

        def freed(_: Any) -> None:
            self.live -= size
            del self._known[key]

        self._known[key] = weakref.ref(storage, freed)
        self.live += size
        self.peak = max(self.peak, self.live)

    def emptied(self, tensor: Tensor) -> Tensor:
        """Return a tensor without content like this one, on the CPU."""
        if self.fake is None:
            return tensor
        with self.fake:
            return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and count what it returns."""
        found = self._result(func, args, kwargs or {})
        for each in tree_leaves(found):
            if isinstance(each, Tensor):
                self.count(each)
        return found

    def _result(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.fake is None:
            return func(*args, **kwargs)
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        if any(isinstance(each, FakeTensor) for each in given):
            args = _places(args) if func in INDEXED else args
            args, kwargs = tree_map_only(Tensor, self._without_content, (args, kwargs))
            return func(*args, **kwargs)
        made = kwargs.get("dtype") or torch.get_default_dtype()
        if not given and made.is_floating_point and func is not ATEN.arange.start:
            with self.fake:
                return func(*args, **kwargs)
        with unset_fake_temporarily():
            return func(*args, **kwargs)

    def _without_content(self, tensor: Tensor) -> Tensor:
        if self.fake is None or isinstance(tensor, FakeTensor):
            return tensor
        return self.fake.from_tensor(tensor)


def without_content(module: nn.Module, live: LiveBytes) -> None:
    """Replace all weights and buffers of a module, which may be on the meta device, by tensors without content."""
    made: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            if id(parameter) not in made:
                made[id(parameter)] = nn.Parameter(live.emptied(parameter), requires_grad=parameter.requires_grad)
            part._parameters[name] = made[id(parameter)]
        for name, buffer in part.named_buffers(recurse=False):
            part._buffers[name] = live.emptied(buffer)


def _places(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of an indexed operation with masks replaced by the places where they are true."""
    indices: list[Any] = []
    for index in args[1]:
        if isinstance(index, Tensor) and index.dtype == torch.bool:
            with unset_fake_temporarily():
                indices += index.nonzero(as_tuple=True)
        else:
            indices.append(index)
    return (args[0], indices, *args[2:])
