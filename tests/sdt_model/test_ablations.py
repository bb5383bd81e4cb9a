from sdt_model.ablations import FULL, subsets_of, variants
from sdt_model.recipes import meld
from tests.fixtures import archives as made


def test_every_variant_changes_one_part_and_the_full_model_is_the_first() -> None:
    training = meld()
    found = variants(training, made.MODALITIES)
    assert next(iter(found)) == FULL and found[FULL] == (training, made.MODALITIES) and len(found) == 8 + 6
    assert len({(t.model_dump_json(), m) for t, m in found.values()}) == len(found)
    objective, model = (lambda name: found[name][0].objective), (lambda name: found[name][0].model)
    assert (objective("without hard labels").gamma_ce, objective("without hard labels").gamma_kl) == (0, 1)
    assert (objective("without soft labels").gamma_ce, objective("without soft labels").gamma_kl) == (1, 0)
    both = objective("without self-distillation")
    assert (both.gamma_task, both.gamma_ce, both.gamma_kl, both.temperature) == (1, 0, 0, 8.0)
    assert model("without intra-modal transformers").transformers == "inter"
    assert model("without inter-modal transformers").transformers == "intra"
    assert model("without unimodal gates").unimodal_gates == "none"
    assert model("without the multimodal gate").multimodal_gate == "none"
    assert found["only audio+visual"] == (training, ("audio", "visual"))


def test_a_model_of_one_modality_has_no_part_between_modalities_to_lose() -> None:
    found = variants(meld(), ("text",))
    assert "without unimodal gates" in found and "without intra-modal transformers" not in found
    assert subsets_of(("visual", "text")) == (("text",), ("visual",), ("text", "visual"))
