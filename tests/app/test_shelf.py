"""The folder is the control: what is put there, taken away or spoilt while the service runs."""

import asyncio
import gc
import json
import logging
import shutil
import sys
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app import bundle
from app.backlog import Backlog
from app.errors import InvalidContent, UnknownResource
from app.folder import Address
from app.metrics import Metrics
from app.pool import Pool
from app.repository import open_repository
from app.scheduler import Scheduler, patiently
from app.settings import Settings
from app.shelf import Shelf
from app.stock import GONE
from app.verbs import score
from tests.app.test_allocator import BLOCK, BLOCKS, resident, scattered

ROW = b'{"rows": [[20, 1013, 5, 3]]}'


def put(models: Path, root: Path, name: str, version: int) -> Path:
    """Publish plant/1 under another name or version: beside, and then by renaming."""
    source = bundle.read(models / "plant" / "1")
    beside = root / f".new-{name}-{version}"
    shutil.copytree(source.path, beside)
    bundle.seal(beside, source.manifest.model_copy(update={"name": name, "version": version}))
    (root / name).mkdir(exist_ok=True)
    return beside.rename(root / name / str(version))


@pytest.fixture
def root(models: Path, tmp_path: Path) -> Path:
    """A repository with plant/1."""
    put(models, tmp_path, "plant", 1)
    return tmp_path


def on(root: Path, do: Callable[[Shelf, Metrics], Awaitable[None]], model: str | None = None) -> None:
    """Do something with a shelf over a folder."""

    async def run() -> None:
        settings = Settings(models=root, model=model, device="cpu", watch_seconds=0)
        metrics = Metrics()
        shelf = Shelf(open_repository(settings), settings, metrics, changed=lambda: None)
        async with shelf.watching():
            await do(shelf, metrics)

    asyncio.run(run())


def spoil(folder: Path, file: str = bundle.SCORE) -> None:
    """Flip one bit."""
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)


def test_a_version_that_is_renamed_into_place_is_served(models: Path, root: Path) -> None:
    """What was there already is the same object still; a dot-folder is nothing."""

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        first = shelf.repository
        put(models, root, "plant", 2).rename(root / "plant" / ".two")
        await shelf.look()
        assert shelf.repository.default is first.default

        (root / "plant" / ".two").rename(root / "plant" / "2")
        await shelf.look()

        assert str(shelf.repository.default) == "plant@2"
        assert shelf.repository.get("plant", 1) is first.default
        assert list(first.models["plant"]) == [1]

    on(root, do)


def test_a_folder_as_it_was_makes_no_other_repository(root: Path) -> None:
    """A look is all that it costs."""

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        before = shelf.repository
        await shelf.look()
        assert shelf.repository is before

    on(root, do)


def test_a_version_that_is_taken_away_is_rolled_back(models: Path, root: Path) -> None:
    """The one below answers again, and that it does is another state of the metrics."""
    put(models, root, "plant", 2)

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        second = shelf.repository.default
        shutil.rmtree(root / "plant" / "2")
        await shelf.look()

        assert str(shelf.repository.default) == "plant@1"
        assert not shelf.repository.stock.refused
        told = metrics.exposition().decode()
        assert f'nelbo_bundle_info{{digest="{second.bundle.digest}",name="plant",version="2"}} 0.0' in told
        digest = shelf.repository.default.bundle.digest
        assert f'nelbo_bundle_info{{digest="{digest}",name="plant",version="1"}} 1.0' in told

    on(root, do)


def test_a_pinned_model_stays_when_higher_versions_come(models: Path, root: Path) -> None:
    """At the root and by its name; a higher version answers who asks for it."""

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        put(models, root, "plant", 2)
        await shelf.look()

        assert str(shelf.repository.default) == "plant@1"
        assert str(shelf.repository.get("plant")) == "plant@1"
        assert str(shelf.repository.get("plant", 2)) == "plant@2"

    on(root, do, model="plant@1")


