"""Against PyTorch itself and the classes that PyTorch's upscaling tools share; skipped where they are missing."""

from pathlib import Path

import numpy as np
import pytest
from goldens import TINY, checkpoints, compiled, generated_weights, relative_error

import swinir_jax
from swinir_jax import SwinIR, SwinIRConfig, load_pretrained
from swinir_jax.checkpoints.convert import convert
from swinir_jax.checkpoints.names import official_shapes
from swinir_jax.checkpoints.torch_file import read_torch_file

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.as_shipped,
    pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning"),  # of their code
]


@pytest.fixture(scope="module")
def classes():
    """Returns the classes of SwinIR and Swin2SR by family."""
    library = torch.library.Library("torchvision", "DEF")  # a CPU build of PyTorch has none of torchvision's operators
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    names = {"swinir": "SwinIR", "swin2sr": "Swin2SR"}
    return {
        family: getattr(pytest.importorskip(f"spandrel.architectures.{name}"), name) for family, name in names.items()
    }


def arguments(config):
    names = ("upscale", "in_chans", "img_size", "window_size", "img_range", "upsampler", "resi_connection", "embed_dim")
    names += ("depths", "num_heads", "mlp_ratio", "qkv_bias", "ape", "patch_norm")
    names += ("qk_scale",) if config.family == "swinir" else ()  # a swin2sr learns the scale
    return {name: getattr(config, name) for name in names}


OPTIONS = (
    {},
    {"window_size": 7, "img_size": 14, "upsampler": "", "upscale": 1, "img_range": 255.0},
    {"upsampler": "nearest+conv", "upscale": 4, "resi_connection": "3conv"},
    {"upsampler": "nearest+conv", "upscale": 8},  # as in DifFace
    {"family": "swin2sr", "img_size": (16, 24), "ape": True},
    {"family": "swin2sr", "window_size": 7, "img_size": 14, "upsampler": "", "upscale": 1, "img_range": 255.0},
    {"family": "swin2sr", "upsampler": "nearest+conv", "upscale": 4, "resi_connection": "3conv", "patch_norm": False},
    {"family": "swin2sr", "upsampler": "pixelshuffle_aux", "upscale": 4, "qkv_bias": False},
    {"family": "swin2sr", "upsampler": "pixelshuffle_hf", "resi_connection": "3conv"},
)
CONFIGS = [SwinIRConfig.from_dict({**TINY.to_dict(), **options}) for options in OPTIONS]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.family} {config.upsampler} {config.upscale}")
def test_converted_weights_load_strictly_and_answer_alike(config, classes, tmp_path):
    import safetensors.torch

    theirs = classes[config.family](**arguments(config)).eval()
    state = theirs.state_dict()
    weights = generated_weights({name: tuple(state[name].shape) for name in official_shapes(config)}, 3)
    theirs.load_state_dict({**state, **{name: torch.from_numpy(w) for name, w in weights.items()}}, strict=True)
    torch.save({"params": theirs.state_dict()}, tmp_path / "theirs.pth")

    convert([(tmp_path / "theirs.pth", 1.0)], tmp_path / "ours", img_range=config.img_range)
    convert([(tmp_path / "ours", 1.0)], tmp_path / "back.safetensors")
    again = classes[config.family](**arguments(config)).eval()
    again.load_state_dict(safetensors.torch.load_file(tmp_path / "back.safetensors"), strict=True)

    model, params = load_pretrained(tmp_path / "ours")
    assert isinstance(model, SwinIR)
    assert model.config == config
    # With pixelshuffle_aux, Swin2SR's class distorts images that are not of whole windows.
    size = config.img_sides if config.ape or config.upsampler == "pixelshuffle_aux" else (19, 26)
    lq = np.random.default_rng(0).random((1, *size, 3), dtype=np.float32)
    with torch.no_grad():
        answers = again(torch.from_numpy(lq).permute(0, 3, 1, 2))
    further = ()
    if config.upsampler == "pixelshuffle_hf":
        _, collections = model.apply({"params": params}, lq, mutable=["intermediates"])
        further = collections["intermediates"]["answers"][0]
    ours = [compiled(model)({"params": params}, lq), *further]
    for answer, expected in zip(ours, answers if isinstance(answers, tuple) else [answers], strict=True):
        assert relative_error(answer, expected.permute(0, 2, 3, 1).numpy()) < 1e-5


PRETRAINED = Path(swinir_jax.__file__).parent / "pretrained"


@pytest.mark.parametrize(
    "file", sorted(PRETRAINED.rglob("*.safetensors")), ids=lambda file: str(file.relative_to(PRETRAINED))
)
@pytest.mark.usefixtures("classes")  # defines operators that the tools ask for
def test_pytorch_tools_load_the_bundled_models(file):
    from spandrel import ModelLoader

    theirs = ModelLoader().load_from_file(file).model.eval()
    model, params = load_pretrained(file)
    lq = np.random.default_rng(0).random((1, 40, 33, 3), dtype=np.float32)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(lq).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    assert relative_error(compiled(model)({"params": params}, lq), expected) < 1e-5


@pytest.mark.parametrize("legacy", [False, True])
def test_what_pytorch_saves_is_read_as_pytorch_reads_it(tmp_path, legacy):
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    saved = {
        "transposed": base.t(),
        "part": base[1:3, ::2],
        "bfloat16": base.bfloat16(),
        "half": base.half(),
        "integers": torch.arange(5),
        "parameter": torch.nn.Parameter(base),
        "scalar": torch.tensor(3.5),
        "nested": {"epoch": 3, "name": "x"},
    }
    torch.save(saved, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
    read = read_torch_file(tmp_path / "x.pth")
    assert read["nested"] == saved["nested"]
    for name, tensor in saved.items():
        if name != "nested":
            np.testing.assert_array_equal(read[name].astype(np.float64), tensor.detach().double().numpy())


def test_samples_are_read_as_pytorch_reads_them():
    for name in ("params.pth", "legacy_format.pth", "strided.pth", "bfloat16.pth"):
        theirs = torch.load(checkpoints() / name, map_location="cpu", weights_only=True)
        ours = read_torch_file(checkpoints() / name)
        while not isinstance(next(iter(theirs.values())), torch.Tensor):
            key = next(iter(theirs))
            theirs, ours = theirs[key], ours[key]
        assert theirs.keys() == ours.keys()
        for key, tensor in theirs.items():
            np.testing.assert_array_equal(ours[key].astype(np.float64), tensor.double().numpy())
