"""A text encoder with a head that names the emotion of each utterance in what it reads."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdt_model.ops.dropout import Dropout
from sdt_model.text_encoder.inputs import TokenBatch
from sdt_model.text_encoder.windows import SpecialTokens

HEAD = "head.safetensors"
# What checkpoints of other tasks leave out, and nothing here reads: the pooler, and the mask that training draws.
_UNREAD = ("pooler", "masked_spec_embed")


class TextEncoder(nn.Module):
    """Any Hugging Face encoder; an utterance's vector is the mean of its own tokens' last states."""

    def __init__(self, body: nn.Module, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(int(body.config.hidden_size), classes)  # type: ignore[union-attr, arg-type]
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    @property
    def dim(self) -> int:
        """Length of `vectors`' rows."""
        return self.head.in_features + self.head.out_features

    def forward(self, batch: TokenBatch) -> tuple[Tensor, Tensor]:
        """Pooled states (U, C) and scores (U, K) of the batch's utterances."""
        states = self.body(input_ids=batch.tokens, attention_mask=batch.mask).last_hidden_state  # (B, T, C)
        own = states.flatten(0, 1)[batch.places]
        pooled = states.new_zeros(len(batch.rows), states.shape[-1]).index_add(0, batch.owners, own)
        pooled = pooled / torch.bincount(batch.owners, minlength=len(batch.rows)).unsqueeze(1)
        return pooled, self.head(self.dropout(pooled))

    def prepare_training(self) -> None:
        """Make training steps cheaper; what is computed stays the same.

        A gradient of the whole vocabulary's table would be made anew in every pass for the few rows that were read.
        """
        for module in list(self.modules()):
            if isinstance(module, nn.Embedding):
                module.sparse = True
            for name, child in module.named_children():
                if type(child) is nn.Dropout:
                    setattr(module, name, Dropout(child.p))

    def vectors(self, batch: TokenBatch) -> Tensor:
        """Features (U, C + K): the pooled state, and the scores, which are what fine-tuning taught it."""
        return torch.cat(self(batch), dim=1)

    def save(self, folder: Path) -> None:
        """Write the body as its library does, and the head beside it; nothing that has to be unpickled."""
        self.body.save_pretrained(folder)  # type: ignore[operator]
        head = {name: value.detach().cpu().contiguous() for name, value in self.head.state_dict().items()}
        save_file(head, folder / HEAD)


def _quiet() -> None:
    """Keep the library's bars for every file, and its reports of weights, from between the stage's own lines."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # the weights are checked here


def load_body(folder: Path, dtype: str = "float32") -> nn.Module:
    """A pretrained encoder from a folder, safetensors alone.

    Raises:
        OSError: there is none.
        ValueError: some of its weights are not there; the library would fill them in by chance.
    """
    from transformers import AutoModel

    _quiet()
    body: nn.Module
    body, info = AutoModel.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=dtype,
        output_loading_info=True, ignore_mismatched_sizes=True,
    )  # fmt: skip
    names = {*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])}
    lacking = sorted(name for name in names if not any(part in name for part in _UNREAD))
    if lacking:
        raise ValueError(
            f"{folder} lacks {len(lacking)} weights of {type(body).__name__}, such as {', '.join(lacking[:3])}\n"
            "  it was saved from another kind of model than its config.json says"
        )
    if (pooler := getattr(body, "pooler", None)) is not None:
        pooler.requires_grad_(False)  # nothing is read from it
    return body


def blank_body(folder: Path) -> nn.Module:
    """An encoder without weights, to read its shape from.

    Raises:
        OSError, ValueError: the library knows no model by this config.json.
    """
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        body: nn.Module = AutoModel.from_config(config, trust_remote_code=False)
    return body


def positions(body: nn.Module) -> int | None:
    """Most tokens, special ones included, that an encoder reads at once; None: no limit."""
    for name, table in body.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, nn.Embedding):
            # RoBERTa and its like count from the position after padding's.
            return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    limit: int | None = getattr(body.config, "max_position_embeddings", None)
    return limit


def load_encoder(folder: Path, classes: int) -> TextEncoder:
    """A fine-tuned encoder that `TextEncoder.save` wrote, ready to encode."""
    encoder = TextEncoder(load_body(folder), classes)
    encoder.head.load_state_dict(load_file(folder / HEAD))
    return encoder.eval()


class Tokenizer:
    """The encoder's tokenizer, as far as windows need it."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        if not any((folder / name).is_file() for name in tokenizer.vocab_files_names.values()):
            raise ValueError(f"{folder} has no tokenizer, such as tokenizer.json")  # the library makes an empty one up
        begin = tokenizer.bos_token_id if tokenizer.cls_token_id is None else tokenizer.cls_token_id
        end = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
        if None in (begin, end, tokenizer.pad_token_id):
            raise ValueError("the encoder's tokenizer has no token for the beginning, the end or padding")
        self._tokenizer, self.special = tokenizer, SpecialTokens(int(begin), int(end), int(tokenizer.pad_token_id))

    def tokens(self, texts: list[str], most: int) -> list[list[int]]:
        """Token ids of each text without special ones, at most ``most``."""
        if not texts:
            return []
        encoded = self._tokenizer(texts, add_special_tokens=False, truncation=True, max_length=most)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def save(self, folder: Path) -> None:
        self._tokenizer.save_pretrained(folder)