def test_a_bad_version_leaves_the_old_one_serving(models: Path, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is refused once, told in the log once, and opened when it has been mended."""

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        first = shelf.repository.default
        folder = put(models, root, "plant", 2)
        spoil(folder)
        for _ in range(3):
            await shelf.look()

        assert shelf.repository.default is first
        reason = shelf.repository.stock.refused[Address("plant", 2)].reason
        assert reason.startswith("score.onnx: SHA-256 is ")
        assert caplog.text.count("refused plant/2") == 1
        assert 'nelbo_bundle_loads_total{result="refused"} 1.0' in metrics.exposition().decode()
        assert "nelbo_bundles_refused 1.0" in metrics.exposition().decode()

        spoil(folder)
        await shelf.look()

        assert str(shelf.repository.default) == "plant@2"
        assert not shelf.repository.stock.refused
        assert 'nelbo_bundle_loads_total{result="opened"} 2.0' in metrics.exposition().decode()
        assert "nelbo_bundles_refused 0.0" in metrics.exposition().decode()

    on(root, do)


def test_a_bundle_that_is_spoilt_in_place_is_served_as_it_was(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It was verified when it was opened, and memory is not spoilt; that the folder is, is told."""

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        first = shelf.repository.default
        spoil(root / "plant" / "1")
        await shelf.look()

        assert shelf.repository.default is first
        assert Address("plant", 1) in shelf.repository.stock.refused
        assert "what it was before is still served" in caplog.text

        spoil(root / "plant" / "1")
        await shelf.look()

        assert shelf.repository.default is first
        assert not shelf.repository.stock.refused

    on(root, do)


def test_a_bundle_that_is_copied_file_by_file_is_served_when_the_last_one_is_there(models: Path, root: Path) -> None:
    """Also when that is no new file, but one that grows."""
    source = put(models, root, "plant", 2).rename(root / ".source")

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        target = root / "plant" / "2"
        target.mkdir()
        for file in sorted(source.iterdir()):
            (target / file.name).write_bytes(file.read_bytes()[:-1])
            await shelf.look()
            with (target / file.name).open("ab") as stream:
                stream.write(file.read_bytes()[-1:])
            assert str(shelf.repository.default) == "plant@1"
        await shelf.look()
        assert str(shelf.repository.default) == "plant@2"

    on(root, do)


def test_the_default_model_stays_while_nothing_is_in_its_place(
    models: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its folder is gone, which the log tells once, the metrics and /models as long as it is; another name is none."""
    caplog.set_level(logging.INFO)
    put(models, root, "pump", 1)

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        first = shelf.repository.default
        (root / "plant").rename(root / ".plant")
        for _ in range(2):
            await shelf.look()
        put(models, root, "pump", 2)
        await shelf.look()

        assert shelf.repository.default is first
        assert shelf.repository.get("plant") is first
        assert str(shelf.repository.get("pump")) == "pump@2"
        assert shelf.repository.stock.refused == {Address("plant", 1): GONE}
        assert caplog.text.count("plant@1 is served on: its folder is gone") == 1
        assert "nelbo_bundles_refused 1.0" in metrics.exposition().decode()

        (root / ".plant").rename(root / "plant")
        await shelf.look()

        assert shelf.repository.default is first
        assert not shelf.repository.stock.refused
        assert caplog.text.count("the folder of plant@1 is there again") == 1

    on(root, do, model="plant")


def test_a_pin_whose_version_is_gone_stays_as_well(models: Path, root: Path) -> None:
    """Version 1 was not asked for."""
    put(models, root, "plant", 2)

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        shutil.rmtree(root / "plant" / "2")
        await shelf.look()
        assert str(shelf.repository.default) == "plant@2"
        assert set(shelf.repository.models["plant"]) == {1, 2}

    on(root, do, model="plant@2")


def test_everything_stays_when_all_is_gone(models: Path, root: Path) -> None:
    """A volume that is unmounted takes no model with it."""
    put(models, root, "pump", 1)

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        first = shelf.repository
        root.rename(root.with_name("elsewhere"))
        await shelf.look()

        assert dict(shelf.repository.stock.models) == dict(first.stock.models)
        assert set(shelf.repository.stock.refused.values()) == {GONE}

        root.with_name("elsewhere").rename(root)
        await shelf.look()

        assert dict(shelf.repository.stock.models) == dict(first.stock.models)
        assert not shelf.repository.stock.refused

    on(root, do, model="plant")


def test_a_second_model_does_not_unseat_the_first(models: Path, root: Path) -> None:
    """Where no setting names one, the root goes on with the model that it began with."""

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        put(models, root, "alpha", 1)
        await shelf.look()
        assert str(shelf.repository.default) == "plant@1"
        assert list(shelf.repository.models) == ["alpha", "plant"]

    on(root, do)


def test_who_adds_a_second_model_hears_what_the_next_start_will_ask(
    models: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where NELBO_MODEL says which, and where nothing new comes, nothing is told."""

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        put(models, root, "pump", 1)
        await shelf.look()
        put(models, root, "pump", 2)
        await shelf.look()

    on(root, do, model="plant@1")
    assert "NELBO_MODEL is not set" not in caplog.text
    shutil.rmtree(root / "pump")
    on(root, do)
    assert caplog.text.count("NELBO_MODEL is not set: plant@1 stays at the root") == 1


def test_a_model_goes_with_the_last_request_that_has_it(models: Path, root: Path) -> None:
    """No lane, cache or cycle keeps it: without the collector it is gone when nobody asks it any more."""
    settings = Settings(models=root, device="cpu", watch_seconds=0)

    async def run() -> None:
        with ThreadPoolExecutor(1) as threads:
            metrics = Metrics()
            pool = Pool(threads, Backlog(1.0))
            scheduler = Scheduler(pool, pool, 2, Backlog(1.0), metrics)
            shelf = Shelf(open_repository(settings), settings, metrics, changed=scheduler.forget)
            async with shelf.watching():
                held = shelf.repository.default
                held.calibration.ranking(np.array([True, False, True, True]).tobytes())
                await scheduler.answer(partial(score, held, settings), ROW, patiently)
                old = weakref.ref(held.engine)  # which has the sessions, and is what everything else refers to
                put(models, root, "plant", 2)
                shutil.rmtree(root / "plant" / "1")
                await shelf.look()
                assert json.loads(score(held, settings, ROW).answer().body)["version"] == 1

                del held
                assert old() is None
                assert str(shelf.repository.default) == "plant@2"

    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is given back")
def test_the_memory_that_a_change_leaves_goes_back_with_the_next_look(models: Path, root: Path) -> None:
    """No other look does it: who is answered has just been given that memory, and will be again."""

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        put(models, root, "plant", 2)
        await shelf.look()
        held, full = scattered(), resident()

        await shelf.look()
        assert resident() < full - BLOCK * BLOCKS / 2

        held += scattered()
        full = resident()
        await shelf.look()
        assert resident() > full - BLOCK * BLOCKS / 10

    on(root, do)


def test_unloading_lasts_until_it_is_loaded(models: Path, root: Path) -> None:
    """Whatever the folder does meanwhile; then what is there is opened."""
    put(models, root, "pump", 1)

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        await shelf.unload("pump")
        put(models, root, "pump", 2)
        await shelf.look()
        assert list(shelf.repository.models) == ["plant"]
        assert {str(at): told.reason for at, told in shelf.repository.stock.refused.items()} == {
            "pump/1": "it was unloaded",
            "pump/2": "it was unloaded",
        }

        await shelf.load("pump")
        assert list(shelf.repository.models["pump"]) == [2, 1]
        assert not shelf.repository.stock.refused

    on(root, do, model="plant")


def test_what_cannot_be_loaded_or_unloaded_is_told(models: Path, root: Path) -> None:
    """With the reasons of every version; and the root always has a model."""
    spoil(put(models, root, "pump", 3))

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        with pytest.raises(UnknownResource, match=r"version 3: score\.onnx: SHA-256 is"):
            await shelf.load("pump")
        with pytest.raises(UnknownResource, match="no folder of this name"):
            await shelf.load("../plant")
        with pytest.raises(UnknownResource):
            await shelf.unload("pump")
        with pytest.raises(InvalidContent, match="root"):
            await shelf.unload("plant")
        assert list(shelf.repository.models) == ["plant"]

    on(root, do)


def test_changes_that_are_asked_for_at_once_come_one_after_the_other(models: Path, root: Path) -> None:
    """Loads, unloads and looks race; the last one wins, and nothing is lost."""
    put(models, root, "pump", 1)

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        races = (partial(shelf.load, "pump"), partial(shelf.unload, "pump"), shelf.look)
        await asyncio.gather(*(races[number % 3]() for number in range(12)), return_exceptions=True)
        await shelf.load("pump")
        assert list(shelf.repository.models) == ["plant", "pump"]

    on(root, do, model="plant")
