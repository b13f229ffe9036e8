import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hyperinf.errors import InputError
from hyperinf.gradients import GradientBlock, GradientStore, LiveSource, TensorSource


def source(samples=7, losses=True):
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "b": torch.randn(samples, 2, 3, generator=generator),
        "a": torch.randn(samples, 1, 4, generator=generator),
    }
    ids = [f"row {index}" for index in range(samples)]
    return TensorSource(tensors, ids, block_size=3, losses=torch.arange(samples).float() if losses else None)


def stored(tmp_path, shard_bytes=100):
    return GradientStore.write(tmp_path / "store", source(), {"model": "tiny"}, shard_bytes=shard_bytes)


@pytest.mark.parametrize("shard_bytes", [1, 100, 10**6])
def test_what_is_written_is_read_back_in_order_however_many_shards_there_are(tmp_path, shard_bytes):
    store = stored(tmp_path, shard_bytes)
    back = TensorSource.gather(store)
    original = source()
    assert len(store) == len(original)
    assert list(store.layers) == ["b", "a"]
    assert [sample for block in store for sample in block.sample_ids] == [f"row {index}" for index in range(7)]
    for name in original.layers:
        assert torch.equal(back.layer(name), original.layer(name))
        assert torch.equal(store.layer(name), original.layer(name))
    assert torch.equal(torch.cat([block.losses for block in store]), torch.arange(7).float())
    store.verify()


def test_half_precision_is_stored_and_comes_back_as_float32(tmp_path):
    store = GradientStore.write(tmp_path / "store", source(losses=False), dtype="bfloat16")
    block = next(iter(store))
    assert block.losses is None
    assert block.gradients["b"].dense().dtype == torch.float32
    assert torch.equal(block.gradients["b"].dense(), source().layer("b").bfloat16().float())


def test_a_truncated_a_missing_and_a_replaced_shard_are_refused_by_name(tmp_path):
    store = stored(tmp_path)
    first, second = sorted((tmp_path / "store").glob("shard-*"))[:2]
    whole = first.read_bytes()
    first.write_bytes(whole[:-5])
    with pytest.raises(InputError, match=r"shard-00000\.safetensors: got \d+ bytes, expected \d+"):
        GradientStore(tmp_path / "store")
    first.write_bytes(second.read_bytes())
    with pytest.raises(InputError, match=r"shard-00000\.safetensors: got (a shard of another store|\d+ bytes)"):
        list(GradientStore(tmp_path / "store"))
    first.unlink()
    with pytest.raises(InputError, match=r"shard-00000\.safetensors: got no file"):
        GradientStore(tmp_path / "store")
    first.write_bytes(whole)
    assert len(list(store)) == len(list(GradientStore(tmp_path / "store")))


def test_a_shard_of_the_same_samples_and_another_model_is_refused_by_name(tmp_path):
    stored(tmp_path)
    GradientStore.write(tmp_path / "other", source(), {"model": "wide"}, shard_bytes=100)
    name = "shard-00001.safetensors"
    foreign = (tmp_path / "other" / name).read_bytes()
    assert len(foreign) == (tmp_path / "store" / name).stat().st_size
    (tmp_path / "store" / name).write_bytes(foreign)
    with pytest.raises(InputError, match=r"shard-00001\.safetensors: got a shard of another store"):
        list(GradientStore(tmp_path / "store"))


def test_one_flipped_bit_is_found_by_verify(tmp_path):
    stored(tmp_path)
    shard = sorted((tmp_path / "store").glob("shard-*"))[1]
    content = bytearray(shard.read_bytes())
    content[-3] ^= 4
    shard.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"shard-00001\.safetensors: got a corrupt shard"):
        GradientStore(tmp_path / "store").verify()


def test_a_fingerprint_that_differs_names_what_differs(tmp_path):
    stored(tmp_path)
    assert GradientStore(tmp_path / "store", {"model": "tiny"}).fingerprint == {"model": "tiny"}
    with pytest.raises(InputError, match="gradients of something else, expected the same data, model"):
        GradientStore(tmp_path / "store", {"model": "large", "data": "x"})


@pytest.mark.parametrize(
    "header", ["", "{", "[]", "{}", '{"format": "other"}', '{"format": "hyperinf-gradients-1", "layers": 3}']
)
def test_a_header_that_is_none_is_refused_in_one_line(tmp_path, header):
    stored(tmp_path)
    (tmp_path / "store" / "store.json").write_text(header)
    with pytest.raises(InputError, match=r"store\.json: ") as caught:
        GradientStore(tmp_path / "store")
    assert "\n" not in str(caught.value)


