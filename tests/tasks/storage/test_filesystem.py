"""What is said and done when a store refuses, fails, is slow, or is gone: a real S3 gateway behind a wire."""

import errno
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.errors import StoreOut, WorkflowError
from tasks.executor.shard import Shard, describe_shard
from tasks.storage.filesystem import file_version, open_url, store_fault
from tasks.storage.workspace import Workspace
from tests.fixtures.services.gateway import Gateway
from tests.fixtures.services.wire import Wire

TABLE = pa.table({"n": [1, 2, 3]})


def test_what_is_written_is_read_and_listed_and_removed(s3_workspace: Workspace) -> None:
    s3_workspace.write_json("a/x.json", {"n": 1})
    s3_workspace.write_table("a/t.parquet", TABLE)
    assert s3_workspace.read_json("a/x.json") == {"n": 1}
    assert s3_workspace.read_table("a/t.parquet") == TABLE
    with s3_workspace.dataset("a/t.parquet") as found:
        assert found.to_table() == TABLE
    s3_workspace.rename("a/x.json", "a/y.json")
    assert s3_workspace.files("a") == ["a/t.parquet", "a/y.json"]
    s3_workspace.remove_folder("a")
    assert s3_workspace.files("a") == [] and not s3_workspace.exists("a/y.json")


def test_an_exception_while_writing_publishes_nothing(s3_workspace: Workspace) -> None:
    with pytest.raises(ZeroDivisionError), s3_workspace.publish("a/x.json") as local:
        local.write_text("half")
        raise ZeroDivisionError
    assert not s3_workspace.exists("a/x.json")


def test_what_another_process_wrote_is_seen_at_once(s3_workspace: Workspace, gateway: Gateway) -> None:
    import s3fs

    s3_workspace.write_json("a/x.json", 1)
    assert s3_workspace.files("a") == ["a/x.json"]
    other = s3fs.S3FileSystem(endpoint_url=gateway.endpoint, skip_instance_cache=True)
    other.pipe_file(s3_workspace.path("a/y.json"), b"2")
    assert s3_workspace.exists("a/y.json")
    assert s3_workspace.files("a") == ["a/x.json", "a/y.json"]


def test_a_file_s_version_changes_with_it_on_a_gateway_without_etags(s3_workspace: Workspace) -> None:
    versions = []
    for content in (b"one", b"two", b"three"):
        s3_workspace.write_bytes("a", content)
        fs, path = s3_workspace.fs, s3_workspace.path("a")
        versions.append(file_version(fs, path, fs.info(path)))
        assert file_version(fs, path, fs.info(path)) == versions[-1]
        time.sleep(1.1)  # such a gateway tells seconds
    assert len(set(versions)) == 3


@pytest.mark.parametrize("wrong", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_credentials_are_refused_by_name_and_stay_out_of_the_message(
    s3_workspace: Workspace, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_workspace.write_json("a/x.json", 1)
    monkeypatch.setenv(wrong, "mistyped-by-someone")
    _forget_clients()
    try:
        other = Workspace(s3_workspace.url)
        for what in (lambda: other.read_json("a/x.json"), lambda: other.write_json("b", 1), lambda: other.files("a")):
            with pytest.raises(WorkflowError, match="access is refused") as refused:
                what()
            assert "AWS_SECRET_ACCESS_KEY" in str(refused.value) and other.url in str(refused.value)
            assert "mistyped" not in str(refused.value) and not isinstance(refused.value, StoreOut)
    finally:
        _forget_clients()


def test_a_missing_bucket_is_named(s3_workspace: Workspace) -> None:
    with pytest.raises(WorkflowError, match="there is no 'nobody-made-it' to write to"):
        Workspace("s3://nobody-made-it/w").write_json("x.json", 1)
    assert s3_workspace.files("") == []


def test_a_store_that_is_asked_too_often_is_asked_again(s3_workspace: Workspace, store: Wire) -> None:
    store.fail_first(2)
    s3_workspace.write_json("a/x.json", {"n": 1})
    store.fail_first(2)
    assert s3_workspace.read_json("a/x.json") == {"n": 1}
    assert sum(request.method == "PUT" for request in store.requests) == 3


def test_a_slow_store_is_waited_for(s3_workspace: Workspace, store: Wire) -> None:
    store.delay_s = 0.5
    s3_workspace.write_table("t.parquet", TABLE)
    assert s3_workspace.read_table("t.parquet") == TABLE


def test_a_failing_store_is_no_missing_file(s3_workspace: Workspace, store: Wire) -> None:
    s3_workspace.write_table("t.parquet", TABLE)
    store.fails = lambda _: True
    for what in (
        lambda: s3_workspace.exists("t.parquet"),
        lambda: s3_workspace.read_table("t.parquet"),
        lambda: s3_workspace.read_json("t.parquet"),
        lambda: describe_shard(s3_workspace, Shard(0, "t.parquet")),
        lambda: s3_workspace.files("t"),
        lambda: s3_workspace.write_json("x.json", 1),
    ):
        with pytest.raises(StoreOut, match=rf"{s3_workspace.url}.*fails, or does not answer(.|\n)*what is done stays"):
            what()


def test_a_gateway_that_comes_back_in_time_is_waited_for(
    s3_workspace: Workspace, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_workspace.write_json("a/x.json", {"n": 1})
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "6")
    _forget_clients()
    gateway.stop()
    later = threading.Timer(1.5, gateway.start)
    later.start()
    try:
        assert Workspace(s3_workspace.url).read_json("a/x.json") == {"n": 1}
    finally:
        later.join()
        _forget_clients()


def test_a_gateway_that_is_gone_is_said_so_in_the_end(s3_workspace: Workspace, gateway: Gateway) -> None:
    s3_workspace.write_json("a/x.json", {"n": 1})
    gateway.stop()
    try:
        with pytest.raises(StoreOut, match="does not answer"):
            s3_workspace.read_json("a/x.json")
    finally:
        gateway.start()
    assert s3_workspace.read_json("a/x.json") == {"n": 1}


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    for url in ("ftp://ann:geheim@host/folder", "s3://AKIA:ge/heim@bucket/folder"):
        with pytest.raises(WorkflowError, match="holds a password") as refused:
            open_url(url)
        assert "heim" not in str(refused.value)


def test_only_what_is_the_store_s_is_taken_for_the_store_s(tmp_path: Path) -> None:
    full = store_fault("w", OSError(errno.ENOSPC, "No space left on device"))
    assert isinstance(full, StoreOut) and "No space left" in str(full)
    assert type(store_fault("w", PermissionError(errno.EACCES, "Permission denied"))) is WorkflowError
    for error in (ValueError("1"), FileNotFoundError(errno.ENOENT, "x"), OSError("Couldn't deserialize thrift")):
        assert store_fault("w", error) is None
    with pytest.raises(FileNotFoundError), Workspace(str(tmp_path)).parquet("nothing.parquet"):
        pass


def _forget_clients() -> None:
    """A client keeps the credentials that it was made with."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
