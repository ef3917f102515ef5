"""Reads the pickles inside PyTorch's files without running them.

`pickle.load` runs what a file tells it to. Here the file's operations are listed by `pickletools` and followed by hand:
only those that a dictionary of tensors needs, with keys that are text or whole numbers, and of all global names only
GLOBALS. Nothing that a file names is imported or called, no attribute is set, and no object is hashed that could make
hashing slow. Everything else is refused.
"""

import io
import pickletools
from typing import Any, NamedTuple

GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch FloatStorage",
    "torch LongStorage",
}
PUSHED = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Refused(ValueError):
    """The pickle is damaged, or does what a file of tensors has no need to do."""


class Name(NamedTuple):
    """One of GLOBALS, where a pickle names it."""

    text: str


class Persistent(NamedTuple):
    """What the file keeps outside the pickle."""

    key: tuple


class Tensor(NamedTuple):
    """Arguments of `_rebuild_tensor_v2`: a view of a storage, offset and strides in elements."""

    storage: Any
    offset: Any
    size: Any
    strides: Any


_MARK = object()


def read_pickle(stream: io.BytesIO) -> Any:
    """The object that the pickle at the stream's position holds; the stream then stands behind it.

    Raises:
        Refused: on a damaged pickle and on every operation or name beyond those of a dictionary of tensors.
    """
    reader = _Reader()
    try:
        for operation, argument, _ in pickletools.genops(stream):
            if operation.name == "STOP":
                return reader.pop()
            reader.follow(operation.name, argument)
    except Refused:
        raise
    except (ValueError, IndexError) as error:  # genops', on bytes that are no pickle
        raise Refused(f"damaged: {error}") from None
    raise Refused("damaged: it has no end")


class _Reader:
    """The stack and the memory of one pickle."""

    def __init__(self):
        self.stack, self.memory = [], {}

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise Refused("damaged: a value is missing")
        return self.stack.pop()

    def pop_many(self) -> list:
        """All values above the last mark."""
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                values = self.stack[index + 1 :]
                del self.stack[index:]
                return values
        raise Refused("damaged: a mark is missing")

    def follow(self, name: str, argument: Any) -> None:
        """One operation of the pickle."""
        if name in PUSHED:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in TUPLES:
            self.stack.append(tuple(reversed([self.pop() for _ in range(TUPLES[name])])))
        elif name in ("BINGET", "LONG_BINGET"):
            if argument not in self.memory:
                raise Refused("damaged: it recalls what it never kept")
            self.stack.append(self.memory[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            value = self.pop()
            self.memory[argument] = value
            self.stack.append(value)
        elif name == "GLOBAL":
            self.stack.append(_allowed(argument))
        elif name != "PROTO":
            operation = getattr(self, f"_{name.lower()}", None)
            if operation is None:
                raise Refused(f"it holds the operation {name}")
            operation()

    def _mark(self):
        self.stack.append(_MARK)

    def _empty_dict(self):
        self.stack.append({})

    def _empty_list(self):
        self.stack.append([])

    def _empty_tuple(self):
        self.stack.append(())

    def _tuple(self):
        self.stack.append(tuple(self.pop_many()))

    def _append(self):
        self._extend([self.pop()])

    def _appends(self):
        self._extend(self.pop_many())

    def _extend(self, values):
        target = self._top(list)
        target.extend(values)

    def _setitem(self):
        value = self.pop()
        self._set([self.pop(), value])

    def _setitems(self):
        self._set(self.pop_many())

    def _set(self, values):
        target, keys = self._top(dict), values[::2]
        if len(values) % 2 or not all(isinstance(key, str | int) for key in keys):
            raise Refused("it has keys that are neither text nor whole numbers")
        target.update(zip(keys, values[1::2], strict=True))

    def _top(self, kind: type):
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise Refused("damaged: it fills what is no container")
        return self.stack[-1]

    def _binpersid(self):
        key = self.pop()
        if not isinstance(key, tuple):
            raise Refused("it refers to what is no storage")
        self.stack.append(Persistent(key))

    def _reduce(self):
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise Refused("it calls what has no name")
        if function.text == "collections OrderedDict" and arguments == ():
            self.stack.append({})
        elif function.text == "torch._utils _rebuild_tensor_v2" and len(arguments) in (6, 7):
            self.stack.append(Tensor(*arguments[:4]))
        else:
            raise Refused(f"it calls {function.text} with {len(arguments)} arguments")

    def _build(self):
        """An OrderedDict's attributes, such as `_metadata`: left out."""
        self.pop()
        self._top(dict)


def _allowed(text: str) -> Name:
    if text not in GLOBALS:
        raise Refused(f"it names {text[:80]!r}")
    return Name(text)
