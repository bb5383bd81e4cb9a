from typer.testing import CliRunner

from flows.cli.app import app
from flows.reports.models import models_page, production_line
from sdt_model.weights import new_network, to_files
from tasks.registry.models import promote, read_production, write_bundle
from tasks.storage.workspace import Workspace
from tests.fixtures.models import bundle
from tests.fixtures.pages import cells


def put(workspace: Workspace, name: str, **changes: object) -> None:
    made = bundle().model_copy(update={"model_id": name} | changes)
    write_bundle(workspace, name, to_files(made, new_network(made)))


def test_models_are_listed_with_scores_sources_and_their_place(workspace: Workspace) -> None:
    put(workspace, "sdt-a", metrics={"dev_weighted_f1": 0.5}, made_with={"torch": "2.13.0", "sdt-emotion": "0.1.0"})
    put(workspace, "sdt-b")
    put(workspace, "sdt-c")
    promote(workspace, "sdt-b")
    promote(workspace, "sdt-a", "it was better")
    header, _, first, second, third = cells(page := models_page(workspace))
    a = dict(zip(header, first, strict=True))
    assert (a["model"], a["production"], a["dev weighted F1"], a["test weighted F1"]) == ("sdt-a", "now", "0.5000", "")
    assert a["code"] == "sdt-emotion 0.1.0, torch 2.13.0" and "text: made-text" in a["takes"]
    assert second[:2] == ["sdt-b", "before, 1"] and third[:2] == ["sdt-c", ""]
    assert page.endswith("UTC: sdt-a (it was better)")


def test_models_are_put_into_production_and_back_by_hand(workspace: Workspace) -> None:
    def sdt(*arguments: str) -> str:
        done = CliRunner().invoke(app, [*arguments, "--workspace", workspace.url])
        assert done.exit_code == 0, done.output
        return done.output

    put(workspace, "sdt-a")
    put(workspace, "sdt-b")
    assert ": sdt-a (by hand)" in sdt("promote", "sdt-a")
    sdt("promote", "sdt-b")
    assert ": sdt-a (rolled back from sdt-b)" in sdt("rollback")
    assert ": sdt-a (rolled back from sdt-b)" in sdt("models")
    done = CliRunner().invoke(app, ["promote", "sdt-c", "--workspace", workspace.url])
    assert done.exit_code == 1 and "there: sdt-a, sdt-b" in done.output


def test_without_models_it_says_how_to_make_one(workspace: Workspace) -> None:
    assert "sdt train ARCHIVE" in models_page(workspace)
    assert "`sdt promote ID`" in production_line(read_production(workspace))
