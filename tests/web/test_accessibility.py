"""The page by keyboard, and with large text."""

import pytest
from site_visits import SECONDS, finish


@pytest.mark.parametrize(
    ("photos", "ready", "presses"),
    [
        pytest.param(
            ["photo40.png", "photo30.png"],
            "#list li:nth-child(2)[data-state=done]",
            [
                ("#list li:nth-child(1) .remove", "#list li:only-child", "pick"),
                ("#list .remove", "#stage[data-state=empty]", "choose"),
            ],
            id="a line is removed",
        ),
        pytest.param(
            ["photo200.png"],
            "#left:has-text('tiles')",
            [
                ("#working [data-do=stop]", "#stage[data-state=failed]", "again"),
                ("#failed [data-do=remove]", "#stage[data-state=empty]", "choose"),
            ],
            id="the view changes",
        ),
    ],
)
def test_the_keyboard_goes_on_beside_a_button_that_vanishes(page, pictures, photos, ready, presses):
    page.set_input_files("#file", [pictures[name][0] for name in photos])
    page.wait_for_selector(ready, timeout=SECONDS)
    for button, becomes, focused in presses:
        page.focus(button)
        page.keyboard.press("Enter")
        page.wait_for_selector(becomes, timeout=SECONDS)
        assert page.evaluate("document.activeElement.dataset.do ?? document.activeElement.className") == focused


def test_the_keyboard_reaches_everything(page, pictures):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.do") == "choose"
    page.set_input_files("#file", pictures["photo40.png"][0])
    finish(page)
    page.focus("#slider")
    page.keyboard.press("ArrowRight", delay=120)
    assert int(page.get_attribute("#slider", "aria-valuenow")) > 50
    names = page.evaluate(
        """[...document.querySelectorAll("button, a, input, progress, [role=slider]")]
          .filter((e) => e.checkVisibility())
          .filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length))
          .map((e) => e.outerHTML)"""
    )
    assert names == []


def test_arrow_keys_move_either_the_divider_or_the_zoomed_picture(page, pictures):
    page.set_input_files("#file", pictures["photo200.png"][0])
    finish(page)
    page.get_by_role("button", name="400 %").click()
    place = "[document.getElementById('viewport').scrollLeft, document.getElementById('slider').value]"
    left, _ = page.evaluate(place)
    page.focus("#slider")
    page.keyboard.down("ArrowRight")
    page.locator("#slider:not([aria-valuenow='50'])").wait_for()
    page.keyboard.up("ArrowRight")
    page.wait_for_timeout(500)  # browsers scroll smoothly
    still, divider = page.evaluate(place)
    assert still == left
    assert divider > 50
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.id") == "viewport"
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    scrolled, unmoved = page.evaluate(place)
    assert scrolled > left
    assert unmoved == divider


def test_a_picture_that_is_chosen_in_the_list_comes_into_view(page, pictures):
    page.set_viewport_size({"width": 390, "height": 600})
    page.set_input_files("#file", [pictures[name][0] for name in ("photo40.png", "photo30.png")])
    page.wait_for_selector("#list li:nth-child(2)[data-state=done]", timeout=SECONDS)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.evaluate("document.querySelector('#list li:nth-child(2) .pick').click()")  # Playwright would scroll
    assert page.locator("#stage").bounding_box()["y"] >= -1


@pytest.mark.parametrize(("width", "text"), [(320, 16), (320, 32), (1280, 32)])
def test_the_page_takes_the_browsers_text_size_and_no_text_is_lost(page, pictures, width, text):
    page.set_viewport_size({"width": width, "height": 600})
    page.context.new_cdp_session(page).send("Page.setFontSizes", {"fontSizes": {"standard": text}})
    assert page.evaluate("getComputedStyle(document.body).fontSize") == f"{text}px"
    lost = """() => [document.documentElement, ...document.querySelectorAll("main *")]
      .filter((e) => e.checkVisibility() && !(e instanceof SVGElement) && !e.closest(".name, .thumb, #viewport"))
      .filter((e) => {
        const { overflowX, overflowY } = getComputedStyle(e);
        const isCut = e.scrollHeight > e.clientHeight + 2 && overflowY === "hidden";
        return isCut || (e.scrollWidth > e.clientWidth + 1 && (overflowX !== "visible" || e.clientWidth > 0));
      }).map((e) => e.id || e.className || e.tagName)"""
    assert page.evaluate(lost) == []
    page.set_input_files("#file", pictures["photo40.png"][0])
    finish(page)
    assert page.evaluate(lost) == []
    assert page.locator("#viewport").bounding_box()["height"] >= 200
    page.set_input_files("#file", [{"name": f"{'long name ' * 9}.png", "mimeType": "", "buffer": b"no picture"}])
    finish(page, "failed")
    assert page.evaluate(lost) == []