def test_a_shard_name_cannot_lead_out_of_the_store(tmp_path):
    stored(tmp_path)
    path = tmp_path / "store" / "store.json"
    header = json.loads(path.read_text())
    header["shards"][0]["file"] = "../outside.safetensors"
    path.write_text(json.dumps(header))
    with pytest.raises(InputError, match="expected a plain file name"):
        GradientStore(tmp_path / "store")


def test_a_source_that_fails_halfway_leaves_nothing_and_keeps_the_old_store(tmp_path):
    class Failing(TensorSource):
        def __iter__(self):
            yield next(super().__iter__())
            raise RuntimeError("out of memory")

    tensors = {name: source().layer(name) for name in source().layers}
    with pytest.raises(RuntimeError, match="out of memory"):
        GradientStore.write(tmp_path / "new", Failing(tensors, block_size=2))
    assert list(tmp_path.iterdir()) == []
    stored(tmp_path)
    with pytest.raises(RuntimeError, match="out of memory"):
        GradientStore.write(tmp_path / "store", Failing(tensors, block_size=2))
    GradientStore(tmp_path / "store", {"model": "tiny"}).verify()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


class StoppedError(Exception):
    pass


def assert_same(store, other):
    """The same shards; their files may name what they are of in another order."""
    for ours, theirs in zip(store, other, strict=True):
        assert ours.sample_ids == theirs.sample_ids
        assert torch.equal(ours.losses, theirs.losses)
        assert all(torch.equal(ours.gradients[name].dense(), theirs.gradients[name].dense()) for name in store.layers)
    store.verify()


def live(stop_after=None):
    """Batches of one, three, three, ... samples of a linear model, and how many were taken; stops where told."""
    x = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    y = torch.arange(10) % 3
    model = torch.nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)))
    pairs = [([str(i) for i in rows], (x[rows], y[rows])) for rows in ([0], [1, 2, 3], [4, 5, 6], [7, 8, 9])]
    taken: list[int] = []

    def loss(model, batch):
        if stop_after is not None and len(taken) == stop_after:
            raise StoppedError
        taken.append(len(batch[1]))
        return torch.nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

    return LiveSource(model, pairs, loss, check=False), taken


@pytest.mark.parametrize("shard_bytes", [1, 100, 10**6])
@pytest.mark.parametrize("stops", [(1,), (2,), (3,), (2, 1)])
def test_a_sweep_that_was_stopped_goes_on_after_its_last_whole_shard(tmp_path, shard_bytes, stops):
    whole = {"fingerprint": {"model": "tiny"}, "shard_bytes": shard_bytes}
    at_once = GradientStore.write(tmp_path / "at once", live()[0], **whole)
    for stop in stops:
        with pytest.raises(StoppedError):
            GradientStore.write(tmp_path / "store", live(stop)[0], **whole, go_on=True)
        assert not (tmp_path / "store").exists()
    source, taken = live()
    GradientStore.write(tmp_path / "store", source, **whole, go_on=True)
    if shard_bytes == 1:  # each sample its own shard: but for what was in work, nothing is taken twice
        assert sum(taken) < 10
    store = GradientStore.write(tmp_path / "store", live(0)[0], **whole, go_on=True)  # is there, and is taken as it is
    assert_same(store, at_once)
    assert len(list((tmp_path / "store").iterdir())) == len(list((tmp_path / "at once").iterdir()))


@pytest.mark.parametrize("harm", ["another model", "damaged", "unfinished"])
def test_what_cannot_be_gone_on_from_is_written_anew(tmp_path, harm):
    at_once = GradientStore.write(tmp_path / "at once", live()[0], {"model": "tiny"}, shard_bytes=1)
    of = {"model": "other" if harm == "another model" else "tiny"}
    with pytest.raises(StoppedError):
        GradientStore.write(tmp_path / "store", live(3)[0], of, shard_bytes=1, go_on=True)
    part = tmp_path / "store.part"
    if harm == "damaged":
        (part / "shard-00001.safetensors").write_bytes(b"nothing")
    if harm == "unfinished":
        (part / ".unfinished").write_bytes(b"nothing")
    assert_same(
        GradientStore.write(tmp_path / "store", live()[0], {"model": "tiny"}, shard_bytes=1, go_on=True), at_once
    )


def test_a_sweep_that_was_stopped_before_its_header_needs_no_gradient_more(tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(StoppedError):
        patched.setattr("hyperinf.gradients.store.write_json", lambda *_: (_ for _ in ()).throw(StoppedError))
        GradientStore.write(tmp_path / "store", live()[0], shard_bytes=100, go_on=True)
    assert len(GradientStore.write(tmp_path / "store", live(0)[0], shard_bytes=100, go_on=True)) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gradients": {}}, "got none, expected at least one layer"),
        ({"gradients": {"a": torch.zeros(3, 4)}}, r"'a': got shape \[3, 4\]"),
        (
            {"gradients": {"a": torch.zeros(3, 1, 4), "b": torch.zeros(2, 1, 4)}},
            "as many of every layer",
        ),
        ({"gradients": {"a": torch.zeros(2, 1, 4)}, "sample_ids": ["x", "x"]}, "expected 2 distinct ids"),
        ({"gradients": {"a": torch.zeros(2, 1, 4, dtype=torch.long)}}, "got torch.int64"),
    ],
)
def test_tensors_that_are_no_gradients_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TensorSource(**arguments)


