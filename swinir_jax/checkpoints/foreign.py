"""Recognises files without weights of a SwinIR, by their first bytes or by the names of their entries or tensors."""

import re
from collections.abc import Collection, Mapping

import numpy as np

# Patterns of a file's first bytes; the first match counts.
_BEGINNINGS = (
    (rb"\Z", "an empty file"),
    (rb"version https://git-lfs", "a Git LFS pointer in place of the file (`git lfs pull` fetches it)"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|!--)", "a web page, not the file that the page offers"),
    (rb"\xff\xfe|\xfe\xff", "a text in UTF-16, such as a web page, not the file that the page offers"),
    (rb"\s*\{.*\"weight_map\"", "an index of files that hold parts of a network; join the parts in one file first"),
    (rb"\s*(\{\s*[\"}]|\[\s*[\"\]\[{\d])", "a JSON text, without weights"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!|.{257}ustar", "a packed archive; unpack it first"),
    (rb"\x93NUMPY", "a single NumPy array"),
    (rb"\x08[\x01-\x1f]\x12", "an ONNX model; weights of PyTorch are read"),
    (rb"\x89HDF", "an HDF5 file, as Keras writes it; weights of PyTorch are read"),
    (rb"GGUF", "a GGUF file; weights of PyTorch are read"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF", "an image"),
    (rb"%PDF", "a PDF document"),
)
HEAD = 512  # number of first bytes to be matched

# Patterns of an entry's name in an archive; the first that matches any entry counts.
_ARCHIVES = (
    ("arrays of NumPy (.npz); weights of PyTorch are read", r"\.npy\Z"),
    ("a program of torch.export; save the network's state_dict() by torch.save", r"(\A|/)archive_format\Z"),
)

# Patterns of a tensor's `name:rank`; the first pattern that matches any tensor counts.
_NETWORKS = (
    ("an ESRGAN (RRDBNet)", r"(?i)\brdb\d\.conv\d\.(0\.)?weight:"),
    ("HAT", r"\boverlap_attn\.|\.conv_block\.cab\."),
    ("a Swin2SR with the names of Hugging Face's library", r"\bencoder\.stages\.0\.layers\.0\.attention\."),
    ("HMA", r"\.blocks\.\d+\.conv_block\.\d"),
    ("SwinFIR", r"\.conv\.[SF]\.\w+\."),
    ("MambaIR", r"\.self_attention\.(x_proj_weight|A_logs)\b"),
    ("ATD", r"\.attn_(win|atd|aca)\."),
    ("GRL", r"\.attn\.(qkv|anchor)\.body\."),
    ("DAT", r"\bbefore_RG\.|\.attn\.attns\.\d"),
    ("SRFormer", r"\.aligned_relative_position_index\b"),
    ("Real-ESRGAN's compact network (SRVGGNet)", r"\bbody\.1\.weight:1"),
    ("Restormer", r"\bencoder_level1\.0\.attn\.temperature:"),
    ("NAFNet", r"\bmiddle_blks\.\d+\.(beta|conv1\.weight):"),
    ("RCAN", r"\bbody\.0\.body\.0\.body\.0\.weight:4|\bbody\.0\.residual_group\.0\.rcab\."),
    ("EDSR", r"\bbody\.0\.body\.0\.weight:4|\bbody\.0\.conv1\.weight:4"),
    ("DRUNet", r"\bm_head\.weight:4"),
    ("Uformer", r"\bencoderlayer_\d\."),
    ("GFPGAN", r"\bstylegan_decoder\."),
    ("LPIPS", r"\blin0\.model\.1\.weight:4"),
    ("one with LoRA layers; merge them in PyTorch first", r"\.residual_group\..*\.base_layer\."),
    ("one that was pruned; call torch.nn.utils.prune.remove first", r"\.residual_group\..*\.weight_mask:"),
    ("a LoRA adapter, without the network", r"\.lora_\w+\b"),
    ("Stable Diffusion", r"\bmodel\.diffusion_model\."),
    ("a Swin Transformer that classifies", r"\blayers\.0\.blocks\.0\.attn\.relative_position_bias_table:"),
    ("a discriminator", r"\.weight_(orig|u):|\bconv0_0\.weight:|\b(net_?d|discriminator)\b.*\.weight:"),
    ("a VGG", r"\bfeatures\.\d+\.weight:4|\bclassifier\.\d+\.weight:2"),
    ("a chain of convolutions, such as DnCNN or PatchGAN", r"\bmodel\.0\.weight:4"),
    ("an optimiser's state, without weights", r"\bstate\.\d+\.(exp_avg|exp_avg_sq|momentum_buffer|step):"),
)


def kind_of_file(head: bytes) -> str | None:
    """Returns the kind of a file that begins with `head` and holds no weights; None if the kind is unknown."""
    return next((kind for pattern, kind in _BEGINNINGS if re.match(pattern, head, re.DOTALL)), None)


def kind_of_archive(names: Collection[str]) -> str | None:
    """Returns the kind of an archive with entries of these names that holds no weights; None if the kind is unknown."""
    return next((kind for kind, pattern in _ARCHIVES if any(re.search(pattern, name) for name in names)), None)


def kind_of_network(tensors: Mapping[str, np.ndarray]) -> str | None:
    """Returns the network, other than SwinIR, to which tensors belong; None if it is unknown."""
    names = "\n".join(f"{name}:{tensor.ndim}" for name, tensor in tensors.items())
    return next((kind for kind, pattern in _NETWORKS if re.search(pattern, names)), None)
