"""The two networks that the benchmarks time, as arguments that both implementations take."""

COMMON = dict(in_chans=3, img_size=64, window_size=8, img_range=1.0, mlp_ratio=2.0, resi_connection="1conv")
NETWORKS = {
    "light": dict(COMMON, upscale=2, embed_dim=60, depths=[6] * 4, num_heads=[6] * 4, upsampler="pixelshuffledirect"),
    "classical": dict(COMMON, upscale=4, embed_dim=180, depths=[6] * 6, num_heads=[6] * 6, upsampler="pixelshuffle"),
}
REPEATS = 5
