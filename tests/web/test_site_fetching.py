"""What the site fetches, and what it says where that fails."""

import re

import pytest
from site_visits import PHOTO, finish, give, visit


@pytest.mark.parametrize(
    "missing",
    [
        "worker.js",
        "double.onnx",
        "ort.wasm.min.js",
        "ort-wasm-simd-threaded.js",
        "ort-wasm-simd-threaded.wasm",
    ],
)
def test_what_cannot_be_fetched_is_explained_and_fetched_again(browser, host, missing):
    with visit(browser, host.address, service_workers="block") as page:
        page.route(f"**/{missing}*", lambda route: route.abort())
        give(page, "photo.png", PHOTO)
        finish(page, "failed")
        assert "Is there a connection?" in page.text_content("#trouble")
        page.unroute(f"**/{missing}*")
        page.locator("#failed [data-do=again]").click()
        finish(page)


@pytest.mark.parametrize("file", ["double.onnx", "ort-wasm-simd-threaded.wasm"])
def test_a_page_in_place_of_a_network_is_not_taken_for_one(browser, host, file):
    with visit(browser, host.address, service_workers="block") as page:
        page.route(f"**/{file}*", lambda route: route.fulfill(content_type="text/html", body="<p>Log in</p>"))
        give(page, "photo.png", PHOTO)
        finish(page, "failed")
        assert "Is there a connection?" in page.text_content("#trouble")
        assert f"{file}?" in page.text_content("#reason")


def test_a_site_without_its_choices_is_explained(browser, host):
    with browser.new_context(service_workers="block") as context:
        page = context.new_page()
        page.route("**/choices.json", lambda route: route.fulfill(content_type="text/html", body="<p>Log in</p>"))
        page.goto(host.address)
        page.locator("#formats", has_text="Is there a connection?").wait_for()


def test_nothing_leaves_the_machine(browser, host, site):
    del host.requests[:]
    with visit(browser, host.address, service_workers="block") as page:
        asked = []
        page.context.on("request", lambda request: asked.append(request.url))
        give(page, "photo.png", PHOTO)
        finish(page)
        assert any("/networks/double.onnx" in url for url in asked)  # requests of the worker are seen, too
        assert not [url for url in asked if not url.startswith((host.address, "blob:"))]
        assert {method for method, _ in host.requests} == {"GET"}  # which have no body
        release = (site / "release.js").read_text()
        own = {f"/some/place/{file}" for file in ("", *re.findall('"(.*)"', release))}
        own |= {path.partition("?")[0] for path in own}
        assert {path for _, path in host.requests} <= own  # a query holds nothing but the hash of a file of the site
        with pytest.raises(Exception, match="Failed to fetch"):  # by the page's policy
            page.evaluate("fetch('http://localhost:9/', { method: 'POST', body: 'a picture' })")
