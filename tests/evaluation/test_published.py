from swinir_jax.checkpoints.zoo import bundled_models
from swinir_jax.evaluation.published import published


def test_published_figures_are_found_by_name():
    assert published("lightweight_sr", "lightweight_x2", "data/Set5/HR", 2)["psnr_y"] == 38.14
    assert published("classical_sr", "001_classicalSR_DF2K_s64w8_SwinIR-M_x4", "Set5", 4)["psnr_y"] == 32.92
    assert published("classical_sr", "001_classicalSR_DIV2K_s48w8_SwinIR-M_x4", "Set5", 4)["psnr_y"] == 32.72
    file = str(bundled_models()["lightweight_x2"])
    assert published("lightweight_sr", file, "Set5", 2)["psnr_y"] == 38.14
    assert published("jpeg_car", "input", "classic5", 10) == {}
    assert published("real_sr", "bicubic", "Set5", 4) == {}
    assert published("lightweight_sr", "my_own", "Set5", 2) == {}
    assert published("classical_sr", "lightweight_x2", "Set5", 2) == {}
    assert published("lightweight_sr", "001_classicalSR_DIV2K_s48w8_SwinIR-M_x2", "Set5", 2) == {}
    assert published("gray_dn", "004_grayDN_DFWB_s128w8_SwinIR-M_noise25.pth", "testset12/photos", 25) == {}


def test_swin2sr_is_not_compared_with_the_figures_of_swinir():
    assert published("lightweight_sr", "Swin2SR_Lightweight_X2_64", "Set5", 2) == {}
    assert published("jpeg_car", "Swin2SR_Jpeg_dynamic.pth", "classic5", 10) == {}
    assert published("compressed_sr", "bicubic", "Set5", 4) == {}
