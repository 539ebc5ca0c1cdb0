"""The choice of what is done, on the page that `swinir-jax app` shows without options."""

import pytest
from app_command import command
from goldens import params_of
from site_visits import visit
from small_model import CONFIG, PARAMS

from swinir_jax.checkpoints.ends import save_ends
from swinir_jax.checkpoints.purposes import PURPOSES


@pytest.fixture(scope="module")
def address(browser):
    with command() as address:
        yield address


def chosen(page):
    return page.evaluate("[...document.querySelectorAll('#settings input:checked')].map((input) => input.id)")


def test_purposes_have_their_defaults_and_the_last_settings_stay(page):
    assert page.locator("#settings input[name=purpose]").count() == len(PURPOSES)
    assert chosen(page) == ["purpose-photo", "scale-2", "quality-fast", "strength-1"]
    assert "research use" in page.text_content("#settings .small")
    page.get_by_text("JPEG damage").click()
    assert chosen(page)[:2] == ["purpose-jpeg", "scale-1"]
    page.get_by_text("Best", exact=True).click()
    assert chosen(page) == ["purpose-jpeg", "scale-1", "quality-best", "level-40"]
    page.locator("label[for=scale-4]").click()
    assert "006_colorCAR" in page.text_content("#settings .small")
    assert "downloaded once" in page.text_content("#settings .small")
    assert "research use" not in page.text_content("#settings .small")
    kept = chosen(page)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert chosen(page) == kept == ["purpose-jpeg", "scale-4", "quality-best", "level-40"]


def test_a_strength_is_the_default_of_each_network_until_it_is_chosen(page):
    page.get_by_text("Photograph", exact=True).click()
    assert chosen(page)[-1] == "strength-1"
    page.locator("label[for=scale-1]").click()
    assert chosen(page)[-1] == "strength-0.85"
    page.get_by_text("Faithful", exact=True).click()
    page.locator("label[for=scale-4]").click()
    assert chosen(page)[-1] == "strength-0"
    page.get_by_text("Best", exact=True).click()
    assert chosen(page) == ["purpose-photo", "scale-4", "quality-best"]


def test_a_model_with_two_ends_has_a_choice_of_the_look(browser, tmp_path):
    strong = params_of(CONFIG, 2)
    save_ends(tmp_path / "ends", PARAMS, strong, CONFIG, strength=0.25)
    with command("--model", str(tmp_path / "ends")) as address, visit(browser, address) as page:
        assert chosen(page) == ["purpose-model", "strength-0.25"]
        assert page.locator("#settings .strength label").all_text_contents() == ["Faithful", "Balanced", "Strong"]
        page.get_by_text("Strong", exact=True).click()
        assert chosen(page) == ["purpose-model", "strength-1"]


def test_a_choice_is_seen_without_the_pages_colours(browser, address):
    with visit(browser, address, forced_colors="active") as page:  # as with the contrast themes of Windows
        outlines = page.evaluate(
            """[...document.querySelectorAll("#settings input[name=purpose]")]
              .map((input) => [input.checked, getComputedStyle(input.nextSibling).outlineStyle])"""
        )
        assert len(outlines) == len(PURPOSES)
        assert [checked for checked, _ in outlines] == [outline == "solid" for _, outline in outlines]
        assert sum(checked for checked, _ in outlines) == 1


@pytest.mark.parametrize("locale", ["de-AT", "zh-CN", "fr-FR"])
def test_the_page_speaks_the_readers_language(browser, address, locale):
    with visit(browser, address, locale=locale) as page:
        heading = {"de-AT": "Fotos hier ablegen", "zh-CN": "把照片拖到这里"}.get(locale, "Drop photographs here")
        assert page.text_content("#empty h2") == heading
        assert page.get_attribute("html", "lang") == {"de-AT": "de", "zh-CN": "zh"}.get(locale, "en")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_no_width_scrolls_sideways_and_texts_have_contrast(browser, address, width, scheme):
    with visit(browser, address, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        worst = page.evaluate(
            """() => {
              const luminance = (colour) => colour.match(/[\\d.]+/g).slice(0, 3)
                .map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
                .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
              const background = (e) => {
                const colour = getComputedStyle(e).backgroundColor;
                return /, 0\\)$/.test(colour) && e.parentElement ? background(e.parentElement) : colour;
              };
              const texts = [...document.querySelectorAll("h1, h2, p, button, label, span, small, legend")];
              return Math.min(...texts.filter((e) => e.checkVisibility() && e.textContent.trim()).map((e) => {
                const [a, b] = [getComputedStyle(e).color, background(e)].map(luminance).sort((x, y) => y - x);
                return (a + 0.05) / (b + 0.05);
              }));
            }"""
        )
        assert worst >= 4.5