def test_a_block_knows_how_many_samples_it_has():
    assert len(GradientBlock({}, ("a", "b"))) == 2


def spread(c, dtype=torch.float32):
    original = source(losses=False)
    return {name: original.layer(name).to(dtype) * c for name in original.layers}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(
    ("c", "of"), [(1e-9, torch.float32), (1e-30, torch.float32), (1e12, torch.float32), (1e30, torch.float32)]
    + [(c, torch.float64) for c in (1e-300, 1e-60, 1e-9, 1e60, 1e300)]
)  # fmt: skip
def test_gradients_of_any_size_keep_their_digits_in_any_dtype(tmp_path, dtype, c, of):
    tensors = spread(c, of)
    store = GradientStore.write(tmp_path / "store", TensorSource(tensors), dtype=dtype, shard_bytes=60)
    digits = {"float16": 2**-10, "bfloat16": 2**-8, "float32": 2**-23, "float64": 0.0}[dtype]
    for name, tensor in tensors.items():
        back = store.layer(name)
        assert torch.equal(back, torch.cat([block.gradients[name].dense() for block in store]))
        assert ((back.double() - tensor.double()).abs() <= digits * tensor.double().abs()).all()


def test_an_ordinary_float32_store_holds_the_very_tensors(tmp_path):
    GradientStore.write(tmp_path / "store", source())
    with safe_open(str(tmp_path / "store" / "shard-00000.safetensors"), framework="pt") as shard:
        for name in source().layers:
            assert shard.get_tensor(name).dtype == torch.float32
            assert torch.equal(shard.get_tensor(name), source().layer(name))


@pytest.mark.parametrize(("dtype", "part"), [("float16", 1e-13), ("bfloat16", 1e-60), ("float32", 1e-60)])
def test_a_sample_that_would_become_zeros_beside_others_is_refused_by_layer_and_sample(tmp_path, dtype, part):
    tensors = spread(1.0, torch.float64)
    tensors["a"][2] *= part
    with pytest.raises(InputError, match=f"layer 'a' up to .* for sample '2' beside .*range that {dtype} has"):
        GradientStore.write(tmp_path / "store", TensorSource(tensors), dtype=dtype)
    alone = GradientStore.write(tmp_path / "store", TensorSource(tensors), dtype=dtype, shard_bytes=1)
    assert torch.allclose(alone.layer("a").double(), tensors["a"], rtol=1e-2, atol=0)


def test_a_sample_that_loses_digits_beside_others_is_warned_of(tmp_path):
    tensors = spread(1.0)
    tensors["b"][4] *= 1e-10
    with pytest.warns(UserWarning, match="layer 'b' of 1 of 7 samples .*fewer digits than float16"):
        GradientStore.write(tmp_path / "store", TensorSource(tensors), dtype="float16")


def test_a_store_of_the_format_before_is_still_read(tmp_path):
    stored(tmp_path)
    header = json.loads((tmp_path / "store" / "store.json").read_text())
    header["format"] = "hyperinf-gradients-1"
    for shard in header["shards"]:
        path = tmp_path / "store" / shard["file"]
        with safe_open(str(path), framework="pt") as opened:
            tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
            own = {**opened.metadata(), "format": "hyperinf-gradients-1"}
        del own["exponents"], shard["exponents"]
        save_file(tensors, str(path), metadata=own)
        shard["bytes"] = path.stat().st_size
    (tmp_path / "store" / "store.json").write_text(json.dumps(header))
    for name in source().layers:
        assert torch.equal(GradientStore(tmp_path / "store").layer(name), source().layer(name))


def test_exponents_that_a_shard_does_not_have_are_refused(tmp_path):
    GradientStore.write(tmp_path / "store", source(), dtype="float16")
    path = tmp_path / "store" / "store.json"
    header = json.loads(path.read_text())
    header["shards"][0]["exponents"]["a"] += 1
    path.write_text(json.dumps(header))
    with pytest.raises(InputError, match="got a shard of another store"):
        list(GradientStore(tmp_path / "store"))
    header["shards"][0]["exponents"]["a"] = 10**9
    path.write_text(json.dumps(header))
    with pytest.raises(InputError, match="expected a valid header"):
        GradientStore(tmp_path / "store")
