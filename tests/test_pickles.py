"""PyTorch's files are read without running them: what they hold, bit for bit, and everything else refused."""

import io
import os
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.pretrained.published.files import content_of, read_tensors
from dartsminus_tf.pretrained.published.pickles import Refused, read_pickle
from dartsminus_tf.pretrained.published.pth import read_pth
from tests import torch_files as torch

RNG = np.random.default_rng(0)
STATE = {
    "conv.weight": RNG.normal(size=(4, 3, 2, 2)).astype(np.float32),
    "strided.weight": np.asfortranarray(RNG.normal(size=(3, 5)).astype(np.float32)),
    "channels_last": RNG.normal(size=(2, 4, 4, 3)).astype(np.float32).transpose(0, 3, 1, 2),
    "counter": np.array(7, np.int64),
    "bias": np.array([1.5], np.float32),
}


@pytest.mark.parametrize("old", [True, False], ids=["old", "zip"])
def test_tensors_come_back_bit_for_bit(old):
    found = read_pth(torch.saved(STATE, old))
    assert list(found) == list(STATE)
    for name, array in STATE.items():
        assert found[name].dtype == array.dtype and found[name].flags.owndata
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("old", [True, False], ids=["old", "zip"])
def test_strides_offsets_and_shared_storages_are_followed(old):
    elements = np.arange(12, dtype=np.float32)
    storage = torch.reference("0", "float32", 12, old)
    body = torch.dictionary(
        {"a": torch.tensor(storage, [2, 3], [1, 2]), "b": torch.tensor(storage, [3], [2], offset=7)}
    )
    write = torch.old_file if old else torch.zip_file
    found = read_pth(write(body, {"0": elements.tobytes()}))
    np.testing.assert_array_equal(found["a"], [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(found["b"], [7, 9, 11])


def test_a_state_dict_in_a_checkpoint_is_found():
    body, storages = torch.tensors_of({"w": STATE["conv.weight"]}, True)
    checkpoint = b"}(" + torch.text("epoch") + torch.number(3) + torch.text("state_dict") + body + b"u"
    np.testing.assert_array_equal(read_pth(torch.old_file(checkpoint, storages))["w"], STATE["conv.weight"])


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


HOSTILE = {
    "system": pickle.dumps(Evil(os.system, "touch owned"), 2),
    "eval": pickle.dumps(Evil(eval, "1"), 2),
    "getattr": pickle.dumps(Evil(getattr, "a", "b"), 2),
    "protocol 0": pickle.dumps(Evil(eval, "1"), 0),
    "protocol 4": pickle.dumps({"a": 1}, 4),
    "instance": b"\x80\x02" + b"(ios\nsystem\n.",
    "object": b"\x80\x02" + torch.name("torch", "FloatStorage") + b")\x81.",
    "attribute of an allowed module": torch.pickle(torch.name("torch._utils", "_rebuild_parameter")),
    "a submodule": torch.pickle(torch.name("torch", "_utils._rebuild_tensor_v2")),
    "code by an extension": b"\x80\x02\x82\x01.",
    "call of a storage": torch.pickle(torch.name("torch", "FloatStorage") + b")R"),
    "call of a dictionary": torch.pickle(torch.ORDERED + b")R"),
    "call of a text": torch.pickle(torch.text("eval") + b")R"),
    "filled OrderedDict": torch.pickle(torch.name("collections", "OrderedDict") + b"]\x85R"),
    "attributes of a name": torch.pickle(torch.name("torch._utils", "_rebuild_tensor_v2") + b"}b"),
    "slots of a name": torch.pickle(torch.name("torch._utils", "_rebuild_tensor_v2") + b"N}\x86b"),
    "a set": b"\x80\x04\x8f.",
    "a tuple as key": torch.pickle(b"}" + torch.numbers([1]) + b"Ns"),
    "unheard memory": torch.pickle(b"h\x05"),
    "nothing on the stack": torch.pickle(b"0"),
    "no end": b"\x80\x02}",
    "no start": b"",
    "no mark": torch.pickle(b"t"),
    "an odd dictionary": torch.pickle(b"}(Nu"),
    "a list filled that is none": torch.pickle(b"}Na"),
    "text persistent id": torch.pickle(torch.text("storage") + b"Q"),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_pickles_are_refused_and_do_nothing(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused):
        read_pickle(io.BytesIO(content))
    body = content[2:-1]  # as the dictionary of a whole file, in both forms
    for file in (torch.old_file(body, {}), torch.zip_file(body, {})):
        with pytest.raises(Refused):
            read_pth(file)
    assert not list(tmp_path.iterdir())


def test_pickles_that_would_take_time_or_memory_are_refused_at_once():
    doubled = b"N" + b"q\x00h\x00\x86" * 60  # a tuple of 2^60 leaves: its hash would take ages
    far = torch.pickle(b"N" + b"r\xff\xff\xff\xff")  # memory for four billion entries, in pickle.load
    long = torch.pickle(b"X\xff\xff\xff\xff")
    start = time.monotonic()
    with pytest.raises(Refused):
        read_pickle(io.BytesIO(torch.pickle(b"}" + doubled + b"Ns")))
    assert read_pickle(io.BytesIO(far)) is None
    with pytest.raises(Refused):
        read_pickle(io.BytesIO(long))
    assert time.monotonic() - start < 1


def old(shape, strides, offset=0, count=4, elements=4, key="0", kind="float32"):
    storage = torch.reference(key, kind, count, True)
    body = torch.dictionary({"w": torch.tensor(storage, shape, strides, offset)})
    return torch.old_file(body, {key: np.zeros(elements, np.float32).tobytes()}, {key: count})


DAMAGED = {
    "outside its storage": old([5], [1]),
    "outside by its offset": old([2], [1], offset=3),
    "outside by its strides": old([2, 2], [3, 1]),
    "a huge view of one number": old([10**6, 10**3], [0, 0]),
    "negative strides": old([2], [-1], offset=3),
    "a negative offset": old([2], [1], offset=-1),
    "no numbers": old([0, 4], [4, 1]),
    "shape without strides": old([2, 2], [1]),
    "many dimensions": old([1] * 9, [1] * 9),
    "storage too short": old([4], [1], count=8),
    "storage of another size": torch.old_file(
        torch.dictionary({"w": torch.tensor(torch.reference("0", "float32", 4, True), [4], [1])}), {"0": bytes(12)}
    ),
    "bytes behind": torch.saved(STATE) + b"x",
    "no tensors": torch.old_file(torch.ORDERED, {}),
    "a number for a tensor": torch.old_file(torch.dictionary({"w": torch.number(1)}), {}),
    "another magic number": torch.pickle(torch.number(5)) * 5,
    "big-endian": torch.saved(STATE).replace(b"little_endian\x88", b"little_endian\x89"),
    "text": b"\x80hello",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=list(DAMAGED))
def test_damaged_files_are_refused(content):
    with pytest.raises(Refused):
        read_pth(content)


def test_zips_that_pytorch_does_not_write_are_refused():
    body, storages = torch.tensors_of(STATE, False)
    whole = torch.zip_file(body, storages)
    read_pth(whole)
    bad = [
        torch.zip_file(body, storages, zipfile.ZIP_DEFLATED),  # of zeros, it could hold any amount
        torch.zip_file(body, {key: value for key, value in storages.items() if key != "0"}),
        torch.zip_file(body, storages | {"0": storages["0"][:-4]}),
        whole.replace(b"little", b"big\0\0\0"),
        whole.replace(storages["0"], bytes(len(storages["0"]))),  # the zip's own checksum
        whole[:-30],
        b"PK\x03\x04" + bytes(100),
    ]
    for content in bad:
        with pytest.raises(Refused):
            read_pth(content)


@pytest.mark.parametrize("kind", [True, False], ids=["old", "zip"])
@given(
    cut=st.floats(0, 1, exclude_max=True), flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=3)
)
@settings(max_examples=30, deadline=None)
def test_any_cut_or_changed_file_is_read_or_refused_on_one_line(kind, cut, flips):
    whole = torch.saved(STATE, kind)
    with pytest.raises(UsageError, match="weights.pth") as error:
        read_tensors(whole[: int(cut * len(whole))], "weights.pth")
    assert "\n" not in str(error.value) and "Received" in str(error.value)
    changed = bytearray(whole)
    for place, value in flips:
        changed[int(place * (len(whole) - 1))] = value
    try:
        found = read_tensors(bytes(changed), "weights.pth")
    except UsageError as fault:
        assert "\n" not in str(fault)
    else:
        assert all(isinstance(array, np.ndarray) for array in found.values())


def test_safetensors_are_read_and_refused_alike():
    numpy = pytest.importorskip("safetensors.numpy")
    floats = {key: np.ascontiguousarray(value) for key, value in STATE.items()}
    content = numpy.save(floats | {"half": np.array([1.5], np.float16)})
    found = read_tensors(content, "x")
    for name, array in floats.items():
        np.testing.assert_array_equal(found[name], array)
    assert found["half"].dtype == np.float32 and found["half"] == [1.5]
    header = struct.pack("<Q", 60) + b'{"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}'
    for bad in (content[:-1], content + b"x", content[:20], b"", b"x" * 100, header + b"\0\0"):
        with pytest.raises(UsageError, match="no whole file"):
            read_tensors(bad, "x")


def test_weights_are_finite_and_their_names_text():
    for name, value, message in (("w", np.nan, "finite"), ("w", np.inf, "finite"), ("w\x1b[2J", 1.0, "plain text")):
        with pytest.raises(UsageError, match=message):
            read_tensors(torch.saved({name: np.array([value], np.float32)}), "x")


def test_files_that_are_none_give_one_line(tmp_path):
    for path in (tmp_path, tmp_path / "absent.pth", "/dev/null"):
        with pytest.raises(UsageError, match="regular one"):
            content_of(path)
