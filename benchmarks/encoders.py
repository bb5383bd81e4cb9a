"""python -m benchmarks.encoders ID: what a fine-tuned encoder says by itself, before SDT reads its features.

Each of its folds is scored alone, and all together, their scores averaged as its features are. What SDT then reaches on
those features beyond all of them together, it has from the conversation.
"""

import argparse
import statistics

import torch
from torch import Tensor

from sdt_model.metrics.counter import ConfusionCount
from sdt_model.metrics.scores import SCORES
from sdt_model.text_encoder.encoder import TextEncoder, Tokenizer, load_encoder
from sdt_model.text_encoder.inputs import batches_by_tokens, pack_windows
from sdt_model.text_encoder.trainer import Texts
from tasks.archive.layout import encoder_folder
from tasks.archive.manifests import read_archive
from tasks.config.stages import RayConfig
from tasks.config.training import FinetuneConfig
from tasks.finetuning.plan import plan_finetuning
from tasks.finetuning.worker import gather_texts
from tasks.registry.encoders import EncoderDescription, find_encoder, local_folder
from tasks.storage.workspace import Workspace

SPLITS = ("dev", "test")
BATCH_TOKENS = FinetuneConfig.model_fields["batch_tokens"].default


def splits_of(workspace: Workspace, description: EncoderDescription, words: Tokenizer) -> dict[str, Texts]:
    """The texts that none of the folds has seen."""
    config = FinetuneConfig(
        workspace=workspace.url,
        archive=description.archive,
        context=description.context,
        max_tokens=description.max_tokens,
        ray=RayConfig(address="local"),
    )
    plan = plan_finetuning(workspace, read_archive(workspace, description.archive), config, description.encoder_id)
    plan = plan.model_copy(update={"emotions": description.emotions})
    texts = gather_texts(workspace, plan, words)
    return {name: texts[name] for name in SPLITS}


@torch.inference_mode()
def scores(encoder: TextEncoder, texts: Texts, padding: int) -> Tensor:
    """(N, K), zeros where there is no text."""
    logits = torch.zeros(len(texts.labels), encoder.head.out_features)
    for chosen in batches_by_tokens(texts.windows, BATCH_TOKENS):
        batch = pack_windows(chosen, padding)
        logits[batch.rows] = encoder(batch)[1]
    return logits


def measured(scores: Tensor, texts: Texts) -> dict[str, float]:
    """Scores over the utterances that have a text; the encoders say nothing of others."""
    read = [row for window in texts.windows for row in window.rows]
    confusion = ConfusionCount(scores.shape[-1], scores.device)
    confusion.update(scores[read].argmax(dim=-1), torch.from_numpy(texts.labels[read]))
    return confusion.scores("of")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", help="as sdt finetune-text prints it")
    parser.add_argument("--workspace", default="./workspace")
    options = parser.parse_args()
    workspace = Workspace(options.workspace)
    description = find_encoder(workspace, options.encoder)
    with local_folder(workspace, encoder_folder(options.encoder)) as folder:
        words = Tokenizer(folder / "0")
        texts = splits_of(workspace, description, words)
        folds = [load_encoder(folder / str(fold), len(description.emotions)) for fold in range(description.folds)]
    for split, its in texts.items():
        alone = [scores(encoder, its, words.special.padding) for encoder in folds]
        each, together = [measured(one, its) for one in alone], measured(torch.stack(alone).mean(dim=0), its)
        for name in SCORES:
            mean = statistics.mean(one[f"of_{name}"] for one in each)
            print(f"{split} {name}: each alone {mean:.4f} on average, all together {together[f'of_{name}']:.4f}")


if __name__ == "__main__":
    main()
